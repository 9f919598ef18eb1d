"""What suites have to keep to before anything is graded by them: points, sentences, hints, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autograder.checks.result import CheckResult
from autograder.course.assignment import Assignment
from autograder.runtime.errors import KitError


def check_points(assignment: Assignment, checks: list[CheckResult]) -> None:
    """Hold the suites to the points that the assignment gives, and each check to its sentence and its hint.

    Raises:
        KitError: They do not add up, or a check does not say what it asks; for the TA.
    """
    for check in checks:
        _refuse_silent(check)
    by_exercise: dict[str, float] = {}
    for check in checks:
        by_exercise[check.exercise] = by_exercise.get(check.exercise, 0.0) + check.points
    for exercise in assignment.exercises:
        found = by_exercise.get(exercise.id, 0.0)
        if abs(found - exercise.points) > 1e-9:
            raise KitError(
                f"The checks of {exercise.id} add up to {found:g} points, but {assignment.folder}/assignment.toml "
                f"gives it {exercise.points:g}. A TA has to bring the two together."
            )


def _refuse_silent(check: CheckResult) -> None:
    """A check that fails without a word helps nobody: each has a sentence, and a hidden one a hint.

    Raises:
        KitError: It has none.
    """
    place = f"The {'public' if check.public else 'hidden'} check test_{check.name} of {check.exercise}"
    if check.sentence.startswith("test_"):
        raise KitError(
            f"{place} has no docstring. It is what students read of it: a TA has to write a sentence that says what is "
            "checked."
        )
    if not check.public and not check.message:
        raise KitError(
            f"{place} has no hint. When it fails students read that alone: a TA has to mark it with "
            '@pytest.mark.hint("..."), a sentence that gives no number away.'
        )


def check_attributes(assignment: Assignment, given: Mapping[str, Any]) -> None:
    """Hold the suites' `GIVEN_ATTRIBUTES` to the solution: a misspelt one would be found in nobody's code.

    Args:
        assignment: Whose.
        given: By file, as `SuitePlugin.given_attributes` has them.

    Raises:
        KitError: One is no tuple of names, or the solution has no such attribute; for the TA.
    """
    text = assignment.source.read_text(encoding="utf-8")
    for file, names in given.items():
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            raise KitError(
                f"GIVEN_ATTRIBUTES of {file} is {names!r}. A TA has to write a tuple of names, "
                '("backbone",) where it is one.'
            )
        for name in names:
            if not re.search(rf"\bself\.{re.escape(name)}\b", text):
                raise KitError(
                    f"GIVEN_ATTRIBUTES of {file} names `{name}`, but no class in {assignment.source} has such an "
                    "attribute. A TA has to write it as the solution does."
                )

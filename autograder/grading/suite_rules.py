"""What suites have to keep to before anything is graded by them: points, sentences, hints, names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autograder.checks.result import CheckResult
from autograder.course.assignment import Assignment
from autograder.runtime.errors import KitError

if TYPE_CHECKING:
    from autograder.checks.runner import SuitePlugin  # which imports torch, and commands do without

_MARKED = re.compile(r"""^pytestmark = pytest\.mark\.exercise\(["']([^"']+)["']\)""", re.MULTILINE)
_ASKED = re.compile(r"""\.(?:call|new|shared|shallow)\(\s*["'](\w+)["']""")


def check_suites(assignment: Assignment, plugin: SuitePlugin) -> None:
    """All of the rules below, on suites that are collected.

    Raises:
        KitError: One is broken; for the TA.
    """
    check_names(assignment)
    check_marks(plugin.checks(), plugin.without_points())
    check_points(assignment, plugin.checks())
    check_attributes(assignment, plugin.given_attributes())


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


def _place(check: CheckResult) -> str:
    return f"The {'public' if check.public else 'hidden'} check test_{check.name} of {check.exercise}"


def _refuse_silent(check: CheckResult) -> None:
    """A check that fails without a word helps nobody: each has a sentence, and a hidden one a hint.

    Raises:
        KitError: It has none.
    """
    place = _place(check)
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


def check_marks(checks: list[CheckResult], unmarked: list[CheckResult]) -> None:
    """Hold each check to a mark of its points: one that was forgotten would be worth nothing, and nobody would know.

    Args:
        checks: All.
        unmarked: Those that have no such mark.

    Raises:
        KitError: One has none, or a hidden one is marked with nothing; for the TA.
    """
    if unmarked:
        raise KitError(
            f"{_place(unmarked[0])} is not marked with its points. A TA has to write @pytest.mark.points(...) above "
            "it; 0 for a public one that only explains what others take points for."
        )
    for check in checks:
        if not check.public and not check.points:
            raise KitError(
                f"{_place(check)} is worth 0 points: nobody would read of it, or lose by it. A TA has to give it some, "
                "or to leave it out."
            )


def check_names(assignment: Assignment) -> None:
    """Hold the suites to names that the source has: a function that was renamed would be found in nobody's code.

    What a suite asks for by `student.call("name", ...)`, or `new`, `shared`, `shallow` and those of the solution, has
    to stand in the source.

    Raises:
        KitError: Some do not; says where, for the TA.
    """
    known = set(re.findall(r"\w+", assignment.source.read_text(encoding="utf-8")))
    lines = []
    for path in sorted(assignment.suites.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for asked in _ASKED.finditer(text):
            if asked[1] not in known:
                line = text.count("\n", 0, asked.start()) + 1
                lines.append(f"\n  {path.relative_to(assignment.suites)}, line {line}: `{asked[1]}`")
    if lines:
        more = f"\n  and {len(lines) - 10} more" if len(lines) > 10 else ""
        raise KitError(
            f"The suites ask for names that {assignment.source.name} does not have. A TA has to write them as the "
            f"source does:{''.join(lines[:10])}{more}"
        )


def check_exercises(assignment: Assignment) -> None:
    """Hold what is released to the exercises that there are: checks of one that is gone would go on to students.

    Raises:
        KitError: A file of the suites marks its checks with another; for the TA.
    """
    ids = [exercise.id for exercise in assignment.exercises]
    for path in sorted(assignment.suites.rglob("test_*.py")):
        for marked in _MARKED.findall(path.read_text(encoding="utf-8")):
            if marked not in ids:
                raise KitError(
                    f"{path.relative_to(assignment.root)} has checks of {marked!r}, which is no exercise in "
                    f"assignment.toml (there are: {', '.join(ids)}). A TA has to take the file out or to mend the mark."
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

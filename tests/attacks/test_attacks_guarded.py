"""Guarded checks: of what hostile code knows, each check's status reaches a reader, and nothing else.

A student that knows a secret answers every request by it: with values, shapes, keys, numbers, exceptions, places. What
a page, Gradescope, nbgrader and the console show has to be the same for all secrets that come to the same statuses.
"""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
import torch
from rich.console import Console

from autograder.checks.result import CheckResult, Code, ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import BaseStudent, Student
from autograder.checks.verdicts import GUARDED, guarded_text
from autograder.course.assignment import Assignment, load_assignment
from autograder.gradescope.results import results
from autograder.report.html import exercise_panel, feedback_page
from autograder.report.model import Report
from autograder.report.terminal import grades_table
from autograder.runtime.errors import Place, StudentError
from autograder.runtime.values import copied
from tests.attacks.test_attacks_answers import MALFORMED, right, with_suites
from tests.conftest import ROOT

SECRETS = 24
SLOW = pytest.mark.slow


class Knows(BaseStudent):
    """A right solution of which each answer may be replaced by what a secret says.

    Args:
        honest: Who answers otherwise.
        secret: Decides what each request is answered with; `spoken` has all of it that was put into words.
    """

    def __init__(self, honest: Student, secret: int) -> None:
        super().__init__()
        self._honest, self._random = honest, random.Random(secret)
        self.spoken: list[str] = []

    def do(self, operation: str, **arguments: Any) -> Any:
        """Answer as the secret says: rightly, with a value, or not at all."""
        turn = self._random.random()
        if operation in ("load", "mode") or turn < 0.4:
            return self._rightly(operation, arguments)
        if turn < 0.6:
            raise self._error()
        return copied(self._value(operation, arguments))

    def _rightly(self, operation: str, arguments: dict[str, Any]) -> Any:
        try:
            return self._honest.do(operation, **arguments)
        except StudentError:
            raise
        except Exception as error:
            raise StudentError("error", f"the lie came back: {error}") from error

    def _word(self) -> str:
        self.spoken.append(f"secret{self._random.getrandbits(48):012x}")
        return self.spoken[-1]

    def _error(self) -> StudentError:
        status = self._random.choice(("error", "timeout", "memory", "missing"))
        place = Place(self._random.randrange(1, 10**5), self._random.randrange(1, 10**5), self._word())
        kind = self._random.choice(("ValueError", "DeviceMismatch", self._word()))
        return StudentError(status, self._word(), kind=kind, place=place, public_text=self._word())

    def _value(self, operation: str, arguments: dict[str, Any]) -> Any:
        sizes = [self._random.randrange(3) for _ in range(self._random.randrange(1, 9))]
        number = self._random.randrange(10**4, 10**9)
        right_one = self._rightly(operation, arguments)
        made: list[Any] = [
            torch.full(sizes, float(number)),
            {self._word(): torch.zeros(sizes), "p3": torch.full((3, 2), number)},
            {"places": ["cuda"], "broke": self._word(), "where": self._word(), "alone": True},
            (torch.zeros(sizes), torch.zeros(number % 7), torch.zeros(number % 5)),
            self._word(),
            _scaled(right_one, number),
            *MALFORMED.values(),
        ]
        return self._random.choice(made)


def _scaled(value: Any, factor: int) -> Any:
    """A right answer with other numbers in it."""
    if isinstance(value, torch.Tensor):
        return value * factor if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _scaled(inner, factor) for key, inner in value.items()}
    return type(value)(_scaled(inner, factor) for inner in value) if isinstance(value, (list, tuple)) else value


def shown(assignment: Assignment, exercise: str, checks: list[CheckResult]) -> str:
    """All that a student, and whoever looks at the console, reads of some checks' results."""
    settings = assignment.exercise(exercise)
    code = [Code(1, 1, "def as_the_student_wrote_it(): ...")]
    result = ExerciseResult(exercise, settings.title, settings.points, checks, code=code)
    report = Report(assignment.id, assignment.title, "s", "f.ipynb", "0", "d", 1, settings.points, [result])
    told = results(report)
    visible = [test for test in told["tests"] if test["visibility"] != "hidden"]
    console = Console(file=io.StringIO(), width=200)
    console.print(grades_table(assignment, [report], console))
    parts = [feedback_page(report), exercise_panel(exercise=result), console.file.getvalue()]
    return "\n".join([*parts, json.dumps({**told, "tests": visible})])


@pytest.mark.parametrize("exercise", ["7.1d", "7.1f", pytest.param("7.1i-inference", marks=SLOW)])
def test_nothing_but_the_status_is_told(exercise: str) -> None:
    """Whatever secret a student answers by, what readers see follows from the checks' statuses alone."""
    assignment = load_assignment("ps7", ROOT)
    honest = right(assignment, exercise)
    seen: dict[tuple[str, ...], set[str]] = {}
    told: list[str] = []
    spoken: list[str] = []

    def use(plugin: SuitePlugin) -> None:
        hints = {check.name: check.message for check in plugin.checks() if check.exercise == exercise}
        for secret in range(SECRETS):
            student = Knows(honest, secret)
            checks = plugin.run(exercise, student, seed=3, guarded=True)
            for check in checks:
                assert check.status in ("passed", *GUARDED), check.details
                said = (
                    ""
                    if check.status == "passed"
                    else " ".join(filter(None, (guarded_text(check.status), hints[check.name])))
                )
                told.extend([check.message, said])
                assert (check.message, check.diagnosis, check.picture) == (said, "", None)
                assert (check.cell, check.line) == (0, 0)
            page = shown(assignment, exercise, checks)
            seen.setdefault(tuple(check.status for check in checks), set()).add(page)
            spoken.extend(word for word in student.spoken if word in page)

    with_suites(assignment, honest, use)
    assert [statuses for statuses, pages in seen.items() if len(pages) > 1] == []
    assert spoken == [] and len(seen) > 3 and len(told) > 50
    assert {status for statuses in seen for status in statuses} >= {"failed", "error", "passed"}


def test_the_same_without_a_guard_does_tell() -> None:
    """The measure sees what is said where nothing is guarded: the student's words, which are short there."""
    assignment = load_assignment("ps7", ROOT)
    honest = right(assignment, "7.1d")
    spoken: list[str] = []

    def use(plugin: SuitePlugin) -> None:
        for secret in range(SECRETS // 3):
            student = Knows(honest, secret)
            page = shown(assignment, "7.1d", plugin.run("7.1d", student, seed=3))
            spoken.extend(word for word in student.spoken if word in page)

    with_suites(assignment, honest, use)
    assert len(spoken) > 3


@pytest.mark.parametrize("status", GUARDED)
def test_what_is_told_instead_is_a_sentence(status: str) -> None:
    """Plain words of the kit's, the same for everybody: no number in them, and why there is no more."""
    text = guarded_text(status)
    assert text.startswith(GUARDED[status]) and not any(character.isdigit() for character in text)
    assert ("stood in" in text) == (status != "missing")

"""Malformed answers: whatever comes back in place of what a check expects, it fails, and it is no fault of ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import BaseStudent, Student
from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.substitutes import load_solution
from autograder.runtime.errors import StudentError
from autograder.runtime.values import copied
from tests.conftest import ROOT

# As `values.unpack` lets them through: plain, bounded, and not what anybody asked for.
MALFORMED: dict[str, Any] = {
    "none": None,
    "true": True,
    "integer": 2**62,
    "huge integer": 2**1022,
    "negative": -1,
    "nan": math.nan,
    "infinity": math.inf,
    "empty string": "",
    "string": "p3",
    "empty list": [],
    "long list": [0] * 1000,
    "list of strings": ["a", "b", "c"],
    "empty dict": {},
    "dict of strings": {"p3": "a", "p4": "b", "p5": "c", "loss_cls": "d", "loss_box": "e", "loss_ctr": "f"},
    "dict of none": dict.fromkeys(("parameters", "buffers", "places", "broke", "history", "p3", "p4", "p5")),
    "dict of dicts": {"parameters": {"a": {}}, "buffers": {"a": 1}, "places": {}, "broke": [], 3: 4, None: 5},
    "dict of other keys": {"parameters": {"a": torch.zeros(3, 1, 1, 1)}, "history": [math.nan], "places": [1]},
    "tuple of three": (1, "a", None),
    "three tensors": tuple(torch.zeros(2, 2, 2) for _ in range(3)),
    "three tensors of bool": tuple(torch.ones(4, 4, dtype=torch.bool) for _ in range(3)),
    "three tensors of nan": (torch.full((2, 4), math.nan), torch.full((2,), math.nan), torch.full((2,), math.nan)),
    "no dimension": torch.tensor(3.0),
    "seven dimensions": torch.zeros(1, 1, 1, 1, 1, 1, 1),
    "empty tensor": torch.zeros(0, 3),
    "levels without dimension": {level: torch.tensor(1) for level in ("p3", "p4", "p5")},
    "levels of halves": {level: torch.full((784, 2), math.inf, dtype=torch.float16) for level in ("p3", "p4", "p5")},
    "losses of nothing": {name: torch.zeros(0) for name in ("loss_cls", "loss_box", "loss_ctr")},
    "losses of bool": {name: torch.tensor(True) for name in ("loss_cls", "loss_box", "loss_ctr")},
    "dtype": torch.float16,
}
ALL_OR_FIRST = 10**6
REHEARSALS = 6
ALL_OF_A_KIND = 0
SILENT = {"load", "mode"}  # nothing is expected back


class Forger(BaseStudent):
    """A right solution of which one answer, or every answer, is something else.

    Args:
        honest: Who answers otherwise.
        at: Number of the request that is answered with `answer`, or the kind of those that are; None for all.
        answer: What.
    """

    def __init__(self, honest: Student, at: int | str | None, answer: Any) -> None:
        super().__init__()
        self._honest, self._at, self._answer = honest, at, answer
        self.asked: list[str] = []

    def do(self, operation: str, **arguments: Any) -> Any:
        """Answer as the solution, or with the lie; what the lie makes of later requests is the student's error."""
        self.asked.append(operation)
        lies = operation not in SILENT and self._at in (None, operation, len(self.asked) - 1)
        if lies:
            return copied(self._answer)
        try:
            return self._honest.do(operation, **arguments)
        except StudentError:
            raise
        except Exception as error:
            raise StudentError("error", f"the lie came back: {error}") from error


class Rehearsed(BaseStudent):
    """A right solution whose modules are made once and trained once; after that they are put back as they were then.

    Args:
        honest: Does it the first time, and all else.
    """

    def __init__(self, honest: Student) -> None:
        super().__init__()
        self._honest = honest
        self._modules: dict[str, tuple[int, dict[str, torch.Tensor]]] = {}
        self._trained: dict[int, tuple[float, dict[str, torch.Tensor]]] = {}

    def do(self, operation: str, **arguments: Any) -> Any:
        """Answer as the solution does."""
        if operation == "new":
            return self._make(arguments)
        if operation == "minimise":
            return self._train(arguments["handle"], arguments)
        return self._honest.do(operation, **arguments)

    def _make(self, arguments: dict[str, Any]) -> int:
        key = repr(arguments)
        if key not in self._modules:
            number = self._honest.do("new", **arguments)
            self._modules[key] = number, self._state(number)
        number, state = self._modules[key]
        self._honest.do("load", handle=number, tensors=state)
        return number

    def _train(self, number: int, arguments: dict[str, Any]) -> dict[str, list[float]]:
        if number not in self._trained:
            history = self._honest.do("minimise", **arguments)["history"]
            self._trained[number] = history[-1], self._state(number)
            return {"history": history}
        last, state = self._trained[number]
        self._honest.do("load", handle=number, tensors=state)
        return {"history": [last] * arguments["steps"]}

    def forget(self) -> None:
        """Begin anew, from other random weights."""
        self._modules.clear()
        self._trained.clear()

    def _state(self, number: int) -> dict[str, torch.Tensor]:
        kinds = [self._honest.do("tensors", handle=number, skip="", buffers=buffers) for buffers in (False, True)]
        return copied(kinds[0] | kinds[1])


def right(assignment: Assignment, exercise: str) -> Student:
    """The solution of an exercise; of one that trains, rehearsed."""
    made = load_solution(assignment, assignment.exercise(exercise))
    return Rehearsed(made) if assignment.exercise(exercise).slow else made


def with_suites(assignment: Assignment, honest: Student, use: Callable[[SuitePlugin], None]) -> None:
    """Collect all suites as a slot does, and use them; `honest` is the checks' own solution, too."""
    problems: list[BaseException] = []

    def serve(plugin: SuitePlugin) -> None:
        try:
            use(plugin)
        except BaseException as error:  # pytest would swallow it
            problems.append(error)

    plugin = SuitePlugin(assignment.reference, serve, lambda _: honest)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a slot does: on small tensors several cost more than they give
    try:
        collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    finally:
        torch.set_num_threads(threads)
    if problems:
        raise problems[0]


def complaints(plugin: SuitePlugin, honest: Student, exercise: str, every: int) -> list[str]:
    """Checks of an exercise that pass, or break, on a malformed answer.

    Args:
        plugin: With the suites collected.
        honest: The solution.
        exercise: Its id.
        every: Of the single answers of a check, the first, and every so many-th; `ALL_OF_A_KIND`: all answers to
            each kind of request, for a check that goes on after a wrong one to see whether a later one is right.
    """
    found = []

    def run(check: str, at: int | str | None, answer: Any) -> tuple[CheckResult, list[str]]:
        forger = Forger(honest, at, answer)
        (result,) = plugin.run(exercise, forger, seed=3, only=check)
        return result, forger.asked

    for check in [check.name for check in plugin.checks() if check.exercise == exercise]:
        result, asked = run(check, -1, None)
        for _ in range(REHEARSALS if isinstance(honest, Rehearsed) else 0):
            if result.status != "passed":  # a training does not always succeed, and it is not gone through again
                honest.forget()
                result, asked = run(check, -1, None)
        assert result.status == "passed", f"{check} does not pass with the solution: {result.message} {result.details}"
        wanted = [number for number, operation in enumerate(asked) if operation not in SILENT]
        kinds = sorted({asked[number] for number in wanted})
        chosen: list[int | str | None] = [None, *(wanted[::every] if every else kinds)]
        for name, answer in MALFORMED.items():
            for at in chosen:
                result, _ = run(check, at, answer)
                which = f"{at} ({asked[at]})" if isinstance(at, int) else at or "all"
                where = f"{exercise}/{check}: answer {which} is {name}"
                if result.status == "grader_error":
                    found.append(f"{where}: {result.status}: {result.details.strip().splitlines()[-1:]}")
                elif result.status == "passed":
                    found.append(f"{where}: passed")
                elif not result.message:
                    found.append(f"{where}: no message")
    return found


@pytest.mark.parametrize(
    ("exercise", "every"),
    [
        pytest.param("7.1b", ALL_OR_FIRST, marks=pytest.mark.slow),
        pytest.param("7.1c", ALL_OR_FIRST, marks=pytest.mark.slow),
        ("7.1d", 1),
        pytest.param("7.1f", 1, marks=pytest.mark.slow),
        pytest.param("7.1i-inference", ALL_OR_FIRST, marks=pytest.mark.slow),
        pytest.param("7.1i-losses", ALL_OR_FIRST, marks=pytest.mark.slow),
        pytest.param("7.1j", ALL_OF_A_KIND, marks=pytest.mark.slow),
    ],
)
def test_a_malformed_answer_is_the_student_s_failure(exercise: str, every: int) -> None:
    """Every check, every kind of malformed answer in place of one answer or of all: never a pass, never our fault."""
    assignment = load_assignment("ps7", ROOT)
    found: list[str] = []
    honest = right(assignment, exercise)
    with_suites(assignment, honest, lambda plugin: found.extend(complaints(plugin, honest, exercise, every)))
    assert not found, "\n".join(found[:40])

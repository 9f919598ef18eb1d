"""The pytest plugin that runs the suites: what differs per submission comes in through fixtures.

The suites are collected once; `SuitePlugin.run` then runs the checks of one exercise against one student
as often as wanted, in the same process. An exception becomes a status by its class: `CheckFailed` and
`AssertionError` are the solution's, `StudentError` carries its own, anything else is ours.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.checks.fixtures import SuiteFixtures
from autograder.checks.plain_call import call_plainly
from autograder.checks.result import CheckResult
from autograder.checks.student import BaseStudent, EndedEarly, Heard, LocalStudent, Student
from autograder.checks.verdicts import blank, came_from, exercise_of, is_public, judge, name_of, unfit
from autograder.runtime.cpu_limit import OutOfTimeError, cpu_limit

_GIVEN = "GIVEN_ATTRIBUTES"  # what a suite's file calls them
_LEAST = 0.01  # seconds for a check where none are left: it is stopped, and says so

Serve = Callable[["SuitePlugin"], None]


class SuitePlugin(SuiteFixtures):
    """Collects suites and runs them on request.

    Args:
        reference: Folder with the stored tensors: `public/` and, on staff's machines, `hidden/`.
        serve: Called once the suites are collected, in place of pytest's own loop; it calls `run`.
        solution: Gives the reference solution of an exercise, for hidden checks; None in a student's notebook.
        listen: Whether to keep what student code answers to each check: known faults will be held against it.
        seconds: CPU time of this process that a run of checks may take, the solution's included; None for no end.

    Attributes:
        stopped: Whether a check was stopped for its time. Wherever it was, something may be half done in this process.
    """

    def __init__(
        self,
        reference: Path,
        serve: Serve,
        solution: Callable[[str], Student] | None = None,
        listen: bool = False,
        seconds: float | None = None,
    ) -> None:
        super().__init__(reference, solution)
        self._listens = listen
        self.heard: dict[str, list[Heard]] = {}  # by check: what the code that was run last answered
        self._seconds = seconds
        self._serve = serve
        self._items: dict[str, list[pytest.Item]] = {}  # by exercise
        self._outcome: CheckResult | None = None
        self._error: BaseException | None = None
        self._guarded = False
        self._left: float | None = None  # seconds that the check which runs may take
        self.stopped = False
        self.problems: list[str] = []

    # What pytest calls.

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Hand over to `serve` instead of running everything once."""
        if not session.testsfailed:
            session.config.option.tbstyle = "no"  # tracebacks take pytest longer than the checks take that fail
            for item in sorted(session.items, key=lambda item: not is_public(item)):
                self._items.setdefault(exercise_of(item), []).append(item)
            self._serve(self)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember why a suite could not be collected."""
        if report.failed:
            self.problems.append(str(report.longrepr))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn what happened into a `CheckResult`."""
        report = yield
        if self._outcome is not None and call.excinfo is not None and self._outcome.status in ("", "passed"):
            self._error = call.excinfo.value
            judge(self._outcome, call.excinfo.value, self._guarded)
        elif self._outcome is not None and call.when == "call" and not self._outcome.status:
            self._outcome.status, self._outcome.message = "passed", ""
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Stop a check that takes too long; within pytest's own try, so that it tidies up behind it."""
        with self._limited():
            return (yield)

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        """Stop what runs within where it takes too long; it may have had no time to put gradients back on."""
        gradients = torch.is_grad_enabled()
        try:
            with cpu_limit(self._left) if self._left else contextlib.nullcontext():
                yield
        except OutOfTimeError:
            self.stopped = True
            raise
        finally:
            torch.set_grad_enabled(gradients)

    # What the engine calls.

    def checks(self) -> list[CheckResult]:
        """All checks that were collected, not run: their exercise, points and sentence."""
        return [blank(item) for items in self._items.values() for item in items]

    def without_points(self) -> list[CheckResult]:
        """Those among them that are not marked with points, not even with none."""
        return [blank(i) for items in self._items.values() for i in items if i.get_closest_marker("points") is None]

    def given_attributes(self) -> dict[str, Any]:
        """By file of the suites the attributes by which its checks ask for parameters, as they stand there."""
        modules = {item.path: getattr(item, "module", None) for items in self._items.values() for item in items}
        given = {str(path): getattr(module, _GIVEN, None) for path, module in modules.items()}
        return {path: names for path, names in given.items() if names is not None}

    def run(
        self,
        exercise: str,
        student: Student,
        seed: int,
        *,
        guarded: bool = False,
        ours: frozenset[str] = frozenset(),
        only: str = "",
        needed: bool = False,
        plainly: bool = False,
    ) -> list[CheckResult]:
        """Run the checks of one exercise.

        Args:
            exercise: Its id.
            student: Whose code.
            seed: What random inputs are drawn from.
            guarded: Say no more to the student than each check's status, see `verdicts.py`.
            ours: Methods that checks are to ask the solution for.
            only: Name of a check; the others are left out.
            needed: Leave out the checks that are worth nothing where all others pass: they are there to explain.
            plainly: Call the checks without pytest's report on each, which takes longer than most of them.
        """
        self.student, self.seed, self._guarded, self.ours = student, seed, guarded, ours
        results: list[CheckResult] = []
        left = self._seconds
        self.heard, self.numbers.noted = {}, {}
        asked = [item for item in self._items.get(exercise, []) if only in ("", name_of(item))]
        todo, explaining = list(asked), list[pytest.Item]()
        if needed:
            explaining = [item for item in asked if not blank(item).points]
            todo = [item for item in asked if item not in explaining]
        while todo or explaining:
            failed = any(result.status != "passed" for result in results)
            public = bool(todo) and is_public(todo[0])
            if explaining and failed and not public:  # those that explain come before hidden ones, where they can
                self._forget_what_was_asked(results)
                todo, explaining = [*explaining, *todo], []
            elif not todo:
                break
            item = todo.pop(0)
            public = is_public(item)
            self._outcome = blank(item)
            self._listen(self._outcome.name)
            _tell_given(student, item)
            started, used = time.perf_counter(), time.process_time()
            self._left = left
            if plainly:
                self._call(item)
            else:
                # Where a hidden check fails, those that explain come next: pytest is not to keep this file's fixtures.
                leaves = bool(explaining) and not public
                following = None if leaves else next(iter(todo or explaining), None)
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            self._left = None
            left = left and max(left - (time.process_time() - used), _LEAST)
            if self._outcome.status == "grader_error" and self._outcome.details and self._answer_broke(item):
                unfit(self._outcome, blank(item).message, guarded)
            self._outcome.seconds = round(time.perf_counter() - started, 4)
            if not self._outcome.status:
                self._outcome.status = "grader_error"
                self._outcome.message = "This check did not come to a verdict. That is our fault."
            results.append(self._outcome)
        self._outcome = self.student = None
        if isinstance(known := self._solutions.get(exercise), LocalStudent):
            known.let_go()
        order = {name_of(item): place for place, item in enumerate(asked)}
        return sorted(results, key=lambda result: order[result.name])

    def _forget_what_was_asked(self, results: list[CheckResult]) -> None:
        """Where hidden checks have asked already, go on in a process that has not heard them.

        What a public check says is the student's to read, and the code could say there what it was asked. Where it may
        have left a note, that check says no more than its status.
        """
        if isinstance(self.student, BaseStudent) and not all(result.public for result in results):
            self._guarded = self.student.afresh() or self._guarded

    def _listen(self, name: str) -> None:
        if self._listens and isinstance(self.student, BaseStudent):
            self.student.heard = self.heard[name] = []
            self.student.making = functools.partial(self.numbers.note, name)

    def numbers_made(self) -> frozenset[tuple[str, str, bytes]]:
        """From which random numbers on the last `run` made what its checks share: with the seed, all that it drew."""
        return self.numbers.made()

    def _answer_broke(self, item: pytest.Item) -> bool:
        """Whether a check that broke did so on what student code answered: with the solution it does not.

        So no check has to foresee every form that an answer can take. In a student's notebook there is no solution;
        there the check has been seen to work, and the answer is to blame. What reaching the student raised, a sandbox
        that does not start, is never an answer.
        """
        outcome, student = self._outcome, self.student
        if self._error is None or came_from(self._error, student):
            return False
        if not self.graded:
            return True
        try:
            self.student, self._outcome = self.solution_of(exercise_of(item)), blank(item)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            return self._outcome.status == "passed"
        except Exception:  # the solution itself does not load
            return False
        finally:
            self.student, self._outcome = student, outcome

    def again(
        self, exercise: str, name: str, student: BaseStudent, seed: int, heard: list[Heard], *, alone: bool = False
    ) -> CheckResult:
        """Run one check on other code, a known fault's say: what came of it.

        Its random numbers, and those of what it shares with other checks, are those of the last `run`.

        Args:
            exercise: Its id.
            name: The check's.
            student: The other code.
            seed: What random inputs are drawn from.
            heard: Takes what the code answers, and may end the check by `EndedEarly`: then it has no status.
            alone: What it shares with other checks is made from its own numbers: for another seed than that of `run`.
        """
        item = next(item for item in self._items[exercise] if name_of(item) == name)
        self.student, self.seed, self._guarded, self.ours = student, seed, False, frozenset()
        self._outcome = blank(item)
        _tell_given(student, item)
        student.heard, student.making = heard, None if alone else functools.partial(self.numbers.same, name)
        self._call(item)
        outcome, student.heard, student.making = self._outcome, None, None
        self._outcome = self.student = None
        return outcome

    def _call(self, item: pytest.Item) -> None:
        """Run a check without pytest's report on it, but where it asks for fixtures of its suite's own."""
        assert self._outcome is not None
        try:
            with self._limited():
                called = call_plainly(item, self.given(item))
        except EndedEarly:
            return
        except BaseException as error:
            self._error = error
            judge(self._outcome, error, self._guarded)
            return
        if called:
            self._outcome.status, self._outcome.message = "passed", ""
        else:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def all_again(
        self, exercise: str, student: BaseStudent, seed: int
    ) -> tuple[list[CheckResult], dict[str, list[Heard]]]:
        """The same for all checks of an exercise; nothing that `run` has left is lost."""
        before = self.heard, self.numbers.noted
        outcomes, heard = self.run(exercise, student, seed, plainly=True), self.heard
        student.heard = student.making = None
        self.heard, self.numbers.noted = before
        return outcomes, heard

    def secret(self, exercise: str) -> set[str]:
        """Names of the checks of an exercise whose inputs nobody can know: hidden ones that draw random numbers."""
        items = self._items.get(exercise, [])
        return {name_of(i) for i in items if not is_public(i) and "rng" in getattr(i, "fixturenames", ())}


def _tell_given(student: Student, item: pytest.Item) -> None:
    """Tell a student by which attributes a suite asks for parameters: its `GIVEN_ATTRIBUTES`, which the text has."""
    if isinstance(student, BaseStudent):
        student.given = tuple(getattr(getattr(item, "module", None), _GIVEN, ()))

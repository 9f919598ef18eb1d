"""Grading slots: processes of ours, each with the suites collected once and one sandbox at a time.

A slot is a process apart so that whatever a hostile notebook does to Python's own parser, or a suite's bug
to the slot, the run goes on: a slot that dies is replaced and its submission gets our own error, no score.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import threading
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.assignment import Assignment, load_assignment
from autograder.course.digests import suites_digest
from autograder.intake.submissions import Submission
from autograder.intake.trained import trained_as
from autograder.report.blank import blank_report
from autograder.report.model import Report
from autograder.runtime.errors import KitError, SubmissionError

_START_SECONDS = 300
_LEAVE_SECONDS = 3.0  # for a process with nothing to do, to end its sandbox and itself
_TRIES = 2
_SAFE_TO_FORK = (3, 11, 1)  # before, any user could have the process run what they like (CVE-2022-42919)


class Slot:
    """A grading process.

    Args:
        assignment: What is graded.
        sandbox: "bwrap", "uid" or "none".
        log: Where its output and tracebacks go.
        forked: Fork it from a process that has imported everything, see `slot_imports.py`: for one of several. One by
            itself is sooner there without, since its sandbox imports while it does.

    Attributes:
        forked: Whether it is, see `can_fork`.
        checks: All checks of the suites; known once it has started.
    """

    def __init__(self, assignment: Assignment, sandbox: str, log: Path, *, forked: bool = False) -> None:
        self._assignment, self._sandbox, self._log = assignment, sandbox, log
        self.forked = forked and can_fork()
        self._process: Any = None
        self._connection: Connection[Any, Any] | None = None
        self._stopped = False
        self.checks: list[CheckResult] = []

    @property
    def pid(self) -> int | None:
        """Process id of the grading process, which a new process changes; None while there is none."""
        return None if self._process is None else int(self._process.pid)

    def start(self) -> None:
        """Start it and wait until the suites are collected.

        Raises:
            KitError: They cannot be; the text is for a TA.
        """
        try:
            self._begin(process_context(self.forked))
        except (OSError, EOFError):  # the process to fork from is just being killed
            if not self.forked:
                raise
            self._begin(process_context(forked=False))
        kind, content = self._receive(_START_SECONDS)
        if kind != "ready":
            self.close()
            raise KitError(content)
        self.checks = content

    def _begin(self, context: SpawnContext | ForkServerContext) -> None:
        self._connection, theirs = context.Pipe()
        course = (self._assignment.id, self._assignment.root)
        arguments = (theirs, *course, self._sandbox, self._log, dict(os.environ))
        with theirs:
            self._process = context.Process(target=_serve, args=arguments, daemon=True)
            self._process.start()

    def grade(self, submission: Submission, seed: int, figure_seed: int | None = None) -> Report:
        """Grade one submission. Whatever happens, there is a report.

        A process that dies is replaced, and the submission gets a second try.

        Args:
            submission: What was handed in.
            seed: Of the checks' random inputs.
            figure_seed: What picks the images that weights are measured by; `seed` if None.
        """
        for _ in range(_TRIES):
            kind, content = self._try(submission, seed, seed if figure_seed is None else figure_seed)
            if kind == "report":
                return Report.from_json(content)
            self.close()
            if kind != "died" or self._stopped:
                break
        return failed_report(self._assignment, submission, seed, content)

    def _try(self, submission: Submission, seed: int, figure_seed: int) -> tuple[str, Any]:
        limits, measured = self._assignment.limits, self._assignment.map
        budget = (120 + 4 * limits.load_seconds + 4 * limits.exercise_seconds) * (1 + len(self._assignment.exercises))
        budget += 8 * measured.seconds + 4 * limits.load_seconds if measured else 0
        try:
            if self._process is None or not self._process.is_alive():
                self.close()  # where it is the process to fork from that has died, this one waits still
                self.start()
            assert self._connection is not None
            self._connection.send((submission, seed, figure_seed))
        except (KitError, OSError) as error:
            return "died", f"The grading process did not start: {error}"
        return self._receive(budget)

    def _receive(self, seconds: float) -> tuple[str, Any]:
        assert self._connection is not None
        try:
            if self._connection.poll(seconds):
                kind, content = self._connection.recv()
                return str(kind), content
            return (
                "failed",
                f"The grading process did not answer within {seconds:g} s. The log is {self._log}.",
            )
        except (EOFError, OSError):
            return "died", f"The grading process died. The log is {self._log}."

    def stop(self) -> None:
        """End the process in the middle of whatever it does; `grade`, in another thread, comes to an end at once."""
        self._stopped = True
        if (process := self._process) is not None and process.pid is not None:
            process.kill()

    def hang_up(self) -> None:
        """Tell the process that nothing more comes: it tidies up and ends."""
        if self._connection is not None:
            self._connection.close()

    def close(self) -> None:
        """End the process and what it started."""
        self.hang_up()
        if self._process is not None and self._process.pid is not None:
            if not self._stopped:
                self._process.join(_LEAVE_SECONDS)
            self._process.kill()
            self._process.join()
        self._process = self._connection = None


def can_fork() -> bool:
    """Whether processes may be forked here: only on Linux, and not by a Python whose forks any user could ask for."""
    return sys.platform == "linux" and sys.version_info >= _SAFE_TO_FORK


def process_context(forked: bool) -> SpawnContext | ForkServerContext:
    """How Python starts a grading process.

    Args:
        forked: As for `Slot`: from a process that has imported everything, which is started with the first one.
    """
    if not forked:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["autograder.runs.slot_imports"])
    return context


def failed_report(assignment: Assignment, submission: Submission, seed: int, why: str) -> Report:
    """The report of a submission that we, not the student, failed on."""
    report = blank_report(assignment, submission.student, submission.name, suites_digest(assignment), seed)
    report.outcome, report.problem = "grader_error", f"Our fault, and it costs nothing: {why}"
    report.exercises = [
        ExerciseResult(e.id, e.title, e.points) for e in assignment.exercises if e.id not in submission.skip
    ]
    return report


def _serve(
    connection: Connection[Any, Any],
    assignment_id: str,
    root: Path,
    sandbox: str,
    log: Path,
    environment: dict[str, str],
) -> None:
    """The slot's process: collect the suites, then grade what comes until the other side hangs up."""
    import signal

    take_environment(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it ends us
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tidy = contextlib.ExitStack()
    try:
        from autograder.sandbox import probe
        from autograder.sandbox.host import Host

        assignment = load_assignment(assignment_id, root)
        probe.check(sandbox, assignment)
        host = Host(assignment, sandbox)
        tidy.callback(host.close)
        host.begin()  # it imports while we do

        gc.disable()  # as in `slot_imports.py`
        import torch

        torch.set_num_threads(1)
        from autograder.runtime import torchvision_alone  # noqa: F401, I001 (before anything else imports torchvision)
        from autograder.checks.collecting import collect
        from autograder.checks.runner import SuitePlugin
        from autograder.course import jupyter  # noqa: F401 (reads the solution)
        from autograder.grading.engine import CHECK_SECONDS
        from autograder.grading.charges import Charging
        from autograder.grading.faults import FaultBook
        from autograder.grading.substitutes import load_solution

        gc.freeze()
        gc.enable()
        plugin = SuitePlugin(
            assignment.reference,
            lambda plugin: _loop(connection, assignment, plugin, Charging(FaultBook(assignment), plugin), host),
            lambda exercise: load_solution(assignment, assignment.exercise(exercise)),
            listen=True,
            seconds=CHECK_SECONDS,
        )
        collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    except KitError as error:
        connection.send(("failed", str(error)))
    except Exception as error:  # everything else is ours: the log keeps the traceback
        traceback.print_exc()
        connection.send(("failed", f"The suites cannot be collected: {error}"))
    finally:
        tidy.close()


def take_environment(environment: dict[str, str]) -> None:
    """Give this process the environment of whoever asked for it.

    What it was forked from may have another one, and a folder for temporary files that is gone.

    Args:
        environment: All variables; others are removed.
    """
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None


def _end_with_parent() -> None:
    """Leave nothing running where the parent was killed; the sandbox dies with this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _loop(connection: Connection[Any, Any], assignment: Assignment, plugin: Any, charging: Any, host: Any) -> None:
    """Grade what comes. Runs inside pytest, which would swallow what is raised: so nothing is."""
    from autograder.course.rubric import read_rubric
    from autograder.grading.map_score import Asked, expect_images
    from autograder.grading.proof_files import check_mutants
    from autograder.grading.suite_rules import check_suites

    try:
        check_suites(assignment, plugin)
        read_rubric(assignment.folder)
        check_mutants(assignment)
        expect_images(assignment)
    except KitError as error:
        connection.send(("failed", str(error)))
        return
    connection.send(("ready", plugin.checks()))
    while True:
        try:
            submission, seed, figure_seed = connection.recv()
        except (EOFError, OSError):  # the parent is gone or done with us
            host.close()
            os._exit(0)  # nothing is left to tidy up, and Python would take a second to take torch apart
        try:
            asked = Asked(submission.weights, figure_seed)
            connection.send(("report", _graded(assignment, plugin, charging, submission, seed, asked, host).to_json()))
        except Exception as error:  # ours; the next submission must not suffer
            traceback.print_exc()
            connection.send(("failed", f"{type(error).__name__} while grading. The log has the traceback."))
        sys.stdout.flush()
        if plugin.stopped:  # in the middle of something: the next submission gets a process that is whole
            host.close()
            os._exit(0)


def _graded(
    assignment: Assignment,
    plugin: Any,
    charging: Any,
    submission: Submission,
    seed: int,
    asked: Any,
    host: Any,
) -> Report:
    from autograder.grading import engine

    suites = suites_digest(assignment)
    report = blank_report(assignment, submission.student, submission.name, suites, seed)
    report.path, report.member = str(submission.path.resolve()), submission.member
    try:
        data = submission.read(assignment.limits.notebook_megabytes)
    except SubmissionError as error:
        return engine.unreadable(assignment, plugin, report, str(error), asked)
    suffix = Path(submission.name).suffix.lower()
    if submission.weights is not None:
        asked = replace(asked, trained=trained_as(data, suffix))
    return engine.grade_notebook(assignment, plugin, report, data, suffix, host, submission.skip, asked, charging)

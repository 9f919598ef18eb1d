"""What Dask workers of the tests are told to load: slots that obey the submission instead of grading it.

A real slot takes seconds to start. For what happens between scheduler, workers and writer these do as well: they
give a report at once, or end, stop or hold up the worker that they are part of, as the submission's first line asks.

`dask worker --preload tests/support/cluster_stand_ins.py` reads its folder from FCOSKIT_TEST_FOLDER: `journal` there
gets a line for each start and end, and files there say what has happened once.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.assignment import Assignment
from autograder.course.digests import suites_digest
from autograder.intake.parcel import Parcel
from autograder.report import Report
from autograder.runs.cluster import worker as cluster_worker

FOLDER = Path(os.environ.get("FCOSKIT_TEST_FOLDER", "."))


class StandIn:
    """Looks like `slots.Slot`."""

    def __init__(self, assignment: Assignment, sandbox: str, log: Path) -> None:
        self._assignment = assignment

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to close."""

    def grade(self, submission: Parcel, seed: int, figure_seed: int | None = None) -> Report:
        """Do what the submission says, then give it full marks for one exercise."""
        wish = submission.content.decode().splitlines()[0].removeprefix("# ")
        first = not (FOLDER / f"{submission.key}.seen").exists()
        (FOLDER / f"{submission.key}.seen").touch()
        journal(f"start {submission.key} {os.getpid()}")
        if wish == "ends every worker" or (wish == "ends its first worker" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if wish == "stops its first worker" and first:
            os.kill(os.getpid(), signal.SIGSTOP)
        while wish == "waits" and not (FOLDER / "go").exists():
            time.sleep(0.02)  # for the other side, not for a length of time
        journal(f"end {submission.key} {os.getpid()}")
        return full_marks(self._assignment, submission, seed)


def full_marks(assignment: Assignment, submission: Parcel, seed: int) -> Report:
    """A report as a slot would give it."""
    exercise = assignment.exercises[0]
    check = CheckResult(exercise.id, "stand_in", "It is there.", exercise.points, "passed", True)
    report = Report(
        assignment.id, assignment.title, submission.student, submission.name, "", suites_digest(assignment), seed, 100
    )
    report.exercises = [ExerciseResult(exercise.id, exercise.title, exercise.points, [check])]
    return report


def journal(line: str) -> None:
    """One write, so that lines of several processes do not mix."""
    descriptor = os.open(FOLDER / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def dask_setup(worker: Any) -> None:
    """Called by Dask in each worker as it starts."""
    cluster_worker.Slot = StandIn  # type: ignore[assignment,misc]
    if torch := os.environ.get("FCOSKIT_TEST_TORCH"):
        known = cluster_worker.what_decides
        cluster_worker.what_decides = lambda assignment: known(assignment) | {"torch": torch}

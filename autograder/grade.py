"""A run: many submissions -> a folder of reports that can be continued.

`out/grades.csv`, and per student `out/<student>/report.json` (staff's) and `feedback.html` (the
student's). Each file is written whole or not at all; what is there with the same notebook and the same
suites is not graded again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from autograder.assignment import Assignment
from autograder.by_hand import HandGrades, apply_by_hand, read_by_hand
from autograder.engine import blank_report, suites_digest
from autograder.errors import KitError, SubmissionError
from autograder.report.files import read_report, read_reports, write_grades, write_report
from autograder.report.model import Report
from autograder.sandbox import bwrap
from autograder.slots import Slot
from autograder.submissions import Submission

Progress = Callable[[Report, bool], None]


@dataclass
class Run:
    """What a run came to.

    Attributes:
        reports: By student, ordered by key; those of earlier, continued runs included.
        out: Where they lie.
    """

    out: Path
    reports: dict[str, Report] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if every submission has a score, 1 otherwise."""
        return 0 if all(report.score is not None for report in self.reports.values()) else 1


def choose_sandbox(asked: str) -> str:
    """The sandbox to use.

    Raises:
        KitError: The one asked for is not to be had; says what to do.
    """
    if asked in ("auto", "bwrap"):
        bwrap.find_bwrap()
        return "bwrap"
    if asked == "none":
        return "none"
    raise KitError(f'The sandbox "{asked}" is not built yet. There are: auto, bwrap, none.')


def grade_submissions(
    assignment: Assignment,
    submissions: list[Submission],
    out: Path,
    *,
    jobs: int = 1,
    sandbox: str = "auto",
    seed: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Grade submissions into a folder.

    Args:
        assignment: What is graded.
        submissions: From `submissions.find_submissions`.
        out: Made if it is not there.
        jobs: How many slots work at a time.
        sandbox: "auto", "bwrap" or "none".
        seed: Of the random inputs; a secret one for each submission if None.
        progress: Called with each report, and whether it was there already, in this thread.

    Raises:
        KitError: Nothing can be graded: no sandbox, suites that do not collect, a folder that is not ours.
    """
    kind = choose_sandbox(sandbox)
    claim(out)
    by_hand = read_by_hand(out, assignment)
    run = Run(out)
    suites = suites_digest(assignment)
    progress = progress or (lambda report, known: None)
    todo: list[Submission] = []
    for submission in submissions:
        report = _undecided(assignment, submission, suites) or _known(out, submission, suites, assignment)
        if report is None:
            todo.append(submission)
            continue
        run.reports[submission.key] = report
        if apply_by_hand(report, by_hand) or report.outcome == "undecided":
            write_report(out / submission.key, report)
        progress(report, report.outcome != "undecided")
    try:
        if todo:
            _grade_all(assignment, todo, run, min(jobs, len(todo)), kind, seed, progress, by_hand)
    finally:
        write_grades(out / "grades.csv", assignment, read_reports(out))
    return run


def _grade_all(
    assignment: Assignment,
    todo: list[Submission],
    run: Run,
    jobs: int,
    sandbox: str,
    seed: int | None,
    progress: Progress,
    by_hand: HandGrades,
) -> None:
    stop = threading.Event()
    with _slots(assignment, sandbox, run.out / "grade.log", jobs) as slots:

        def grade(submission: Submission) -> Report | None:
            if stop.is_set():
                return None
            slot = slots.get()
            try:
                return slot.grade(submission, secrets.randbits(48) if seed is None else seed)
            finally:
                slots.put(slot)

        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(grade, submission): submission for submission in todo}
            try:
                for future, submission in _as_done(futures):
                    report = future.result()
                    if report is not None:
                        apply_by_hand(report, by_hand)
                        write_report(run.out / submission.key, report)
                        run.reports[submission.key] = report
                        progress(report, False)
            except BaseException:
                stop.set()
                for slot in list(slots.queue):
                    slot.close()
                raise


def _as_done(
    futures: dict[Future[Report | None], Submission],
) -> Iterator[tuple[Future[Report | None], Submission]]:
    """Futures as they finish, waking often enough that Ctrl-C is heard."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            yield future, futures[future]


@contextlib.contextmanager
def _slots(assignment: Assignment, sandbox: str, log: Path, jobs: int) -> Iterator[queue.LifoQueue[Slot]]:
    """Slots that are started; the first one alone, so that suites which do not collect are said once."""
    made = [Slot(assignment, sandbox, log.resolve()) for _ in range(jobs)]
    slots: queue.LifoQueue[Slot] = queue.LifoQueue()
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(slot.start) for slot in made]:
                future.result()
        for slot in made:
            slots.put(slot)
        yield slots
    finally:
        for slot in made:
            slot.close()


def claim(out: Path) -> None:
    """Make the folder, or refuse one that holds something else."""
    if out.is_dir() and any(out.iterdir()) and not (out / ".fcoskit").is_file():
        raise KitError(f"{out} is not empty and not the folder of an earlier run. Name another with --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".fcoskit").touch()
    except OSError as error:
        raise KitError(f"{out} cannot be written: {error.strerror}.") from error


def _undecided(assignment: Assignment, submission: Submission, suites: str) -> Report | None:
    """The report of a submission that a human has to look at first."""
    if not submission.problem:
        return None
    report = blank_report(assignment, submission.student, submission.name, suites, 0)
    report.outcome = "undecided" if submission.candidates else "unreadable"
    report.problem = submission.problem
    return report


def _known(out: Path, submission: Submission, suites: str, assignment: Assignment) -> Report | None:
    """The report of an earlier run, if notebook and suites are the same and it came to a score."""
    try:
        report = read_report(out / submission.key)
        same = hashlib.sha256(submission.read(assignment.limits.notebook_megabytes)).hexdigest() == report.sha256
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError, SubmissionError):
        return None
    return report if same and report.suites == suites and report.score is not None else None

"""Slots that take turns: so many submissions at a time, and an end at once where a run is stopped."""

from __future__ import annotations

import contextlib
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.intake.submissions import Submission
from autograder.report.model import Report
from autograder.runs.slots import Slot
from autograder.sandbox import probe

Keep = Callable[[Submission, Report], None]  # writes the report of a submission
Seeds = tuple[int | None, int | None]  # of the checks' random inputs, of the images that weights are measured by


class SlotPool(queue.LifoQueue[Slot]):
    """Slots that wait for a submission.

    Args:
        made: All there are; none waits before it is put here.
    """

    def __init__(self, made: list[Slot]) -> None:
        super().__init__()
        self.made = made


@contextlib.contextmanager
def open_slots(assignment: Assignment, sandbox: str, log: Path, jobs: int) -> Iterator[SlotPool]:
    """Slots that are started, to grade one batch of submissions in after the other.

    Args:
        assignment: What is graded.
        sandbox: As for `grade_submissions`.
        log: Where their output and tracebacks go.
        jobs: How many.

    Raises:
        KitError: No sandbox, or the suites do not collect.
    """
    kind = probe.choose(sandbox).kind
    made = [Slot(assignment, kind, log.resolve(), forked=jobs > 1) for _ in range(jobs)]
    slots = SlotPool(made)
    try:
        with ThreadPoolExecutor(jobs) as pool:
            for future in [pool.submit(slot.start) for slot in made]:
                future.result()
        for slot in made:
            slots.put(slot)
        yield slots
    finally:
        for slot in made:
            slot.hang_up()
        for slot in made:
            slot.close()


def grade_in(slots: SlotPool, todo: list[Submission], seeds: Seeds, keep: Keep) -> None:
    """Grade submissions, as many at a time as there are slots.

    Args:
        slots: From `open_slots`.
        todo: What to grade.
        seeds: For each a secret one of its own where the first is None.
        keep: Called with each report, in this thread. Where it is interrupted, Ctrl-C say, it still gets what is
            ready; what slots are busy with ends at once.
    """
    stop = threading.Event()
    seed, figure_seed = seeds

    def grade(submission: Submission) -> Report | None:
        if stop.is_set():
            return None
        slot = slots.get()
        try:
            return slot.grade(submission, secrets.randbits(48) if seed is None else seed, figure_seed)
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(slots.qsize()) as pool:
        futures = {pool.submit(grade, submission): submission for submission in todo}
        left = dict(futures)
        try:
            for future, submission in _as_done(futures):
                del left[future]
                if (report := future.result()) is not None:
                    keep(submission, report)
        except BaseException:
            stop.set()
            for slot in slots.made:
                slot.stop()
            for future in wait(left).done:  # what was ready when the stop came
                if not future.exception() and (report := future.result()) is not None and report.score is not None:
                    keep(left[future], report)
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

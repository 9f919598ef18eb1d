"""Processes that examine jobs, each a fresh one once its last is spoilt.

On a GPU an index out of bounds, which on the CPU is an exception, stops the device for the rest of the process. A
case that dies, hangs or does that must not spoil the verdicts of the next one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING

import torch

from autograder.course.assignment import Assignment, load_assignment
from autograder.runs.slots import can_fork, process_context
from data_scripts.gpu_report.cases import Job

if TYPE_CHECKING:
    from data_scripts.gpu_report.examined import Examined


@dataclass
class _Lane:
    """One process, the pipe to it, and what it is at."""

    process: BaseProcess
    pipe: Connection
    job: Job | None = None
    until: float = 0.0


class Processes:
    """Some processes that examine jobs.

    Args:
        count: How many at a time.
        assignment: Whose cases.
        device: What is compared with the CPU, such as "cuda".
    """

    def __init__(self, count: int, assignment: Assignment, device: str) -> None:
        self._arguments = (assignment.id, assignment.root, device)
        self.lanes = [self._started() for _ in range(count)]

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            _end(lane)

    def work(self, jobs: list[Job], seconds: float, deadline: float) -> Iterator[tuple[Job, Examined | str]]:
        """Examine jobs, as they are done.

        Args:
            jobs: In this order.
            seconds: What one may take.
            deadline: On `time.monotonic`'s clock. What is under way then is given up.

        Yields:
            The job with what it showed, or with a sentence why there is no verdict.
        """
        todo = list(reversed(jobs))
        while True:
            now = time.monotonic()
            for lane in self.lanes:
                if lane.job is None and todo and now < deadline:
                    lane.job, lane.until = todo.pop(), now + seconds
                    with contextlib.suppress(OSError):  # it has died meanwhile: that is read from the pipe
                        lane.pipe.send(lane.job)
            busy = [lane for lane in self.lanes if lane.job is not None]
            if not busy or now >= deadline:
                return
            ready = wait([lane.pipe for lane in busy], timeout=max(0.0, min(1.0, deadline - now)))
            for lane in busy:
                if lane.pipe in ready or time.monotonic() > lane.until:
                    assert lane.job is not None
                    job, lane.job = lane.job, None
                    yield job, self._answer(lane, seconds, lane.pipe in ready)

    def _answer(self, lane: _Lane, seconds: float, is_there: bool) -> Examined | str:
        """What a process answered; where it is of no further use, another takes its place."""
        try:
            answer: Examined | str = lane.pipe.recv() if is_there else f"It did not end within {seconds:.0f} s."
        except (EOFError, OSError):
            lane.process.join(10)
            answer = f"Its process died (exit code {lane.process.exitcode})."
        if isinstance(answer, str) or answer.broke:
            _end(lane)
            fresh = self._started()
            lane.process, lane.pipe = fresh.process, fresh.pipe
        return answer

    def _started(self) -> _Lane:
        context = process_context(forked=can_fork())  # from a process that never used the GPU, as this has
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is this process's affair, which ends the others
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        return _Lane(process, ours)


def _end(lane: _Lane) -> None:
    lane.process.kill()
    lane.process.join()
    lane.pipe.close()


def _serve(pipe: Connection, assignment_id: str, root: object, device: str) -> None:
    """Answer jobs until nobody asks any more. A GPU that breaks prints a line a thread: nobody could read them."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    from data_scripts.gpu_report.examined import examine

    torch.set_num_threads(1)  # as in grading
    assignment = load_assignment(assignment_id, root)  # type: ignore[arg-type]
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(examine(assignment, job, device))
        except Exception as error:
            pipe.send(f"The checks did not run: {type(error).__name__}: {error}")

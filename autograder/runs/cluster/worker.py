"""The side of a cluster where submissions are graded: what a Dask worker is asked to run.

A Dask worker is a process that the instructor started on some machine; it runs as many tasks at a time as it has
threads. Each task takes one of the worker's slots (`slots.py`: a process of ours with a sandbox of its own) and waits
for it. Slots stay alive between tasks, and end when they had nothing to do for a while, or with the worker.

Only plain data crosses: an `Order` comes, with the submission as bytes; an `Answer` goes back, with the report as
JSON text. A worker never opens what is in a submission: its slot does, and the sandbox below that. Nor does it import
torch: its slots do.
"""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from autograder.course.assignment import load_assignment
from autograder.course.digests import what_decides
from autograder.intake.parcel import Parcel
from autograder.runs.run_folder import LOG
from autograder.runs.slots import Slot
from autograder.runtime.errors import KitError
from autograder.sandbox import probe

PROCESS = secrets.token_hex(8)  # a worker that was started again at the same address is another one
_IDLE_SECONDS = 300.0
_LOG_BYTES = 20_000


@dataclass(frozen=True)
class Workplace:
    """What a worker says of itself before it gets work.

    Attributes:
        process: Tells it from one that comes after it at the same address.
        host: Name of the machine.
        decides: From `digests.what_decides`.
        sandbox: The kind that student code would get there.
        problem: Why it cannot grade, "" if it can.
    """

    process: str
    host: str = ""
    decides: dict[str, str] = field(default_factory=dict)
    sandbox: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Order:
    """One submission to grade.

    Attributes:
        process: Whom it is meant for.
        assignment: Id of what is graded.
        sandbox: As for `grade.grade_submissions`.
        suites: Digest that the worker has; a slot that was started with others is not used.
        parcel: The submission.
        seed: Of the checks' random inputs.
        figure_seed: Of what weights are measured by.
    """

    process: str
    assignment: str
    sandbox: str
    suites: str
    parcel: Parcel
    seed: int
    figure_seed: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came of an order: exactly one of the first three.

    Attributes:
        report: JSON text of the report.
        refused: Why this worker cannot grade anything.
        stranger: Whether the order was meant for a process that is gone.
        log: What the slot wrote meanwhile, where something of ours broke.
    """

    report: str = ""
    refused: str = ""
    stranger: bool = False
    log: str = ""


def describe(assignment_id: str, sandbox: str) -> Workplace:
    """Say what would grade here; never raises a `KitError`."""
    try:
        assignment = load_assignment(assignment_id)
        return Workplace(PROCESS, socket.gethostname(), what_decides(assignment), probe.choose(sandbox).kind)
    except KitError as error:
        return Workplace(PROCESS, socket.gethostname(), problem=str(error))


def grade_one(order: Order) -> Answer:
    """Grade one submission in a slot of this worker."""
    if order.process != PROCESS:
        return Answer(stranger=True)
    key = (order.assignment, order.sandbox, order.suites)
    try:
        slot, log = _BENCH.take(key)
    except KitError as error:
        return Answer(refused=str(error))
    start = log.stat().st_size if log.exists() else 0
    try:
        report = slot.grade(order.parcel, order.seed, order.figure_seed)
    finally:
        _BENCH.give(key, slot, log)
    broke = report.status == "grader_error"
    report.problem = report.problem.replace(str(log), LOG)
    return Answer(json.dumps(report.to_json()), log=_since(log, start) if broke else "")


Key = tuple[str, str, str]


class _Bench:
    """The slots of this process that nobody uses just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[Key, list[tuple[float, Slot, Path]]] = collections.defaultdict(list)
        self._timer: threading.Timer | None = None

    def take(self, key: Key) -> tuple[Slot, Path]:
        """A slot that is started, and its log.

        Raises:
            KitError: It does not start; the text is for a TA.
        """
        with self._lock:
            if self._free[key]:
                _, slot, log = self._free[key].pop()
                return slot, log
        assignment_id, sandbox, _ = key
        log = _scratch() / LOG
        slot = Slot(load_assignment(assignment_id), probe.choose(sandbox).kind, log)
        # Dask's nanny starts a worker as a "daemonic" process, which may have no children because they would outlive
        # it. Ours do not: a slot ends itself when its parent is gone.
        if multiprocessing.current_process().daemon:
            multiprocessing.current_process().daemon = False
        slot.start()
        return slot, log

    def give(self, key: Key, slot: Slot, log: Path) -> None:
        """Put a slot back; it is closed if nobody takes it for a while."""
        with self._lock:
            self._free[key].append((time.monotonic(), slot, log))
            if self._timer is None:
                self._look_later()

    def _look_later(self) -> None:
        self._timer = threading.Timer(_IDLE_SECONDS / 2, self._close_idle)
        self._timer.daemon = True
        self._timer.start()

    def _close_idle(self) -> None:
        latest = time.monotonic() - _IDLE_SECONDS
        with self._lock:
            old = [entry for entries in self._free.values() for entry in entries if entry[0] <= latest]
            self._free = collections.defaultdict(
                list, {key: [e for e in entries if e[0] > latest] for key, entries in self._free.items()}
            )
            self._timer = None
            if any(self._free.values()):
                self._look_later()
        for _, slot, _ in old:
            slot.close()


_BENCH = _Bench()


def _scratch() -> Path:
    """This worker's own folder, which Dask makes and removes."""
    from distributed import get_worker

    return Path(get_worker().local_directory)


def _since(log: Path, start: int) -> str:
    """The end of what was written to a log since it had that many bytes."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, stream.seek(0, os.SEEK_END) - _LOG_BYTES))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""

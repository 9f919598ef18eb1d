"""A notebook that is run whole in a sandbox, and the exercises that are then asked one after the other.

The worker runs the notebook once; each exercise has a process forked from it (`inside/branches.py`). Where one dies or
hangs, the worker goes with it, and the notebook is run again for the next.
"""

from __future__ import annotations

from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.digests import shipped
from autograder.parsing.slicing import Slice
from autograder.runtime.errors import StudentError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Connection, Host
from autograder.sandbox.inside.branches import BRANCH, LEAVE
from autograder.sandbox.launch import SandboxFailed

_LEAVE_SECONDS = 2.0
_TRIES = 2  # times that a notebook is run whose run ends its process


class WholeNotebook:
    """A notebook, run when it is first asked for.

    Args:
        assignment: Limits, given globals.
        cells: Number and source of each code cell, as they stand in the file; kept under that name.
        host: The sandbox; no other worker may be in it.

    Attributes:
        problems: What stopped, was not here or did nothing as the notebook ran; a line each.
        runs: How often it was run.
        broke: How often the run itself came to no end.
        spent: Seconds that all runs were charged.
        worker: The worker that has run it; None where there is none just now.
        cpu: CPU seconds that the worker has used when last looked at.
        guarded: Whether an exercise of it was guarded: what the notebook has started may have looked into its process,
            and whatever comes later is guarded, too.
        asked: Whether an exercise of it has been asked: later ones share files with it, where it may have left a note
            of what hidden checks ask.
    """

    def __init__(self, assignment: Assignment, cells: list[tuple[int, str]], host: Host) -> None:
        self.assignment, self.cells, self.host = assignment, cells, host
        self.problems: list[str] = []
        self.runs = self.broke = 0
        self.spent = 0.0
        self.worker: Connection | None = None
        self.cpu = 0.0
        self.guarded = self.asked = False

    def request(self) -> dict[str, Any]:
        """What `run_notebook` asks for."""
        limits = self.assignment.limits
        still = self.assignment.suites / "public" / "standing_still.py"
        return {
            "cells": [list(cell) for cell in self.cells],
            "given": self.assignment.globals,
            "wanted": list(self.assignment.wanted),
            "still": still.read_text(encoding="utf-8") if still.is_file() else "",
            "packages": [package.name for package in shipped(self.assignment)],
            "run_seconds": 0.8 * limits.notebook_seconds,  # the rest is for cells that do not stop when told to
            "cell_seconds": limits.cell_seconds,
        }

    def student(self, piece: Slice, stand_ins: list[dict[str, Any]], asked: Slice | None = None) -> BranchedStudent:
        """The student of one exercise."""
        return BranchedStudent(self, piece, stand_ins, asked)

    def close(self) -> None:
        """End the worker."""
        if self.worker is not None:
            self.host.clean(self.worker)
            self.worker = None


class BranchedStudent(SandboxedStudent):
    """A student's code as the whole notebook leaves it, in a process of its own.

    Args:
        whole: The notebook.
        piece: The slice of the exercise: what to say of names that are not there.
        stand_ins: As for `SandboxedStudent`.
        asked: As for `SandboxedStudent`.
    """

    def __init__(
        self, whole: WholeNotebook, piece: Slice, stand_ins: list[dict[str, Any]], asked: Slice | None = None
    ) -> None:
        super().__init__(whole.assignment, piece, whole.host, stand_ins, asked)
        self._whole = whole
        self._heard = 0  # bytes that the worker had printed before

    def guard(self, guarded: bool) -> bool:
        """See `SandboxedStudent.guard`: once is always, for the rest of this notebook."""
        self._whole.guarded = self._whole.guarded or guarded
        return self._whole.guarded

    def told_less(self, guarded: bool) -> bool:
        """See `SandboxedStudent.told_less`: not for the first exercise of a notebook."""
        return self.guard(guarded) or self._whole.asked

    def is_own(self, cell: int, line: int) -> bool:
        """See `SandboxedStudent.is_own`: every cell was run."""
        return any(number == cell and 0 < line <= source.count("\n") + 1 for number, source in self._whole.cells)

    def afresh(self) -> bool:
        """A process of its own again, but with the files that the last one left."""
        self.close()
        return True

    def close(self) -> None:
        """Let the exercise's process leave; where it does not, the worker ends."""
        self._whole.asked = True
        if self._connection is None:
            self._leave_companion()
            return
        connection = self._connection
        try:
            self._exchange({"op": LEAVE, "value": self._packed(None)}, [], _LEAVE_SECONDS, "the end of an exercise")
        except (StudentError, SandboxFailed):
            self._end()
        else:
            self.printed += bytes(connection.printed[self._heard :]).decode(errors="replace")
            self._connection = None
            self._leave_companion()
            self._whole.cpu = self._cpu

    def _end(self, *, gone: bool = False) -> str:
        self._whole.worker = None
        return super()._end(gone=gone)

    def _load(self) -> None:
        """Run the notebook, unless it has been, and fork from the worker.

        Raises:
            StudentError: The run did not come to an end.
            SandboxFailed: Ours.
        """
        if self._whole.worker is None:
            self._run()
        else:
            self._take_companion()
        self._connection, self._cpu = self._whole.worker, self._whole.cpu
        self._heard = len(self._connection.printed) if self._connection else 0
        self._shared = {}
        unread = self._piece.to_json({})["broken"]
        value = {"stand_ins": self._stand_ins, "missing": self._piece.missing, "broken": unread}
        message = {"op": BRANCH, "value": self._packed(value)}
        self._exchange(message, [], self._limits.load_seconds, "binding what takes the place of other exercises")
        self.problems = self._whole.problems

    def _run(self) -> None:
        """Run the notebook: the first time, and again where an exercise has ended its process.

        All runs together have the time of one, and a notebook that ends itself is not run for ever.
        """
        limits, whole = self._limits, self._whole
        if whole.broke >= _TRIES or whole.spent >= limits.notebook_seconds:
            raise StudentError("error", "The notebook was run as a whole, and its process ended.")
        whole.runs += 1
        whole.broke += 1
        self._take_companion()
        self._open()
        before = self._host.charged
        message = {"op": "run", "value": self._packed(whole.request()), "limits": self._packed_limits()}
        try:
            problems = self._exchange(message, [], limits.notebook_seconds, "running the whole notebook")
        finally:
            whole.spent += self._host.charged - before
        whole.broke -= 1
        whole.problems = self._texts(problems)
        whole.worker, whole.cpu = self._connection, self._cpu
        self._spent = 0.0  # the run is the notebook's, not the exercise's

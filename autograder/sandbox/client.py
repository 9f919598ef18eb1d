"""The slot's end of the line to a worker: asks, keeps the time, and turns silence and lies into verdicts."""

from __future__ import annotations

import builtins
import secrets
import time
from collections.abc import Callable
from typing import Any

from autograder.checks.student import BaseStudent
from autograder.course.assignment import Assignment, Limits
from autograder.parsing.slicing import Slice
from autograder.runtime.errors import Place, StudentError
from autograder.runtime.values import ValueRefused, ValueTooLarge, pack, unpack
from autograder.sandbox import meter as meters
from autograder.sandbox.companion import Companion
from autograder.sandbox.host import Connection, Host
from autograder.sandbox.inside import limit_messages as limit_words
from autograder.sandbox.inside import wire
from autograder.sandbox.launch import SandboxFailed

_NUMBER_BYTES = 4  # that a number counts at least: checks compute with float32, whatever it came as
_STATUSES = {"error", "timeout", "memory", "missing"}
_TOO_LARGE = (
    "{what} cannot be asked for: what has to be handed over is too large. Does {whose} hold thousands of parts?"
)


class SandboxedStudent(BaseStudent):
    """A student's code in a sandbox: one worker at a time, a new one after a death.

    Args:
        assignment: Limits, what may be imported.
        piece: The slice to load.
        host: The sandbox; no other worker may be in it.
        stand_ins: What to bind over the student's own names, see `substitutes.py`.
        asked: The slice of the instructor's functions that those among them ask which hold nothing themselves.
    """

    def __init__(
        self,
        assignment: Assignment,
        piece: Slice,
        host: Host,
        stand_ins: list[dict[str, Any]] | None = None,
        asked: Slice | None = None,
    ) -> None:
        super().__init__()
        self._assignment, self._piece, self._host = assignment, piece, host
        self._stand_ins, self._asked = stand_ins or [], asked
        self._companion: Companion | None = None
        self._limits = assignment.limits
        self._connection: Connection | None = None
        self._spent = 0.0  # seconds charged to the exercise so far
        self._cpu = 0.0  # CPU seconds of the present worker when last looked at
        self._deaths: list[StudentError] = []
        self.printed = ""
        self.peak_megabytes = 0.0
        self.lost = False  # there was no sandbox, or it died under it: not the student's doing
        self.problems: list[str] = []

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """See `student.Student.do`.

        Raises:
            StudentError: The student's fault: the code failed, hung, died or answered nonsense.
            SandboxFailed: Ours.
        """
        if self._spent >= self._limits.exercise_seconds:
            raise StudentError("timeout", f"The {self._limits.exercise_seconds:g} s for this exercise are used up.")
        if self._host.charged >= self._limits.submission_seconds:
            whole = f"The {self._limits.submission_seconds:g} s of computing for the whole submission are used up"
            raise StudentError("timeout", f"{whole}, most of them by checks before this one.")
        if self._connection is None and len(self._deaths) > self._limits.restarts:
            raise self._deaths[-1].with_traceback(None)  # or it would keep all frames through which it ever went
        try:
            tree, tensors = pack(arguments, copy=False)
        except ValueTooLarge as error:  # our own arguments are small: it is what the code itself gave before
            raise StudentError("error", _TOO_LARGE.format(what="A call", whose="what your code gave")) from error
        if self._connection is None:
            self._load()
        name = arguments.get("name")
        what = f"the call of `{name}`" if operation in ("call", "new", "method") else "a call of your module"
        seconds = self._limits.call_seconds
        if operation == "minimise":
            seconds, self._host.trains = self._limits.train_seconds, True
        if operation == "on_gpu":  # which runs the notebook's definitions anew
            seconds += self._limits.load_seconds
        return self._exchange({"op": operation, "value": tree}, tensors, seconds, what)

    def guard(self, guarded: bool) -> bool:
        """Whether what the student reads has to be guarded, where that is known of the stand-ins of this run."""
        return guarded

    def afresh(self) -> bool:
        """End the worker: its scratch folders go with it, and the next has heard nothing."""
        self.close()
        return False

    def is_own(self, cell: int, line: int) -> bool:
        """Whether a place that an error names is in the code that was loaded: numbers may tell something else."""
        texts = [(s.cell, s.line, s.source) for s in self._piece.statements]
        texts += [(number, 1, source) for number, source in self._piece.whole_cells]
        return any(own == cell and 0 <= line - first <= source.count("\n") for own, first, source in texts)

    def told_less(self, guarded: bool) -> bool:
        """Whether what the student reads of its messages has to be guarded."""
        return self.guard(guarded)

    def close(self) -> None:
        """End the worker, if there is one."""
        self._end()
        self._leave_companion()

    def _end(self, *, gone: bool = False) -> str:
        """End the worker, if there is one; says how it had ended by itself, or ""."""
        if self._connection is None:
            return ""
        ended = self._host.clean(self._connection, gone=gone)
        self.printed += self._connection.printed.decode(errors="replace")
        self.peak_megabytes = max(self.peak_megabytes, self._connection.peak_megabytes)
        self.lost = self.lost or self._connection.lost
        self._connection = None
        self._leave_companion()
        return ended

    def _take_companion(self) -> None:
        """Have the instructor's functions answered for, before student code is there; raises as `_open` does."""
        if self._asked is None or self._companion is not None:
            return
        try:
            self._companion = Companion(self._assignment, self._asked, self._host)
        except SandboxFailed:
            self.lost = True
            raise

    def _leave_companion(self) -> None:
        if self._companion is not None:
            self._companion.close()
            self._companion = None

    def _load(self) -> None:
        """Start a worker and have it load the slice.

        Raises:
            StudentError: It does not load, or is too large to be sent.
            SandboxFailed: Ours.
        """
        value = self._packed(self._piece.to_json(self._assignment.globals) | {"stand_ins": self._stand_ins})
        self._take_companion()
        self._open()
        message = {"op": "load", "value": value, "limits": self._packed_limits()}
        what = "loading the notebook's definitions"
        self.problems = self._texts(self._exchange(message, [], self._limits.load_seconds, what))

    def _open(self) -> None:
        """Start a worker.

        Raises:
            SandboxFailed: Ours.
        """
        try:
            before = self._host.pid
            self._connection = self._host.spawn()
            if self._companion is not None and self._host.pid != before:
                raise SandboxFailed("a new sandbox had to be made after the companion")
        except SandboxFailed:
            self.lost = True
            raise
        self._cpu = 0.0
        self._shared = {}  # a new process knows none of the old one's modules

    def _packed_limits(self) -> Any:
        return self._packed(self._limits.whole_numbers())

    def _packed(self, value: Any) -> Any:
        """What a worker is told of the notebook, as a tree.

        Raises:
            StudentError: It has too many parts.
        """
        try:
            return pack(value)[0]
        except ValueTooLarge as error:
            raise self._died("error", _TOO_LARGE.format(what="Your code", whose="your notebook")) from error

    @staticmethod
    def _texts(value: Any) -> list[str]:
        """Lines that a worker sent; it may send anything."""
        lines = value if isinstance(value, list) else []
        return [text[:300] for text in lines if isinstance(text, str)][:50]

    def _exchange(self, message: dict[str, Any], tensors: list[Any], seconds: float, what: str) -> Any:
        """Send a request and wait for its answer; whatever is not a proper answer ends the worker.

        What this process itself computes to read the answer is charged like the worker's seconds.
        """
        assert self._connection is not None
        line = self._connection.socket
        number = secrets.token_hex(8)  # what was written before the question was asked cannot answer it
        meter = meters.Meter(line, self._host, self._cpu, seconds)
        begun = time.thread_time()
        try:
            line.settimeout(meters.PATIENCE * seconds)
            wire.send(line, {"id": number, **message}, tensors)
            most = self._limits.message_megabytes * 2**20
            reply, out = wire.receive(line, meter.wait, most)
            while self._companion is not None and set(reply) == {"id", "ask"}:
                told, found = self._companion.answer(reply["ask"], out, meter.wait, most)
                wire.send(line, {"id": number, **told}, found)
                reply, out = wire.receive(line, meter.wait, most)
            meter.settle()
            return _answered(reply, out, number, self._limits, self.is_own)
        except wire.WireTooLarge as error:
            self._end()
            whose = "your notebook" if message["op"] in ("load", "run") else "what your code gave"
            raise self._died("error", _TOO_LARGE.format(what=what.capitalize(), whose=whose)) from error
        except wire.WireTimeout as error:
            self._end()
            raise self._died("timeout", _stopped(what, meter.clock, seconds)) from error
        except wire.WireGone as error:
            raise self._gone(what) from error
        except (wire.WireError, ValueRefused) as error:
            self._end()
            said = f"During {what} your code's process answered with {error}."
            raise self._died("error", limit_words.name_limit(said, self._limits)) from error
        finally:
            self._cpu = meter.used
            charge = max(meter.charge, meter.clock / meters.PATIENCE)  # also for one that did not even read
            charge += time.thread_time() - begun
            self._spent += charge
            self._host.charged += charge

    def _gone(self, what: str) -> StudentError:
        """Why the worker is gone.

        Raises:
            SandboxFailed: The sandbox is gone with it, which is not the student's doing.
        """
        ended = self._end(gone=True)
        if self.lost:
            raise SandboxFailed(f"During {what} the sandbox was ended from outside.")
        if limit := limit_words.ended_by(ended, self._limits):
            return self._died(limit[0], f"During {what} your code's process was ended: {limit[1]}.")
        if not ended:
            return self._died("error", f"During {what} your code's process stopped answering.")
        if ended.startswith("signal"):
            return self._died("error", f"During {what} your code's process was ended by {ended}: it crashed.")
        advice = "A graded function must return its value, never end the program (`exit()`, `os._exit`)."
        return self._died("error", f"During {what} your code's process ended by itself ({ended}). {advice}")

    def _died(self, status: str, message: str) -> StudentError:
        self._deaths.append(StudentError(status, message))
        return self._deaths[-1]


def _stopped(what: str, clock: float, seconds: float) -> str:
    if clock < meters.PATIENCE * seconds:
        return f"Stopped after {seconds:g} s of computing: {what} had not finished. Is there a loop that never ends?"
    return f"Stopped after {clock:.0f} s: {what} had not finished. Does it wait for something (`input`, `sleep`)?"


def _answered(
    reply: dict[str, Any], tensors: list[Any], number: str, limits: Limits, is_own: Callable[[int, int], bool]
) -> Any:
    """The value of an answer that may be forged.

    Raises:
        WireError, ValueRefused: It is none, or none to this question.
        StudentError: It is an error.
    """
    if reply.get("id") != number:
        raise wire.WireError("an answer to a question that was not asked")
    if _NUMBER_BYTES * sum(tensor.numel() for tensor in tensors) > limits.message_megabytes * 2**20:
        raise wire.WireError("an answer of too many numbers")
    if set(reply) == {"id", "error"} and isinstance(reply["error"], dict) and not tensors:
        raise _student_error(reply["error"], limits, is_own)
    if set(reply) != {"id", "value"}:
        raise wire.WireError("an answer that is not of the agreed form")
    return unpack(reply["value"], tensors)


def _student_error(fields: dict[str, Any], limits: Limits, is_own: Callable[[int, int], bool]) -> StudentError:
    """Rebuild an error that a worker sent; every field may be forged, and a place that is none says nothing."""
    status = fields.get("status")
    place = fields.get("place")
    where = None
    if isinstance(place, list) and len(place) == 3 and all(type(n) is int for n in place[:2]):
        where = Place(place[0], place[1], wire.shorten(place[2], 200)) if is_own(place[0], place[1]) else None
    status = status if isinstance(status, str) and status in _STATUSES else "error"
    return StudentError(
        status,
        limit_words.name_limit(wire.shorten(fields.get("message"), 2000), limits) or "Your code failed.",
        kind=wire.shorten(fields.get("kind"), 80),
        place=where,
        public_text=_told(status, fields.get("kind"), where),
    )


def _told(status: str, kind: Any, where: Place | None) -> str:
    """What a hidden check may say: our own words, an exception's name that Python defines, and a place."""
    at = f" in code cell {where.cell}, line {where.line}" if where else ""
    if status == "missing":
        return "This part is as given, or its name is not defined."
    if kind == "ValueRefused":
        return "Your code returned something that is neither numbers nor tensors."
    if status == "memory":
        return f"Your code ran out of memory{at}."
    known = getattr(builtins, kind, None) if isinstance(kind, str) else None
    raised = kind if isinstance(known, type) and issubclass(known, BaseException) else "an exception"
    return f"Your code raised {raised}{at}."

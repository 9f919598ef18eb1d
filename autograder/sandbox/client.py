"""The slot's end of a sandbox: starts workers, asks them, keeps the time, kills."""

from __future__ import annotations

import builtins
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from autograder.assignment import PACKAGE, Assignment, Limits
from autograder.errors import Place, StudentError
from autograder.sandbox import bwrap, wire
from autograder.sandbox.bwrap import SandboxFailed
from autograder.slicing import Slice
from autograder.student import BaseStudent
from autograder.values import ValueRefused, pack, unpack

START_SECONDS = 120.0  # importing torch from a cold disk
PRINTED_BYTES = 16 * 1024
_STATUSES = {"error", "timeout", "memory", "missing"}


class Worker:
    """One sandboxed process with one slice loaded.

    Raises:
        SandboxFailed: It did not start.
        StudentError: The slice did not load in time, or took the process down.
    """

    def __init__(self, assignment: Assignment, piece: Slice, sandbox: str) -> None:
        self.limits = assignment.limits
        self.printed = bytearray()
        ours, theirs = socket.socketpair()
        command, environment = _start(sandbox, assignment, theirs.fileno())
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        except OSError as error:
            raise SandboxFailed(f"bubblewrap did not start: {error}") from error
        finally:
            theirs.close()
        self._connection = ours
        self._drain = threading.Thread(target=self._keep_output, daemon=True)
        self._drain.start()
        try:
            wire.receive(ours, time.monotonic() + START_SECONDS)
        except wire.WireError as error:
            self.kill()
            said = self.printed.decode(errors="replace").strip()[-400:]
            raise SandboxFailed(f"the sandbox did not start ({error}): {said}") from error
        self.problems: list[str] = self._load(assignment, piece)

    def _load(self, assignment: Assignment, piece: Slice) -> list[str]:
        value = pack(piece.to_json(assignment.globals))[0]
        message = {"op": "load", "value": value, "limits": pack(_numbers(self.limits))[0]}
        problems = self._exchange(message, [], self.limits.load_seconds, "loading the notebook's definitions")
        return [text for text in problems if isinstance(text, str)] if isinstance(problems, list) else []

    def request(self, operation: str, arguments: dict[str, Any], seconds: float) -> Any:
        """Ask for one operation.

        Raises:
            StudentError: Student code failed, hung, died or answered nonsense.
        """
        tree, tensors = pack(arguments)
        name = arguments.get("name")
        what = f"the call of `{name}`" if operation in ("call", "new", "method") else "a call of your module"
        return self._exchange({"op": operation, "value": tree}, tensors, seconds, what)

    def _exchange(self, message: dict[str, Any], tensors: list[Any], seconds: float, what: str) -> Any:
        deadline = time.monotonic() + seconds
        try:
            self._connection.settimeout(seconds)
            wire.send(self._connection, message, tensors)
            reply, out = wire.receive(self._connection, deadline, self.limits.message_megabytes * 2**20)
            if isinstance(reply.get("error"), dict):
                raise _student_error(reply["error"])
            return unpack(reply.get("value"), out)
        except wire.WireTimeout as error:
            self.kill()
            text = f"Stopped after {seconds:g} s: {what} had not finished. Is there a loop that never ends?"
            raise StudentError("timeout", text) from error
        except ValueRefused as error:
            self.kill()
            raise StudentError("error", f"Your code's process answered with {error}.") from error
        except wire.WireError as error:
            raise self._ended(what, error) from error

    def _ended(self, what: str, error: wire.WireError) -> StudentError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self._process.poll()
        self.kill()
        if code is None:
            return StudentError("error", f"During {what} your code's process answered with {error}.")
        how = f"was killed by signal {code - 128}" if code > 128 else f"ended by itself (exit code {code})"
        advice = "A graded function must return its value, never end the program (`exit()`, `os._exit`)."
        return StudentError("error", f"During {what} your code's process {how}. {advice}")

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, and all that it started, at once."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._drain.join(timeout=1)

    def _keep_output(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            while part := stream.read1(65536):  # type: ignore[attr-defined]
                self.printed += part[: max(0, PRINTED_BYTES - len(self.printed))]


class SandboxedStudent(BaseStudent):
    """A student's code in sandboxes: one worker at a time, a new one after a death.

    Args:
        assignment: Limits, what may be imported.
        piece: The slice to load.
        sandbox: "bwrap", or "none" for submissions that are trusted.
    """

    def __init__(self, assignment: Assignment, piece: Slice, sandbox: str = "bwrap") -> None:
        self._assignment = assignment
        self._sandbox = sandbox
        self._piece = piece
        self._worker: Worker | None = None
        self._spent = 0.0
        self._deaths: list[StudentError] = []
        self.printed = ""
        self.problems: list[str] = []

    def do(self, operation: str, **arguments: Any) -> Any:
        """See `student.Student.do`.

        Raises:
            StudentError: The student's fault.
            SandboxFailed: Ours.
        """
        limits = self._assignment.limits
        if self._spent >= limits.exercise_seconds:
            raise StudentError("timeout", f"The {limits.exercise_seconds:g} s for this exercise are used up.")
        started = time.monotonic()
        try:
            worker = self._running()
            return worker.request(operation, arguments, limits.call_seconds)
        except StudentError as error:
            if self._worker is None or not self._worker.alive:
                self._deaths.append(error)
                self._collect()
            raise
        finally:
            self._spent += time.monotonic() - started

    def _running(self) -> Worker:
        if self._worker is None:
            if len(self._deaths) > self._assignment.limits.restarts:
                raise self._deaths[-1]
            self._worker = Worker(self._assignment, self._piece, self._sandbox)
            self.problems = self._worker.problems
        return self._worker

    def _collect(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self.printed += self._worker.printed.decode(errors="replace")
            self._worker = None

    def close(self) -> None:
        """End the worker."""
        self._collect()


def _start(sandbox: str, assignment: Assignment, descriptor: int) -> tuple[list[str], dict[str, str] | None]:
    """The command that starts a worker, and its environment (None: the command sees to it)."""
    ship = tuple((assignment.root / entry).resolve() for entry in assignment.ship)
    if sandbox == "bwrap":
        return bwrap.command(ship, descriptor, assignment.limits), None
    paths = [str(PACKAGE.parent), *(str(package.parent) for package in ship)]
    worker = str(PACKAGE / "sandbox" / "worker.py")
    environment = (
        os.environ | bwrap.ENVIRONMENT | {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}
    )
    return [sys.executable, "-B", worker, str(descriptor)], environment


def _student_error(fields: dict[str, Any]) -> StudentError:
    """Rebuild an error that a worker sent; every field may be forged."""
    status = fields.get("status")
    place = fields.get("place")
    where = None
    if isinstance(place, list) and len(place) == 3 and type(place[0]) is int and type(place[1]) is int:
        where = Place(place[0], place[1], wire.shorten(place[2], 200))
    status = status if status in _STATUSES else "error"
    return StudentError(
        status,
        wire.shorten(fields.get("message"), 2000) or "Your code failed.",
        kind=wire.shorten(fields.get("kind"), 80),
        place=where,
        public_text=_told(status, fields.get("kind"), where),
    )


def _told(status: str, kind: Any, where: Place | None) -> str:
    """What a hidden check may say: our own words, an exception's name that Python defines, and a place."""
    at = f" in code cell {where.cell}, line {where.line}" if where else ""
    if status == "missing":
        return "This part is as given, or its name is not defined."
    if status == "memory":
        return f"Your code ran out of memory{at}."
    known = isinstance(kind, str) and isinstance(getattr(builtins, kind, None), type)
    raised = kind if known and issubclass(getattr(builtins, kind), BaseException) else "an exception"
    return f"Your code raised {raised}{at}."


def _numbers(limits: Limits) -> dict[str, Any]:
    return {name: value for name, value in asdict(limits).items() if isinstance(value, int)}

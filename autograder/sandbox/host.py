"""A sandbox seen from outside: started once, asked for one worker after another, replaced when in doubt."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from autograder.assignment import PACKAGE, Assignment
from autograder.sandbox import bwrap
from autograder.sandbox.bwrap import SandboxFailed

START_SECONDS = 180.0  # importing torch from a cold disk
ANSWER_SECONDS = 20.0
PRINTED_BYTES = 16 * 1024


@dataclass
class Connection:
    """One worker's end of the line.

    Attributes:
        socket: Frames of `wire.py`.
        printed: What the worker wrote to its standard output and error, cut off.
    """

    socket: socket.socket
    printed: bytearray = field(default_factory=bytearray)


class Host:
    """A sandbox with a preloader in it.

    Args:
        assignment: Limits, and packages that students are given.
        kind: "bwrap", or "none" for code that is trusted.
    """

    def __init__(self, assignment: Assignment, kind: str = "bwrap") -> None:
        self._assignment, self._kind = assignment, kind
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._said: Path | None = None
        self._drain: threading.Thread | None = None

    def spawn(self) -> Connection:
        """A new worker. The one before it must be gone: see `clean`.

        Raises:
            SandboxFailed: No sandbox, or it does not answer.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            assert self._control is not None
            socket.send_fds(self._control, [b"spawn"], [theirs.fileno(), write])
            if self._control.recv(16) != b"spawned":
                raise OSError("no answer")
        except OSError as error:
            ours.close()
            os.close(read)
            self.close()
            raise SandboxFailed(f"the sandbox did not start a worker: {error}") from error
        finally:
            theirs.close()
            os.close(write)
        connection = Connection(ours)
        self._drain = threading.Thread(target=_drain, args=(read, connection.printed), daemon=True)
        self._drain.start()
        return connection

    def cpu_seconds(self) -> float:
        """CPU time that the worker and whatever it started have used so far.

        Raises:
            SandboxFailed: The sandbox does not answer.
        """
        try:
            assert self._control is not None
            self._control.sendall(b"usage")
            return float(json.loads(self._control.recv(64)))
        except (OSError, ValueError, TypeError, AssertionError) as error:
            self.close()
            raise SandboxFailed(f"the sandbox does not say what it has used: {error}") from error

    def clean(self, connection: Connection, *, gone: bool = False) -> str:
        """Kill the worker and all that it started, and leave the sandbox as it was before.

        A sandbox that does not answer, or that is not as it was, is thrown away.

        Args:
            connection: From `spawn`.
            gone: The worker has hung up: find out how it ended.

        Returns:
            How the worker had ended by itself ("exit 0", "signal 11"), or "".
        """
        connection.socket.close()
        ended = ""
        try:
            assert self._control is not None
            self._control.sendall(b"collect" if gone else b"clean")
            answer = json.loads(self._control.recv(4096))
            ended = str(answer["ended"])
            if answer["intact"] is not True:
                self.close()
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            self.close()
        if self._drain is not None:
            self._drain.join(timeout=2)
        return ended

    def close(self) -> None:
        """End the sandbox and everything in it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._said is not None:
            self._said.unlink(missing_ok=True)
        self._process = self._control = self._said = None

    def _start(self) -> None:
        self.close()
        ours, theirs = socket.socketpair()
        descriptor, name = tempfile.mkstemp(prefix="fcoskit-sandbox-")
        self._said = Path(name)
        command, environment = self._command(theirs.fileno())
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        except OSError as error:
            raise SandboxFailed(f"the sandbox did not start: {error}") from error
        finally:
            theirs.close()
            os.close(descriptor)
        self._control = ours
        ours.settimeout(START_SECONDS)
        answer = b""
        with contextlib.suppress(OSError):
            answer = ours.recv(16)
        if answer != b"ready":
            said = self._said.read_text(errors="replace").strip()[-600:]
            self.close()
            raise SandboxFailed(f"the sandbox did not start: {said or 'it said nothing'}")
        ours.settimeout(ANSWER_SECONDS)

    def _command(self, descriptor: int) -> tuple[list[str], dict[str, str] | None]:
        """What to start, and its environment (None: bubblewrap sees to it)."""
        ship = tuple((self._assignment.root / entry).resolve() for entry in self._assignment.ship)
        modules = ["torchvision.models", *(package.name for package in ship)]
        if self._kind == "bwrap":
            return bwrap.command(ship, descriptor, self._assignment.limits, modules), None
        paths = [str(PACKAGE.parent), *(str(package.parent) for package in ship)]
        environment = os.environ | bwrap.ENVIRONMENT
        environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}
        preloader = str(PACKAGE / "sandbox" / "preloader.py")
        return [sys.executable, "-B", preloader, str(descriptor), "shared", *modules], environment


def _drain(descriptor: int, kept: bytearray) -> None:
    """Read to the end, so that a worker never blocks on its output; keep the beginning."""
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while part := stream.read(65536):
            kept += part[: max(0, PRINTED_BYTES - len(kept))]

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
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TypeVar

from autograder.course.assignment import PACKAGE, Assignment
from autograder.course.digests import shipped
from autograder.runtime.errors import KitError
from autograder.sandbox import bwrap, uid
from autograder.sandbox.cgroup import Cgroup
from autograder.sandbox.inside.limit_messages import ENDED
from autograder.sandbox.launch import PRELOADER, Launch, SandboxFailed, environment, settings

START_SECONDS = 180.0  # importing torch from a cold disk
ANSWER_SECONDS = 20.0
LEAVE_SECONDS = 8.0  # a preloader that is hung up on ends its workers first
PRINTED_BYTES = 16 * 1024
KINDS = ("bwrap", "uid", "none")

Made = TypeVar("Made")


@dataclass
class Connection:
    """One worker's end of the line.

    Attributes:
        socket: Frames of `wire.py`.
        printed: What the worker wrote to its standard output and error, cut off.
        peak_megabytes: Most memory that it held; known once it is gone.
        lost: The whole sandbox has died with it. A worker cannot bring that about: somebody from outside has.
    """

    socket: socket.socket
    printed: bytearray = field(default_factory=bytearray)
    peak_megabytes: float = 0.0
    lost: bool = False


class Host:
    """A sandbox with a preloader in it.

    Args:
        assignment: Limits, and packages that students are given.
        kind: "bwrap", "uid", or "none" for code that is trusted.

    Raises:
        ValueError: There is no such kind: what is not known must not come to no sandbox at all.

    Attributes:
        charged: Seconds that the submission at hand has used, see `client.py`.
        died: The last sandbox ended by itself, not by `close`.
        trains: Workers train: each gets torch's compiler, which optimizers import, from the preloader.
        lease: The user that the sandbox's code runs as, of the kind "uid" while there is a sandbox; else None.
    """

    def __init__(self, assignment: Assignment, kind: str = "bwrap") -> None:
        if kind not in KINDS:
            raise ValueError(f"there is no sandbox {kind!r}: ask `probe.choose` for one of {', '.join(KINDS)}")
        self._assignment, self._kind = assignment, kind
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._said: IO[bytes] | None = None
        self._drain: threading.Thread | None = None
        self.lease: uid.Lease | None = None
        self._cgroup: Cgroup | None = None
        self._ready = False
        self.charged = 0.0
        self.died = self.trains = False

    @property
    def pid(self) -> int | None:
        """Process id of the sandbox, which a new sandbox changes; None while there is none."""
        return None if self._process is None else self._process.pid

    def begin(self) -> None:
        """Start the sandbox and do not wait for it: it imports while its slot does.

        What goes wrong is told by `spawn`, which tries again.
        """
        with contextlib.suppress(SandboxFailed):
            self._start()

    def next_submission(self) -> None:
        """What is charged from now on is another submission's."""
        self.charged = 0.0

    def spawn(self) -> Connection:
        """A new worker. The one before it must be gone: see `clean`.

        Raises:
            SandboxFailed: No sandbox, or it does not answer, and a new one does not either.
        """
        return self._in_a_sandbox(self._spawn)

    def beside(self) -> socket.socket:
        """A companion's end of the line: a process beside the worker that nobody in there can look into.

        It goes with the worker, see `clean`, or before it, see `drop`.

        Raises:
            SandboxFailed: As for `spawn`.
        """
        return self._in_a_sandbox(self._beside)

    def _in_a_sandbox(self, make: Callable[[], Made]) -> Made:
        """Have something made in the sandbox there is; where that does not work, in a new one."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(SandboxFailed):  # whatever the code before has done to it: the next has another
                self._await()
                return make()
        self._start()
        self._await()
        return make()

    def _spawn(self) -> Connection:
        read, write = os.pipe()
        try:
            connection = Connection(self._forked(b"trainer" if self.trains else b"spawn", write))
        except SandboxFailed:
            os.close(read)
            raise
        self._drain = threading.Thread(target=_drain, args=(read, connection.printed), daemon=True)
        self._drain.start()
        return connection

    def _beside(self) -> socket.socket:
        return self._forked(b"beside", os.open(os.devnull, os.O_WRONLY))

    def _forked(self, request: bytes, output: int) -> socket.socket:
        """Have the preloader fork; gives our end of a new line. `output` is closed here."""
        ours, theirs = socket.socketpair()
        try:
            assert self._control is not None
            self._control.settimeout(
                START_SECONDS if request == b"trainer" else ANSWER_SECONDS
            )  # the first one imports
            socket.send_fds(self._control, [request], [theirs.fileno(), output])
            if self._control.recv(16) != b"spawned":
                raise OSError("no answer")
        except OSError as error:
            ours.close()
            self.close()
            raise SandboxFailed(f"the sandbox did not start a worker: {error}") from error
        finally:
            theirs.close()
            os.close(output)
        return ours

    def drop(self) -> None:
        """End the companion and nothing else; where the sandbox does not answer, all of it."""
        try:
            if self._control is not None:
                self._control.sendall(b"drop")
                if self._control.recv(16) != b"dropped":
                    raise OSError("no answer")
        except OSError:
            self.died = self.died or self._has_died()
            self.close()

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
            self.died = self.died or self._has_died()
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
            ended = self._ended(str(answer["ended"]))
            connection.peak_megabytes = round(float(answer["peak"]) / 1024, 1)
            if answer["intact"] is not True:
                self.close()
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            ended = self._ended("")
            self.died = self.died or self._has_died()
            connection.lost = self.died and not ended
            self.close()
        if self._drain is not None:
            self._drain.join(timeout=2)
        return ended

    def close(self) -> None:
        """End the sandbox and everything in it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            if self._kind != "bwrap":  # there the kernel ends all that lives in the namespace
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(LEAVE_SECONDS)
            self._process.kill()
            self._process.wait()
        if self._said is not None:
            self._said.close()
        if self.lease is not None:
            self.lease.close()
        if self._cgroup is not None:
            self._cgroup.close()
        self._process = self._control = self._said = self.lease = self._cgroup = None
        self._ready = False

    def _has_died(self) -> bool:
        """Whether the sandbox is no more, or is just about to be."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process is not None and self._process.wait(1.0) is not None
        return False

    def _ended(self, ended: str) -> str:
        """What the preloader says of a worker's end, or that the kernel ended something in there for its memory."""
        if self._cgroup is not None and self._cgroup.killed():
            return f"{ENDED}memory"
        return ended

    def _start(self) -> None:
        self.close()
        self.died = False
        ours, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the sandbox; nameless: nothing is left)
        launch = Launch([])
        try:
            launch = self._launch(theirs.fileno())
            self._cgroup = Cgroup.make()
            self._process = subprocess.Popen(
                [*(self._cgroup.wrapper if self._cgroup else ()), *launch.command],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno(), *launch.descriptors],
                env=launch.environment,
                cwd="/",
            )
        except (OSError, KitError) as error:
            ours.close()
            self.close()
            raise SandboxFailed(f"the sandbox did not start: {error}") from error
        finally:
            theirs.close()
            for each in launch.descriptors:
                os.close(each)
        self._control = ours

    def _await(self) -> None:
        """Wait until a sandbox that was started has imported what workers need."""
        if self._ready:
            return
        assert self._control is not None and self._said is not None
        self._control.settimeout(START_SECONDS)
        answer = b""
        with contextlib.suppress(OSError):
            answer = self._control.recv(16)
        if answer != b"ready":
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()[-600:]
            self.close()
            raise SandboxFailed(f"the sandbox did not start: {said or 'it said nothing'}")
        if self._cgroup is not None:
            limits = self._assignment.limits
            self._cgroup.limit(limits.memory_megabytes * 2**20, limits.processes + 1)  # one more is a companion
        self._ready = True

    def _launch(self, descriptor: int) -> Launch:
        """What to start; it inherits `descriptor`, the control socket."""
        if self._kind == "bwrap":
            return bwrap.launch(self._assignment, descriptor)
        if self._kind == "uid":
            self.lease = uid.Lease()
            return uid.launch(self._assignment, descriptor, self.lease)
        packages = [PACKAGE, *shipped(self._assignment)]
        kit = os.pathsep.join(str(package.parent) for package in packages)
        variables = os.environ | environment(kit, "/tmp") | {"PATH": os.environ["PATH"]}
        preloader = str(PACKAGE.parent / PRELOADER)
        told = settings(self._assignment, {"kind": "open"})
        return Launch([sys.executable, "-B", preloader, str(descriptor), told], variables)


def _drain(descriptor: int, kept: bytearray) -> None:
    """Read to the end, so that a worker never blocks on its output; keep the beginning."""
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while part := stream.read(65536):
            kept += part[: max(0, PRINTED_BYTES - len(kept))]

"""Where a preloader and its workers live: alone in namespaces of their own, under a uid of their own, or openly.

A home knows which processes are the worker's, how to end them all, what a worker may write to, and whether the
place is as it was at the start. The preloader does not care which one it has.
"""

from __future__ import annotations

import base64
import contextlib
import os
import platform
import resource
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from autograder.sandbox.inside import confine, landlock, sweep, traces

SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")


class Home:
    """Openly, in the user's own session: for code that is trusted."""

    scratch: tuple[str, ...] = ()  # where a worker may write

    def settle(self) -> None:
        """Protect the preloader before the first worker."""

    def members(self, *children: int) -> list[int]:
        """Processes that are the worker's; `children` are those that were forked here."""
        found = list(children)
        for pid in found:  # grows as it is gone through
            found += _children(pid)
        return found

    def enter(self, tasks: int, *, hidden: bool = False) -> None:
        """Make a forked child the student's.

        Args:
            tasks: How many processes and threads there may be.
            hidden: It is not to be looked into, not even by others of its kind.
        """

    def rights_to_look(self) -> AbstractContextManager[None]:
        """What it takes to see which pages the worker's processes share: nothing, for the same user."""
        return contextlib.nullcontext()

    def still(self) -> AbstractContextManager[None]:
        """Have the worker's processes stand still for a moment: so many that the preloader would wait for its turn."""
        return contextlib.nullcontext()

    def end_all(self, *children: int) -> int:
        """Kill every process of the worker's and reap it; says how many kB the largest held in memory at its peak."""
        peak = 0
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                peak = max(peak, os.wait4(child, 0)[2].ru_maxrss)
        return peak

    def empty(self) -> None:
        """Remove what a worker left where it may write: openly nothing, the code is trusted and the files are yours."""

    def condition(self) -> list[Any]:
        """All that a worker could have changed about the preloader or left behind."""
        return []

    def counters(self) -> list[int]:
        """Numbers of the kernel's that only rise, and that the next worker can see: of processes, of files."""
        return []


class Alone(Home):
    """PID 1 of namespaces of its own, made by bubblewrap.

    Raises:
        RuntimeError: It is not, or what it would empty is not a file system of its own.
    """

    scratch = ("/tmp", "/dev/shm")

    def __init__(self) -> None:
        root, parents = Path("/").stat().st_dev, {folder: Path(folder).parent for folder in self.scratch}
        if os.getpid() != 1 or any(
            Path(folder).stat().st_dev in (root, parent.stat().st_dev) for folder, parent in parents.items()
        ):
            raise RuntimeError("this is no sandbox: nothing in here is emptied")
        self._modes = {folder: stat.S_IMODE(Path(folder).stat().st_mode) for folder in self.scratch}

    def settle(self) -> None:
        """Deaf to signals from inside, shut to ptrace and /proc."""
        for number in signal.valid_signals():
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
        confine.set_dumpable(False)

    def members(self, *children: int) -> list[int]:
        """Everything else in the PID namespace."""
        return [pid for pid in _processes() if pid != os.getpid()]

    def enter(self, tasks: int, *, hidden: bool = False) -> None:
        """The namespaces and bubblewrap's filter hold already; what is left is the number of processes."""
        if not hidden:  # else it stays as the preloader is, from its first moment on
            confine.set_dumpable(True)  # or the preloader could not count its pages
        if _counts_processes_by_namespace():  # the preloader and a companion are among them
            resource.setrlimit(resource.RLIMIT_NPROC, (tasks + 2, tasks + 2))

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Stop the whole namespace; what is killed meanwhile does not go on."""
        _signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            _signal_all(signal.SIGCONT)

    def end_all(self, *children: int) -> int:
        """Kill the whole namespace; orphans in it are PID 1's children."""
        peak = 0
        while True:
            _signal_all(signal.SIGKILL)
            try:
                peak = max(peak, os.wait4(-1, 0)[2].ru_maxrss)
            except ChildProcessError:
                return peak

    def empty(self) -> None:
        """Its own two file systems in memory."""
        for folder, mode in self._modes.items():
            Path(folder).chmod(mode)
            sweep.empty(folder, os.getuid())
        traces.without_times(self.scratch)

    def condition(self) -> list[Any]:
        """Limits, scheduling, folders, System V objects."""
        return [*traces.own_condition(), *traces.left_in(self.scratch)]

    def counters(self) -> list[int]:
        """The last process number of the namespace, and the last file number of each folder that counts its own."""
        with contextlib.suppress(OSError, ValueError):
            return [traces.last_process(), *(traces.next_file(folder) for folder in self.scratch)]
        return []


class Apart(Home):
    """Root keeps the preloader; workers are a user that nobody else is.

    Args:
        uid: The workers' user and group.
        keeper: Another user that nobody is, see `_signal_all`.
        scratch: The folder they may write to.
        program: The filter of system calls, see `seccomp.py`, base64.
        readable: Files and folders that they may read where the kernel has Landlock; elsewhere modes decide.
    """

    def __init__(self, uid: int, keeper: int, scratch: str, program: str, readable: list[str]) -> None:
        self.scratch = (scratch,)
        self._uid, self._keeper = uid, keeper
        self._program = base64.b64decode(program)
        self._rules = landlock.make_rules(readable, [scratch, "/dev/null"]) if landlock.version() else None
        self._foreign: set[int] = set()
        self._looks = 0
        self._niceness = os.getpriority(os.PRIO_PROCESS, 0)

    def settle(self) -> None:
        """End what an earlier run may have left; take orphans in, so that they can be reaped; come before workers."""
        confine.adopt_orphans()
        confine.set_dumpable(False)
        os.setgroups([])
        self.end_all()
        with contextlib.suppress(OSError):  # a hundred busy processes could starve who has to end them
            os.setpriority(os.PRIO_PROCESS, 0, self._niceness - 10)
        for folder in self.scratch:  # no worker has been in there yet: what is root's is what our imports left
            sweep.empty(folder, 0)

    def members(self, *children: int) -> list[int]:
        """Processes of that user.

        The owner of /proc/PID says it cheaply, but is root for a process that made itself undumpable. Others that
        are root's are remembered for a while: none of them becomes this user.
        """
        self._looks = (self._looks + 1) % 50
        if self._looks == 0:
            self._foreign.clear()
        found = []
        for pid in _processes():
            if pid in self._foreign:
                continue
            if self._is_ours(pid):
                found.append(pid)
            elif pid not in children:  # a child just forked is about to become this user
                self._foreign.add(pid)
        return found

    def enter(self, tasks: int, *, hidden: bool = False) -> None:
        """Drop root for that user, for ever; then the filter."""
        confine.die_with_parent(signal.SIGKILL)
        os.setpriority(os.PRIO_PROCESS, 0, self._niceness)
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks + 1, tasks + 1))  # a companion is one of them
        os.umask(0o077)
        confine.no_new_privileges()
        confine.become(self._uid)  # which makes it undumpable
        confine.set_dumpable(not hidden)
        confine.die_with_parent(signal.SIGKILL)  # a change of user clears it
        if self._rules is not None:
            landlock.restrict(self._rules)
        confine.load_filter(self._program)

    def rights_to_look(self) -> AbstractContextManager[None]:
        """Those of that user: the root of a container has no CAP_SYS_PTRACE, and could not look as itself."""
        return self._as_them()

    def end_all(self, *children: int) -> int:
        """Kill all processes of that user until none is left; give up after some seconds, see `condition`."""
        deadline, peak = time.monotonic() + 5.0, 0
        while True:
            self._signal_all()
            unreaped = True
            try:
                while (ended := os.wait4(-1, os.WNOHANG))[0]:
                    peak = max(peak, ended[2].ru_maxrss)
            except ChildProcessError:  # none is left, not even one that waits to be reaped
                unreaped = False
            self._foreign.clear()
            if not (unreaped or self.members(*children)) or time.monotonic() > deadline:
                return peak
            time.sleep(0.002)

    def empty(self) -> None:
        """The scratch folder, and that user's own in folders that everybody may write to, with that user's rights."""
        with self._as_them():
            Path(*self.scratch).chmod(stat.S_IRWXU)
            for folder in (*self.scratch, *SHARED_FOLDERS):
                sweep.empty(folder, self._uid)
            traces.without_times(self.scratch)

    def condition(self) -> list[Any]:
        """Limits, scheduling, the folders, and processes that did not end."""
        self._foreign.clear()
        shared = [sweep.left(folder, self._uid) for folder in SHARED_FOLDERS]
        return [*traces.own_condition(), *traces.left_in(self.scratch), shared, self.members()]

    def _signal_all(self) -> None:
        """SIGKILL to every process of that user at once, so that none can fork out of the way.

        `kill(-1)` reaches what the caller may signal, and as root that is everything.
        """
        with self._as_them():
            _signal_all(signal.SIGKILL)

    @contextlib.contextmanager
    def _as_them(self) -> Iterator[None]:
        """Have that user's rights and no more, for a moment.

        With a real uid that nobody has: nothing but that user's is in this process's reach, and it is in nobody's.
        """
        os.setresgid(self._keeper, self._uid, 0)
        os.setresuid(self._keeper, self._uid, 0)
        try:
            yield
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            confine.set_dumpable(False)

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if Path(f"/proc/{pid}").stat().st_uid not in (self._uid, 0):
                return False
            fields = dict(line.split(b":", 1) for line in Path(f"/proc/{pid}/status").read_bytes().splitlines())
            return b"Z" not in fields[b"State"].split()[0] and str(self._uid).encode() in fields[b"Uid"].split()
        return False


def _signal_all(number: signal.Signals) -> None:
    """A signal to all that this process may signal; as PID 1 that is everything else in its namespace."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 (several times faster)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []


def _counts_processes_by_namespace() -> bool:
    """Whether RLIMIT_NPROC counts the processes of a user namespace, and not all of that user's: Linux 5.14."""
    release = platform.release().split(".")
    return [int(part) if part.isdecimal() else 0 for part in release[:2]] >= [5, 14]

"""A control group (version 2) around a sandbox, where one can be had.

The preloader's watch ends what uses too much memory within a tenth of a second. A control group is the kernel's
own fence at the same height: nothing outgrows it between two looks, and it also counts what no process's size
shows, such as buffers of pipes and sockets. Where none can be had (an ordinary user outside a delegated part of
the tree, version 1, a container that shows it read-only), the watch stands alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_PREFIX = "fcoskit-"
_NEEDED = {"memory", "pids"}


class Cgroup:
    """A group of ours, empty at first.

    Args:
        folder: The group's folder, made already.

    Attributes:
        folder: That folder; `close` removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kills = 0

    @classmethod
    def make(cls, mount: Path = MOUNT, own: Path = OWN) -> Cgroup | None:
        """A new group below the nearest one that hands out memory and pids and lets us; None if none does."""
        parent = find_parent(mount, own)
        if parent is None:
            return None
        _sweep(parent)
        folder = parent / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            folder.mkdir()
        except OSError:
            return None
        if os.access(folder / "cgroup.procs", os.W_OK) and os.access(folder / "memory.max", os.W_OK):
            return cls(folder)
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What to put before a command, so that it and all its descendants are in the group from the start.

        Where the kernel refuses the move (the processes of another part of the tree), the command runs all the same:
        then the group stays empty, and the watch stands alone.
        """
        return ("/bin/sh", "-c", '(echo $$ > "$0") 2>/dev/null; exec "$@"', str(self.folder / "cgroup.procs"))

    def limit(self, memory: int, tasks: int) -> None:
        """Bound what may come on top of what the group uses now, when the preloader is ready and has no worker.

        Args:
            memory: Bytes.
            tasks: Processes and threads.
        """
        with contextlib.suppress(OSError, ValueError, KeyError):
            before = _fields(self.folder / "memory.stat")
            present = before["anon"] + before["shmem"] + before.get("kernel", 0)
            (self.folder / "memory.max").write_text(str(memory + present))
            (self.folder / "memory.swap.max").write_text("0")
        with contextlib.suppress(OSError, ValueError):
            present = int((self.folder / "pids.current").read_text())
            (self.folder / "pids.max").write_text(str(tasks + present))

    def killed(self) -> bool:
        """Whether the kernel has ended a process in here for its memory since this was last asked."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            before, self._kills = self._kills, _fields(self.folder / "memory.events")["oom_kill"]
            return self._kills > before
        return False

    def close(self) -> None:
        """Remove the group; its processes are ended already, the kernel may take a moment to see it."""
        for _ in range(50):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)


def _sweep(parent: Path) -> None:
    """Remove groups of processes of ours that were killed before they could."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):  # something in it has not ended yet
                folder.rmdir()


def find_parent(mount: Path = MOUNT, own: Path = OWN) -> Path | None:
    """The nearest group at or above this process's own that has memory and pids to hand out and may be written."""
    try:
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    here = mount / line.removeprefix("0::").lstrip("/")
    for folder in (here, *here.parents):
        if not folder.is_relative_to(mount):
            break
        try:
            given = set((folder / "cgroup.subtree_control").read_text().split())
        except OSError:
            continue
        if given >= _NEEDED and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def _fields(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}

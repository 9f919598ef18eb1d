"""What a worker could leave for the next one to read: on its folders, on the preloader, in counters of the kernel's."""

from __future__ import annotations

import os
import resource
import tempfile
from pathlib import Path
from typing import Any

_KINDS = [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]


def own_condition() -> list[Any]:
    """Of this process and its namespaces: System V objects, limits, scheduling, the host's name."""
    left = [len(Path("/proc/sysvipc", kind).read_text().splitlines()) for kind in ("shm", "sem", "msg")]
    limits = [resource.getrlimit(kind) for kind in _KINDS]
    scheduling = [os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0))]
    return [left, limits, scheduling, os.uname().nodename, Path("/proc/self/oom_score_adj").read_text()]


def without_times(folders: tuple[str, ...]) -> None:
    """Set what says when something last happened in some folders, so that it says nothing."""
    for folder in folders:
        os.utime(folder, ns=(0, 0))


def left_in(folders: tuple[str, ...]) -> list[Any]:
    """All that can be read of some folders, but for the time of the last change of that: it is this process's own."""
    found = []
    for folder in folders:
        names = sorted(entry.name for entry in Path(folder).iterdir())
        os.utime(folder, ns=(0, 0))  # the look was one, too
        it = Path(folder).stat()
        times = (it.st_mtime_ns, it.st_atime_ns)
        found.append((it.st_mode, it.st_uid, it.st_gid, it.st_nlink, it.st_size, times, os.listxattr(folder), names))
    return found


def last_process() -> int:
    """The number that the last process or thread of the namespace was given."""
    return int(Path("/proc/sys/kernel/ns_last_pid").read_text())


def next_file(folder: str) -> int:
    """The number that a file made now in a folder has, if the file system counts its own; else 0."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    if not any(mount[1] == folder and "inode64" in mount[3].split(",") for mount in mounts):
        return 0
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        return os.fstat(handle).st_ino
    finally:
        os.close(handle)
        Path(name).unlink()

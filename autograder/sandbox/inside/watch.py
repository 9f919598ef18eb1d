"""How much the worker and all that it started use; the preloader looks every now and then.

Memory is what counts most, and no process's own limit bounds it: resident pages of all processes together.
A look is cheap, one line of /proc a process: their resident sizes, which count shared pages once each, are an
upper bound. Only where that is over the limit are the pages counted exactly (`smaps_rollup`): the private and
shared-memory pages of each process in proportion to how many processes share them. What the preloader had in
memory before the fork does not count, nor do files that are mapped (torch's libraries).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.1  # the kernel hands out a few hundred megabytes in that time, and no more
MAX_FILES = 10_000  # in the scratch folders: each takes kernel memory, however empty
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """What some processes use together.

    Attributes:
        cpu_seconds: CPU time, that of ended children that were waited for included.
        tasks: Processes and threads.
        resident: Bytes, shared pages counted once for each process.
    """

    cpu_seconds: float = 0.0
    tasks: int = 0
    resident: int = 0


@dataclass(frozen=True)
class Caps:
    """What all processes of a sandbox together may use.

    Attributes:
        memory: Bytes.
        tasks: Processes and threads.
        scratch: Bytes of all files in a scratch folder, where no tmpfs of that size sees to it.
    """

    memory: int
    tasks: int
    scratch: int = 0


def used(processes: Iterable[int], account: Account | None = None) -> Used:
    """Read /proc/PID/stat of each; one that has ended meanwhile counts nothing, but for what the account knows."""
    ticks = tasks = pages = 0
    own: dict[tuple[int, int], int] = {}
    for pid in processes:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            times = [int(field) for field in fields[11:15]]  # utime, stime, cutime, cstime
            ticks += sum(times)
            own[pid, int(fields[19])] = times[0] + times[1]
            if fields[0] != b"Z":
                tasks += int(fields[17])
                pages += int(fields[21])
    if account is not None:
        ticks = max(ticks, account.total(own))
    return Used(ticks / _TICK, tasks, pages * _PAGE)


class Account:
    """CPU time of processes that nobody waited for: whoever ignores SIGCHLD is not told what its children have used.

    What a process had used when it was last seen stays in the account: a tenth of a second of it may be missed.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], int] = {}  # ticks by number and start

    def total(self, own: dict[tuple[int, int], int]) -> int:
        """Ticks of all processes ever seen, given those of the present ones."""
        self._seen |= own
        return sum(self._seen.values())


def resident_bytes(processes: Iterable[int], companion: int = 0) -> int:
    """Private and shared-memory pages of the processes, each page in proportion to how many share it.

    Less the part of this process's own pages that falls to them so: those were there before the fork. A companion shows
    its size alone, of which this process's pages are a part.

    Args:
        processes: Their numbers.
        companion: That of the companion among them, see `preloader.py`; 0 if there is none.
    """
    shown, counted = _pages(os.getpid(), b"Anonymous:", b"Pss_Anon:")
    total = sum(_own_kilobytes(pid) for pid in processes if pid != companion)
    if companion:
        total += max(0, _own_kilobytes(companion) - shown)
    return 1024 * max(0, total - max(0, shown - counted))


def _own_kilobytes(pid: int) -> int:
    """Where a process hides its pages (`PR_SET_DUMPABLE`), its size: then those it shares count, too."""
    shared = _pages(pid, b"Pss_Anon:", b"Pss_Shmem:")
    return sum(shared) or sum(_pages(pid, b"RssAnon:", b"RssShmem:", file="status"))


def _pages(pid: int, *names: bytes, file: str = "smaps_rollup") -> list[int]:
    """Some numbers of kilobytes from a file of a process; zeros where it cannot be read."""
    found = dict.fromkeys(names, 0)
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/{file}").read_bytes().splitlines():
            name, value, *_ = [*line.split(), b""]
            if name in found:
                found[name] = int(value)
    return list(found.values())


def over_limit(
    processes: list[int],
    caps: Caps,
    scratch: Iterable[str],
    companion: int = 0,
    account: Account | None = None,
    rights: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
) -> str:
    """The limit that is passed, "memory", "processes", "files" or "scratch"; "" if none is.

    Args:
        processes: The worker's.
        caps: What they may use.
        scratch: The folders that they may write to.
        companion: The companion among them, which is no process of the student's; 0 if there is none.
        account: Is told what they have used so far.
        rights: Gives this process the rights to read `smaps_rollup` of theirs, for a moment.
    """
    now = used(processes, account)
    if now.tasks > caps.tasks + bool(companion):
        return "processes"
    if now.resident > caps.memory:
        with rights():
            exact = resident_bytes(processes, companion)
        if exact > caps.memory:
            return "memory"
    for folder in scratch:
        if passed := _over_scratch(folder, caps):
            return passed
    return ""


def _over_scratch(folder: str, caps: Caps) -> str:
    if not caps.scratch:  # a tmpfs of its own: the kernel counts
        with contextlib.suppress(OSError):
            there = os.statvfs(folder)
            return "files" if there.f_files - there.f_ffree > MAX_FILES else ""
    count = size = 0
    for path, folders, names in os.walk(folder):
        count += len(folders) + len(names)
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(path, name).lstat().st_blocks * 512
        if count > MAX_FILES:
            return "files"
        if size > caps.scratch:
            return "scratch"
    return ""

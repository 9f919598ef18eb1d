"""Limits of a worker: those the kernel keeps for one process, and what a student reads when one is hit.

What all processes together may use is kept by `watch.py`; time is kept by `client.py`.
"""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path
from typing import Any

_MEGABYTE = 1024 * 1024
# A limit that the watch or the kernel ended a worker for is told by these words in place of "exit 1", "signal 9".
ENDED = "limit "


def apply(limits: dict[str, Any]) -> None:
    """Bound this process and its descendants, so that none of them can raise a limit again.

    Beyond what the preloader had, a process may reserve twice the memory that all may use: torch and threads reserve
    more than they touch, and an array far beyond the limit is a MemoryError in the student's own line.

    Args:
        limits: The numbers of `assignment.Limits` by name.
    """
    for kind, value in (
        (resource.RLIMIT_DATA, _reserved() + 2 * limits["memory_megabytes"] * _MEGABYTE),
        (resource.RLIMIT_FSIZE, limits["file_megabytes"] * _MEGABYTE),
        (resource.RLIMIT_NOFILE, limits["descriptors"]),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # the machine's own limit is lower
            resource.setrlimit(kind, (value, value))


def _reserved() -> int:
    """Private writable memory that this process has now, touched or not, in bytes: what RLIMIT_DATA counts."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


def ended_by(ended: str, limits: Any) -> tuple[str, str] | None:
    """Status and sentence for a worker that was ended for a limit; None if it was not.

    Args:
        ended: What `Host.clean` says.
        limits: An `assignment.Limits`.
    """
    sentences = {
        "memory": ("memory", f"it used more than {limits.memory_megabytes} MB of memory"),
        "processes": ("error", f"it had more than {limits.processes} processes and threads at a time"),
        "files": ("error", "it made more files in its scratch folder than are allowed"),
        "scratch": ("error", f"it wrote more than {limits.tmpfs_megabytes} MB into its scratch folder"),
    }
    return sentences.get(ended.removeprefix(ENDED)) if ended.startswith(ENDED) else None


def name_limit(message: str, limits: Any) -> str:
    """Add the limit to the text of an exception that comes from hitting one; other texts stay as they are.

    Args:
        message: What the student's process says: it may be forged, and is shown to that student alone.
        limits: An `assignment.Limits`.
    """
    processes = f"At most {limits.processes} processes and threads may run at a time."
    known = {
        "Too many open files": f"At most {limits.descriptors} files may be open at a time.",
        "File too large": f"A file may have at most {limits.file_megabytes} MB.",
        "No space left on device": f"All files together may have at most {limits.tmpfs_megabytes} MB.",
        "can't start new thread": processes,
        "Resource temporarily unavailable": processes,
        "can't allocate memory": f"The limit is {limits.memory_megabytes} MB.",
        "MB is too large": f"The tensors of an answer may have at most {limits.message_megabytes} MB.",
        "ran out of memory": f"The limit is {limits.memory_megabytes} MB.",
    }
    hints = [hint for words, hint in known.items() if words in message]
    return " ".join([message, *hints[:1]])

"""Removes what a worker left, and nothing else.

Deletion is the one thing that our side does to files which a student's code has named and laid out. So it is as
narrow as it can be: only what the given user owns, only on the file system that the folder is on, only where nothing
is mounted; each step goes by descriptor from the folder down and follows no link. The callers add that a folder is
theirs to empty (`home.py`), and where they are root they do it with the rights of the worker's user alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
from pathlib import Path

from autograder.runtime.errors import KitError

_MOUNTS = Path("/proc/self/mountinfo")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def empty(folder: str, owner: int, mounts: Path = _MOUNTS) -> None:
    """Remove what `owner` has in a folder; the folder itself, and what is anybody else's, stays.

    What resists stays, too, and shows in `left`.

    Args:
        folder: Absolute, no link.
        owner: Whose entries go. An entry that is somebody else's is not even opened.
        mounts: `/proc/self/mountinfo`, or a file of that kind.

    Raises:
        KitError: Something is mounted inside: that is not a worker's, who cannot mount. Nothing is removed.
    """
    if not left(folder, owner):
        return
    refuse_mounts(folder, mounts)
    top = os.open(folder, _FOLDER)
    try:
        device = os.fstat(top).st_dev
        names = itertools.count()
        for name in os.listdir(top):  # noqa: PTH208 (by descriptor)
            _remove(top, name, owner, device, names)
    finally:
        os.close(top)


def left(folder: str, owner: int) -> list[str]:
    """Names of what `owner` has in a folder, sorted; none where there is no such folder."""
    with contextlib.suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            return sorted(name for name in os.listdir(top) if _owned(top, name, owner))  # noqa: PTH208
        finally:
            os.close(top)
    return []


def refuse_mounts(folder: str, mounts: Path = _MOUNTS) -> None:
    """Stop where something is mounted inside a folder: a bind mount has the device number of what it shows.

    Raises:
        KitError: Something is.
    """
    inside = os.fsencode(os.path.realpath(folder)) + b"/"
    for line in mounts.read_bytes().splitlines():
        place = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split()[4])
        if place.startswith(inside):
            where = f"{os.fsdecode(place)} is mounted inside {folder}, which graded code writes to"
            raise KitError(f"{where}. Nothing in there is removed: unmount it first.")


def _remove(top: int, name: str, owner: int, device: int, names: itertools.count[int]) -> None:
    """Remove an entry. A folder's folders are moved up to the top first: however deep, one level is open at a time."""
    waiting = [name]
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            about = os.stat(name, dir_fd=top, follow_symlinks=False)
            if about.st_uid != owner or about.st_dev != device:
                continue
            if not stat.S_ISDIR(about.st_mode):
                os.unlink(name, dir_fd=top)
                continue
            inner = _open(top, name, about)
            try:
                waiting += _clear(top, inner, owner, device, names)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _clear(top: int, inner: int, owner: int, device: int, names: itertools.count[int]) -> list[str]:
    """Remove the files of a folder and move its folders up; returns their new names."""
    moved = []
    for name in os.listdir(inner):
        with contextlib.suppress(OSError):
            about = os.stat(name, dir_fd=inner, follow_symlinks=False)
            if about.st_uid != owner or about.st_dev != device:
                continue
            if not stat.S_ISDIR(about.st_mode):
                os.unlink(name, dir_fd=inner)
                continue
            os.close(_open(inner, name, about))  # a folder that its owner may not write to cannot be moved
            new = f".swept-{os.getpid()}-{next(names)}"
            os.rename(name, new, src_dir_fd=inner, dst_dir_fd=top)
            moved.append(new)
    return moved


def _open(parent: int, name: str, about: os.stat_result) -> int:
    """A descriptor of a folder, after its owner has got back the permissions that were taken from it.

    Raises:
        OSError: It cannot be opened, or it is not the one that was looked at.
    """
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        found = os.fstat(handle)
        if (found.st_dev, found.st_ino, found.st_uid) != (about.st_dev, about.st_ino, about.st_uid):
            raise OSError(f"{name} has become another")
        Path(f"/proc/self/fd/{handle}").chmod(stat.S_IRWXU)  # this very folder, whatever has its name by now
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _owned(top: int, name: str, owner: int) -> bool:
    with contextlib.suppress(OSError):
        return os.stat(name, dir_fd=top, follow_symlinks=False).st_uid == owner
    return False

"""Reads files that strangers wrote: no link is followed, nothing is larger than agreed, nothing is unpacked to disk.

A zip may lie in a zip: the download of a class from Canvas or Moodle holds the zips that students handed in. It is
opened in memory, and no deeper: a zip within that one is a file like any other.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from autograder.parsing.budget import reading_budget
from autograder.runtime.errors import KitError, SubmissionError

MAX_ENTRIES = 5000
MAX_RATIO = 200
MAX_PARTS = 32  # folders that one file of a zip lies in
MAX_NAME = 512  # characters of its whole name
MAX_INNER = 512 * 2**20  # bytes of a zip within a zip: notebook and weights at their limits, and room
SKIPPED = {".ipynb_checkpoints", "__MACOSX", "__pycache__"}
INNER = "\0"  # in a member's name: what follows lies in the zip that stands before. No entry's name can hold it.


def read_plain(path: Path, limit: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        SubmissionError: It is a link or no regular file, is longer than `limit`, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SubmissionError(f"{path.name} is not a regular file, or cannot be read.") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SubmissionError(f"{path.name} is not a regular file, or cannot be read.")
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise SubmissionError(f"{path.name} is larger than {limit / 2**20:g} MB.")
    return data


def read_member(path: Path, member: str, limit: int) -> bytes:
    """The bytes of a file in a zip, or in a zip within it.

    Raises:
        SubmissionError: It unpacks to more than `limit`, or to far more than is packed, or is damaged or encrypted.
    """
    outer, _, inner = member.partition(INNER)
    if inner:
        source: io.BytesIO | Path = io.BytesIO(_read(path, outer, MAX_INNER, path.name))
        return _read(source, inner, limit, last_name(outer))
    return _read(path, member, limit, path.name)


def _read(source: io.BytesIO | Path, member: str, limit: int, zip_name: str) -> bytes:
    try:
        with zipfile.ZipFile(source) as archive:
            entry = archive.getinfo(member)
            if entry.file_size > limit or entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
                raise SubmissionError(f"{member} in {zip_name} unpacks to {entry.file_size} bytes: refused.")
            with archive.open(entry) as stream:
                data = stream.read(limit + 1)
    except SubmissionError:
        raise
    except Exception as error:  # zipfile raises many kinds for damaged or encrypted members
        raise SubmissionError(f"{member} in {zip_name} cannot be read: the zip is damaged or encrypted.") from error
    if len(data) > limit:
        raise SubmissionError(f"{member} in {zip_name} unpacks to more than its header says: refused.")
    return data


def head_of(path: Path, member: str, size: int) -> bytes:
    """The first bytes of a file, or of one in a zip; none where it cannot be read: whoever reads all of it says why."""
    outer, _, inner = member.partition(INNER)
    try:
        if not member:
            if not path.is_file() or path.is_symlink():
                return b""
            with path.open("rb") as stream:
                return stream.read(size)
        with opened(path, outer if inner else "") as archive, archive.open(inner or outer) as packed:
            return packed.read(size)
    except Exception:  # zipfile raises many kinds for damaged or encrypted members
        return b""


@contextlib.contextmanager
def opened(path: Path, member: str = "") -> Iterator[zipfile.ZipFile]:
    """A zip, to be listed.

    Args:
        path: On disk.
        member: Name of a zip within it, or "" for the one on disk.

    Raises:
        KitError: It cannot be opened, or has more than `MAX_ENTRIES` entries; in the words of staff.
    """
    name = f"{path}: {member}" if member else str(path)
    try:
        source: io.BytesIO | Path = io.BytesIO(read_member(path, member, MAX_INNER)) if member else path
        with reading_budget():
            archive = zipfile.ZipFile(source)
    except PermissionError as error:
        raise KitError(f"{name}: you may not read this file ({error.strerror}).") from error
    except SubmissionError as error:
        raise KitError(f"{name}: {error}") from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        why = "damaged, or another file by a wrong name. It has to be made and handed in again."
        raise KitError(f"{name}: not a zip that can be opened: {why}") from error
    with archive:
        if len(archive.infolist()) > MAX_ENTRIES:
            count = len(archive.infolist())
            raise KitError(f"{name}: {count} entries; at most {MAX_ENTRIES} are looked at.")
        yield archive


def shown_member(path: Path, member: str) -> str:
    """Where a file lies, for people: "class.zip!alice.zip!fcos.ipynb"."""
    return "!".join([str(path), *filter(None, member.split(INNER))])


def last_name(member: str) -> str:
    """A member's own name, without folders and without the zip that it lies in."""
    return PurePosixPath(member.rpartition(INNER)[2].replace("\\", "/")).name


def zip_parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """The parts of an entry's name; empty for what is no plain file of a submission.

    That is a folder, a symbolic link, a path that leads out of the zip or is as long as no student's, and what systems
    leave behind.
    """
    if not 0 < len(entry.filename) <= MAX_NAME:  # a name that begins with NUL is read as none at all
        return ()
    parts = tuple(part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", "."))
    odd = entry.is_dir() or ".." in parts or entry.filename[:1] in ("/", "\\") or (entry.external_attr >> 28) == 0xA
    hidden = any(part.startswith(".") or part in SKIPPED for part in parts)
    return () if odd or hidden or len(parts) > MAX_PARTS else parts

"""Reads files that strangers wrote: no link is followed, nothing is larger than agreed, nothing is unpacked to disk."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

from autograder.runtime.errors import SubmissionError

MAX_ENTRIES = 5000
MAX_RATIO = 200
MAX_PARTS = 32  # folders that one file of a zip lies in
MAX_NAME = 512  # characters of its whole name
SKIPPED = {".ipynb_checkpoints", "__MACOSX", "__pycache__"}


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
    """The bytes of a file in a zip.

    Raises:
        SubmissionError: It unpacks to more than `limit`, or to far more than is packed, or is damaged or encrypted.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(member)
            if entry.file_size > limit or entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
                raise SubmissionError(f"{member} in {path.name} unpacks to {entry.file_size} bytes: refused.")
            with archive.open(entry) as stream:
                data = stream.read(limit + 1)
    except SubmissionError:
        raise
    except Exception as error:  # zipfile raises many kinds for damaged or encrypted members
        raise SubmissionError(f"{member} in {path.name} cannot be read: the zip is damaged or encrypted.") from error
    if len(data) > limit:
        raise SubmissionError(f"{member} in {path.name} unpacks to more than its header says: refused.")
    return data


def zip_parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """The parts of an entry's name; empty for what is no plain file of a submission.

    That is a folder, a symbolic link, a path that leads out of the zip or is as long as no student's, and what systems
    leave behind.
    """
    if len(entry.filename) > MAX_NAME:
        return ()
    parts = tuple(part for part in entry.filename.replace("\\", "/").split("/") if part not in ("", "."))
    odd = entry.is_dir() or ".." in parts or entry.filename[:1] in ("/", "\\") or (entry.external_attr >> 28) == 0xA
    hidden = any(part.startswith(".") or part in SKIPPED for part in parts)
    return () if odd or hidden or len(parts) > MAX_PARTS else parts

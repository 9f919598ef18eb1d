"""The file with a detector's weights that a student hands in beside the notebook: found and read, never opened.

Its names are the assignment's, not the student's. On disk it lies in the notebook's own folder; where several
notebooks share a folder, `<notebook>.safetensors` belongs to `<notebook>.ipynb`. In a zip that holds one notebook it
may also lie above or below it. What is in it is for the sandbox to find out: here it is bytes.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.intake.untrusted import INNER, opened, read_member, read_plain, zip_parts
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError, SubmissionError


@dataclass(frozen=True)
class Weights:
    """A file with weights.

    Attributes:
        name: One of the names that the assignment gives, or the notebook's with the same suffix.
        path: The file on disk, or the zip that holds it.
        member: Name within the zip, or "".
        problem: Why it is not read, for the student; "" if it can be.
    """

    name: str
    path: Path
    member: str = ""
    problem: str = ""

    def read(self, megabytes: int) -> bytes:
        """Its bytes.

        Raises:
            SubmissionError: Too large, damaged, or no regular file.
        """
        if self.problem:
            raise SubmissionError(self.problem)
        limit = megabytes * 1024 * 1024
        return read_member(self.path, self.member, limit) if self.member else read_plain(self.path, limit)


Place = tuple[tuple[str, ...], str]  # the folder's parts, and the file's name


def find_weights(path: Path, member: str, notebook: str, files: Iterable[str]) -> Weights | None:
    """The weights that belong to a submission.

    Args:
        path: Its notebook, or the zip that holds it.
        member: Name within the zip, or "".
        notebook: Stem of the released notebook: one of that name owns the folder it lies in.
        files: Names that the weights may have, the preferred one first.

    Returns:
        None if there are none, or the folder or zip cannot be listed.
    """
    try:
        if member:
            return _in_zip(path, member, notebook, list(files))
        return _on_disk(path, notebook, list(files))
    except (OSError, KitError):
        return None


def _on_disk(path: Path, notebook: str, files: list[str]) -> Weights | None:
    with os.scandir(path.parent) as entries:
        there = {entry.name: entry for entry in entries if not entry.is_dir(follow_symlinks=False)}
    owns = _owns([name for name in there if PurePosixPath(name).suffix.lower() in SUFFIXES], path.stem, notebook)
    for name in _names(path.stem, files, owns):
        if name in there:
            problem = "" if there[name].is_file(follow_symlinks=False) else f"{name} is a link or no regular file."
            return Weights(name, path.parent / name, problem=problem)
    return None


def _in_zip(path: Path, member: str, notebook: str, files: list[str]) -> Weights | None:
    outer = member.rpartition(INNER)[0]
    there = _listed(path, outer, path.stat().st_mtime_ns)
    (own,) = {place for place, name in there.items() if name == member} or {((), member)}
    notebooks = [place for place in there if PurePosixPath(place[1]).suffix.lower() in SUFFIXES]
    stem = PurePosixPath(own[1]).stem
    owns = _owns([name for folder, name in notebooks if folder == own[0]], stem, notebook)
    for name in _names(stem, files, owns):
        if (own[0], name) in there:
            return Weights(name, path, there[own[0], name])
    if len(notebooks) == 1:
        return _above_or_below(path, there, own[0], files)
    return None


@functools.lru_cache(maxsize=4)
def _listed(path: Path, outer: str, _changed: int) -> dict[Place, str]:
    """The plain files of a zip, which may be that of a whole class, or of the zip `outer` in it."""
    inside = f"{outer}{INNER}" if outer else ""
    with opened(path, outer) as archive:
        entries = [(zip_parts(entry), entry.filename) for entry in archive.infolist()]
    return {(parts[:-1], parts[-1]): inside + name for parts, name in entries if parts}


def _above_or_below(path: Path, there: dict[Place, str], own: tuple[str, ...], files: list[str]) -> Weights | None:
    for wanted in files:
        found = [place for place in there if place[1] == wanted and _in_line(place[0], own)]
        if len(found) > 1:
            shown = ", ".join("/".join((*folder, name)) for folder, name in sorted(found)[:4])
            problem = f"There are {len(found)} files of this name ({shown}): keep the one that counts."
            return Weights(wanted, path, there[found[0]], problem)
        if found:
            return Weights(wanted, path, there[found[0]])
    return None


def _in_line(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one folder lies in the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _owns(notebooks: list[str], stem: str, notebook: str) -> bool:
    """Whether a folder with these notebooks is that of one student, whose notebook has this stem."""
    return stem == notebook or len(notebooks) <= 1


def _names(stem: str, files: list[str], owns: bool) -> list[str]:
    """Names to look for, in order: those of the assignment, and the notebook's own with their suffixes."""
    own = [stem + PurePosixPath(name).suffix for name in files]
    return [*files, *own] if owns else own


def digest(weights: Weights | None, megabytes: int) -> tuple[str, str]:
    """Name and SHA-256 of what was handed in, to know it again; "" for what there is not or cannot be read."""
    if weights is None:
        return "", ""
    try:
        return weights.name, hashlib.sha256(weights.read(megabytes)).hexdigest()
    except SubmissionError:
        return weights.name, ""

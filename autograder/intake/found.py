"""Files that may be somebody's notebook: below a folder, or in a zip. None is opened, no symbolic link is followed."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autograder.intake.untrusted import MAX_ENTRIES, SKIPPED, zip_parts
from autograder.parsing.budget import reading_budget
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError

ZIP = ".zip"


@dataclass(frozen=True)
class Found:
    """A notebook file, or a zip that nobody has looked into yet.

    Attributes:
        parts: Of its path below the folder, or within the zip, that was searched.
        path: The file on disk: itself, or the zip that holds it.
        member: Name within the zip, or "".
    """

    parts: tuple[str, ...]
    path: Path
    member: str = ""

    @property
    def stem(self) -> str:
        """Its name without the suffix."""
        return PurePosixPath(self.parts[-1]).stem

    @property
    def shown(self) -> str:
        """Its parts, for people."""
        return "/".join(self.parts)

    @property
    def is_zip(self) -> bool:
        """Whether it has to be looked into."""
        return not self.member and self.path.suffix.lower() == ZIP

    @property
    def is_readme(self) -> bool:
        """Whether it is called as what tells people about a folder."""
        return self.parts[-1].lower() == "readme.md"


def found_below(folder: Path, depth: int = 4) -> list[Found]:
    """Notebooks and zips below a folder; a README beside or above others is none."""
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not is_hidden(parts) and len(parts) <= depth and path.suffix.lower() in (*SUFFIXES, ZIP):
            linked = any((folder / Path(*parts[: n + 1])).is_symlink() for n in range(len(parts)))
            if not linked and path.is_file():
                files.append(Found(parts, path))
    return _without_readmes(files)


def is_hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path leads through what systems and editors keep for themselves."""
    return any(part.startswith(".") or part in SKIPPED for part in parts)


def found_in_zip(path: Path) -> list[Found]:
    """Notebook files in a zip.

    Raises:
        KitError: It cannot be opened, or holds none.
    """
    try:
        with reading_budget(), zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except PermissionError as error:
        raise KitError(f"{path}: you may not read this file ({error.strerror}).") from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        why = "damaged, or another file by a wrong name. It has to be made and handed in again."
        raise KitError(f"{path}: not a zip that can be opened: {why}") from error
    if len(entries) > MAX_ENTRIES:
        raise KitError(f"{path}: {len(entries)} entries; at most {MAX_ENTRIES} are looked at.")
    files = []
    for entry in entries:
        parts = zip_parts(entry)
        if parts and PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES:
            files.append(Found(parts, path, entry.filename))
    if not files:
        raise KitError(f"{path}: no notebook (.ipynb, .py, .md) in this zip.")
    return _without_readmes(files)


def _without_readmes(files: list[Found]) -> list[Found]:
    """The same without READMEs that have another file beside or below them."""
    others = {file.parts[:n] for file in files if not file.is_readme for n in range(len(file.parts))}
    return [file for file in files if not (file.is_readme and file.parts[:-1] in others)]


def class_below(files: list[Found], assignment_id: str, notebook: str) -> list[Found]:
    """Files below the one folder that holds a whole class, where there is such a folder; else the same files.

    A zip of `submitted/` or of a Gradescope export begins with that folder; so does one student's zip.
    What tells them apart is that each student's folder looks like one.
    """
    if len({file.parts[0] for file in files}) != 1 or any(len(file.parts) < 3 for file in files):
        return files
    below = [replace(file, parts=file.parts[1:]) for file in files]
    if any(file.parts[0] == assignment_id for file in below):
        return files
    exported = all(re.fullmatch(r"submission_\d+", file.parts[0]) for file in below)
    nested = all(len(file.parts) > 2 and file.parts[1] == assignment_id for file in below)
    released = {file.parts[0] for file in below if is_everybodys(file, notebook, assignment_id)}
    return below if exported or nested or len(released) > 1 else files


def is_everybodys(file: Found, notebook: str, assignment_id: str) -> bool:
    """Whether a file is called as the release calls the notebook, or as `make_submission()` calls its zip."""
    name = f"{assignment_id}-submission" if file.is_zip else notebook
    return re.fullmatch(re.escape(name) + r"([ _]?\(\d+\))?", file.stem) is not None

"""Files that may be somebody's: below a folder, or in a zip. None is opened, no symbolic link is followed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autograder.intake.untrusted import INNER, SKIPPED, last_name, opened, zip_parts
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError

ZIP = ".zip"


@dataclass(frozen=True)
class Found:
    """A file that somebody handed in.

    Attributes:
        parts: Of its path below the folder, or within the zip, that was searched.
        path: The file on disk: itself, or the zip that holds it.
        member: Name within the zip, or ""; see `untrusted.INNER`.
    """

    parts: tuple[str, ...]
    path: Path
    member: str = ""

    @property
    def stem(self) -> str:
        """Its name without the suffix."""
        return PurePosixPath(self.parts[-1]).stem

    @property
    def suffix(self) -> str:
        """The end of its name, ".ipynb" say, in small letters."""
        return PurePosixPath(self.parts[-1]).suffix.lower()

    @property
    def shown(self) -> str:
        """Its parts, for people."""
        return "/".join(self.parts)

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip that may be looked into: on disk, or in one on disk."""
        return INNER not in self.member and self.suffix == ZIP

    @property
    def is_notebook(self) -> bool:
        """Whether it is a notebook, by its name."""
        return self.suffix in SUFFIXES

    @property
    def is_readme(self) -> bool:
        """Whether it is called as what tells people about a folder."""
        return self.parts[-1].lower() == "readme.md"


def files_below(folder: Path, depth: int = 4) -> list[Found]:
    """Every regular file below a folder, but for what systems and editors keep for themselves."""
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not is_hidden(parts) and len(parts) <= depth:
            linked = any((folder / Path(*parts[: n + 1])).is_symlink() for n in range(len(parts)))
            if not linked and path.is_file():
                files.append(Found(parts, path))
    return files


def found_below(folder: Path, depth: int = 4) -> list[Found]:
    """Notebooks and zips below a folder; a README beside or above others is none."""
    return handed_in(files_below(folder, depth))


def files_in_zip(path: Path, member: str = "") -> list[Found]:
    """Every plain file in a zip, or in a zip within it.

    Raises:
        KitError: It cannot be opened.
    """
    inside = f"{member}{INNER}" if member else ""
    with opened(path, member) as archive:
        named = [(zip_parts(entry), entry.filename) for entry in archive.infolist()]
    return [Found(parts, path, inside + name) for parts, name in named if parts]


def found_in_zip(path: Path, member: str = "") -> list[Found]:
    """Notebook files in the zip of one hand-in, which may have been zipped once more.

    Raises:
        KitError: It cannot be opened, or holds none.
    """
    files = files_in_zip(path, member)
    if found := [file for file in handed_in(files) if file.is_notebook]:
        return found
    zips = [file for file in files if file.suffix == ZIP]
    if len(zips) == 1 and zips[0].is_zip:
        return [replace(file, parts=(*zips[0].parts, *file.parts)) for file in found_in_zip(path, zips[0].member)]
    name = f"{path}: {last_name(member)}" if member else str(path)
    raise KitError(f"{name}: no notebook (.ipynb, .py, .md) in this zip.{_of_zips(zips)}")


def _of_zips(zips: list[Found]) -> str:
    """What to do where the notebook may lie in a zip within."""
    if not zips:
        return ""
    shown = ", ".join(file.parts[-1] for file in zips[:3]) + (", ..." if len(zips) > 3 else "")
    which = "another" if len(zips) == 1 else f"{len(zips)} others"
    return f" It holds {which} ({shown}), not opened: hand in the notebook itself, or one zip that holds it."


def handed_in(files: list[Found]) -> list[Found]:
    """The notebooks and zips among files, without READMEs that have another of these beside or below them."""
    kept = [file for file in files if file.is_notebook or file.is_zip]
    others = {file.parts[:n] for file in kept if not file.is_readme for n in range(len(file.parts))}
    return [file for file in kept if not (file.is_readme and file.parts[:-1] in others)]


def is_hidden(parts: tuple[str, ...]) -> bool:
    """Whether a path leads through what systems and editors keep for themselves."""
    return any(part.startswith(".") or part in SKIPPED for part in parts)


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

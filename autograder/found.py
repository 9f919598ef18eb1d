"""Files that may be somebody's notebook: below a folder, or in a zip. None is opened, no symbolic link is followed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autograder.errors import KitError
from autograder.notebook import SUFFIXES
from autograder.untrusted import MAX_ENTRIES, SKIPPED, zip_parts

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


def found_below(folder: Path, depth: int = 4) -> Iterator[Found]:
    """Notebooks and zips below a folder."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in SKIPPED for part in parts)
        if not hidden and len(parts) <= depth and path.suffix.lower() in (*SUFFIXES, ZIP):
            linked = any((folder / Path(*parts[: n + 1])).is_symlink() for n in range(len(parts)))
            if not linked and path.is_file():
                yield Found(parts, path)


def found_in_zip(path: Path) -> list[Found]:
    """Notebook files in a zip.

    Raises:
        KitError: It cannot be opened, or holds none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise KitError(f"{path}: not a zip that can be opened ({error}).") from error
    if len(entries) > MAX_ENTRIES:
        raise KitError(f"{path}: {len(entries)} entries; at most {MAX_ENTRIES} are looked at.")
    files = []
    for entry in entries:
        parts = zip_parts(entry)
        if parts and PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES:
            files.append(Found(parts, path, entry.filename))
    if not files:
        raise KitError(f"{path}: no notebook (.ipynb, .py, .md) in this zip.")
    return files

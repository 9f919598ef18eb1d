"""When something was handed in: `timestamp.txt`, which nbgrader trusts and a student may write."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import parse_utc, rmtree

FILE = "timestamp.txt"
_LONGEST = 200  # characters; "2026-03-03 12:00:00.000000 Europe/Paris" has forty


def read_timestamp(folder: Path) -> datetime.datetime | None:
    """The time in a folder's `timestamp.txt`, UTC without a zone; None where there is none that can be read."""
    path = folder / FILE
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _LONGEST:
            return None
        found = parse_utc(path.read_text(encoding="utf-8").strip())
    except Exception:  # dateutil raises many kinds for what is no date
        return None
    return found if isinstance(found, datetime.datetime) else None


def drop_unread(folder: Path) -> None:
    """Remove what is called `timestamp.txt` and is none from a copy, where nbgrader would stumble on it later."""
    path = folder / FILE
    if (path.exists() or path.is_symlink()) and read_timestamp(folder) is None:
        rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


class TolerantCourse(CourseDirectory):  # type: ignore[misc]
    """A course's folder for grading: any `timestamp.txt` will do, and nothing lies beside the source to be copied."""

    @classmethod
    def like(cls, coursedir: CourseDirectory) -> TolerantCourse:
        """One with the settings of another, which stays as it is."""
        made = cls(parent=coursedir.parent)
        for name in CourseDirectory.class_traits(config=True):
            setattr(made, name, getattr(coursedir, name))
        made.source_directory = str(Path(".fcoskit") / "source")
        return made

    def get_existing_timestamp(self, dest_path: str) -> Any:
        """See nbgrader. One that cannot be read is none, with a warning."""
        found = read_timestamp(Path(dest_path))
        if found is None and (Path(dest_path) / FILE).exists():
            self.log.warning("%s is no time that can be read, so no time is known.", Path(dest_path) / FILE)
        return found

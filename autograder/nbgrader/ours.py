"""Which of a course's assignments the kit grades, and where the kit keeps them; the others stay nbgrader's own.

A course that already uses nbgrader has its own folder, submissions and gradebook; the kit's `assignment/` and
`release/` may lie there or elsewhere. `configure` notes where in nbgrader's configuration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment, find_root, load_assignment
from autograder.runtime.errors import KitError

CONVERTING = ("exporter_class", "sanitize_preprocessors", "autograde_preprocessors")  # what the kit sets for its own
PRIVATE = ".fcoskit"  # in nbgrader's course folder: reports and logs, for staff alone


def remember(config: Any, root: Path | str | None, start: Path) -> None:
    """Note in nbgrader's configuration where the kit's assignments lie, and what the course had set for the others.

    Args:
        config: What `get_config()` gives in `nbgrader_config.py`.
        root: The folder with `assignment/` and `release/`; found from `start`, the current folder, or where this
            package was installed from, if None.
        start: Folder of the file that calls.
    """
    config.Fcoskit.root, config.Fcoskit.problem = "", ""
    try:
        config.Fcoskit.root = str(_root(root, start))
    except KitError as error:
        config.Fcoskit.problem = str(error)
    if "others" not in config.Fcoskit:  # else it is called a second time, and these are ours
        config.Fcoskit.others = {name: config.Autograde[name] for name in CONVERTING if name in config.Autograde}


def _root(root: Path | str | None, start: Path) -> Path:
    if root is not None:
        found = Path(root).expanduser().resolve()
        if not any(found.glob("assignment/*/assignment.toml")):
            raise KitError(
                f"configure(c, root={str(root)!r}) in nbgrader_config.py: {found} holds no "
                "assignment/<id>/assignment.toml. Name the folder that holds assignment/ and release/."
            )
        return found
    found = find_root(start)
    return found if start.resolve().is_relative_to(found) else find_root()


def assignment_of(config: Any, assignment_id: str) -> Assignment | None:
    """The kit's assignment of that name; None for one that nbgrader is to treat as its own.

    Args:
        config: nbgrader's, of any of its parts.
        assignment_id: As on nbgrader's command line.

    Raises:
        KitError: It is the kit's and not as it should be, or the kit's assignments were not found.
    """
    if "Fcoskit" not in config:
        return None
    noted = config.Fcoskit
    if noted.problem:
        raise KitError(f"{noted.problem} Until then nothing is graded here.")
    if not (Path(noted.root) / "assignment" / assignment_id / "assignment.toml").is_file():
        return None
    return load_assignment(assignment_id, Path(noted.root))


def refuse_if_once_ours(config: Any, coursedir: Any) -> None:
    """Stop where an assignment that the kit has graded or released here is about to be treated as nbgrader's own.

    nbgrader would run its notebooks outside any sandbox, and give full points.

    Args:
        config: nbgrader's.
        coursedir: nbgrader's course folder, with the assignment at hand.

    Raises:
        KitError: So it is.
    """
    name, root = coursedir.assignment_id, Path(coursedir.root)
    released = Path(coursedir.format_path(coursedir.release_directory, ".", name)) / "MANIFEST.json"
    if (root / PRIVATE / "reports" / name).is_dir() or released.is_file():
        raise KitError(
            f"{name} is an assignment of the kit's, but {config.Fcoskit.root} has none of that name. Write "
            'configure(c, root="...") in nbgrader_config.py, with the folder that holds its assignment/ and release/.'
        )


def assignments_of(config: Any) -> list[str]:
    """Ids of the kit's assignments; none where they were not found."""
    if "Fcoskit" not in config or config.Fcoskit.problem:
        return []
    return sorted(path.parent.name for path in Path(config.Fcoskit.root).glob("assignment/*/assignment.toml"))


def reports_folder(course: Path | str, assignment: Assignment) -> Path:
    """Where staff's own reports of an assignment lie, a folder for each student.

    Args:
        course: Root of nbgrader's course folder.
        assignment: Whose.
    """
    return Path(course) / PRIVATE / "reports" / assignment.id


def folder_of_caller(depth: int) -> Path | None:
    """Folder of the file whose code called, so many calls above; None where that is no file."""
    name = sys._getframe(depth + 1).f_globals.get("__file__")
    return Path(name).resolve().parent if name else None

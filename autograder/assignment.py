"""What an assignment is: `assignment/<id>/assignment.toml`, read and checked.

Everything that makes this course's assignment differ from another stands in that file and in the suites;
the engine only reads it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from autograder.errors import KitError

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Exercise:
    """One graded exercise.

    Attributes:
        id: As suites and the notebook name it, such as "7.1d".
        title: A few words for reports.
        points: What all its checks add up to.
        names: The functions and classes that a student defines for it.
        canned: Names of earlier exercises that `suites/public/stand_ins.py` replaces, in notebooks too.
        solved: Names of earlier exercises that the instructor's solution replaces, when graded.
        follows: For an earlier exercise's id a name (such as "FCOS.forward") that the solution replaces if
            that exercise lost points, so that its mistake is not charged twice.
        slow: Takes seconds (it trains); `fcoskit validate` leaves it out where it cannot matter.
    """

    id: str
    title: str
    points: float
    names: tuple[str, ...]
    canned: tuple[str, ...] = ()
    solved: tuple[str, ...] = ()
    follows: tuple[tuple[str, str], ...] = ()
    slow: bool = False

    @property
    def grade_id(self) -> str:
        """As nbgrader calls its check cell: its ids allow no dot."""
        return self.id.replace(".", "-")


@dataclass(frozen=True)
class Limits:
    """What student code may use; hitting a limit ends the check, not the run.

    Seconds are CPU time, so that a busy machine takes no points; by the clock four times as many may pass.
    """

    load_seconds: float = 60.0
    call_seconds: float = 5.0
    train_seconds: float = 60.0
    exercise_seconds: float = 60.0
    restarts: int = 3
    memory_megabytes: int = 4096
    tmpfs_megabytes: int = 256
    message_megabytes: int = 256
    notebook_megabytes: int = 128
    code_kilobytes: int = 2048


@dataclass(frozen=True)
class Assignment:
    """An assignment, as its `assignment.toml` says.

    Attributes:
        id: Folder name, such as "ps7".
        title: Heading of reports.
        notebook: Stem of the notebook's file name.
        version: Version of the students' wheel.
        root: The course's folder, which holds `assignment/` and `release/`.
        exercises: In the order of the notebook.
        not_run: Names whose call at the top of a cell means training or loading data.
        globals: Values bound over whatever a notebook gives these names ("cpu" devices as `torch.device`).
        limits: See `Limits`.
        suites: Folder with `public/` and `hidden/`.
        reference: Folder with `public/` and `hidden/` stored tensors.
        proof: Folder with `mutants/`, `variants/` and `unseen/`, see `proof.py`.
        wheel: Name of the students' wheel.
        ship: Files and folders, relative to the root, that the wheel holds besides the public checks.
        leaks_allowed: Lines that the leak check lets pass, each a conscious decision of a TA.
    """

    id: str
    title: str
    notebook: str
    version: str
    root: Path
    exercises: tuple[Exercise, ...]
    not_run: frozenset[str]
    globals: dict[str, Any]
    limits: Limits
    suites: Path
    reference: Path
    proof: Path
    wheel: str
    ship: tuple[str, ...]
    leaks_allowed: frozenset[str] = field(default_factory=frozenset)

    @property
    def folder(self) -> Path:
        """Where the source lies."""
        return self.root / "assignment" / self.id

    @property
    def source(self) -> Path:
        """The instructor notebook, percent format."""
        return self.folder / f"{self.notebook}.py"

    @property
    def release(self) -> Path:
        """Where the release lies."""
        return self.root / "release" / self.id

    @property
    def max_score(self) -> float:
        """Points of all exercises."""
        return sum(exercise.points for exercise in self.exercises)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every name that a student defines, in order."""
        return tuple(dict.fromkeys(name for exercise in self.exercises for name in exercise.names))

    def exercise(self, exercise_id: str) -> Exercise:
        """Look an exercise up.

        Raises:
            KitError: There is none of that id; the message lists those there are.
        """
        for exercise in self.exercises:
            if exercise.id == exercise_id:
                return exercise
        known = ", ".join(exercise.id for exercise in self.exercises)
        raise KitError(f'{self.id} has no graded exercise "{exercise_id}". It has: {known}.')


def find_root(start: Path | None = None) -> Path:
    """The course's folder: the nearest one at or above `start` that holds `assignment/`.

    Falls back to the folder that this package was installed from.

    Raises:
        KitError: No such folder.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, PACKAGE.parent):
        if any(folder.glob("assignment/*/assignment.toml")):
            return folder
    raise KitError(
        f"No course found at or above {here}: none of these folders holds assignment/<id>/assignment.toml. "
        "Change into the course's folder and try again."
    )


def load_assignment(assignment_id: str | None = None, root: Path | None = None) -> Assignment:
    """Read an assignment; without an id, the only one there is.

    Raises:
        KitError: No such assignment, or its `assignment.toml` is not as it should be.
    """
    root = (root or find_root()).resolve()
    known = sorted(path.parent.name for path in root.glob("assignment/*/assignment.toml"))
    if assignment_id is None and len(known) == 1:
        assignment_id = known[0]
    if assignment_id not in known:
        asked = f'No assignment "{assignment_id}"' if assignment_id else "Several assignments: name one"
        raise KitError(f"{asked}. In {root / 'assignment'} there are: {', '.join(known) or 'none'}.")
    path = root / "assignment" / assignment_id / "assignment.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _from_table(assignment_id, root, table)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise KitError(f"{path} is not a valid assignment: {what}. A TA has to mend that file.") from error


def _from_table(assignment_id: str, root: Path, table: dict[str, Any]) -> Assignment:
    """Build an `Assignment` from the parsed TOML; KeyError, TypeError, ValueError where it is wrong."""
    _refuse_unknown(table, {"title", "notebook", "version", "grading", "limits", "wheel", "leaks", "exercise"})
    exercises = tuple(_exercise(entry) for entry in table["exercise"])
    ids = [exercise.id for exercise in exercises]
    if len(set(ids)) < len(ids):
        raise ValueError("two exercises have the same id")
    limits = table.get("limits", {})
    _refuse_unknown(limits, {entry.name for entry in fields(Limits)})
    grading, wheel = table.get("grading", {}), table["wheel"]
    return Assignment(
        id=assignment_id,
        title=str(table["title"]),
        notebook=str(table["notebook"]),
        version=str(table["version"]),
        root=root,
        exercises=exercises,
        not_run=frozenset(grading.get("not_run", [])),
        globals=dict(grading.get("globals", {})),
        limits=Limits(**limits),
        suites=_inside(root, grading["suites"]) if "suites" in grading else PACKAGE / "suites",
        reference=_inside(root, grading["reference"]) if "reference" in grading else PACKAGE / "reference",
        proof=_inside(root, grading.get("proof", "tests")),
        wheel=str(wheel["name"]),
        ship=tuple(wheel.get("ship", [])),
        leaks_allowed=frozenset(table.get("leaks", {}).get("allow", [])),
    )


def _exercise(entry: dict[str, Any]) -> Exercise:
    _refuse_unknown(entry, {"id", "title", "points", "names", "canned", "solved", "follows", "slow"})
    return Exercise(
        id=str(entry["id"]),
        title=str(entry["title"]),
        points=float(entry["points"]),
        names=tuple(entry["names"]),
        canned=tuple(entry.get("canned", [])),
        solved=tuple(entry.get("solved", [])),
        follows=tuple(entry.get("follows", {}).items()),
        slow=entry.get("slow", False) is True,
    )


def _refuse_unknown(table: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f'unknown setting "{unknown[0]}" (known: {", ".join(sorted(known))})')


def _inside(root: Path, relative: str) -> Path:
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f'"{relative}" lies outside the course')
    return path

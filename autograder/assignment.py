"""What an assignment is: `assignment/<id>/assignment.toml`, read and checked.

Everything that makes this course's assignment differ from another stands in that file and in the suites;
the engine only reads it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from autograder.errors import KitError
from autograder.map_settings import MapSettings, read_map_settings

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

    Attributes:
        load_seconds: Importing what the notebook imports and running its definitions.
        call_seconds: One call of one function.
        train_seconds: One training run that a check asks for.
        exercise_seconds: All calls for one exercise together.
        submission_seconds: All calls for one submission together.
        restarts: How often an exercise gets a new process after the last one died.
        memory_megabytes: Resident memory of all its processes together.
        tmpfs_megabytes: All files in a scratch folder together.
        file_megabytes: One file.
        processes: Processes and threads at a time.
        descriptors: Files, pipes and sockets that a process has open.
        message_megabytes: The tensors of one answer.
        notebook_megabytes: The notebook's file.
        code_kilobytes: The code in it.
    """

    load_seconds: float = 60.0
    call_seconds: float = 5.0
    train_seconds: float = 60.0
    exercise_seconds: float = 60.0
    submission_seconds: float = 600.0
    restarts: int = 3
    memory_megabytes: int = 4096
    tmpfs_megabytes: int = 256
    file_megabytes: int = 128
    processes: int = 128
    descriptors: int = 256
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
        suites: Folder with `public/` and `hidden/`; the kit's own unless `[grading]` names one.
        reference: Folder with `public/` and `hidden/` stored tensors; beside the suites unless named.
        proof: Folder with `mutants/`, `variants/` and `unseen/`, see `proof.py`; beside suites of its own unless named.
        wheel: Name of the students' wheel.
        ship: Files and folders, relative to the root, that the wheel holds besides the public checks.
        leaks_allowed: Lines that the leak check lets pass, each a conscious decision of a TA.
        colab: Address at which students open the notebook on Colab; "" where there is none.
        map: How weights that are handed in are verified; None where none are asked for.
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
    colab: str = ""
    map: MapSettings | None = None

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
        """Points of all that is scored."""
        return sum(exercise.points for exercise in self.scored)

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the file with weights that may be handed in, the preferred one first."""
        return self.map.files if self.map else ()

    @property
    def scored(self) -> tuple[Exercise, ...]:
        """What gives points: the exercises, and the verified weights where they give some."""
        if self.map is None or not self.map.points:
            return self.exercises
        return (*self.exercises, Exercise(self.map.id, self.map.title, self.map.points, (self.map.make,)))

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


def load_assignments(root: Path | None = None) -> list[Assignment]:
    """All assignments of a course.

    Raises:
        KitError: See `load_assignment`.
    """
    root = (root or find_root()).resolve()
    return [load_assignment(path.parent.name, root) for path in sorted(root.glob("assignment/*/assignment.toml"))]


def _from_table(assignment_id: str, root: Path, table: dict[str, Any]) -> Assignment:
    """Build an `Assignment` from the parsed TOML; KeyError, TypeError, ValueError where it is wrong."""
    parts = {"title", "notebook", "version", "grading", "limits", "release", "wheel", "leaks", "exercise", "map"}
    _refuse_unknown(table, parts)
    exercises = tuple(_exercise(entry) for entry in table["exercise"])
    verified = read_map_settings(table["map"], root) if "map" in table else None
    ids = [exercise.id for exercise in exercises] + ([verified.id] if verified else [])
    if len(set(ids)) < len(ids):
        raise ValueError("two exercises have the same id")
    limits = _limits(table.get("limits", {}))
    grading, wheel = table.get("grading", {}), table["wheel"]
    suites, reference, proof = _folders(root, grading)
    return Assignment(
        id=assignment_id,
        title=str(table["title"]),
        notebook=str(table["notebook"]),
        version=str(table["version"]),
        root=root,
        exercises=exercises,
        not_run=frozenset(grading.get("not_run", [])),
        globals=dict(grading.get("globals", {})),
        limits=limits,
        suites=suites,
        reference=reference,
        proof=proof,
        wheel=str(wheel["name"]),
        ship=tuple(wheel.get("ship", [])),
        leaks_allowed=frozenset(table.get("leaks", {}).get("allow", [])),
        colab=_colab(table.get("release", {})),
        map=verified,
    )


def _folders(root: Path, grading: dict[str, Any]) -> tuple[Path, Path, Path]:
    """Suites, reference and proof. One assignment's tensors and mutants must not be taken for another's."""
    named = {name: _inside(root, grading[name]) for name in ("suites", "reference", "proof") if name in grading}
    suites = named.get("suites", PACKAGE / "suites")
    if "suites" in named and not (suites / "public").is_dir():
        raise ValueError(f'[grading] names the suites "{grading["suites"]}", but there is no {suites / "public"}')
    proof = suites.parent / "proof" if "suites" in named else root / "tests"
    return suites, named.get("reference", suites.parent / "reference"), named.get("proof", proof)


def _colab(table: dict[str, Any]) -> str:
    """The address behind the notebook's badge: one that Markdown takes as it is, so that no badge is dead."""
    _refuse_unknown(table, {"colab"})
    address = table.get("colab", "")
    if address != "" and not (isinstance(address, str) and re.fullmatch(r"https://[\w.-]+/[\w./~%+#?=&:@-]*", address)):
        raise ValueError(f'colab in [release] has to be an address that begins with "https://", not {address!r}')
    return str(address)


def _limits(table: dict[str, Any]) -> Limits:
    """Check the limits: an assignment with a limit that is no number, or none at all, is a slip of a TA's."""
    kinds = {entry.name: type(entry.default) for entry in fields(Limits)}
    _refuse_unknown(table, set(kinds))
    for name, value in table.items():
        right = type(value) is int or (type(value) is float and kinds[name] is float)
        if not right or value < 0 or (value == 0 and name != "restarts"):
            kind = "whole number" if kinds[name] is int else "number"
            raise ValueError(f"{name} in [limits] has to be a positive {kind}, not {value!r}")
    return Limits(**table)


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

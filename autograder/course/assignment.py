"""What an assignment is: `assignment/<id>/assignment.toml`, read and checked.

Everything that makes this course's assignment differ from another stands in that file and in the suites;
the engine only reads it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder import PACKAGE as PACKAGE
from autograder.course.exercises import Exercise as Exercise
from autograder.course.exercises import read_exercises
from autograder.course.late_settings import LateSettings, read_late_settings
from autograder.course.limits import Limits as Limits
from autograder.course.limits import read_limits
from autograder.course.map_settings import MapSettings, read_map_settings
from autograder.course.toml_values import refuse_unknown, subtable, text, texts
from autograder.runtime.errors import KitError


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
        suites: Folder with `public/` and `hidden/`; the assignment's own unless `[grading]` names one.
        reference: Folder with `public/` and `hidden/` stored tensors; beside the suites unless named.
        proof: Folder with `mutants/`, `variants/` and `unseen/`, see `cases.py`; beside the suites unless named.
        wheel: Name of the students' wheel.
        ship: Files and folders, relative to the root, that the wheel holds besides the public checks.
        leaks_allowed: Lines that the leak check lets pass, each a conscious decision of a TA.
        colab: Address at which students open the notebook on Colab; "" where there is none.
        map: How weights that are handed in are verified; None where none are asked for.
        late: What lateness costs; None where it costs nothing.
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
    late: LateSettings | None = None

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
        several = "Several assignments: name one, as `--assignment ID` or `fcoskit release ID`"
        asked = f'No assignment "{assignment_id}"' if assignment_id else several
        raise KitError(f"{asked}. In {root / 'assignment'} there are: {', '.join(known) or 'none'}.")
    path = root / "assignment" / assignment_id / "assignment.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return _from_table(assignment_id, root, table)
    except (OSError, KeyError, TypeError, ValueError) as error:
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
    parts = {
        "title",
        "notebook",
        "version",
        "grading",
        "limits",
        "release",
        "wheel",
        "leaks",
        "exercise",
        "map",
        "late",
    }
    refuse_unknown(table, parts)
    exercises = read_exercises(table["exercise"])
    verified = read_map_settings(subtable(table, "map"), root) if "map" in table else None
    _refuse_twins([exercise.id for exercise in exercises] + ([verified.id] if verified else []))
    grading = subtable(table, "grading", known=("not_run", "globals", "suites", "reference", "proof"))
    wheel = subtable(table, "wheel", known=("name", "ship"))
    suites, reference, proof = _folders(root, root / "assignment" / assignment_id, grading)
    return Assignment(
        id=assignment_id,
        title=text(table, "title", ""),
        notebook=text(table, "notebook", "", r"\w[\w .()-]*", "a file's name without folder and ending"),
        version=text(table, "version", "", r"\w[\w.+!-]*", 'a version ("0.1.0")'),
        root=root,
        exercises=exercises,
        not_run=frozenset(texts(grading, "not_run", "[grading]", [])),
        globals=dict(subtable(grading, "globals", "[grading]")),
        limits=read_limits(subtable(table, "limits")),
        suites=suites,
        reference=reference,
        proof=proof,
        wheel=text(wheel, "name", "[wheel]", r"\w[\w.-]*", "the name of a package"),
        ship=texts(wheel, "ship", "[wheel]", []),
        leaks_allowed=frozenset(texts(subtable(table, "leaks", known=("allow",)), "allow", "[leaks]", [])),
        colab=_colab(subtable(table, "release", known=("colab",))),
        map=verified,
        late=read_late_settings(subtable(table, "late")) if "late" in table else None,
    )


def _refuse_twins(ids: list[str]) -> None:
    if len({name.replace(".", "-") for name in ids}) < len(ids):  # as nbgrader calls their cells
        raise ValueError("two exercises have the same id")


def _folders(root: Path, folder: Path, grading: dict[str, Any]) -> tuple[Path, Path, Path]:
    """Suites, reference and proof. One assignment's tensors and mutants must not be taken for another's."""
    asked = {name: text(grading, name, "[grading]") for name in ("suites", "reference", "proof") if name in grading}
    named = {name: _inside(root, place) for name, place in asked.items()}
    suites = named.get("suites", folder / "suites")
    for name, place in named.items():
        wanted = place / "public" if name == "suites" else place
        if name != "proof" and not wanted.is_dir():  # the proof stays at home when the course goes to Gradescope
            raise ValueError(f'[grading] names the {name} "{asked[name]}", but there is no {wanted}')
    beside = suites.parent
    return suites, named.get("reference", beside / "reference"), named.get("proof", beside / "proof")


def _colab(table: dict[str, Any]) -> str:
    """The address behind the notebook's badge: one that Markdown takes as it is, so that no badge is dead."""
    address = table.get("colab", "")
    if address != "" and not (isinstance(address, str) and re.fullmatch(r"https://[\w.-]+/[\w./~%+#?=&:@-]*", address)):
        raise ValueError(f'colab in [release] has to be an address that begins with "https://", not {address!r}')
    return str(address)


def _inside(root: Path, relative: str) -> Path:
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f'"{relative}" lies outside the course')
    return path

"""What students are given to know of an assignment: titles, points, names, what is handed in. Nothing of the answers.

In the students' wheel it is a JSON file; on staff's machines it comes from the course itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograder import PACKAGE
from autograder import RECORD as RECORD

FILE = "handout.json"
SHIPPED = PACKAGE / "shipped"  # of the students' wheel: what is the assignment's own in it


@dataclass(frozen=True)
class Task:
    """One graded exercise, as its students know it.

    Attributes:
        title: A few words.
        points: What all its checks are worth, those that run when graded included.
        names: The functions and classes that a student writes for it.
        canned: Names of earlier exercises that are replaced while it is checked.
        slow: Whether checking it takes long: it trains.
        leans: Earlier exercises whose code it runs, as the notebook has it: what is wrong there shows here, too.
    """

    title: str
    points: float
    names: tuple[str, ...]
    canned: tuple[str, ...] = ()
    slow: bool = False
    leans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handout:
    """An assignment, as its students know it.

    Attributes:
        assignment: Its id.
        version: Of the wheel that this is in.
        notebook: Stem of the released notebook's file name.
        tasks: The graded exercises by id, in the order of the notebook.
        weights: Names of a file that may be handed in beside the notebook, the preferred one first; often none.
        weights_megabytes: The most that file may have.
        notebook_megabytes: The most the notebook may have.
        suites: Folder of the suites, hidden ones only on staff's machines.
        reference: Folder of their stored tensors.
        not_run: Names whose call at the top of a cell grading does not follow.
        globals: Values bound over whatever a notebook gives these names.
        packages: What students are given to import.
        notebook_seconds: CPU time of a notebook that is run whole.
        cell_seconds: The same of one cell of it.
        trained_with: Name that the notebook gives the data set it trains on; "" where nobody asks.
    """

    assignment: str
    version: str
    notebook: str
    tasks: dict[str, Task]
    weights: tuple[str, ...] = ()
    weights_megabytes: int = 0
    notebook_megabytes: int = 128
    suites: Path = SHIPPED / "suites"
    reference: Path = SHIPPED / "reference"
    not_run: tuple[str, ...] = ()
    globals: dict[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    notebook_seconds: float = 60.0
    cell_seconds: float = 10.0
    trained_with: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a student writes, in order."""
        return tuple(dict.fromkeys(name for task in self.tasks.values() for name in task.names))

    def to_json(self) -> str:
        """For the wheel."""
        content = asdict(self)
        del content["suites"], content["reference"]  # they lie in the wheel
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(
        cls, text: str, suites: Path = SHIPPED / "suites", reference: Path = SHIPPED / "reference"
    ) -> Handout:
        """Rebuild from `to_json`; the folders are not in it."""
        content: dict[str, Any] = json.loads(text)
        tasks = {
            key: Task(**{**entry, **{name: tuple(entry.get(name, ())) for name in ("names", "canned", "leans")}})
            for key, entry in content["tasks"].items()
        }
        lists = {name: tuple(content[name]) for name in ("weights", "not_run", "packages")}
        return cls(**{**content, **lists, "tasks": tasks, "suites": suites, "reference": reference})


def handout_of(assignment: Any) -> Handout:
    """What the students of an `assignment.Assignment`, a class that their wheel does not have, may know of it."""
    return Handout(
        assignment=assignment.id,
        version=assignment.version,
        notebook=assignment.notebook,
        tasks={
            e.id: Task(e.title, e.points, e.names, e.canned, e.slow, _leans(assignment, e))
            for e in assignment.exercises
        },
        weights=assignment.weights,
        weights_megabytes=assignment.map.weights_megabytes if assignment.map else 0,
        notebook_megabytes=assignment.limits.notebook_megabytes,
        suites=assignment.suites,
        reference=assignment.reference,
        not_run=tuple(sorted(assignment.not_run)),
        globals=assignment.globals,
        packages=tuple(Path(entry).name for entry in assignment.ship),
        notebook_seconds=assignment.limits.notebook_seconds,
        cell_seconds=assignment.limits.cell_seconds,
        trained_with=assignment.map.trained_with if assignment.map else "",
    )


def _leans(assignment: Any, exercise: Any) -> tuple[str, ...]:
    """The earlier exercises that are replaced when it is graded, but not while its public checks run."""
    names = {*exercise.canned_when_graded, *exercise.solved}
    followed = {earlier for earlier, _ in exercise.follows} if exercise.slow else set()
    earlier = [e for e in assignment.exercises if e.id in followed or (e.id != exercise.id and names & set(e.names))]
    return tuple(e.id for e in earlier)


def handouts() -> list[Handout]:
    """What this wheel belongs to; on staff's machines, every assignment of the course that the folder lies in."""
    if (SHIPPED / FILE).is_file():
        return [Handout.from_json((SHIPPED / FILE).read_text(encoding="utf-8"))]
    from autograder.course.assignment import load_assignments

    return [handout_of(assignment) for assignment in load_assignments()]


def handout_in(code: list[str]) -> Handout:
    """The assignment that a notebook is about: on staff's machines, the one most of whose checks it calls."""
    every = handouts()
    calls = "\n".join(code)
    return max(every, key=lambda given: sum(f'check("{exercise}")' in calls for exercise in given.tasks))


def spoken(exercise: str) -> str:
    """An exercise's id as the text of the assignment writes it: "7.1f" is "7.1 (f)"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)*)([a-z])(?:-(.+))?", exercise)
    if not found:
        return exercise
    return f"{found[1]} ({found[2]})" + (f" {found[3]}" if found[3] else "")

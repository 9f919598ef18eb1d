"""A tiny course to take through a term: the real nbgrader and the kit's front end, with a stand-in for the sandbox.

What a term changes is the assignment, the gradebook and the folders; what code earns is settled elsewhere. So a
student's notebook says what each function is worth (`def one(): return 0.5` is half of the points of its exercise;
`return 0.5  # wide` lost the others by the fault `wide`), and grading costs nothing. No sandbox, no torch, no process
is started.
"""

from __future__ import annotations

import csv
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import CsvExportPlugin
from traitlets.config.loader import Config, PyFileConfigLoader

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.assignment import Assignment
from autograder.course.digests import suites_digest
from autograder.course.rubric import read_rubric
from autograder.nbgrader import plugin
from autograder.nbgrader.converters import KitAutograde, KitGenerateAssignment, KitGenerateFeedback
from autograder.report.blank import blank_report
from autograder.report.model import Report
from autograder.report.prices import apply_rubric_to
from autograder.sandbox.probe import Choice

CONFIG = "from autograder.nbgrader import configure\nc = get_config()\n{own}configure(c{root})\n{after}"
LATE = """
from nbgrader.plugins import LateSubmissionPlugin
class TwoAnHour(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2 * total_seconds_late / 3600
c.AssignLatePenalties.plugin_class = TwoAnHour
"""


class StandIn:
    """Grades without running anything: each function's `return` says the part of the points that it earns."""

    graded: list[str]  # students, in order, of all courses

    def __init__(self, assignment: Assignment, sandbox: str, log: Path) -> None:
        self._assignment = assignment

    def start(self) -> None:
        """Nothing is."""

    def close(self) -> None:
        """Nothing was started."""

    def grade(self, submission: Any, seed: int, figure_seed: int | None = None) -> Report:
        """A report as the engine would give it."""
        StandIn.graded.append(submission.student)
        text = submission.read(1).decode("utf-8", "replace")
        made = blank_report(self._assignment, submission.student, submission.name, suites_digest(self._assignment), 1)
        for exercise in self._assignment.exercises:
            found = re.search(rf"def {exercise.names[0]}\(\): return ([0-9.]+)(?:  # (\w+))?", text)
            earned = exercise.points * float(found[1]) if found else 0.0
            parts = {"passed": earned, "failed": exercise.points - earned}
            checks = [CheckResult(exercise.id, kind, "It is right.", p, kind, True) for kind, p in parts.items() if p]
            if found and found[2]:
                checks[-1].faults.append(found[2])
            made.exercises.append(ExerciseResult(exercise.id, exercise.title, exercise.points, checks))
        apply_rubric_to(made, read_rubric(self._assignment.folder))
        return made


def without_sandbox(patch: pytest.MonkeyPatch) -> None:
    """Have nbgrader's steps use the stand-in."""
    StandIn.graded = []
    patch.setattr(plugin, "Slot", StandIn)
    patch.setattr(plugin.probe, "choose", lambda *_: Choice("none", ""))
    patch.setattr(plugin.probe, "keep_out", lambda *_: None)


@dataclass(frozen=True)
class Part:
    """An exercise: its id, the function, its points, the id that it had, the id of the cell that is filled in."""

    id: str
    name: str
    points: float
    was: str = ""
    cell: str = ""


class Term:
    """A course folder with one assignment, `ps`.

    Args:
        root: nbgrader's course folder.
        kit: The folder that holds the kit's assignments; the same if None.
        own: Lines of the course's own in its nbgrader_config.py, above `configure`.
        after: The same, below it.
    """

    def __init__(self, root: Path, kit: Path | None = None, own: str = "", after: str = "") -> None:
        self.root, self.kit, self.log = root, kit or root, ""
        root.mkdir(parents=True, exist_ok=True)
        if (root / "nbgrader_config.py").exists():
            return  # a copy of one
        given = "" if kit is None else f", root={str(kit)!r}"
        (root / "nbgrader_config.py").write_text(CONFIG.format(own=own, root=given, after=after), encoding="utf-8")

    def assign(self, *parts: Part, release: bool = True) -> None:
        """Have the assignment these exercises, in this order, in settings and release."""
        tables = "".join(
            f'\n[[exercise]]\nid = "{part.id}"\ntitle = "T"\npoints = {part.points}\nnames = ["{part.name}"]\n'
            + (f'was = "{part.was}"\n' if part.was else "")
            for part in parts
        )
        settings = self.kit / "assignment" / "ps" / "assignment.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        head = 'title = "Term"\nnotebook = "work"\nversion = "1"\n[wheel]\nname = "w"\n'
        settings.write_text(head + tables, encoding="utf-8")
        if release:
            cells = [cell for part in parts for cell in _cells(part)]
            path = self.kit / "release" / "ps" / "work.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

    def price(self, fault: str, points: float) -> None:
        """Have a fault cost so much, in `rubric.toml`."""
        entry = f'[[fault]]\nmutants = ["{fault}"]\nsays = "Too {fault}."\nprice = {points}\nwhy = "W"\n'
        (self.kit / "assignment" / "ps" / "rubric.toml").write_text(entry, encoding="utf-8")

    def hand_in(self, student: str, timestamp: str = "", **worth: float | str) -> Path:
        """A notebook whose functions are worth so much of their points; where it lies."""
        path = self.root / "submitted" / student / "ps" / "work.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [nbformat.v4.new_code_cell(f"def {name}(): return {part}") for name, part in worth.items()]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        if timestamp:
            (path.parent / "timestamp.txt").write_text(timestamp, encoding="utf-8")
        return path

    @property
    def config(self) -> Config:
        """What nbgrader makes of the course's nbgrader_config.py."""
        config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        if "root" not in config.CourseDirectory:
            config.CourseDirectory.root = str(self.root)  # the current folder, where a command is run
        return config

    def run(self, kind: Any, student: str = "*", assignment: str = "ps", force: bool = False) -> str:
        """Run a converter as its command does; what its log said. SystemExit as there."""
        config = self.config
        config.CourseDirectory.student_id, config.CourseDirectory.assignment_id = student, assignment
        config.BaseConverter.force = force
        converter = kind(coursedir=CourseDirectory(config=config), config=config)
        log, here = self.root / "log.txt", Path.cwd()
        handler = logging.FileHandler(log, mode="w")
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        converter.log = logging.Logger("term", logging.INFO)
        converter.log.addHandler(handler)
        try:
            os.chdir(self.root)
            converter.start()
        finally:
            os.chdir(here)
            handler.close()
            self.log = log.read_text(encoding="utf-8")
        return self.log

    def autograde(self, student: str = "*", force: bool = False) -> str:
        """`nbgrader autograde ps`."""
        return self.run(KitAutograde, student, force=force)

    def generate(self) -> str:
        """`nbgrader generate_assignment ps`."""
        return self.run(KitGenerateAssignment)

    def feedback(self, student: str = "*") -> str:
        """`nbgrader generate_feedback ps`."""
        return self.run(KitGenerateFeedback, student)

    def gradebook(self) -> Gradebook:
        """nbgrader's, to be closed."""
        return Gradebook(f"sqlite:///{self.root / 'gradebook.db'}")

    def by_hand(
        self, student: str, cell: str, points: float | None, comment: str = "", extra: float | None = None
    ) -> None:
        """What a human sets in formgrader: points of a check cell, or a comment on a cell to fill in."""
        with self.gradebook() as gradebook:
            if comment:
                gradebook.find_comment(cell, "work", "ps", student).manual_comment = comment
            else:
                grade = gradebook.find_grade(cell, "work", "ps", student)
                grade.manual_score, grade.extra_credit, grade.needs_manual_grade = points, extra, False
            gradebook.db.commit()

    def totals(self) -> dict[str, tuple[float, ...]]:
        """`nbgrader export`: points, penalty, what counts, and the maximum, by student."""
        with self.gradebook() as gradebook:
            CsvExportPlugin(to=str(self.root / "grades.csv")).export(gradebook)
        columns = ("raw_score", "late_submission_penalty", "score", "max_score")
        with (self.root / "grades.csv").open(encoding="utf-8") as stream:
            return {row["student_id"]: tuple(float(row[name]) for name in columns) for row in csv.DictReader(stream)}


def _cells(part: Part) -> list[Any]:
    """What the release has of an exercise: the cell to fill in, and the one that checks it."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    solve = plain | {"grade_id": part.cell or part.name, "solution": True}
    check = plain | {"grade_id": part.id.replace(".", "-"), "grade": True, "locked": True, "points": part.points}
    return [
        nbformat.v4.new_code_cell(f"def {part.name}():\n    ...", metadata={"nbgrader": solve}),
        nbformat.v4.new_code_cell(f'check("{part.id}")', metadata={"nbgrader": check}),
    ]

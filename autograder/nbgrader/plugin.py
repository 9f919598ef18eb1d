"""What `nbgrader autograde` runs: our engine in place of nbgrader's kernel, the same verdict in its gradebook.

`nbgrader_config.py` calls `configure`. Learned by trying, and cured here:

- A plain nbconvert preprocessor is disabled by default and silently skipped: ours derive from
  `NbGraderPreprocessor`, and no grade is saved for a cell without a result of ours.
- nbgrader finds cells by their metadata, which Colab does not keep: the notebook that goes into `autograded/`
  is built anew from the student's cells and the release's check cells.
- A notebook that is not valid JSON stops a submission: here it becomes a zero that says why.

`converters.py` has what happens before: which files count, an assignment that changed, a gradebook that lags behind.
"""

from __future__ import annotations

import atexit
import json
import secrets
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader import utils
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    NbGraderPreprocessor,
    SaveAutoGrades,
)

from autograder.course.assignment import Assignment
from autograder.course.digests import suites_digest
from autograder.intake.submissions import Submission, submission_in
from autograder.nbgrader import formgrader
from autograder.nbgrader.converters import take_their_place
from autograder.nbgrader.ours import PRIVATE, assignment_of, folder_of_caller, remember, reports_folder
from autograder.nbgrader.rebuilt import put_on_top, rebuilt_notebook
from autograder.nbgrader.tools import own_tools_first
from autograder.parsing.budget import reading_budget
from autograder.parsing.cells import all_cells
from autograder.report.files import write_report
from autograder.report.html import exercise_panel
from autograder.report.model import Report
from autograder.report.terminal import printable
from autograder.runs.slots import Slot
from autograder.runtime.errors import KitError, SubmissionError
from autograder.sandbox import probe

_KEY = "fcoskit"
_PRIVATE = ("source", "submitted", "autograded", "feedback", "gradebook.db", PRIVATE)  # of no student's business
_slots: dict[tuple[str, Path], tuple[str, Slot]] = {}


def configure(config: Any, root: Path | str | None = None) -> None:
    """Set nbgrader up for the kit; called from `nbgrader_config.py`.

    Only the kit's assignments are touched: course folder, gradebook and everything else stay as the course has them.

    Args:
        config: What `get_config()` gives there.
        root: The folder that holds the kit's `assignment/` and `release/`; if left out, that of the calling file or
            of the current folder or one above them, or else where this package was installed from.
    """
    own_tools_first()
    here = folder_of_caller(1)
    remember(config, root, here or Path.cwd())
    if "root" not in config.CourseDirectory and here is not None and str(here) == config.Fcoskit.root:
        config.CourseDirectory.root = config.Fcoskit.root
    config.Autograde.exporter_class = "autograder.nbgrader.plugin.TolerantExporter"
    config.Autograde.sanitize_preprocessors = [RebuildFromRelease, CheckCellMetadata]
    config.Autograde.autograde_preprocessors = [
        GradeWithKit,
        SaveKitGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    if "logging_config" not in config.Application:
        printed = {"class": "autograder.nbgrader.printed.PrintableFormatter"}
        config.Application.logging_config = {"formatters": {"console": printed}}
    take_their_place()
    formgrader.take_its_place()


class TolerantExporter(NotebookExporter):  # type: ignore[misc]
    """Reads any file as a notebook: one that is none, or is not there, becomes an empty one for the engine to judge."""

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        """See nbconvert."""
        try:
            with reading_budget():
                nbformat.read(filename, as_version=4)
        except Exception:  # nbformat raises many kinds for what is no notebook
            path = Path(filename)
            resources = resources or {}
            resources["metadata"] = {"name": path.stem, "path": str(path.parent), "modified_date": ""}
            return self.from_notebook_node(nbformat.v4.new_notebook(), resources=resources, **kw)
        return super().from_filename(filename, resources=resources, **kw)


class _KitStep:
    """Knows which course folder and assignment is at hand."""

    parent: Any
    config: Any

    @property
    def coursedir(self) -> Any:
        """The course folder, as nbgrader has it."""
        return self.parent.parent.coursedir

    def assignment(self, resources: Any) -> Assignment:
        """The assignment at hand.

        Raises:
            KitError: It is not the kit's: `configure` was not called, or its settings were overwritten.
        """
        found = assignment_of(self.config, resources["nbgrader"]["assignment"])
        if found is None:
            raise KitError(
                f"{resources['nbgrader']['assignment']} is no assignment of the kit's, but its steps would grade it. "
                "Is configure(c) in nbgrader_config.py as shipped, below the course's own settings?"
            )
        return found


class _KitPreprocessor(_KitStep, NbGraderPreprocessor):  # type: ignore[misc]
    """Knows which submission is at hand."""

    def submission(self, resources: Any) -> Submission:
        """What was handed in under `submitted/` for the notebook that nbgrader is working on."""
        names, assignment, coursedir = resources["nbgrader"], self.assignment(resources), self.coursedir
        folder = Path(coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"]))
        return submission_in(folder, names["student"], assignment.notebook, assignment.weights)


class RebuildFromRelease(_KitPreprocessor):
    """Builds the notebook that staff will see: the student's cells, the release's check cells."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        assignment, submission = self.assignment(resources), self.submission(resources)
        try:
            if submission.problem:
                raise SubmissionError(submission.problem)
            data = submission.read(assignment.limits.notebook_megabytes)
            with reading_budget():
                cells = all_cells(data, Path(submission.name).suffix.lower())
                return rebuilt_notebook(assignment, cells), resources
        except SubmissionError as error:
            made = rebuilt_notebook(assignment, [])
            put_on_top(made, str(error))
            return made, resources


class GradeWithKit(_KitPreprocessor):
    """Grades the submission with the engine and shows its verdict in the check cells."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        from autograder.runs.grade import secret_seed, ungraded  # imports torch, which `export` has no use for
        from autograder.runs.run_folder import FIGURE_SEED

        assignment = self.assignment(resources)
        submission = self.submission(resources)
        course = Path(self.coursedir.root)
        folder = reports_folder(course, assignment)
        folder.mkdir(parents=True, exist_ok=True)
        figure_seed = secret_seed(folder / FIGURE_SEED) if assignment.map else None
        report = ungraded(assignment, submission)
        if report is None:
            if submission.name != f"{assignment.notebook}.ipynb":
                shown = printable(submission.name, line=True)
                self.log.warning("%s handed in %s: graded under that name", submission.student, shown)
            report = _slot(assignment, course).grade(submission, secrets.randbits(48), figure_seed)
        write_report(folder / submission.key, report)
        if report.score is None:
            self.log.error("%s: %s", submission.student, report.problem or "a check of ours broke, no score")
            self.log.error("`nbgrader autograde %s` grades it again, as long as it has no score.", assignment.id)
        resources[_KEY] = report
        if report.trouble:
            put_on_top(nb, report.trouble, "There is no verdict on this submission.")
        by_cell = {assignment.exercise(e.id).grade_id: e for e in report.exercises}
        for cell in nb.cells:
            if utils.is_grade(cell):
                cell.outputs = _outputs(report, by_cell.get(cell.metadata.nbgrader.grade_id))
        return nb, resources


def _outputs(report: Report, exercise: Any) -> list[Any]:
    """The panel that staff and student see under a check cell, and the number that nbgrader reads.

    Where nothing could be graded the first cell of the notebook says why, and no panel says it again.
    """
    if exercise is None or report.trouble:
        text = "Not graded: the top of the notebook says why.\n"
        told = nbformat.v4.new_output("stream", name="stdout", text=text)
        return [told] if exercise is None else [told, _number(exercise)]
    panel = nbformat.v4.new_output("display_data", data={"text/html": exercise_panel(exercise=exercise)})
    return [panel, _number(exercise)]


def _number(exercise: Any) -> Any:
    points = json.dumps(float(exercise.points))
    return nbformat.v4.new_output("execute_result", data={"text/plain": points}, execution_count=1)


class SaveKitGrades(_KitStep, SaveAutoGrades):  # type: ignore[misc]
    """Saves grades, each backed by a result of the engine; without one, none is saved."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert.

        Raises:
            KitError: The engine did not run, or the notebook lacks a check cell.
        """
        report = resources.get(_KEY)
        if not isinstance(report, Report):
            raise KitError("No grade saved: the kit's grading step did not run. Is nbgrader_config.py as shipped?")
        assignment = self.assignment(resources)
        cells = {cell.metadata.nbgrader.grade_id for cell in nb.cells if utils.is_grade(cell)}
        wanted = {exercise.grade_id for exercise in assignment.exercises}
        if cells != wanted:
            raise KitError(f"No grade saved: check cells {sorted(cells)}, but the assignment has {sorted(wanted)}.")
        return super().preprocess(nb, resources)

    def _add_score(self, cell: Any, resources: Any) -> None:
        """Save the engine's points, or leave the cell to a human where there is no verdict."""
        report: Report = resources[_KEY]
        grade_id = cell.metadata["nbgrader"]["grade_id"]
        assignment = self.assignment(resources)
        points = {assignment.exercise(e.id).grade_id: e.points for e in report.exercises} or {grade_id: 0.0}
        grade = self.gradebook.find_grade(grade_id, self.notebook_id, self.assignment_id, self.student_id)
        grade.auto_score = points[grade_id] if report.score is not None else None
        grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
        self.gradebook.db.commit()


def _slot(assignment: Assignment, course: Path) -> Slot:
    """One slot for the whole of nbgrader's run; a new one where suites have changed, as formgrader may live to see.

    Args:
        assignment: Which.
        course: nbgrader's course folder, with what student code must not read.

    Raises:
        KitError: None can be started.
    """
    key, digest = (assignment.id, course), suites_digest(assignment)
    if key in _slots and _slots[key][0] == digest:
        return _slots[key][1]
    if key in _slots:
        _slots.pop(key)[1].close()
    log = course / PRIVATE / "nbgrader.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    kind = probe.choose().kind
    probe.keep_out(kind, [folder / name for folder in {course, assignment.root} for name in _PRIVATE])
    slot = Slot(assignment, kind, log)
    slot.start()
    atexit.register(slot.close)
    _slots[key] = (digest, slot)
    return slot

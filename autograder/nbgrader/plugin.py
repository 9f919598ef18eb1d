"""What `nbgrader autograde` runs: our engine in place of nbgrader's kernel, the same verdict in its gradebook.

`nbgrader_config.py` calls `configure`. Learned by trying, and cured here:

- A plain nbconvert preprocessor is disabled by default and silently skipped: ours derive from
  `NbGraderPreprocessor`, and no grade is saved for a cell without a result of ours.
- nbgrader finds cells by their metadata, which Colab does not keep: the notebook that goes into `autograded/`
  is built anew from the student's cells and the release's check cells.
- A notebook that is not valid JSON stops a submission: here it becomes a zero that says why.
- A notebook under another name, and a `.py`, are passed over, with a zero in the export: here the file that counts is
  found by the rule of `fcoskit grade`, and every folder that was handed in gets a verdict.
- An assignment has to be in the gradebook before anything can be graded: it is put there from the release.
"""

from __future__ import annotations

import atexit
import functools
import glob
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

from autograder.course.assignment import Assignment, find_root, load_assignment
from autograder.intake.submissions import Submission, submission_in
from autograder.nbgrader.gradebook import sync_gradebook
from autograder.nbgrader.rebuilt import rebuilt_notebook, unread
from autograder.nbgrader.tools import own_tools_first
from autograder.parsing.budget import reading_budget
from autograder.parsing.cells import all_cells
from autograder.report.files import write_report
from autograder.report.html import exercise_panel
from autograder.report.model import Report
from autograder.runs.slots import Slot
from autograder.runtime.errors import KitError, SubmissionError
from autograder.sandbox import probe

_KEY = "fcoskit"
_PRIVATE = ("source", "submitted", "autograded", "feedback", "gradebook.db", ".fcoskit")  # of no student's business


def configure(config: Any, root: Path | None = None) -> None:
    """Set nbgrader up for the kit; called from `nbgrader_config.py`.

    Args:
        config: What `get_config()` gives there.
        root: The course's folder; found from the current one if left out.
    """
    own_tools_first()
    root = root or find_root()
    database = config.CourseDirectory.get("db_url") or f"sqlite:///{root / 'gradebook.db'}"
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.db_url = database
    config.CourseDirectory.source_directory = str(Path(".fcoskit") / "source")
    config.Autograde.exporter_class = "autograder.nbgrader.plugin.TolerantExporter"
    config.Autograde.sanitize_preprocessors = [RebuildFromRelease, CheckCellMetadata]
    config.Autograde.autograde_preprocessors = [
        GradeWithKit,
        SaveKitGrades,
        AssignLatePenalties,
        CheckCellMetadata,
    ]
    config.Autograde.pre_convert_hook = functools.partial(_before, root, database)


def _before(root: Path, database: str, assignment: str, **_: Any) -> None:
    """What nbgrader calls before a submission: bring the gradebook in step with the release."""
    sync_gradebook(load_assignment(assignment, root), database)


class TolerantExporter(NotebookExporter):  # type: ignore[misc]
    """Reads any file as a notebook: one that is none becomes an empty one, for the engine to judge.

    nbgrader makes its exporter once, when it has listed the notebooks of all folders: here those are put on the list
    that hold none of the right name.
    """

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        listed = getattr(self.parent, "assignments", None)
        if listed is not None:
            _list_all(listed, self.parent.coursedir)

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


def _list_all(listed: dict[str, list[str]], coursedir: Any) -> None:
    """Have each folder that was handed in converted under the released name, whatever it holds.

    Args:
        listed: Notebooks by folder, as nbgrader found them; changed.
        coursedir: nbgrader's.
    """
    name = f"{load_assignment(coursedir.assignment_id, Path(coursedir.root)).notebook}.ipynb"
    submitted = coursedir.submitted_directory
    pattern = coursedir.format_path(submitted, coursedir.student_id, coursedir.assignment_id)
    for folder in glob.glob(pattern):  # noqa: PTH207 (as nbgrader does: the pattern is a whole path)
        wanted = str(Path(folder) / name)
        if Path(folder).is_dir() and wanted not in listed.get(folder, []):
            listed[folder] = [wanted]


class _KitPreprocessor(NbGraderPreprocessor):  # type: ignore[misc]
    """Knows which submission is at hand."""

    def submission(self, resources: Any) -> Submission:
        """What was handed in under `submitted/` for the notebook that nbgrader is working on."""
        names, assignment = resources["nbgrader"], self.assignment(resources)
        coursedir = self.parent.parent.coursedir
        folder = Path(coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"]))
        return submission_in(folder, names["student"], assignment.notebook, assignment.weights)

    def assignment(self, resources: Any) -> Assignment:
        """The assignment at hand."""
        return load_assignment(resources["nbgrader"]["assignment"], Path(self.parent.parent.coursedir.root))


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
            return rebuilt_notebook(assignment, [unread(str(error))]), resources


class GradeWithKit(_KitPreprocessor):
    """Grades the submission with the engine and shows its verdict in the check cells."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        from autograder.runs.grade import secret_seed, ungraded  # imports torch, which `export` has no use for
        from autograder.runs.run_folder import FIGURE_SEED

        assignment = self.assignment(resources)
        submission = self.submission(resources)
        folder = assignment.root / ".fcoskit" / "reports" / assignment.id
        folder.mkdir(parents=True, exist_ok=True)
        figure_seed = secret_seed(folder / FIGURE_SEED) if assignment.map else None
        report = ungraded(assignment, submission)
        if report is None:
            if submission.name != f"{assignment.notebook}.ipynb":
                self.log.warning("%s handed in %s: graded under that name", submission.student, submission.name)
            report = _slot(assignment.id, assignment.root).grade(submission, secrets.randbits(48), figure_seed)
        write_report(folder / submission.key, report)
        if report.score is None:
            self.log.error("%s: %s", submission.student, report.problem or "a check of ours broke, no score")
        resources[_KEY] = report
        by_cell = {assignment.exercise(e.id).grade_id: e for e in report.exercises}
        for cell in nb.cells:
            if utils.is_grade(cell):
                cell.outputs = _outputs(report, by_cell.get(cell.metadata.nbgrader.grade_id))
        return nb, resources


def _outputs(report: Report, exercise: Any) -> list[Any]:
    """The panel that staff and student see under a check cell, and the number that nbgrader reads."""
    if exercise is None:
        text = report.problem or "no verdict"
        return [nbformat.v4.new_output("stream", name="stdout", text=text)]
    panel = nbformat.v4.new_output("display_data", data={"text/html": exercise_panel(exercise=exercise)})
    number = nbformat.v4.new_output(
        "execute_result", data={"text/plain": json.dumps(float(exercise.points))}, execution_count=1
    )
    return [panel, number]


class SaveKitGrades(SaveAutoGrades):  # type: ignore[misc]
    """Saves grades, each backed by a result of the engine; without one, none is saved."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert.

        Raises:
            KitError: The engine did not run, or the notebook lacks a check cell.
        """
        report = resources.get(_KEY)
        if not isinstance(report, Report):
            raise KitError("No grade saved: the kit's grading step did not run. Is nbgrader_config.py as shipped?")
        assignment = load_assignment(report.assignment, Path(self.parent.parent.coursedir.root))
        cells = {cell.metadata.nbgrader.grade_id for cell in nb.cells if utils.is_grade(cell)}
        wanted = {exercise.grade_id for exercise in assignment.exercises}
        if cells != wanted:
            raise KitError(f"No grade saved: check cells {sorted(cells)}, but the assignment has {sorted(wanted)}.")
        return super().preprocess(nb, resources)

    def _add_score(self, cell: Any, resources: Any) -> None:
        """Save the engine's points, or leave the cell to a human where there is no verdict."""
        report: Report = resources[_KEY]
        grade_id = cell.metadata["nbgrader"]["grade_id"]
        assignment = load_assignment(report.assignment, Path(self.parent.parent.coursedir.root))
        points = {assignment.exercise(e.id).grade_id: e.points for e in report.exercises} or {grade_id: 0.0}
        grade = self.gradebook.find_grade(grade_id, self.notebook_id, self.assignment_id, self.student_id)
        grade.auto_score = points[grade_id] if report.score is not None else None
        grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
        self.gradebook.db.commit()


@functools.cache
def _slot(assignment_id: str, root: Path) -> Slot:
    """One slot for the whole of nbgrader's run."""
    assignment = load_assignment(assignment_id, root)
    log = root / ".fcoskit" / "nbgrader.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    kind = probe.choose().kind
    probe.keep_out(kind, [root / name for name in _PRIVATE])
    slot = Slot(assignment, kind, log)
    slot.start()
    atexit.register(slot.close)
    return slot

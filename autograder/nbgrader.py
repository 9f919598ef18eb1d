"""What `nbgrader autograde` runs: our engine in place of nbgrader's kernel, the same verdict in its gradebook.

`nbgrader_config.py` calls `configure`. Learned by trying, and cured here:

- A plain nbconvert preprocessor is disabled by default and silently skipped: ours derive from
  `NbGraderPreprocessor`, and no grade is saved for a cell without a result of ours.
- nbgrader finds cells by their metadata, which Colab does not keep: the notebook that goes into `autograded/`
  is built anew from the student's cells and the release's check cells.
- A notebook that is not valid JSON stops a submission: here it becomes a zero that says why.
- An assignment has to be in the gradebook before anything can be graded: it is put there from the release.
"""

from __future__ import annotations

import ast
import atexit
import functools
import json
import secrets
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    NbGraderPreprocessor,
    SaveAutoGrades,
)

from autograder.assignment import Assignment, find_root, load_assignment
from autograder.errors import KitError, SubmissionError
from autograder.grade import choose_sandbox
from autograder.notebook import all_cells
from autograder.report.files import write_report
from autograder.report.html import exercise_panel
from autograder.report.model import Report
from autograder.slots import Slot
from autograder.submissions import Submission, safe_key
from autograder.tools import own_tools_first

_KEY = "fcoskit"


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
    config.Autograde.exporter_class = "autograder.nbgrader.TolerantExporter"
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


def sync_gradebook(assignment: Assignment, database: str) -> None:
    """Put the release's cells into the gradebook, or bring the points there up to date. Grades are kept.

    Raises:
        KitError: There is no release.
    """
    name = assignment.notebook
    with Gradebook(database) as gradebook:
        gradebook.update_or_create_assignment(assignment.id)
        gradebook.update_or_create_notebook(name, assignment.id)
        for cell in release_cells(assignment):
            if "nbgrader" not in cell.metadata:
                continue
            key = (cell.metadata.nbgrader.grade_id, name, assignment.id)
            if utils.is_grade(cell):
                points = float(cell.metadata.nbgrader.points)
                gradebook.update_or_create_grade_cell(*key, max_score=points, cell_type=cell.cell_type)
            if utils.is_solution(cell):
                gradebook.update_or_create_solution_cell(*key)
            gradebook.update_or_create_source_cell(
                *key,
                cell_type=cell.cell_type,
                locked=utils.is_locked(cell),
                source=cell.source,
                checksum=cell.metadata.nbgrader.get("checksum"),
            )


def release_cells(assignment: Assignment) -> list[Any]:
    """The cells of the released notebook.

    Raises:
        KitError: There is no release.
    """
    path = assignment.release / f"{assignment.notebook}.ipynb"
    if not path.is_file():
        raise KitError(f"{path} is not there: run `fcoskit release {assignment.id}` first.")
    return list(nbformat.read(path, as_version=4).cells)


class TolerantExporter(NotebookExporter):  # type: ignore[misc]
    """Reads any file as a notebook: one that is none becomes an empty one, for the engine to judge."""

    def from_filename(self, filename: str, resources: Any = None, **kw: Any) -> Any:
        """See nbconvert."""
        try:
            nbformat.read(filename, as_version=4)
        except Exception:  # nbformat raises many kinds for what is no notebook
            path = Path(filename)
            resources = resources or {}
            resources["metadata"] = {"name": path.stem, "path": str(path.parent), "modified_date": ""}
            return self.from_notebook_node(nbformat.v4.new_notebook(), resources=resources, **kw)
        return super().from_filename(filename, resources=resources, **kw)


class _KitPreprocessor(NbGraderPreprocessor):  # type: ignore[misc]
    """Knows which submission is at hand."""

    def submission(self, resources: Any) -> Submission:
        """The file under `submitted/` that nbgrader is working on."""
        names = resources["nbgrader"]
        coursedir = self.parent.parent.coursedir
        folder = coursedir.format_path(coursedir.submitted_directory, names["student"], names["assignment"])
        path = Path(folder) / f"{names['notebook']}.ipynb"
        return Submission(names["student"], safe_key(names["student"]), path)

    def assignment(self, resources: Any) -> Assignment:
        """The assignment at hand."""
        return load_assignment(resources["nbgrader"]["assignment"], Path(self.parent.parent.coursedir.root))


class RebuildFromRelease(_KitPreprocessor):
    """Builds the notebook that staff will see: the student's cells, the release's check cells."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        assignment = self.assignment(resources)
        try:
            data = self.submission(resources).read(assignment.limits.notebook_megabytes)
            cells = all_cells(data, ".ipynb")
        except SubmissionError as error:
            cells = [("markdown", f"**This submission could not be read.** {error}")]
        return rebuilt_notebook(assignment, cells), resources


def rebuilt_notebook(assignment: Assignment, cells: list[tuple[str, str]]) -> Any:
    """A notebook with the student's cells as they are and the release's check cells where they belong.

    Args:
        assignment: Whose release.
        cells: Kind ("code", "markdown", "raw") and source of each of the student's cells.
    """
    release = release_cells(assignment)
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    made = [make.get(kind, nbformat.v4.new_raw_cell)(source) for kind, source in cells]
    for cell in release:
        if utils.is_solution(cell):
            _mark_solution(cell, made)
    for exercise in assignment.exercises:
        check = next(c for c in release if c.metadata.get("nbgrader", {}).get("grade_id") == exercise.grade_id)
        place = _place_of_check(exercise.id, exercise.names, made)
        made[place[0] : place[1]] = [check]
    for index, cell in enumerate(made):
        cell["id"] = f"cell-{index:04d}"
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def _mark_solution(released: Any, made: list[Any]) -> None:
    """Give the release's metadata to the last student cell that defines the same names, for staff's comments."""
    names = _defined(released.source)
    for cell in reversed(made):
        if cell.cell_type == "code" and "nbgrader" not in cell.metadata and names & _defined(cell.source):
            cell.metadata["nbgrader"] = dict(released.metadata.nbgrader)
            return


def _place_of_check(exercise: str, names: tuple[str, ...], made: list[Any]) -> tuple[int, int]:
    """Where the check cell goes: in place of the student's own, behind what it checks, or at the end."""
    calls = (f'check("{exercise}")', f"check('{exercise}')")
    for index, cell in enumerate(made):
        if cell.cell_type == "code" and cell.source.strip() in calls:
            return index, index + 1
    behind = [i + 1 for i, c in enumerate(made) if c.cell_type == "code" and set(names) & _defined(c.source)]
    place = max(behind, default=len(made))
    return place, place


def _defined(source: str) -> set[str]:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


class GradeWithKit(_KitPreprocessor):
    """Grades the submission with the engine and shows its verdict in the check cells."""

    def preprocess(self, nb: Any, resources: Any) -> Any:
        """See nbconvert."""
        assignment = self.assignment(resources)
        submission = self.submission(resources)
        folder = assignment.root / ".fcoskit" / "reports" / assignment.id
        folder.mkdir(parents=True, exist_ok=True)
        report = _slot(assignment.id, assignment.root).grade(submission, secrets.randbits(48))
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
        points = {e.id.replace(".", "-"): e.points for e in report.exercises}
        grade_id = cell.metadata["nbgrader"]["grade_id"]
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
    slot = Slot(assignment, choose_sandbox("auto"), log)
    slot.start()
    atexit.register(slot.close)
    return slot

"""nbgrader's gradebook, brought in step with the release: its cells and points are the assignment's, grades stay.

nbgrader itself makes a grade for each cell when a submission comes in, and never again: an exercise that is added later
is missing from all earlier ones. Here each submission has a grade for each cell, however often the assignment changes.
"""

from __future__ import annotations

from typing import Any

from nbgrader import utils
from nbgrader.api import Comment, Grade, Gradebook, SubmittedNotebook

from autograder.course.assignment import Assignment
from autograder.nbgrader.rebuilt import defined_names, release_cells
from autograder.runtime.errors import KitError

_SHOWN = 5  # students whose points stand in the way, by name


def sync_gradebook(assignment: Assignment, database: str, course_id: str = "default_course") -> list[str]:
    """Put the release's cells into the gradebook, bring points up to date, take out what the release lacks.

    Grades and comments of the cells that stay are kept, also of those that go by another name now: an exercise that
    says so (`was` in `assignment.toml`), a cell to fill in that defines what the old one did.

    Args:
        assignment: Which.
        database: Address of the gradebook.
        course_id: nbgrader's, where the course has one.

    Returns:
        A sentence for each grade set by hand that does not fit the points there are now.

    Raises:
        KitError: There is no release, or one of other exercises or points than the assignment has; the assignment
            gives points that nbgrader has no cell for; or a cell that would go has points or comments that a human set.
    """
    if assignment.map is not None and assignment.map.points:
        raise KitError(
            f"assignment.toml gives the weights of {assignment.map.id} {assignment.map.points:g} points, but no cell "
            "of the notebook stands for them, so nbgrader cannot hold them. Set its points to 0, leave marks_at out, "
            "or use `fcoskit grade`."
        )
    cells = [cell for cell in release_cells(assignment) if "nbgrader" in cell.metadata]
    _refuse_old_release(assignment, cells)
    with Gradebook(database, course_id) as gradebook:
        gradebook.update_or_create_assignment(assignment.id)
        notebook = _notebook(gradebook, assignment)
        _rename(assignment, notebook, cells)
        _remove_others(gradebook, notebook, cells)
        for cell in cells:
            _add(gradebook, assignment, cell)
        _complete(gradebook, notebook)
        return _beyond(notebook)


def _refuse_old_release(assignment: Assignment, cells: list[Any]) -> None:
    released = {c.metadata.nbgrader.grade_id: float(c.metadata.nbgrader.points) for c in cells if utils.is_grade(c)}
    wanted = {exercise.grade_id: exercise.points for exercise in assignment.exercises}
    if released != wanted:
        differ = sorted(name for name in {*released, *wanted} if released.get(name) != wanted.get(name))
        raise KitError(
            f"release/{assignment.id} and assignment.toml differ in {', '.join(differ)}: exercises or points have "
            f"changed since the release. Run `fcoskit release {assignment.id}` first. Nothing was changed or graded."
        )


def _notebook(gradebook: Any, assignment: Assignment) -> Any:
    """The gradebook's entry of the notebook; one that had another name gets the one of now."""
    held = gradebook.find_assignment(assignment.id).notebooks
    if len(held) == 1 and held[0].name != assignment.notebook:
        held[0].name = assignment.notebook
        gradebook.db.commit()
    return gradebook.update_or_create_notebook(assignment.notebook, assignment.id)


def _rename(assignment: Assignment, notebook: Any, cells: list[Any]) -> None:
    """Have cells that only changed their name keep what hangs on them; saved with what comes after."""
    graded = {cell.name: cell for cell in notebook.grade_cells}
    wanted = {exercise.grade_id for exercise in assignment.exercises}
    for exercise in assignment.exercises:
        old = exercise.was.replace(".", "-")
        if old in graded and old not in wanted and exercise.grade_id not in graded:
            graded[exercise.grade_id] = graded.pop(old)
            graded[exercise.grade_id].name = exercise.grade_id
    solved = {cell.name: cell for cell in notebook.solution_cells}
    sources = {cell.name: cell.source or "" for cell in notebook.source_cells}
    new = {c.metadata.nbgrader.grade_id: defined_names(c.source) for c in cells if utils.is_solution(c)}
    for name, names in new.items():
        before = [old for old in solved if old not in new and names & defined_names(sources.get(old, ""))]
        if name not in solved and len(before) == 1:
            solved[name] = solved.pop(before[0])
            solved[name].name = name


def _add(gradebook: Any, assignment: Assignment, cell: Any) -> None:
    key = (cell.metadata.nbgrader.grade_id, assignment.notebook, assignment.id)
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


def _complete(gradebook: Any, notebook: Any) -> None:
    """Give each submission a grade and a comment for each cell that it has none for: no points, for a human to see."""
    for submission in notebook.assignment.submissions:
        held = next((one for one in submission.notebooks if one.notebook is notebook), None)
        if held is None:
            held = SubmittedNotebook(notebook=notebook, assignment=submission)
            gradebook.db.add(held)
        graded, said = {grade.cell_id for grade in held.grades}, {comment.cell_id for comment in held.comments}
        rows = [Grade(cell_id=cell.id, notebook=held) for cell in notebook.grade_cells if cell.id not in graded]
        rows += [Comment(cell_id=cell.id, notebook=held) for cell in notebook.solution_cells if cell.id not in said]
        gradebook.db.add_all(rows)
    gradebook.db.commit()


def _beyond(notebook: Any) -> list[str]:
    """What to look at again: points set by hand that are more than a cell gives now."""
    return [
        f"{grade.student.id}: {cell.name} has {grade.manual_score:g} points that a human set, but gives "
        f"{cell.max_score:g} at most now. They count as they are: look at them in formgrader."
        for cell in notebook.grade_cells
        for grade in cell.grades
        if grade.manual_score is not None and grade.manual_score > cell.max_score
    ]


def _remove_others(gradebook: Any, notebook: Any, cells: list[Any]) -> None:
    """Take out the cells that the release lacks, and what the engine gave for them: else they count in every maximum.

    Raises:
        KitError: A human's work hangs on one of them; nothing is changed.
    """

    def lacks(kind: Any, held: Any) -> list[Any]:
        kept = {cell.metadata.nbgrader.grade_id for cell in cells if kind(cell)}
        return [one for one in held if one.name not in kept]

    graded = lacks(utils.is_grade, notebook.grade_cells)
    solved = lacks(utils.is_solution, notebook.solution_cells)
    grades = [grade for cell in graded for grade in cell.grades]
    comments = [comment for cell in solved for comment in cell.comments]
    by_hand = [g for g in grades if g.manual_score is not None or g.extra_credit]
    by_hand += [comment for comment in comments if comment.manual_comment]
    if by_hand:
        gradebook.db.rollback()  # of what was renamed, too
        raise KitError(_in_the_way(by_hand))
    for row in [*grades, *comments, *graded, *solved, *lacks(lambda cell: True, notebook.source_cells)]:
        gradebook.db.delete(row)
    gradebook.db.commit()


def _in_the_way(by_hand: list[Any]) -> str:
    """What to say of a human's work on cells that are no longer there."""
    cells = sorted({row.cell.name for row in by_hand})
    students = sorted({row.student.id for row in by_hand})
    more = f" and {len(students) - _SHOWN} more" if len(students) > _SHOWN else ""
    return (
        f"The release has no {', '.join(cells)} any more, but the gradebook has points or comments for "
        f"it that a human set, of {', '.join(students[:_SHOWN])}{more}. Nothing was changed. Clear them in formgrader, "
        "or put the cell back into the release. If another exercise takes its place, write was = "
        '"<its old id>" into that exercise\'s table in assignment.toml: what was set goes there.'
    )

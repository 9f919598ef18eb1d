"""nbgrader's gradebook, brought in step with the release: its cells and points are the assignment's, grades stay."""

from __future__ import annotations

from typing import Any

from nbgrader import utils
from nbgrader.api import Gradebook

from autograder.course.assignment import Assignment
from autograder.nbgrader.rebuilt import release_cells
from autograder.runtime.errors import KitError


def sync_gradebook(assignment: Assignment, database: str) -> None:
    """Put the release's cells into the gradebook, bring points up to date, take out what the release lacks.

    Grades of the cells that stay are kept.

    Raises:
        KitError: There is no release, the assignment gives points that nbgrader has no cell for, or a cell that would
            go has points or comments that a human set.
    """
    if assignment.map is not None and assignment.map.points:
        raise KitError(
            f"assignment.toml gives the weights of {assignment.map.id} {assignment.map.points:g} points, but no cell "
            "of the notebook stands for them, so nbgrader cannot hold them. Set its points to 0, leave marks_at out, "
            "or use `fcoskit grade`."
        )
    cells = [cell for cell in release_cells(assignment) if "nbgrader" in cell.metadata]
    with Gradebook(database) as gradebook:
        gradebook.update_or_create_assignment(assignment.id)
        notebook = gradebook.update_or_create_notebook(assignment.notebook, assignment.id)
        _remove_others(gradebook, notebook, cells)
        for cell in cells:
            _add(gradebook, assignment, cell)


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


def _remove_others(gradebook: Any, notebook: Any, cells: list[Any]) -> None:
    """Take out the cells that the release lacks, and what the engine gave for them: else they count in every maximum.

    Raises:
        KitError: A human's work hangs on one of them; nothing is removed.
    """

    def lacks(kind: Any, held: Any) -> list[Any]:
        kept = {cell.metadata.nbgrader.grade_id for cell in cells if kind(cell)}
        return [one for one in held if one.name not in kept]

    graded = lacks(utils.is_grade, notebook.grade_cells)
    solved = lacks(utils.is_solution, notebook.solution_cells)
    grades = [grade for cell in graded for grade in cell.grades]
    comments = [comment for cell in solved for comment in cell.comments]
    by_hand = {g.cell.name for g in grades if g.manual_score is not None or g.extra_credit}
    by_hand |= {comment.cell.name for comment in comments if comment.manual_comment}
    if by_hand:
        raise KitError(
            f"The release has no {', '.join(sorted(by_hand))} any more, but the gradebook has points or comments for "
            "it that a human set. Nothing was changed. Clear them in formgrader, or put the cell back into the release."
        )
    for row in [*grades, *comments, *graded, *solved, *lacks(lambda cell: True, notebook.source_cells)]:
        gradebook.db.delete(row)
    gradebook.db.commit()

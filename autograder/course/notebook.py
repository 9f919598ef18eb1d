"""The instructor's percent file as a notebook: with solutions, or as nbgrader's source for the release."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.jupyter import jupytext, nbformat
from autograder.course.markers import Parted, part
from autograder.runtime.errors import KitError

_IMAGE = re.compile(r"!\[([^\]]*)\]\(images/([A-Za-z0-9_-]+\.png)\)")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def source_notebook(assignment: Assignment, text: str | None = None) -> Any:
    """The source as a notebook node, markers and all, with cell ids that depend on nothing but position.

    Args:
        assignment: Whose source.
        text: Another text to read in its place (a sample submission's, say).

    Raises:
        KitError: It is not there or jupytext cannot read it.
    """
    try:
        notebook = jupytext.reads(text or assignment.source.read_text(encoding="utf-8"), fmt="py:percent")
    except OSError as error:
        raise KitError(f"{assignment.source} cannot be read: {error.strerror}.") from error
    except Exception as error:  # jupytext raises many kinds for headers it cannot read
        raise KitError(f"{assignment.source} is not a percent notebook: {error}.") from error
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell.source = _IMAGE.sub(lambda found: _embedded(assignment, found), cell.source)
        cell["id"] = f"{assignment.id}-{index:03d}"
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's own, of no use in a notebook
    return notebook


def _embedded(assignment: Assignment, found: re.Match[str]) -> str:
    """An image link with the picture itself in it, so that the notebook stays one file."""
    path = assignment.folder / "images" / found[2]
    if not path.is_file():
        raise KitError(f"{assignment.source.name} shows images/{found[2]}, which is not there.")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"![{found[1]}](data:image/png;base64,{data})"


def first_lines(text: str, cells: int) -> list[int]:
    """The line of a percent file in which each of its cells begins; [] where that cannot be told.

    Args:
        text: The file's.
        cells: How many cells it was read as.
    """
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines, start=1) if re.match(r"#\s*%%", line)]
    if len(heads) != cells:  # something stands before the first head, say
        return []
    found = []
    for head in heads:
        blank = next((n for n, line in enumerate(lines[head:]) if line.strip()), 0)  # jupytext leaves them out
        found.append(head + 1 + blank)
    return found


def parted_cells(assignment: Assignment, notebook: Any, text: str | None = None) -> list[Parted]:
    """Every cell parted into given and solution; a solution cell without markers is all solution.

    Args:
        assignment: Whose.
        notebook: From `source_notebook`.
        text: What it was read from, if not the source.

    Raises:
        KitError: Markers are wrong, or stand in a cell that nbgrader does not know as a solution.
    """
    cells = []
    starts = first_lines(text or assignment.source.read_text(encoding="utf-8"), len(notebook.cells))
    for number, cell in enumerate(notebook.cells, start=1):
        where = f"{assignment.source.name}, cell {number}"
        place = (assignment.source.name, starts[number - 1]) if starts else (where, 1)
        parted = part(cell.source, *place)
        is_solution = bool(cell.metadata.get("nbgrader", {}).get("solution"))
        if parted.solution and not is_solution:
            raise KitError(f'{where} holds a solution, but its header lacks nbgrader={{"solution": true, ...}}.')
        if is_solution and not parted.solution:
            parted = Parted((), tuple(cell.source.splitlines()), parted.merged)
        cells.append(replace(parted, is_code=cell.cell_type == "code"))
    return cells


def solved_notebook(assignment: Assignment, text: str | None = None) -> Any:
    """The source with its solutions and without markers: what a perfect student hands in."""
    notebook = source_notebook(assignment, text)
    for cell, parted in zip(notebook.cells, parted_cells(assignment, notebook, text), strict=True):
        cell.source = parted.merged
    return notebook


def check_cells(assignment: Assignment, notebook: Any) -> None:
    """Hold the notebook's check cells to the assignment's exercises.

    Raises:
        KitError: An exercise has no check cell, or its points differ.
    """
    points = {
        meta["grade_id"]: (float(meta.get("points", 0)), cell.source)
        for cell in notebook.cells
        if (meta := cell.metadata.get("nbgrader", {})).get("grade")
    }
    for exercise in assignment.exercises:
        if exercise.grade_id not in points:
            raise KitError(
                f"{assignment.source.name} has no check cell for {exercise.id} "
                f"(nbgrader grade_id {exercise.grade_id!r}, grade true)."
            )
        worth, source = points.pop(exercise.grade_id)
        if worth != exercise.points:
            raise KitError(f"The cell of {exercise.id} says {worth:g} points, assignment.toml {exercise.points:g}.")
        if f'check("{exercise.id}")' not in source:
            raise KitError(f'The check cell of {exercise.id} does not call check("{exercise.id}").')
    if points:
        raise KitError(f"The notebook grades {sorted(points)[0]!r}, which assignment.toml does not know.")

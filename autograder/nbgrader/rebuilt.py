"""The notebook that nbgrader's staff see: the student's cells, and the release's check cells where they belong."""

from __future__ import annotations

import ast
import html
import re
import warnings
from typing import Any

import nbformat
from nbgrader import utils

from autograder.course.assignment import Assignment
from autograder.runtime.errors import KitError

_NESTED = 4  # entities within entities; what is left after that is text, for a page resolves them once
_NOTICE = "no-verdict"  # id of the cell that says why
_GAP = r"[\s\x00-\x1f]*"
_ACTS = re.compile(
    "(" + _GAP.join("javascript") + "|" + _GAP.join("vbscript") + "|" + _GAP.join("data") + ")" + _GAP + ":",
    re.IGNORECASE,
)
_LOOKS_DEFINED = re.compile(r"^(?:def|class)[ \t]+(\w+)", re.MULTILINE)

UNREAD = "This submission could not be read."


def unread(problem: str, headline: str = UNREAD) -> tuple[str, str]:
    """A cell that says why a submission could not be read; names of files in it are a student's, so nothing acts."""
    told = html.escape(" ".join(problem.split()), quote=False)
    return "markdown", f'**{headline}**\n\n<pre style="white-space: pre-wrap">{told}</pre>'


def put_on_top(notebook: Any, problem: str, headline: str = UNREAD) -> None:
    """Have a notebook begin with why there is no verdict on it; once, however often it is asked."""
    _, source = unread(problem, headline)
    if not any(cell.get("id") == _NOTICE for cell in notebook.cells):
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(source, id=_NOTICE))


def release_cells(assignment: Assignment) -> list[Any]:
    """The cells of the released notebook.

    Raises:
        KitError: There is no release.
    """
    path = assignment.release / f"{assignment.notebook}.ipynb"
    if not path.is_file():
        raise KitError(f"{path} is not there: run `fcoskit release {assignment.id}` first.")
    return list(nbformat.read(path, as_version=4).cells)


def rebuilt_notebook(assignment: Assignment, cells: list[tuple[str, str]]) -> Any:
    """A notebook with the student's cells as they are and the release's check cells where they belong.

    Args:
        assignment: Whose release.
        cells: Kind ("code", "markdown", "raw") and source of each of the student's cells.
    """
    release = release_cells(assignment)
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    given = {cell.source for cell in release}
    made = [make.get(kind, nbformat.v4.new_raw_cell)(_harmless(kind, source, given)) for kind, source in cells]
    defined = {id(cell): defined_names(cell.source) for cell in made if cell.cell_type == "code"}  # each is parsed once
    for cell in release:
        if utils.is_solution(cell):
            _mark_solution(cell, made, defined)
    for exercise in assignment.exercises:
        check = next(c for c in release if c.metadata.get("nbgrader", {}).get("grade_id") == exercise.grade_id)
        place = _place_of_check(exercise.id, exercise.names, made, defined)
        made[place[0] : place[1]] = [check]
    for index, cell in enumerate(made):
        cell["id"] = f"cell-{index:04d}"
    notebook = nbformat.v4.new_notebook(cells=made)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def _harmless(kind: str, source: str, given: set[str]) -> str:
    """A cell's source as staff's browser may show it: HTML in a student's text that could act is text.

    nbgrader shows notebooks at Jupyter's own origin, where a script could do what its reader may. Entities are resolved
    first: what they hide from the look would be there again in the page.
    """
    if kind == "code" or source in given:
        return source
    from nbconvert.preprocessors.sanitize import SanitizeHTML

    for _ in range(_NESTED):
        before, source = source, html.unescape(source)
        if source == before:
            break
    return str(SanitizeHTML().sanitize_html_tags(_ACTS.sub(r"\1 :", source)))


def _mark_solution(released: Any, made: list[Any], defined: dict[int, set[str]]) -> None:
    """Give the release's metadata to the last student cell that defines the same names, for staff's comments."""
    names = defined_names(released.source)
    for cell in reversed(made):
        if "nbgrader" not in cell.metadata and names & defined.get(id(cell), set()):
            cell.metadata["nbgrader"] = dict(released.metadata.nbgrader)
            return


def _place_of_check(
    exercise: str, names: tuple[str, ...], made: list[Any], defined: dict[int, set[str]]
) -> tuple[int, int]:
    """Where the check cell goes: in place of the student's own, behind what it checks, or at the end."""
    calls = (f'check("{exercise}")', f"check('{exercise}')")
    for index, cell in enumerate(made):
        if cell.cell_type == "code" and cell.source.strip() in calls:
            return index, index + 1
    behind = [i + 1 for i, cell in enumerate(made) if set(names) & defined.get(id(cell), set())]
    place = max(behind, default=len(made))
    return place, place


def defined_names(source: str) -> set[str]:
    """Functions and classes that a cell defines at its top; where Python cannot read it, what looks like it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a student's strings, said to nobody who could mend it
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(_LOOKS_DEFINED.findall(source))  # whoever left out a bracket needs a comment most
    return {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}

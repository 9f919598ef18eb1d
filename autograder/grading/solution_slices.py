"""The instructor's solution cut to what some names need, as it is or with a fault in it."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.parsing.cells import Cell, parse_cell, read_notebook
from autograder.parsing.slicing import Slice, make_slice
from autograder.parsing.statements import statements_of
from autograder.runtime.errors import KitError

_WORD = re.compile(r"\b[^\W\d]\w*")
_DEFINED = re.compile(r"^(?:class|def)\s+(\w+)", re.MULTILINE)


def solution_slice(
    assignment: Assignment,
    names: tuple[str, ...],
    source: str | None = None,
    changes: tuple[tuple[str, str], ...] = (),
) -> Slice:
    """What some names need of the instructor's solution.

    Args:
        assignment: Whose.
        names: The names wanted.
        source: Another text in place of the instructor's source.
        changes: Texts of the solved notebook's cells, and what takes their place: a fault.

    Raises:
        KitError: Python cannot read a cell of it.
    """
    data = assignment.source.read_bytes() if source is None else source.encode()
    not_run = assignment.not_run | set(assignment.wanted)
    given = tuple(assignment.globals)
    whole = _cut_solution(data, assignment.source, names, not_run, given)
    if not changes:
        return whole
    changed = _changed_in_place(whole, changes, _bound_in(data))
    if changed is None:
        cells = _changed_cells(_solution_cells(data), changes)
        changed = _cut(cells, assignment.source, names, not_run, given)
    return changed


@functools.lru_cache(maxsize=64)  # each submission of a class asks for the same ones
def _cut_solution(
    data: bytes, path: Path, names: tuple[str, ...], not_run: frozenset[str], given: tuple[str, ...]
) -> Slice:
    return _cut(_solution_cells(data), path, names, not_run, given)


def _cut(
    cells: list[Cell], path: Path, names: tuple[str, ...], not_run: frozenset[str], given: tuple[str, ...]
) -> Slice:
    """What the wanted names need of a solution. Not to be changed: others get it, too.

    Raises:
        KitError: Python cannot read a cell of `path`.
    """
    problem = next((cell.problem for cell in cells if cell.problem), None)
    if problem:
        raise KitError(f"{path}: {problem[1]} in {problem[0]}. A TA has to mend it.")
    return make_slice(cells, names, not_run, given)


def _changed_cells(cells: list[Cell], changes: tuple[tuple[str, str], ...]) -> list[Cell]:
    for old, new in changes:
        cells = [parse_cell(c.number, c.source.replace(old, new)) if old in c.source else c for c in cells]
    return cells


def _changed_in_place(whole: Slice, changes: tuple[tuple[str, str], ...], bound: frozenset[str]) -> Slice | None:
    """A slice with changes in its statements, at a fraction of what cutting it anew costs.

    None where the changes may reach further: beyond one statement, to what it defines, or to names of the notebook that
    the slice lacks.
    """
    statements, cells = list(whole.statements), list(whole.whole_cells)
    beyond = bound - {name for statement in statements for name in statement.binds}
    for old, new in changes:
        if not any(old in s.source for s in statements) or not beyond.isdisjoint(_WORD.findall(new)):
            return None
        statements = [replace(s, source=s.source.replace(old, new)) if old in s.source else s for s in statements]
        cells = [(number, text.replace(old, new)) for number, text in cells]
    pairs = zip(whole.statements, statements, strict=True)
    if any(_DEFINED.findall(before.source) != _DEFINED.findall(after.source) for before, after in pairs):
        return None
    return replace(whole, statements=tuple(statements), whole_cells=tuple(cells))


@functools.lru_cache(maxsize=4)
def _bound_in(data: bytes) -> frozenset[str]:
    """Every name that the solution binds at the top of a cell."""
    return frozenset(name for cell in _solution_cells(data) for s in statements_of(cell) for name in s.binds)


@functools.lru_cache(maxsize=4)
def _solution_cells(data: bytes) -> list[Cell]:
    return read_notebook(data, ".py")

"""Exercises of which a case of the proof has nothing to say that the solution has not said.

What comes to the same is not graded once more: most of the proof would be just that.
"""

from __future__ import annotations

import ast
import functools
import zlib
from dataclasses import replace
from pathlib import Path

from autograder.course.assignment import Assignment, Exercise
from autograder.course.jupyter import nbformat
from autograder.grading.samples import Sample, solved, touched_names
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import Slice, make_slice
from autograder.parsing.statements import Statement

_TRIED = 12  # one case of so many is graded all the same where only what is replaced differs


def nothing_new(assignment: Assignment, sample: Sample, path: Path) -> tuple[str, ...]:
    """Ids of the exercises that need not be graded.

    - Their code is the solution's, letter by letter.
    - It differs only within functions whose place stand-ins take before any of them runs.
    - They are slow, and stand-ins replace all that the case touches.

    Args:
        assignment: Whose.
        sample: The case.
        path: Its notebook.
    """
    found = _same_code(assignment, sample, path) | _out_of_sight(assignment, sample)
    return tuple(e.id for e in assignment.exercises if e.id in found)


def _same_code(assignment: Assignment, sample: Sample, path: Path) -> set[str]:
    key = assignment.source.read_bytes()
    if key not in _SOLUTION:
        _SOLUTION.clear()
        _SOLUTION[key] = _slices(assignment, nbformat.writes(solved(assignment)).encode(), ".ipynb")
    slices, right = _slices(assignment, path.read_bytes(), path.suffix), _SOLUTION[key]
    same = {e.id for e in assignment.exercises if slices[e.id] == right[e.id]}
    if zlib.crc32(sample.student.encode()) % _TRIED:
        same |= {e.id for e in assignment.exercises if _same_but_for_replaced(e, slices[e.id], right[e.id])}
    return {e.id for e in assignment.exercises if {e.id, *(other for other, _ in e.follows)} <= same}


_SOLUTION: dict[bytes, dict[str, Slice]] = {}


def _slices(assignment: Assignment, data: bytes, suffix: str) -> dict[str, Slice]:
    cells = read_notebook(data, suffix)
    rest = assignment.not_run, assignment.globals, assignment.wanted
    return {e.id: make_slice(cells, e.names, *rest) for e in assignment.exercises}


def _same_but_for_replaced(exercise: Exercise, mine: Slice, right: Slice) -> bool:
    """Whether two slices differ only within functions that stand-ins take the place of."""
    replaced = {*exercise.canned, *exercise.canned_when_graded, *exercise.solved}
    parts = [
        (tuple(_left_of(s, replaced) for s in piece.statements), replace(piece, statements=(), whole_cells=()))
        for piece in (mine, right)
    ]
    return parts[0] == parts[1] and not any(s.now & replaced for s in mine.statements)


def _left_of(statement: Statement, replaced: set[str]) -> Statement | str:
    """A statement as it is; of a definition that is replaced, what runs before it is."""
    if not statement.binds or not statement.binds <= replaced:
        return statement
    return _without_bodies(statement.source)


@functools.lru_cache(maxsize=1024)
def _without_bodies(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [ast.Pass()]
    return ast.dump(tree)


def _out_of_sight(assignment: Assignment, sample: Sample) -> set[str]:
    """Slow exercises that cannot see a fault, because stand-ins replace all that it touches.

    A method that `follows` replaces counts only where the sample must lose points for it: then it is replaced. A
    class's `__init__` does not count: its other methods may lean on what it sets.
    """
    touched = touched_names(assignment, sample)
    found = set()
    for exercise in assignment.exercises:
        replaced = {*exercise.canned, *exercise.canned_when_graded, *exercise.solved}
        followed = {name for earlier, name in exercise.follows if earlier in sample.loses}
        replaced |= {name for name in followed if not name.endswith(".__init__")}
        parts = {name if name in replaced else name.partition(".")[0] for name in touched}
        if exercise.slow and touched and parts <= replaced:
            found.add(exercise.id)
    return found

"""Follow-through: an exercise is graded with earlier ones replaced, so that a mistake costs its points once.

Three kinds of stand-in are bound over a student's own names after the load: *canned* modules from
`suites/public/stand_ins.py`, which hold no answer and are handed out; the instructor's own functions, on
staff's machines alone; and, where an earlier exercise lost points and the code does not work as it is, the
solution's method in its place.

No stand-in becomes an answer book: each exercise has a process of its own, a stand-in is never in one that
grades the exercise it replaces or an earlier one, and where the solution stood in, nothing that student code
could word itself (an exception's message) reaches the feedback.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.checks.result import ExerciseResult
from autograder.checks.student import LocalStudent
from autograder.course.assignment import Assignment, Exercise
from autograder.parsing.cells import Cell, parse_cell, read_notebook
from autograder.parsing.slicing import Slice, make_slice
from autograder.runtime.errors import KitError
from autograder.runtime.loading import load


def stand_ins(
    assignment: Assignment, exercise: Exercise, earlier: list[ExerciseResult]
) -> Iterator[list[dict[str, Any]]]:
    """What to bind over a student's names for an exercise: one way after the other, the best result counts.

    Where an earlier exercise lost points, the method that it is about is replaced, so that its mistake is not
    charged twice; the code as it is comes second, since a replaced method may not fit what it was lost for (a
    network under another name, say) while the student's own does.

    Args:
        assignment: Whose.
        exercise: What is graded.
        earlier: Results of the exercises before it.
    """
    lost = {result.id for result in earlier if result.earned < result.max_points}
    replaced = [name for exercise_id, name in exercise.follows if exercise_id in lost]
    followed = {exercise_id for exercise_id, _ in exercise.follows}
    if replaced and (len(followed) == 1 or not followed <= lost):  # else nothing of the student's own would be left
        yield _bound(assignment, exercise, [*exercise.solved, *replaced])
    yield _bound(assignment, exercise, [*exercise.solved])


def _bound(assignment: Assignment, exercise: Exercise, names: list[str]) -> list[dict[str, Any]]:
    found = canned(assignment, exercise)
    if names:
        tops = tuple(dict.fromkeys(name.partition(".")[0] for name in names))
        piece = _solution_slice(assignment, tops)
        found.append({"names": names, "code": "", "slice": piece.to_json(assignment.globals)})
    return found


def canned(assignment: Assignment, exercise: Exercise) -> list[dict[str, Any]]:
    """The stand-ins that are handed out with the public checks."""
    if not exercise.canned:
        return []
    code = (assignment.suites / "public" / "stand_ins.py").read_text(encoding="utf-8")
    return [{"names": list(exercise.canned), "code": code, "slice": None}]


def load_solution(
    assignment: Assignment,
    exercise: Exercise,
    source: str | None = None,
    changes: tuple[tuple[str, str], ...] = (),
) -> LocalStudent:
    """The instructor's solution of an exercise in this process, with the same canned stand-ins.

    Args:
        assignment: Whose.
        exercise: Which.
        source: Another text in place of the instructor's source, with a fault put in, say.
        changes: Texts of the solved notebook's cells, and what takes their place: a fault.

    Raises:
        KitError: The instructor notebook does not load; says which line.
    """
    piece = _solution_slice(assignment, exercise.names, source, changes)
    module = types.ModuleType("instructor_notebook")
    request = piece.to_json(assignment.globals) | {"stand_ins": canned(assignment, exercise)}
    workbench, problems = load(request, module)
    absent = [name for name in exercise.names if name not in module.__dict__]
    if absent:
        why = f": {problems[0]}" if problems else "."
        raise KitError(f"{assignment.source} does not define `{absent[0]}`{why} A TA has to mend it.")
    student = LocalStudent(module.__dict__)
    student.workbench = workbench
    return student


def _solution_slice(
    assignment: Assignment,
    names: tuple[str, ...],
    source: str | None = None,
    changes: tuple[tuple[str, str], ...] = (),
) -> Slice:
    data = assignment.source.read_bytes() if source is None else source.encode()
    not_run = assignment.not_run | set(assignment.wanted)
    return _cut_solution(data, assignment.source, names, changes, not_run, tuple(assignment.globals))


@functools.lru_cache(maxsize=64)  # each submission of a class asks for the same ones
def _cut_solution(
    data: bytes,
    path: Path,
    names: tuple[str, ...],
    changes: tuple[tuple[str, str], ...],
    not_run: frozenset[str],
    given: tuple[str, ...],
) -> Slice:
    """What the wanted names need of the solution's text, with some changes in it. Not to be changed.

    Raises:
        KitError: Python cannot read a cell of `path`.
    """
    cells = _solution_cells(data)
    for old, new in changes:
        cells = [parse_cell(c.number, c.source.replace(old, new)) if old in c.source else c for c in cells]
    problem = next((cell.problem for cell in cells if cell.problem), None)
    if problem:
        raise KitError(f"{path}: {problem[1]} in {problem[0]}. A TA has to mend it.")
    return make_slice(cells, names, not_run, given)


@functools.lru_cache(maxsize=4)
def _solution_cells(data: bytes) -> list[Cell]:
    return read_notebook(data, ".py")

"""Follow-through: an exercise is graded with earlier ones replaced, so that a mistake costs its points once.

Three kinds of stand-in are bound over a student's own names after the load: *canned* ones from
`suites/public/stand_ins.py`, which are handed out; canned ones from `suites/hidden/stand_ins.py`, when graded; and
functions that ask the instructor's own, which a process of their own answers for (`sandbox/companion.py`). What a
method would have done that lost points earlier and that nothing canned replaces, checks ask the solution for.

No stand-in becomes an answer book: no line of the solution is in a process that student code runs in, each exercise has
a process of its own, and what is canned replaces exercises that have been graded already.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from autograder.checks.result import ExerciseResult
from autograder.checks.student import LocalStudent
from autograder.course.assignment import Assignment, Exercise
from autograder.grading.solution_slices import solution_slice
from autograder.parsing.slicing import Slice
from autograder.runtime.errors import KitError, StudentError
from autograder.runtime.loading import load


@dataclass(frozen=True)
class StandIns:
    """What takes the place of earlier exercises.

    Attributes:
        sent: What is bound over the student's names, as `loading.stand_in_module` takes it.
        asked: The slice of the instructor's functions that answer from a process of their own; None if there are none.
        ours: Methods that the checks are to ask the solution for, "FCOS.forward" say.
        guarded: Whole classes that students are not given are in the room: what their code says is not repeated.
        where_stopped: To be tried only where the student's code was stopped by an exception with what came before.
    """

    sent: list[dict[str, Any]]
    asked: Slice | None
    ours: frozenset[str]
    guarded: bool
    where_stopped: bool = False


def stand_ins(assignment: Assignment, exercise: Exercise, earlier: list[ExerciseResult]) -> Iterator[StandIns]:
    """What replaces earlier exercises: one way after the other, the best result counts.

    Where an earlier exercise lost points, the method that it is about is replaced, so that its mistake is not
    charged twice; the code as it is comes second, since a replaced method may not fit what it was lost for (a
    network under another name, say) while the student's own does.

    What is right and has more to it than was asked for, an option, a method, an attribute of the student's own, fits
    the student's own code alone. So where that was stopped, functions that earned everything are left as they are, and
    then networks are made as the student's own class makes them, too.

    Args:
        assignment: Whose.
        exercise: What is graded.
        earlier: Results of the exercises before it.

    Raises:
        KitError: A TA has to mend what is to stand in.
    """
    lost = {result.id for result in earlier if result.earned < result.max_points}
    replaced = [name for exercise_id, name in exercise.follows if exercise_id in lost]
    followed = {exercise_id for exercise_id, _ in exercise.follows}
    if replaced and (len(followed) == 1 or not followed <= lost):  # else nothing of the student's own would be left
        yield _bound(assignment, exercise, replaced)
    plain = _bound(assignment, exercise, [])
    yield plain
    right = {name for e in assignment.exercises for r in earlier if e.id == r.id not in lost for name in e.names}
    if exercise.solved and right >= set(exercise.solved):
        plain = replace(plain, sent=[one for one in plain.sent if one["code"]], asked=None, where_stopped=True)
        yield plain
    networks = {*exercise.canned, *exercise.canned_when_graded}
    if networks and right >= networks:
        yield replace(plain, sent=[one | {"own": True} for one in plain.sent], where_stopped=True)


def _bound(assignment: Assignment, exercise: Exercise, replaced: list[str]) -> StandIns:
    code = _text(assignment, "hidden") if exercise.canned_when_graded or replaced else ""
    there = _defined(code)
    sent = _handed_out(assignment, exercise)
    hidden = [*exercise.canned_when_graded, *(name for name in replaced if name in there)]
    if hidden:
        sent.append({"names": hidden, "code": _only(code, tuple(hidden), exercise.canned)})
    if exercise.solved:
        sent.append({"names": list(exercise.solved), "code": ""})
    asked = _functions(assignment, exercise) if exercise.solved else None
    guarded = bool(exercise.canned_when_graded)  # a constructor is replaced where its own exercise has been graded
    return StandIns(sent, asked, frozenset(name for name in replaced if name not in there), guarded)


def canned(assignment: Assignment, exercise: Exercise) -> list[dict[str, Any]]:
    """The stand-ins that hold all that they answer with."""
    sent = _handed_out(assignment, exercise)
    if exercise.canned_when_graded:
        sent.append({"names": list(exercise.canned_when_graded), "code": _text(assignment, "hidden")})
    return sent


def _handed_out(assignment: Assignment, exercise: Exercise) -> list[dict[str, Any]]:
    if not exercise.canned:
        return []
    return [{"names": list(exercise.canned), "code": _text(assignment, "public")}]


def _text(assignment: Assignment, folder: str) -> str:
    path = assignment.suites / folder / "stand_ins.py"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@functools.lru_cache(maxsize=16)
def _only(code: str, names: tuple[str, ...], known: tuple[str, ...]) -> str:
    """What some stand-ins need of their module's text: student code can read all that is beside it.

    Args:
        code: The text.
        names: Of the stand-ins; "FCOS.forward" needs its class, but no other method of it.
        known: Names that other stand-ins bind there.
    """
    tree = ast.parse(code)
    methods: dict[str, set[str]] = {}
    for name in names:
        owner, _, method = name.partition(".")
        if method and owner not in names:
            methods.setdefault(owner, set()).add(method)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in methods:
            wanted = methods[node.name]
            node.body = [p for p in node.body if isinstance(p, ast.FunctionDef) and p.name in wanted]
    todo, kept = [name.partition(".")[0] for name in names], set[int]()
    while todo:
        name = todo.pop()
        for place, node in enumerate(tree.body):
            if place not in kept and name in _bound_by(node) and not (name in known and name not in names):
                kept.add(place)
                todo += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return "\n".join(ast.unparse(node) for place, node in enumerate(tree.body) if place in kept)


def _bound_by(node: ast.stmt) -> set[str]:
    """Names that a statement of a module binds."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


@functools.lru_cache(maxsize=4)
def _defined(code: str) -> frozenset[str]:
    """Names that some stand-ins define, their methods as "FCOS.forward" among them."""
    names = set()
    for node in ast.parse(code).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return frozenset(names)


def _functions(assignment: Assignment, exercise: Exercise) -> Slice:
    """The slice of the instructor's functions that stand in.

    Raises:
        KitError: One is no function: only what is given and taken as values can answer from another process.
    """
    piece = solution_slice(assignment, exercise.solved)
    functions = {name for s in piece.statements if s.source.lstrip().startswith(("def ", "@")) for name in s.binds}
    if classes := [name for name in exercise.solved if name not in functions]:
        raise KitError(
            f"{assignment.folder}/assignment.toml: solved in {exercise.id} names `{classes[0]}`, which is no function. "
            "Another process answers for what is solved, so a class cannot be: a TA has to write a stand-in for it "
            "into suites/hidden/stand_ins.py and name it in canned_when_graded."
        )
    return piece


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
    piece = solution_slice(assignment, exercise.names, source, changes)
    module = types.ModuleType("instructor_notebook")
    request = piece.to_json(assignment.globals) | {"stand_ins": canned(assignment, exercise)}
    workbench, problems = load(request, module)
    absent = [name for name in exercise.names if name not in module.__dict__]
    if absent:
        why = f": {problems[0]}" if problems else "."
        raise KitError(f"{assignment.source} does not define `{absent[0]}`{why} A TA has to mend it.")
    student = LocalStudent(module.__dict__) if source or changes else Solution(module.__dict__)
    student.workbench = workbench
    return student


class Solution(LocalStudent):
    """The instructor's code: that a name is not there is nobody's fault but ours."""

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """See `Student.do`.

        Raises:
            KitError: It has no such name.
        """
        try:
            return super().perform(operation, arguments)
        except StudentError as error:
            if error.status == "missing":
                name = arguments.get("name")
                raise KitError(f"A check asks the solution for `{name}`, which it does not have.") from error
            raise

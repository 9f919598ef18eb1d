"""The cases of the proof as a student's notebook would hold them: a namespace with a `DEVICE` of its own."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any

import nbformat

from autograder.course.assignment import Assignment
from autograder.grading.cases import BLANK, SOLUTION, Case, concerns, load_proof
from autograder.grading.samples import changed_source
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.runtime.loading import load


@dataclass(frozen=True)
class Job:
    """One exercise of one case."""

    case: Case
    exercise: str


def chosen(assignment: Assignment, count: int | None) -> list[Case]:
    """The cases of the proof but for the blank release: the solution, right ones, wrong ones.

    Args:
        assignment: Whose proof.
        count: If given, no more than so many: the solution, and others spread evenly over the rest.
    """
    cases = [case for case in load_proof(assignment) if case.kind != BLANK]
    cases.sort(key=lambda case: (SOLUTION, "variant", "mutant", "unseen").index(case.kind))
    if count is None or count >= len(cases):
        return cases
    step = (len(cases) - 1) / max(1, count - 1)
    return [cases[round(number * step)] for number in range(count)]


def jobs(assignment: Assignment, cases: list[Case]) -> list[Job]:
    """The exercises that the proof holds each case to; those that train come last, so that they are cut first."""
    found = [Job(case, e.id) for case in cases for e in assignment.exercises if concerns(assignment, case, e.id)]
    slow = {exercise.id for exercise in assignment.exercises if exercise.slow}
    return sorted(found, key=lambda job: job.exercise in slow)


def load_case(assignment: Assignment, case: Case, device: str) -> dict[str, Any]:
    """Load all that a case defines for the exercises, in this process, with `DEVICE` set.

    Args:
        assignment: Whose.
        case: Of the course's own; a student's file has no business here, for there is no sandbox.
        device: What `DEVICE` is, such as "cuda".

    Raises:
        KitError: The source has moved on from what the case changes.
    """
    if case.whole is not None:
        cells = read_notebook(case.whole.read_bytes(), ".py")
    else:
        source = changed_source(assignment, case.sample, assignment.release)
        cells = read_notebook(nbformat.writes(source).encode(), ".ipynb")
    given = assignment.globals | {"DEVICE": {"device": device}}
    names = tuple(assignment.wanted)
    piece = make_slice(cells, names, assignment.not_run | set(names), tuple(given))
    module = types.ModuleType("a_case")
    load(piece.to_json(given), module)
    return module.__dict__

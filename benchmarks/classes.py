"""Classes of any size for benchmarks: the solution in copies that differ, or notebooks with next to nothing in them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import nbformat

from autograder.course.assignment import Assignment
from autograder.grading.samples import solved
from autograder.intake.submissions import Submission, find_submissions


def solutions(assignment: Assignment, folder: Path, count: int) -> list[Submission]:
    """Right submissions without the slow exercises; each file differs from the others by a comment."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook = solved(assignment)
    for number in range(count):
        other = copy.deepcopy(notebook)
        other.cells.append(nbformat.v4.new_code_cell(f"# student {number}"))
        nbformat.write(other, folder / f"student{number:05d}.ipynb")
    slow = tuple(exercise.id for exercise in assignment.exercises if exercise.slow)
    return _found(assignment, folder, slow)


def blanks(assignment: Assignment, folder: Path, count: int) -> list[Submission]:
    """Notebooks that define nothing, with one exercise asked for: what is left is what a submission costs at least."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"student{number:05d}.py").write_text(f"# %%\nnumber = {number}\n", encoding="utf-8")
    return _found(assignment, folder, tuple(exercise.id for exercise in assignment.exercises if exercise.id != "7.1d"))


def _found(assignment: Assignment, folder: Path, skip: tuple[str, ...]) -> list[Submission]:
    found, _ = find_submissions([folder], assignment.notebook, assignment.id)
    return [replace(submission, skip=skip) for submission in found]

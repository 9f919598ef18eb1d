"""What is right: the instructor's solution, live on staff's machines, and tensors stored from it.

`public/` is handed out with the checks; `hidden/` and the live solution never leave staff's machines.
`data_scripts/make_reference.py` makes the stored tensors and `MANIFEST.json`.
"""

from __future__ import annotations

import types

from autograder.assignment import Assignment
from autograder.errors import KitError
from autograder.loading import load
from autograder.notebook import read_notebook
from autograder.slicing import make_slice
from autograder.student import LocalStudent


def load_solution(assignment: Assignment) -> LocalStudent:
    """The instructor's solution, in this process.

    Raises:
        KitError: The instructor notebook does not load; says which line.
    """
    cells = read_notebook(assignment.source.read_bytes(), ".py")
    problem = next((cell.problem for cell in cells if cell.problem), None)
    if problem:
        raise KitError(f"{assignment.source}: {problem[1]} in {problem[0]}. A TA has to mend it.")
    names = assignment.wanted
    piece = make_slice(cells, names, assignment.not_run | set(names), assignment.globals)
    module = types.ModuleType("instructor_notebook")
    workbench, problems = load(piece.to_json(assignment.globals), module)
    absent = [name for name in names if name not in module.__dict__]
    if absent:
        why = f": {problems[0]}" if problems else "."
        raise KitError(f"{assignment.source} does not define `{absent[0]}`{why} A TA has to mend it.")
    student = LocalStudent(module.__dict__)
    student.workbench = workbench
    return student

"""What nbgrader's own process does with a hostile notebook: each cell is parsed once, and reading it has an end."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
from nbgrader import utils

from autograder.nbgrader import plugin, rebuilt
from autograder.nbgrader.plugin import RebuildFromRelease
from autograder.nbgrader.rebuilt import rebuilt_notebook, release_cells
from autograder.parsing import budget


def test_each_cell_is_parsed_once(assignment, monkeypatch):
    """However many exercises look for their place: a cell of megabytes is not read fifteen times."""
    parsed = []
    monkeypatch.setattr(
        rebuilt, "ast", SimpleNamespace(**vars(ast) | {"parse": lambda text: parsed.append(text) or ast.parse(text)})
    )
    cells = [("code", f"def f{n}(): pass") for n in range(20)] + [("markdown", "text")] * 5
    made = rebuilt_notebook(assignment, cells)
    solutions = [cell.source for cell in release_cells(assignment) if utils.is_solution(cell)]
    assert sorted(parsed) == sorted([source for kind, source in cells if kind == "code"] + solutions)
    assert {cell.source for cell in made.cells} >= {source for _, source in cells}


def test_reading_has_an_end(assignment, monkeypatch, tmp_path):
    """What takes more seconds than there are becomes a notebook that says so, with every check cell in it."""
    path = tmp_path / "fcos.py"
    path.write_text("# %%\n" + "".join(f"a{n} = a{n + 1}\n" for n in range(100)), encoding="utf-8")
    submission = SimpleNamespace(problem="", name="fcos.py", read=lambda _: path.read_bytes())
    step = RebuildFromRelease()
    monkeypatch.setattr(RebuildFromRelease, "submission", lambda self, resources: submission)
    monkeypatch.setattr(RebuildFromRelease, "assignment", lambda self, resources: assignment)
    whole, _ = step.preprocess(None, {})
    assert any("a99 = a100" in cell.source for cell in whole.cells)
    monkeypatch.setattr(budget, "READ_SECONDS", 0.02)
    monkeypatch.setattr(plugin, "all_cells", endless)
    made, _ = step.preprocess(None, {})
    assert "could not be read" in made.cells[0].source and "s to find out" in made.cells[0].source
    grades = {cell.metadata.nbgrader.grade_id for cell in made.cells if utils.is_grade(cell)}
    assert grades == {exercise.grade_id for exercise in assignment.exercises}


def endless(*_: object) -> None:
    """Stands for a reader that a file keeps busy."""
    while True:
        pass


@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_thousands_of_cells_are_told_in_nbgrader_too(assignment, monkeypatch, suffix):
    """The sentence that the engine has for the student stands in nbgrader's notebook."""
    data = b"# %%\nx = 1\n" * 7000 if suffix == ".py" else b'{"cells": [' + b"{}," * 7000 + b"{}]}"
    submission = SimpleNamespace(problem="", name=f"fcos{suffix}", read=lambda _: data)
    monkeypatch.setattr(RebuildFromRelease, "submission", lambda self, resources: submission)
    monkeypatch.setattr(RebuildFromRelease, "assignment", lambda self, resources: assignment)
    made, _ = RebuildFromRelease().preprocess(None, {})
    assert "at most 6000 are read" in made.cells[0].source

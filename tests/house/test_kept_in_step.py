"""What outlives a submission, and what tells one kit from another."""

from __future__ import annotations

import weakref

import pytest
import torch

from autograder.checks.student import LocalStudent
from autograder.course.digests import suites_digest
from autograder.grading.record import digest
from autograder.intake.parcel import pack
from autograder.intake.submissions import Submission
from autograder.parsing import cells as reading
from autograder.parsing.slicing import forget, make_slice
from autograder.parsing.statements import statements_of


def test_a_solution_forgets_the_modules_that_it_made():
    """A slot's own solution outlives many submissions; a number is not given to two modules."""
    student = LocalStudent({"Net": lambda: torch.nn.Linear(1, 1)})
    first = student.shared("Net").number
    student.let_go()
    assert student.workbench.objects == {}
    assert student.shared("Net").number != first and len(student.workbench.objects) == 1


def test_the_digests_know_what_students_are_given(course, edit):
    """A mended helper makes old grades stale, and what was proven with the old one unproven."""
    before = suites_digest(course), digest(course)
    edit(course.root / "helpers" / "ps7_helpers" / "nms.py", "import torch\n", "import torch\n\n")
    assert suites_digest(course) != before[0] and digest(course) != before[1]


def test_a_file_that_we_cannot_read_is_not_the_students_zero(assignment, tmp_path, monkeypatch):
    """Whoever sends submissions to a cluster hears of an error of reading; it is no verdict on the notebook."""

    def broken(self: Submission, megabytes: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Submission, "read", broken)
    with pytest.raises(OSError, match="Input/output"):
        pack(Submission("ada", "ada", tmp_path / "ada.ipynb"), assignment)


def test_what_notebooks_share_is_read_once():
    """Cells that a class has in common are parsed once, whatever their number; a long one is forgotten at once."""
    short, long = "x = 1  # of this test", "y = 1  # " + "z" * reading.KNOWN_LENGTH
    cells = [reading.parse_cell(number, source) for number in (1, 2) for source in (short, long)]
    assert [cell.number for cell in cells] == [1, 1, 2, 2]
    assert cells[0].tree is cells[2].tree and cells[1].tree is not cells[3].tree
    tree = weakref.ref(cells[1].tree)
    assert [s.binds for s in statements_of(cells[1])] == [{"y"}]
    make_slice(cells[1:2], ("y",), frozenset())
    forget()
    del cells
    assert tree() is None


def test_the_next_notebook_is_cut_on_its_own():
    """What is remembered of one notebook says nothing of another one."""
    first, second = ([reading.parse_cell(1, f"def f(): return {n}")] for n in (1, 2))
    for cells, number in ((first, 1), (second, 2), (first, 1)):
        assert make_slice(cells, ("f",), frozenset()).statements[0].source.endswith(str(number))
        assert make_slice(cells, ("g",), frozenset()).statements == ()

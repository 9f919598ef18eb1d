"""What outlives a submission, and what tells one kit from another."""

from __future__ import annotations

import pytest
import torch

from autograder.parcel import pack
from autograder.proof_record import digest
from autograder.student import LocalStudent
from autograder.submissions import Submission
from autograder.versions import suites_digest


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

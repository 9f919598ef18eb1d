"""A grader's Python older than the student's never costs a point: no score, a human looks, with the version named."""

from __future__ import annotations

import sys

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.commands.follow_up import newer_python_line
from autograder.grading.newer_python import hold_back, newer_notes
from autograder.parsing import newer_python
from autograder.parsing.cells import Cell
from autograder.parsing.slicing import Slice, make_slice
from autograder.report.attention import URGENT, who_needs_a_human
from autograder.report.model import Report
from autograder.report.newer_python import needed
from autograder.report.next_steps import lost_points
from tests.support.cut_notebooks import parsed


def result(*statuses: str) -> ExerciseResult:
    """An exercise with a check for each status."""
    checks = [CheckResult("7.1x", f"c{n}", "It works.", 5.0, s, True, "said") for n, s in enumerate(statuses)]
    return ExerciseResult("7.1x", "An exercise", 5.0 * len(checks), checks)


def report_of(exercise: ExerciseResult) -> Report:
    """A report with that exercise alone."""
    return Report("ps7", "A set", "ada", "ada.ipynb", "", "", 1, exercise.max_points, [exercise])


NEWER = Slice((), ("f",), newer="3.99")


def test_lost_points_become_a_humans_look():
    """What passed stays passed; what did not is ours, with the version for the student and for staff."""
    exercise = result("passed", "error", "failed")
    hold_back(exercise, NEWER)
    assert [check.status for check in exercise.checks] == ["passed", "grader_error", "grader_error"]
    assert "Python 3.99 or newer reads what this exercise leans on" in exercise.checks[1].message
    assert "costs you nothing" in exercise.checks[1].message and "error: said" in exercise.checks[1].details
    report = report_of(exercise)
    assert report.score is None and lost_points(report) == [] and needed(report)["7.1x"][0] == "3.99"
    (attention,) = who_needs_a_human([report])
    assert attention.level == URGENT and "needs Python 3.99 or newer" in attention.reasons[0]


@pytest.mark.parametrize(("statuses", "piece"), [(("passed", "passed"), NEWER), (("failed",), Slice((), ("f",)))])
def test_a_verdict_stays_where_a_newer_python_changes_nothing(statuses, piece):
    """All points, or code that this Python reads well: the verdict is the verdict."""
    exercise = result(*statuses)
    hold_back(exercise, piece)
    assert tuple(check.status for check in exercise.checks) == statuses


def test_a_newer_library_counts_too(monkeypatch):
    """`from typing import override` on a Python that has none."""
    monkeypatch.setattr(newer_python, "library_needs", lambda source, _=None: "3.99" if "override" in source else "")
    exercise = result("error")
    hold_back(exercise, make_slice(parsed("from typing import override", "@override\ndef f(): 1"), ("f",), frozenset()))
    assert exercise.status == "grader_error" and "newer has what" in exercise.checks[0].message


def test_the_run_says_which_python_would_do():
    """Once for all: the newest that anybody needs, who they are, and the option."""
    first, second = result("error"), result("failed")
    hold_back(first, NEWER)
    hold_back(second, Slice((), ("f",), newer="3.100"))
    line = newer_python_line({"a": report_of(first), "b": report_of(second), "c": report_of(result("failed"))})
    assert "2 submissions" not in line  # both are ada's
    assert "1 submission without a score" in line and "Python 3.100 or newer would do" in line and "--python" in line
    assert newer_python_line({"c": report_of(result("failed"))}) == ""


def test_points_by_hand_settle_it():
    """Where staff have given points, nothing is missing any more."""
    exercise = result("error")
    hold_back(exercise, NEWER)
    exercise.by_hand = 5.0
    assert newer_python_line({"a": report_of(exercise)}) == ""


def test_the_note_names_both_versions():
    """The student reads that it is this machine's Python that cannot."""
    (cell,) = parsed("def f(: pass")
    needing = Cell(cell.number, cell.source, cell.tree, cell.problem, needs="3.99")
    (note,) = newer_notes([cell, needing])
    assert note.startswith("Python 3.99 or newer reads code cell 1; this machine's Python 3.")
    assert f"3.{sys.version_info[1]} cannot" in note

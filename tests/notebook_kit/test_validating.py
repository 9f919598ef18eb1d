"""A notebook that nbgrader validates: what is not right is an error, and nothing is made to hand in."""

from __future__ import annotations

import pytest

from autograder.check import NotRightYetError, check, make_submission
from autograder.grading.substitutes import load_solution


@pytest.fixture(autouse=True)
def _validated(monkeypatch, tmp_path):
    """As nbgrader starts the kernel, in an empty folder."""
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    monkeypatch.chdir(tmp_path)


def test_what_is_not_done_is_an_error(capsys):
    """A check cell of the blank release raises what the panel says, and nbgrader shows that in place of a traceback."""
    with pytest.raises(NotRightYetError, match=r"7\.1d") as raised:
        check("7.1d", {})
    assert str(raised.value).strip() in capsys.readouterr().out
    with pytest.raises(NotRightYetError, match="There is no graded exercise"):
        check("9.9z", {})


def test_what_is_right_is_none(assignment, capsys):
    """A solved exercise passes in silence but for its panel."""
    check("7.1d", load_solution(assignment, assignment.exercise("7.1d")).workbench.namespace)


def test_nothing_is_left_behind(tmp_path, capsys):
    """`make_submission()` says so and writes no zip."""
    make_submission(namespace={})
    assert "nothing was made" in capsys.readouterr().out and list(tmp_path.iterdir()) == []

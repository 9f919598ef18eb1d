"""Which of two readings counts, and what is told of them."""

from __future__ import annotations

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.grading.readings import better, worth_telling
from autograder.report.readings import SECOND_BROKE


def result(*statuses: str) -> ExerciseResult:
    """An exercise with a check of a point for each status."""
    checks = [CheckResult("7.1d", f"c{n}", "So it is.", 1.0, status, True) for n, status in enumerate(statuses)]
    return ExerciseResult("7.1d", "Locations", float(len(checks)), checks)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("failed", "passed"), ("passed", "passed"), "the second reading counts: 2 points, where the first gave 1"),
        (("failed", "passed"), ("passed", "failed"), "the first reading counts: 1 points, the second gave 1"),
        (("failed", "passed"), ("error", "error"), "the first reading counts: 1 points, the second gave 0"),
        (("failed", "failed"), ("passed", "grader_error"), f"the first reading counts: 0 points; {SECOND_BROKE}"),
    ],
)
def test_the_better_counts_and_says_why(first, second, words):
    """Of two with as many points the first; a second that broke by our fault counts for nothing."""
    one, two = result(*first), result(*second)
    got = better(one, two, "a decorator")
    is_second = words.startswith("the second")
    assert got is (two if is_second else one) and got.reading == ("whole" if is_second else "")
    assert got.readings == f"{words} (a decorator)"


def test_packages_come_first_and_idle_lines_last():
    """Of many lines the first twelve are kept: what is not here, what stopped, what does nothing; each once."""
    idle = [f"Code cell {number}: `!pip install x{number}` does nothing here." for number in range(20)]
    stopped = ["Code cell 30 stopped: boom.", "Code cell 30 stopped: boom."]
    got = worth_telling([*idle, *stopped, "The notebook imports wandb, which is not here."])
    assert got[:2] == ["The notebook imports wandb, which is not here.", stopped[0]]
    assert got[2:] == idle[:10]

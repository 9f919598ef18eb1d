"""Which of two readings counts, and what is told of them."""

from __future__ import annotations

import nbformat
import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.assignment import load_assignment
from autograder.grading.readings import better, worth_telling
from autograder.grading.samples import Sample, write_sample
from autograder.intake.submissions import Submission
from autograder.report.readings import SECOND_BROKE
from tests.conftest import ROOT


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


CLAMPED = "deltas.clamp(min=0)"
# What comes before the function, each in a cell: the bound is zero in the end, by what a slice does not do.
ZERO = {
    "awaited at the top": ["async def zero(): return 0.0", "LOW = await zero()\ndef low(): return LOW"],
    "put in by a closure": [
        "def make(value):\n    def put(new):\n        nonlocal value\n        value = new\n"
        "    return lambda: value, put",
        "low, put = make(7.0)\nput(0.0)",
    ],
    "put into what a function keeps": [
        "import functools\n@functools.cache\ndef kept(): return {'low': 7.0}",
        "kept().update(low=0.0)\ndef low(): return kept()['low']",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", ZERO)
def test_what_a_slice_does_not_do_costs_nothing(slots, tmp_path, way):
    """The second reading is asked where something did not load, and where a call was left out that may matter."""
    assignment = load_assignment("ps7", ROOT)
    sample = Sample("ada", "bounds by a global", changes=((CLAMPED, "deltas.clamp(min=low())"),))
    path = write_sample(assignment, sample, tmp_path, assignment.release)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1:1] = [nbformat.v4.new_code_cell(cell) for cell in ZERO[way]]
    nbformat.write(notebook, path)
    skip = tuple(e.id for e in assignment.exercises if e.id != "7.1f")
    slot = slots.get()
    try:
        (exercise,) = slot.grade(Submission("ada", "ada", path, skip=skip), 3).exercises
    finally:
        slots.put(slot)
    assert exercise.earned == exercise.max_points and exercise.readings.startswith("the second reading counts")

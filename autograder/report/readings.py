"""How a notebook was read, and what of it did not run there, in the words of a page.

Grading has two readings, see `grading/readings.py`: the definitions alone, and the notebook run whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from autograder.checks.result import ExerciseResult
from autograder.report.model import Report
from autograder.report.next_steps import lost_points
from autograder.report.terminal import printable, shortened

SECOND_BROKE = "the second broke, by our fault"  # in what staff read of the readings
_MOST_LINES = 12
_LONGEST = 200  # characters of a line
_WHOLE = "These points come from your notebook run from top to bottom: its definitions by themselves gave fewer."


@dataclass(frozen=True)
class Unloaded:
    """What did not run, as it stands on a page below an exercise.

    Attributes:
        lines: Of the student's notebook, bounded in number and length.
        more: How many more there are.
        above: The exercise where lines of this one stand already; "" if none do.
    """

    lines: tuple[str, ...]
    more: int
    above: str


def how_read(exercise: ExerciseResult) -> str:
    """A sentence for the student where the whole notebook's reading counts; else ""."""
    return _WHOLE if exercise.reading == "whole" else ""


def unloaded(report: Report) -> dict[str, Unloaded]:
    """By exercise that lost points in its checks: what did not run. A line is told once, by the first of them."""
    told: dict[str, str] = {}  # line -> exercise
    found = {}
    for exercise in lost_points(report):
        if exercise.status == "passed":  # staff set its points
            continue
        lines = [shown_line(text) for text in dict.fromkeys(exercise.unloaded)]
        above = next((told[line] for line in lines if line in told), "")
        new = [line for line in lines if line not in told]
        told |= dict.fromkeys(new, exercise.id)
        if lines:
            found[exercise.id] = Unloaded(tuple(new[:_MOST_LINES]), max(0, len(new) - _MOST_LINES), above)
    return found


def shown_line(text: str) -> str:
    """A line of student code's making, safe to show and not too long."""
    return shortened(printable(text, line=True), _LONGEST)

"""The end of `fcoskit demo`: the mAP that the notebook prints beside the one that grading measures of its hand-in."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from autograder.checks.result import Figure
from autograder.course.assignment import Assignment
from autograder.intake.submissions import find_submissions
from autograder.report.terminal import printable, shown_figure
from autograder.runs.grade import grade_submissions

APART = 0.02  # further apart, one of the two is about something else
# Draws the very images that the notebook validates on. On 200 others, as students are measured on, chance alone moves
# the figure of one detector by two or three points (standard error of a mean over twenty classes).
SEED = 0


def beside(assignment: Assignment, printed: list[str], folder: Path, out: Path, console: Console) -> bool:
    """Measure what the notebook handed in, and show both figures.

    Args:
        assignment: With a `[map]` table; without one there is nothing to show.
        printed: What the notebook printed about its mAP.
        folder: Where the notebook ran and left its zip.
        out: Where the report goes.
        console: To print on.

    Returns:
        Whether the two agree.

    Raises:
        KitError: Nothing can be graded here.
    """
    if assignment.map is None:
        return True
    own = own_figure(printed)
    figure = measured(assignment, folder / f"{assignment.id}-submission.zip", out)
    said = "not printed" if own is None else f"{own:.2%}"
    console.print(f"  The notebook says:   {said:>7}, over its validation images", highlight=False)
    console.print(f"  Grading measures:    {shown_figure(figure):>7}, over the same {figure.images}", highlight=False)
    if figure.message:
        console.print(f"  {printable(figure.message)}", markup=False, highlight=False, soft_wrap=True)
    if own is None or figure.value is None:
        console.print("  There are no two figures to compare: that is not as it should be.", style="red")
        return False
    agree = abs(own - figure.value) <= APART
    words = "they agree" if agree else "too far: one of them is about something else"
    apart = 100 * abs(own - figure.value)
    console.print(f"  They are {apart:.1f} points apart: {words}.", style="" if agree else "red", highlight=False)
    return agree


def own_figure(printed: list[str]) -> float | None:
    """The last mAP that a notebook printed, from 0 to 1."""
    found = [match for line in printed if (match := re.search(r"mAP\b.*?(\d+(?:\.\d+)?)\s*%", line))]
    return float(found[-1][1]) / 100 if found else None


def measured(assignment: Assignment, handed_in: Path, out: Path) -> Figure:
    """The figure of a hand-in's weights, and nothing else of it.

    Raises:
        KitError: Nothing can be graded here.
    """
    found, _ = find_submissions([handed_in], assignment.notebook, assignment.id, assignment.weights)
    skip = tuple(exercise.id for exercise in assignment.exercises)
    todo = [replace(submission, skip=skip) for submission in found]
    run = grade_submissions(assignment, todo, out, figure_seed=SEED)
    figures = [figure for report in run.reports.values() for figure in report.figures]
    return figures[0] if figures else Figure(assignment.map.id if assignment.map else "", "mAP", "absent")

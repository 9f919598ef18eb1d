"""Exercises that need a newer Python than the one that grades get no score and a human's look: they cost nothing."""

from __future__ import annotations

from collections.abc import Iterable

from autograder.checks.result import ExerciseResult
from autograder.parsing.cells import Cell
from autograder.parsing.newer_grammar import this_python
from autograder.parsing.newer_python import needed_by
from autograder.parsing.slicing import Slice
from autograder.report.newer_python import marked


def hold_back(result: ExerciseResult, piece: Slice) -> None:
    """Take the verdict back where an exercise lost points and leans on what only a newer Python reads or has.

    Args:
        result: Of the exercise; its checks that did not pass become ours.
        piece: What was loaded for it.
    """
    if result.status == "passed":
        return
    version = piece.newer or needed_by(piece.statements)
    if not version:
        return
    what = "reads" if piece.newer else "has"
    for check in result.checks:
        if check.status != "passed":
            was = f"{check.status}: {check.message} {check.details}".strip()
            check.status, check.diagnosis, check.picture = "grader_error", "", None
            check.details = marked(version, this_python(), was)
            check.message = (
                f"Python {version} or newer {what} what this exercise leans on; the Python {this_python()} that graded "
                "it does not. That costs you nothing: staff will grade it again with a newer one."
            )


def newer_notes(cells: Iterable[Cell]) -> list[str]:
    """A sentence for each cell that this Python cannot read and a newer one can."""
    return [
        f"Python {cell.needs} or newer reads code cell {cell.number}; this machine's Python {this_python()} cannot. "
        "What leans on that cell costs you nothing."
        for cell in cells
        if cell.needs
    ]

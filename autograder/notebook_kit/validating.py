"""nbgrader's Validate button and `nbgrader validate`: they run the whole notebook and look for errors in check cells.

`check()` shows what is wrong and raises nothing, so that the rest of a notebook can be run. Validated, that would look
like success: there it raises what it has shown, and `make_submission()` leaves no zip behind.
"""

from __future__ import annotations

import os

from autograder.checks.result import ExerciseResult
from autograder.notebook_kit.panel import panel_text


class NotRightYetError(AssertionError):
    """An exercise is not right yet; nbgrader shows the text in place of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def validating() -> bool:
    """Whether nbgrader runs this notebook to validate it."""
    return os.environ.get("NBGRADER_VALIDATING") == "1"


def refuse_unless_right(result: ExerciseResult) -> None:
    """Tell nbgrader that a check cell fails, if it does.

    Raises:
        NotRightYetError: nbgrader validates, and a check does not pass.
    """
    if validating() and result.status != "passed":
        raise NotRightYetError(panel_text(result))

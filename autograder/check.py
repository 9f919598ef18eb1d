"""What a notebook imports: `check("7.1d")`, the public checks on its own code, and `make_submission()`."""

from __future__ import annotations

import sys
from typing import Any

from autograder.notebook_kit.handout import handouts
from autograder.notebook_kit.origins import origins, without_guesses
from autograder.notebook_kit.panel import show_panel
from autograder.notebook_kit.run_public import check_exercise
from autograder.notebook_kit.submit import make_submission
from autograder.notebook_kit.unread import unread_cells
from autograder.notebook_kit.validating import NotRightYetError, refuse_unless_right, validating

__all__ = ["check", "make_submission"]


def check(exercise: str, namespace: dict[str, Any] | None = None) -> None:
    """Run the public checks of an exercise on the code of this notebook and show what they say.

    Args:
        exercise: Its id, such as "7.1d".
        namespace: Where the code lives; the caller's globals if left out.

    Raises:
        NotRightYetError: nbgrader validates this notebook, and a check does not pass.
    """
    by_exercise = {known: given for given in handouts() for known in given.tasks}
    if exercise not in by_exercise:
        unknown = f'There is no graded exercise "{exercise}". There are: {", ".join(by_exercise)}.'
        if validating():
            raise NotRightYetError(unknown)
        print(unknown)
        return
    if namespace is None:
        namespace = sys._getframe(1).f_globals
    try:
        given = by_exercise[exercise]
        result = check_exercise(given, exercise, namespace)
        first, blamed = origins(given, exercise, namespace, result)
        unread = unread_cells(given.names)
        before = result.status != "missing" and bool(unread_cells(given.tasks[exercise].names))
        show_panel(without_guesses(result) if blamed else result, [*unread, *first], before=before)
    except KeyboardInterrupt:
        print(f"The checks of {exercise} were stopped, so there is no verdict. Does your code have a loop without end?")
        return
    refuse_unless_right(result)

"""Where a failure comes from: the exercise itself, or an earlier one whose code it runs.

A detector stands on its parts, and a part that is wrong comes back in the detector's check as a number that nobody can
read. So where such a check fails, the checks of the parts run as well. And the failed ones run again with right answers
of one part after the other: tables of stored tensors, `public/replayed.py` of the suites, which know the inputs of
these checks and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.suite_imports import module_at
from autograder.notebook_kit.handout import Handout, spoken
from autograder.notebook_kit.run_public import run_public
from autograder.runtime.notebook_device import notebook_device, random_state_kept
from autograder.runtime.stand_ins import bind, unbind

_WRONG = ("failed", "error", "timeout")


def origins(given: Handout, exercise: str, namespace: dict[str, Any], result: ExerciseResult) -> tuple[list[str], bool]:
    """What to read first of an exercise that failed: which of the exercises that it leans on are to be mended.

    Args:
        given: The assignment.
        exercise: Its id.
        namespace: The notebook's globals; as they were afterwards.
        result: Of its public checks.

    Returns:
        A sentence or two for each such exercise, none where nothing failed or all of the fault lies here; and whether
        one of them is to blame, as far as that can be found out.
    """
    failed = {check.name for check in result.checks if check.status in _WRONG}
    task = given.tasks[exercise]
    if not failed or not task.leans:
        return [], False
    notes, blamed = [], False
    with random_state_kept(notebook_device(namespace)):
        for earlier in task.leans:
            found = _public(given, earlier, namespace)
            if all(check.status == "passed" for check in found):
                continue
            answers = None if task.slow else _right_with(given, exercise, namespace, [earlier])
            mended = None if answers is None else failed & answers
            notes.append(_said(given, earlier, found, mended, len(failed)))
            blamed |= mended is None or bool(mended)
    return notes, blamed


def without_guesses(result: ExerciseResult) -> ExerciseResult:
    """The same result with no fault named: what was named may be the other exercise's."""
    return replace(result, checks=[replace(check, diagnosis="") for check in result.checks])


def _public(given: Handout, exercise: str, namespace: dict[str, Any]) -> list[CheckResult]:
    canned = list(given.tasks[exercise].canned)
    return run_public(exercise, namespace, canned, given.suites, given.reference, torch.device("cpu"))


def _right_with(given: Handout, exercise: str, namespace: dict[str, Any], earlier: Iterable[str]) -> set[str] | None:
    """Names of the checks of an exercise that pass with right answers in place of earlier ones; None without such."""
    path = given.suites / "public" / "replayed.py"
    names = [name for one in earlier for name in given.tasks[one].names]
    if not path.is_file() or not all(hasattr(module_at(path), name) for name in names):
        return None
    undo = bind(namespace, module_at(path), names)
    try:
        return {check.name for check in _public(given, exercise, namespace) if check.status == "passed"}
    finally:
        unbind(undo)


def _said(given: Handout, earlier: str, found: list[CheckResult], mended: set[str] | None, failed: int) -> str:
    where, title = spoken(earlier), given.tasks[earlier].title
    if all(check.status == "missing" for check in found):
        return f"{where} ({title}) is not done yet, and this stands on it: write that first."
    if mended:
        of = "all that fail here" if len(mended) == failed else f"{len(mended)} of the {failed} that fail here"
        return (
            f'Look at {where} ({title}) first: with right answers in its place {of} pass. check("{earlier}") says '
            "what is wrong there."
        )
    wrong = sum(check.status != "passed" for check in found)
    if mended is None:
        fail = "fails" if wrong == 1 else "fail"
        return f"Look at {where} ({title}) first: {wrong} of its own checks {fail}. It is used here."
    return f"{where} ({title}) fails {wrong} of its own checks, too. With right answers there this fails all the same."

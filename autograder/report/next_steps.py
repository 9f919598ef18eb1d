"""Where a student should begin, and what comes after: the first and the last lines of the feedback page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autograder.checks.result import ExerciseResult
from autograder.report.model import Report
from autograder.report.terminal import shortened

_FEW_WORDS = 160  # characters
_HAND_IN = (
    "Save the notebook, run `make_submission()`, and hand in the file that it makes, if your course still takes it."
)
_WRONG = "You think that a check is wrong? Tell staff which one: they can run it again on your code."


@dataclass(frozen=True)
class Begin:
    """The exercise to mend first: its place in the report, from 1, its id, and what is wrong in few words."""

    number: int
    exercise: str
    why: str


def begin(report: Report) -> Begin | None:
    """The first exercise of the notebook that lost points, for the later ones lean on it; None if none did."""
    lost = set() if report.trouble else {exercise.id for exercise in lost_points(report)}
    for number, exercise in enumerate(report.exercises, start=1):
        if exercise.id in lost:
            return Begin(number, exercise.id, _in_few_words(exercise))
    return None


def lost_points(report: Report) -> list[ExerciseResult]:
    """The exercises that a student can still gain points in; one that broke by our fault has lost none."""
    return [e for e in report.exercises if e.points < e.max_points - 1e-9 and not _ours(e)]


def what_next(report: Report) -> list[str]:
    """What the student can do now, a step or a sentence each, names between backquotes."""
    if report.outcome == "undecided" and report.trouble:
        return ["Tell staff which file is the one that counts. No points are lost by that."]
    if report.outcome == "unreadable" and report.trouble:
        return [
            "Open the file that you handed in where you worked on it: is it the notebook, and whole?",
            _HAND_IN,
            "If the file opens for you, ask staff, and show them this page.",
        ]
    return [*_mend(report), *_staff(report)] or ["Nothing is left to mend."]


def _mend(report: Report) -> list[str]:
    lost = [] if report.trouble else [exercise for exercise in lost_points(report) if exercise.status != "passed"]
    measured = {figure.id for figure in report.figures}
    by_code = [exercise.id for exercise in lost if exercise.id not in measured]
    unseen = [exercise.id for exercise in lost if exercise.id in by_code and _public_ones_pass(exercise)]
    steps = []
    if by_code:
        run = "" if by_code[0] in unseen else f', and run `check("{by_code[0]}")` until it passes'
        steps.append(f"Mend {by_code[0]} in your notebook{run}{'; then the next one' if len(by_code) > 1 else ''}.")
    if unseen:
        steps.append(
            f"`check()` has nothing more to say of {', '.join(unseen)}: what is left runs only when graded. Go by its "
            "sentence and hint, and try inputs of your own."
        )
    steps += [f"{e.id} goes by the weights that you hand in: train once more." for e in lost if e.id in measured]
    return [*steps, _HAND_IN, _WRONG] if steps else []


def _staff(report: Report) -> list[str]:
    """What staff have to do, where something of ours broke."""
    if report.score is not None:
        return []
    ours = [exercise.id for exercise in report.exercises if _ours(exercise)]
    what = ", ".join(ours) if ours and not report.trouble else "your submission"
    return [
        f"Staff have to grade {what} again: that is our fault, costs you nothing, and leaves nothing for you to mend "
        "there. If there is no score within some days, ask them, and show them this page."
    ]


def _ours(exercise: ExerciseResult) -> bool:
    return exercise.status == "grader_error" and exercise.by_hand is None


def _public_ones_pass(exercise: ExerciseResult) -> bool:
    failed = [check for check in exercise.checks if check.status != "passed"]
    return bool(failed) and not any(check.public for check in failed)


def _in_few_words(exercise: ExerciseResult) -> str:
    if exercise.status == "missing":
        return "not done yet."
    check = exercise.to_mend_first[0] if exercise.checks else None
    if check is None or check.status == "passed":  # staff set fewer points than the checks give
        return shortened(exercise.reason or "staff set its points.", _FEW_WORDS)
    charged = exercise.charges[0].says if exercise.charges else ""
    said = charged or check.diagnosis or ("" if check.status == "failed" else check.message)
    return first_sentence((said or f"not right yet: {check.sentence}").partition("\n")[0], _FEW_WORDS)


def first_sentence(text: str, length: int) -> str:
    """As many whole sentences of a text as fit, one at least, if it is not twice as long; else what fits, cut."""
    if len(text) <= length:
        return text
    ends = [match.end() for match in re.finditer(r"[.!?](?= |$)", text)]
    whole = [end for end in ends if end <= length] or [end for end in ends[:1] if end <= 2 * length]
    return text[: whole[-1]] if whole else shortened(text, length)

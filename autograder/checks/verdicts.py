"""What became of a check, as words: from what it raised, or from an item that pytest collected, to a `CheckResult`.

All that a student reads of a failure goes through `_say`. Where a check is *guarded*, something secret has been within
reach of student code: the solution of an earlier exercise, say. Then the student reads a sentence of `GUARDED`, by the
status alone: no number, shape, name, place or text that code chose, no diagnosis, which is a choice as well, and no
picture. Staff's copy has the rest, cut.
"""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from autograder.checks.bounded import bounded_details, bounded_text
from autograder.checks.compare import CheckFailed
from autograder.checks.result import CheckResult
from autograder.checks.student import Student
from autograder.runtime.cpu_limit import OutOfTimeError, Stopped
from autograder.runtime.errors import StudentError

GUARDED = {
    "failed": "What your code gave is not right yet.",
    "error": "Your code stopped with an error.",
    "timeout": "Your code took too long.",
    "memory": "Your code needed too much memory.",
    "missing": "This part is as given, or its name is not defined.",
}
_WHY = (
    "Right answers to other exercises stood in beside your code here, so that a mistake costs its points once, and of "
    "what happens there this page says no more. Where your notebook has the check, too, run it there: it says all."
)
_ENDLESS = "To check what your code gave takes too long: is it far larger than what is asked for?"
_BROKE = "The check itself broke. That is our fault and costs you nothing; staff will look."


def guarded_text(status: str) -> str:
    """What a student reads of a guarded check: the same for all code that comes to this status."""
    return GUARDED[status] if status == "missing" else f"{GUARDED[status]} {_WHY}"


def judge(outcome: CheckResult, error: BaseException, guarded: bool = False) -> None:
    """Set status, message and diagnosis from what a check raised."""
    if isinstance(error, CheckFailed):
        outcome.status = "failed"
        _say(outcome, error.message, error.public_text, guarded, error.diagnosis)
        if outcome.public and not guarded:
            outcome.picture = error.picture
    elif isinstance(error, StudentError):
        outcome.status = error.status
        if error.place and error.place.cell > 0 and error.place.line > 0 and not guarded:
            outcome.cell, outcome.line = error.place.cell, error.place.line
        _say(outcome, error.message, error.public_text, guarded)
    elif isinstance(error, AssertionError):
        outcome.status = "failed"
        _say(outcome, str(error).split("\n")[0], "", guarded)
    elif isinstance(error, (OutOfTimeError, Stopped)):
        outcome.status = "timeout"
        _say(outcome, _ENDLESS, _ENDLESS, guarded)
    elif isinstance(error, KeyboardInterrupt):
        raise error
    else:
        outcome.status, outcome.message = "grader_error", _BROKE
        outcome.details = bounded_details("".join(traceback.format_exception(error)))


def came_from(error: BaseException, student: Student | None) -> bool:
    """Whether an exception was raised by reaching a student, not by what a check did with the answer."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_code.co_name == "do" and frame.f_locals.get("self") is student for frame in frames)


def unfit(outcome: CheckResult, hint: str, guarded: bool) -> None:
    """The check could not work with what student code answered."""
    trace, text = outcome.details, "What your code returned is not of the form that is asked for"
    error = trace.strip().rpartition("\n")[2][:200]
    outcome.status, outcome.message = "failed", hint
    _say(outcome, f"{text}: the check stopped with {error}.", f"{text}.", guarded)
    outcome.details = trace


def _say(outcome: CheckResult, message: str, public_text: str, guarded: bool, diagnosis: str = "") -> None:
    """Fill in what the student reads: everything of a public check, of a hidden one what gives nothing away.

    Args:
        outcome: Of the check; its status is set, and a hidden check's message is its hint.
        message: Everything.
        public_text: What gives nothing away.
        guarded: Not even a public check says anything but its status.
        diagnosis: The fault by name, or "".
    """
    message, public_text, diagnosis = bounded_text(message), bounded_text(public_text), bounded_text(diagnosis)
    if guarded or not outcome.public:
        outcome.details = message
    if diagnosis:
        add_diagnosis(outcome, diagnosis, guarded)
    if guarded:
        message = public_text = guarded_text(outcome.status)
    if outcome.public:
        outcome.message = message
    else:
        outcome.message = " ".join(part for part in (public_text, outcome.message) if part)


def add_diagnosis(outcome: CheckResult, diagnosis: str, guarded: bool) -> None:
    """Name the fault of a check that failed: to the student, or to staff alone."""
    if guarded:
        outcome.details = "\n".join(part for part in (outcome.details, diagnosis) if part)
    else:
        outcome.diagnosis = diagnosis


def told(result: CheckResult) -> str:
    """All that a failed check says, hidden or not."""
    return result.details or result.message


def blank(item: pytest.Item) -> CheckResult:
    """The result of a check that has not run: its exercise, points, sentence and hint, no status."""
    points = item.get_closest_marker("points")
    hint = item.get_closest_marker("hint")
    public = is_public(item)
    sentence = " ".join((getattr(item, "obj", item).__doc__ or item.name).split())
    if case := item.name.partition("[")[2].removesuffix("]"):
        sentence = f"{sentence.removesuffix('.')} (`{case}`)."
    return CheckResult(
        exercise=exercise_of(item),
        name=name_of(item),
        sentence=sentence,
        points=float(points.args[0]) if points else 0.0,
        status="",
        public=public,
        message=str(hint.args[0]) if hint and not public else "",
    )


def name_of(item: pytest.Item) -> str:
    """What a check is called in results: without pytest's `test_`."""
    return item.name.removeprefix("test_")


def exercise_of(item: Any) -> str:
    """The exercise that a check belongs to; "" where it is marked with none."""
    marker = item.get_closest_marker("exercise")
    return str(marker.args[0]) if marker else ""


def is_public(item: pytest.Item) -> bool:
    """Whether students have the check, too."""
    return item.path.parent.name == "public"

"""What became of a check, as words: from what it raised, or from an item that pytest collected, to a `CheckResult`."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from autograder.checks.compare import CheckFailed
from autograder.checks.result import CheckResult
from autograder.checks.student import Student
from autograder.runtime.errors import StudentError


def judge(outcome: CheckResult, error: BaseException, guarded: bool = False) -> None:
    """Set status, message and diagnosis from what a check raised."""
    if isinstance(error, CheckFailed):
        outcome.status, outcome.diagnosis = "failed", error.diagnosis
        _say(outcome, error.message, error.public_text, unsaid=guarded and error.quotes)
        if outcome.public and error.picture and not (guarded and len(error.picture.got) > 1):
            outcome.picture = error.picture  # guarded code could draw what it must not tell: a single row at most
    elif isinstance(error, StudentError):
        outcome.status = error.status
        if error.place and error.place.cell > 0 and error.place.line > 0:
            outcome.cell, outcome.line = error.place.cell, error.place.line
        _say(outcome, error.message, error.public_text, unsaid=guarded)
    elif isinstance(error, AssertionError):
        outcome.status = "failed"
        _say(outcome, str(error).split("\n")[0], "")
    elif isinstance(error, KeyboardInterrupt):
        raise error
    else:
        outcome.status = "grader_error"
        outcome.message = "The check itself broke. That is our fault and costs you nothing; staff will look."
        outcome.details = "".join(traceback.format_exception(error))


def came_from(error: BaseException, student: Student | None) -> bool:
    """Whether an exception was raised by reaching a student, not by what a check did with the answer."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_code.co_name == "do" and frame.f_locals.get("self") is student for frame in frames)


def unfit(outcome: CheckResult, hint: str, guarded: bool) -> None:
    """The check could not work with what student code answered."""
    trace, text = outcome.details, "What your code returned is not of the form that is asked for"
    error = trace.strip().rpartition("\n")[2][:200]
    outcome.status, outcome.message = "failed", hint
    _say(outcome, f"{text}: the check stopped with {error}.", f"{text}.", unsaid=guarded)
    outcome.details = trace


def _say(outcome: CheckResult, message: str, public_text: str, *, unsaid: bool = False) -> None:
    """Fill in what the student reads: everything of a public check, of a hidden one what gives nothing away.

    Args:
        outcome: Of the check.
        message: Everything.
        public_text: What gives nothing away.
        unsaid: A public check must not say everything either.
    """
    if outcome.public and unsaid:
        outcome.message, outcome.details = public_text, message
    elif outcome.public:
        outcome.message = message
    else:
        outcome.message = " ".join(part for part in (public_text, outcome.message) if part)
        outcome.details = message


def told(result: CheckResult) -> str:
    """All that a failed check says, hidden or not."""
    return result.message if result.public else result.details


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
        name=item.name.removeprefix("test_"),
        sentence=sentence,
        points=float(points.args[0]) if points else 0.0,
        status="",
        public=public,
        message=str(hint.args[0]) if hint and not public else "",
    )


def exercise_of(item: Any) -> str:
    """The exercise that a check belongs to; "" where it is marked with none."""
    marker = item.get_closest_marker("exercise")
    return str(marker.args[0]) if marker else ""


def is_public(item: pytest.Item) -> bool:
    """Whether students have the check, too."""
    return item.path.parent.name == "public"

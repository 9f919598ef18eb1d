"""One exercise, checked: as the first reading has it, and once more where that lost points and may be to blame.

The first reading loads what the exercise leans on, as far as the notebook's text tells. Where points are lost and it
left something out that could matter, the notebook is run whole (`sandbox/whole.py`), which guesses nothing, and the
checks ask the objects that are there. The better result counts: how a right solution is written costs nothing.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import Assignment, Exercise
from autograder.course.rubric import read_rubric
from autograder.grading.charges import Answers, Charging
from autograder.grading.substitutes import StandIns, stand_ins
from autograder.parsing.slicing import Slice
from autograder.report.model import Report
from autograder.report.prices import apply_rubric
from autograder.report.readings import SECOND_BROKE
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.whole import WholeNotebook

_TRIES = 2  # an exercise whose sandbox was ended from outside is checked again
_STOPPED = ("error", "missing")
_DID_NOT_LOAD = "not all that the exercises lean on did load"
_SHOWN = 12  # lines about what did not load

MakeStudent = Callable[[StandIns], SandboxedStudent]


def check_exercise(
    assignment: Assignment,
    exercise: Exercise,
    plugin: SuitePlugin,
    report: Report,
    make: MakeStudent,
    charging: Charging | None = None,
) -> ExerciseResult:
    """Run the checks of an exercise, with one set of stand-ins after the other until it has all points.

    Args:
        assignment: Whose.
        exercise: Which.
        plugin: With the suites collected.
        report: With the results of the exercises before it, and the seed.
        make: Makes the student, for some stand-ins.
        charging: Charges faults once, but for exercises of which students are told nothing.
    """
    result = ExerciseResult(exercise.id, exercise.title, exercise.points)
    heard: Answers = {}
    ids = [e.id for e in assignment.exercises]
    earlier = [r for r in report.exercises if r.id in ids[: ids.index(exercise.id)]]
    try:
        for bound in stand_ins(assignment, exercise, earlier):
            if bound.where_stopped and not any(check.status in _STOPPED for check in result.checks):
                break
            for _ in range(_TRIES):
                student = make(bound)
                checks = _run_checks(exercise, plugin, student, report.seed, bound)
                if not student.lost:
                    break
            result.peak_megabytes = max(result.peak_megabytes, student.peak_megabytes)
            if not result.checks or sum(c.earned for c in checks) > result.earned:
                result.checks, result.printed = checks, student.printed
                heard = {} if student.guard(bound.guarded) else plugin.heard
            if not bound.guarded:
                result.unloaded = worth_telling(student.problems)
            if result.earned == exercise.points:
                break
        if charging is not None:
            charging.charge(result, heard, report.seed)
            apply_rubric(result, read_rubric(assignment.folder))
    except Exception:  # the suites' own machinery broke: ours, and only this exercise's
        result.checks = [_ours(check, traceback.format_exc()) for check in checks_of(plugin, exercise)]
    return result


def read_again(
    assignment: Assignment,
    plugin: SuitePlugin,
    report: Report,
    slices: dict[str, Slice],
    sources: list[str],
    host: Host,
    charging: Charging | None = None,
) -> None:
    """Give the exercises that lost points in the first reading, and may have lost them to it, the second.

    Args:
        assignment: Whose.
        plugin: With the suites collected.
        report: With the first reading's results; the better ones take their place.
        slices: Of the first reading, by exercise.
        sources: The notebook's code cells as they stand.
        host: The sandbox; no worker may be in it.
        charging: As for `check_exercise`.
    """
    whole = WholeNotebook(assignment, list(enumerate(sources, start=1)), host)
    stopped = _DID_NOT_LOAD if any(e.unloaded for e in report.exercises) else ""
    try:
        for index, first in enumerate(report.exercises):
            piece = slices[first.id]
            doubt = piece.doubt or stopped
            if first.earned == first.max_points or not doubt or first.status == "grader_error":
                continue
            exercise = assignment.exercise(first.id)
            make = functools.partial(_branched, whole, piece)
            second = check_exercise(assignment, exercise, plugin, report, make, charging)
            report.exercises[index] = better(first, second, doubt)
    finally:
        whole.close()


def _branched(whole: WholeNotebook, piece: Slice, bound: StandIns) -> SandboxedStudent:
    return whole.student(piece, bound.sent, bound.asked)


def better(first: ExerciseResult, second: ExerciseResult, doubt: str) -> ExerciseResult:
    """The result that counts; of two with as many points the first."""
    if second.status == "grader_error":
        first.readings = f"the first reading counts: {first.earned:g} points; {SECOND_BROKE} ({doubt})"
        return first
    if second.earned <= first.earned:
        first.readings = (
            f"the first reading counts: {first.earned:g} points, the second gave {second.earned:g} ({doubt})"
        )
        return first
    second.readings = (
        f"the second reading counts: {second.earned:g} points, where the first gave {first.earned:g} ({doubt})"
    )
    second.reading, second.code = "whole", first.code
    second.peak_megabytes = max(first.peak_megabytes, second.peak_megabytes)
    return second


def worth_telling(problems: list[str]) -> list[str]:
    """Of the lines about what did not load the first ones: packages, then what stopped, then what does nothing here."""

    def rank(line: str) -> int:
        return 0 if line.endswith("which is not here.") else 2 if line.endswith("does nothing here.") else 1

    return sorted(dict.fromkeys(problems), key=rank)[:_SHOWN]


def checks_of(plugin: SuitePlugin, exercise: Exercise) -> list[CheckResult]:
    """The checks of an exercise, not run."""
    return [check for check in plugin.checks() if check.exercise == exercise.id]


def _run_checks(
    exercise: Exercise, plugin: SuitePlugin, student: SandboxedStudent, seed: int, bound: StandIns
) -> list[CheckResult]:
    """The checks of an exercise; whatever happens, the student's process is ended."""
    try:
        guarded = student.told_less(bound.guarded)
        return plugin.run(exercise.id, student, seed, guarded=guarded, ours=bound.ours, needed=True)
    finally:
        student.close()


def _ours(check: CheckResult, details: str) -> CheckResult:
    check.status, check.details = "grader_error", details
    check.message = "The check itself broke. That is our fault and costs you nothing; staff will look."
    return check

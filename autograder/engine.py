"""One submission -> one `Report`. Runs in a slot, which has collected the suites already."""

from __future__ import annotations

import datetime
import hashlib
import platform
import time
import traceback
from typing import Any

import torch
import torchvision

from autograder import __version__
from autograder.assignment import PACKAGE, Assignment, Exercise
from autograder.errors import KitError, SubmissionError
from autograder.follow import stand_ins
from autograder.notebook import Cell, read_notebook
from autograder.report.model import Report
from autograder.result import CheckResult, ExerciseResult
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.slicing import Slice, make_slice
from autograder.suites.plugin import SuitePlugin


def blank_report(assignment: Assignment, student: str, file: str, suites: str, seed: int) -> Report:
    """A report with nothing in it yet."""
    return Report(
        assignment=assignment.id,
        title=assignment.title,
        student=student,
        file=file,
        sha256="",
        suites=suites,
        seed=seed,
        max_score=assignment.max_score,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={
            "fcoskit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    )


def grade_notebook(
    assignment: Assignment,
    plugin: SuitePlugin,
    report: Report,
    data: bytes,
    suffix: str,
    host: Host,
    skip: tuple[str, ...] = (),
) -> Report:
    """Fill in a blank report.

    Args:
        assignment: What is asked.
        plugin: With the suites collected.
        report: From `blank_report`.
        data: The notebook file's bytes.
        suffix: Its suffix.
        host: The sandbox that student code runs in.
        skip: Exercises to leave out.
    """
    started = time.perf_counter()
    report.sha256 = hashlib.sha256(data).hexdigest()
    cells: list[Cell] = []
    try:
        cells = read_notebook(data, suffix, assignment.limits.code_kilobytes)
    except SubmissionError as error:
        report.outcome, report.problem = "unreadable", str(error)
    report.notes = [_syntax_note(cell) for cell in cells if cell.problem]
    for exercise in assignment.exercises:
        if exercise.id in skip:
            continue
        if report.problem:
            report.exercises.append(_nothing_to_grade(exercise, plugin, report.problem))
        else:
            result = _grade_exercise(assignment, exercise, plugin, cells, report, host)
            report.exercises.append(result)
    report.seconds = round(time.perf_counter() - started, 2)
    return report


def unreadable(assignment: Assignment, plugin: SuitePlugin, report: Report, problem: str) -> Report:
    """The report of a file that cannot even be read: nothing earned, and why."""
    report.outcome, report.problem = "unreadable", problem
    report.exercises = [_nothing_to_grade(exercise, plugin, problem) for exercise in assignment.exercises]
    return report


def _grade_exercise(
    assignment: Assignment,
    exercise: Exercise,
    plugin: SuitePlugin,
    cells: list[Cell],
    report: Report,
    host: Host,
) -> ExerciseResult:
    result = ExerciseResult(exercise.id, exercise.title, exercise.points)
    not_run = assignment.not_run | set(assignment.wanted)
    piece = make_slice(cells, exercise.names, not_run, assignment.globals)
    try:
        for bound in stand_ins(assignment, exercise, report.exercises):
            checks, printed = _run_checks(assignment, exercise, plugin, piece, bound, report.seed, host)
            if not result.checks or sum(c.earned for c in checks) > result.earned:
                result.checks, result.printed = checks, printed
            if result.earned == exercise.points:
                break
    except Exception:  # the suites' own machinery broke: ours, and only this exercise's
        result.checks = [_ours(check, traceback.format_exc()) for check in _of(plugin, exercise)]
    return result


def _run_checks(
    assignment: Assignment,
    exercise: Exercise,
    plugin: SuitePlugin,
    piece: Slice,
    bound: list[dict[str, Any]],
    seed: int,
    host: Host,
) -> tuple[list[CheckResult], str]:
    """The checks of an exercise with some stand-ins, and what student code printed."""
    student = SandboxedStudent(assignment, piece, host, bound)
    try:
        guarded = any(stand_in["slice"] for stand_in in bound)
        checks = plugin.run(exercise.id, student, seed, guarded=guarded)
    finally:
        student.close()
    return checks, student.printed


def check_points(assignment: Assignment, checks: list[CheckResult]) -> None:
    """Hold the suites to the points that the assignment gives.

    Raises:
        KitError: They do not add up, or a check belongs to no exercise; for the TA.
    """
    by_exercise: dict[str, float] = {}
    for check in checks:
        by_exercise[check.exercise] = by_exercise.get(check.exercise, 0.0) + check.points
    for exercise in assignment.exercises:
        found = by_exercise.get(exercise.id, 0.0)
        if abs(found - exercise.points) > 1e-9:
            raise KitError(
                f"The checks of {exercise.id} add up to {found:g} points, but {assignment.folder}/assignment.toml "
                f"gives it {exercise.points:g}. A TA has to bring the two together."
            )


def suites_digest(assignment: Assignment) -> str:
    """A digest of everything that decides a verdict: engine, suites, reference tensors, solution, settings."""
    folders = [PACKAGE, assignment.suites, assignment.reference, assignment.folder]
    kinds = {".py", ".ini", ".safetensors", ".toml"}
    files = {path for folder in folders for path in folder.rglob("*") if path.suffix in kinds}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _of(plugin: SuitePlugin, exercise: Exercise) -> list[CheckResult]:
    return [check for check in plugin.checks() if check.exercise == exercise.id]


def _nothing_to_grade(exercise: Exercise, plugin: SuitePlugin, problem: str) -> ExerciseResult:
    checks = _of(plugin, exercise)
    for check in checks:
        check.status, check.message = "missing", problem
    return ExerciseResult(exercise.id, exercise.title, exercise.points, checks)


def _ours(check: CheckResult, details: str) -> CheckResult:
    check.status, check.details = "grader_error", details
    check.message = "The check itself broke. That is our fault and costs you nothing; staff will look."
    return check


def _syntax_note(cell: Cell) -> str:
    assert cell.problem is not None
    place, why = cell.problem
    return f"Python cannot read {place} ({why}). Nothing in that cell counts; the other cells do."

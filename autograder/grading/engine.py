"""One submission -> one `Report`. Runs in a slot, which has collected the suites already."""

from __future__ import annotations

import contextlib
import hashlib
import time

from autograder.checks.result import ExerciseResult, Figure
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import Assignment, Exercise
from autograder.grading.charges import Charging
from autograder.grading.map_score import Asked, measure, not_possible, scored
from autograder.grading.newer_python import hold_back, newer_notes
from autograder.grading.readings import check_exercise, checks_of, read_again
from autograder.grading.released import released_texts
from autograder.parsing.budget import SubmissionBudget
from autograder.parsing.cells import Cell, handed_in_with, parsed, sources_of
from autograder.parsing.excerpt import shown_code
from autograder.parsing.slicing import Slice, forget, make_slice
from autograder.report.model import UNREAD, Report
from autograder.runtime.errors import SubmissionError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host

CHECK_SECONDS = 30.0  # of our own computing for the checks of an exercise; the solution's answers take less than one
_MOST_NOTES = 12


def grade_notebook(
    assignment: Assignment,
    plugin: SuitePlugin,
    report: Report,
    data: bytes,
    suffix: str,
    host: Host,
    skip: tuple[str, ...] = (),
    asked: Asked | None = None,
    charging: Charging | None = None,
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
        asked: What to measure weights by; without it they are taken for not handed in.
        charging: Charges faults once; without it each failing check costs its points.
    """
    started = time.perf_counter()
    host.next_submission()
    report.sha256 = hashlib.sha256(data).hexdigest()
    sources: list[str] = []
    cells: list[Cell] = []
    slices: dict[str, Slice] = {}
    version, budget = "", SubmissionBudget()
    try:
        with budget.reading():
            sources = sources_of(data, suffix, assignment.limits.code_kilobytes)
            cells = parsed(sources)
            slices = {e.id: slice_of(assignment, e, cells) for e in assignment.exercises if e.id not in skip}
            version = handed_in_with(data, suffix)
    except SubmissionError as error:
        report.outcome, report.problem = "unreadable", str(error)
    report.notes = _notes(cells)
    if version not in ("", assignment.version):
        report.notes.append(_version_note(version, assignment.version))
    for exercise in assignment.exercises:
        if exercise.id in skip:
            continue
        if report.problem:
            report.exercises.append(_nothing_to_grade(exercise, plugin, report.problem))
        else:
            result = _grade_exercise(
                assignment, exercise, plugin, cells, slices[exercise.id], report, host, charging, budget
            )
            report.exercises.append(result)
    if not report.problem:
        read_again(assignment, plugin, report, slices, sources, host, charging)
        for result in report.exercises:
            with contextlib.suppress(SubmissionError), budget.reading():  # else nothing is said of newer Pythons
                hold_back(result, slices[result.id])
    if assignment.map is not None and assignment.map.id not in skip:
        if report.problem:
            _add_figure(assignment, report, not_possible(assignment.map, asked, report.problem))
        else:
            _add_figure(
                assignment, report, measure(assignment, assignment.map, cells, host, asked or Asked(None, report.seed))
            )
    forget()
    report.seconds = round(time.perf_counter() - started, 2)
    return report


def unreadable(
    assignment: Assignment, plugin: SuitePlugin, report: Report, problem: str, asked: Asked | None = None
) -> Report:
    """The report of a file that cannot even be read: nothing earned, and why."""
    report.outcome, report.problem = "unreadable", problem
    report.exercises = [_nothing_to_grade(exercise, plugin, problem) for exercise in assignment.exercises]
    if assignment.map is not None:
        _add_figure(assignment, report, not_possible(assignment.map, asked, problem))
    return report


def _add_figure(assignment: Assignment, report: Report, figure: Figure) -> None:
    """Keep a figure, and its points where the assignment gives it some."""
    report.figures.append(figure)
    if assignment.map is not None and assignment.map.points:
        report.exercises.append(scored(assignment.map, figure))


def _grade_exercise(
    assignment: Assignment,
    exercise: Exercise,
    plugin: SuitePlugin,
    cells: list[Cell],
    piece: Slice,
    report: Report,
    host: Host,
    charging: Charging | None,
    budget: SubmissionBudget,
) -> ExerciseResult:
    """The first reading: what the exercise leans on, and nothing else."""
    result = check_exercise(
        assignment,
        exercise,
        plugin,
        report,
        lambda bound: SandboxedStudent(assignment, piece, host, bound.sent, bound.asked),
        charging,
    )
    others = frozenset(assignment.wanted) - set(exercise.names)
    if result.status != "passed":
        with contextlib.suppress(SubmissionError), budget.reading():  # the verdict stands without it
            result.code = shown_code(piece, cells, others, {(c.cell, c.line) for c in result.checks if c.cell})
    return result


def slice_of(assignment: Assignment, exercise: Exercise, cells: list[Cell]) -> Slice:
    """What of a notebook an exercise leans on; other exercises' functions are not run on the way."""
    released = released_texts(assignment)
    return make_slice(cells, exercise.names, assignment.not_run, assignment.globals, assignment.wanted, released)


def _nothing_to_grade(exercise: Exercise, plugin: SuitePlugin, problem: str) -> ExerciseResult:
    checks = checks_of(plugin, exercise)
    for check in checks:
        check.status, check.message = "missing", problem
    return ExerciseResult(exercise.id, exercise.title, exercise.points, checks)


def _notes(cells: list[Cell]) -> list[str]:
    """A note for each cell that Python cannot read; of very many the first ones."""
    notes = [*newer_notes(cells), *(_syntax_note(cell) for cell in cells if cell.problem and not cell.needs)]
    if len(notes) <= _MOST_NOTES:
        return notes
    return [*notes[:_MOST_NOTES], f"So it is with {len(notes) - _MOST_NOTES} more code cells."]


def _syntax_note(cell: Cell) -> str:
    assert cell.problem is not None
    place, why = cell.problem
    return f"{UNREAD} {place} ({why}). Nothing in that cell counts; the other cells do."


def _version_note(theirs: str, ours: str) -> str:
    return (
        f"You worked with version {theirs} of the course's helpers; the course has {ours}. It is graded all the same: "
        "only check() in your notebook may have said something else than this page."
    )

"""Grades that staff set by hand: `by-hand.csv` in a run's folder, which grading reads and never writes.

    student,exercise,points,reason
    alice,7.1d,8,"right in spirit: transposed on purpose, and says so"

They take the place of what the checks give, in every file of the run, and survive any regrading.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.intake.submissions import safe_key
from autograder.report.model import Report
from autograder.report.tables import number, read_rows
from autograder.runtime.errors import KitError

FILE = "by-hand.csv"
_COLUMNS = ["student", "exercise", "points", "reason"]


@dataclass(frozen=True)
class HandGrade:
    """Points for one exercise of one student, and why."""

    points: float
    reason: str


HandGrades = dict[tuple[str, str], HandGrade]


def read_by_hand(out: Path, assignment: Assignment) -> HandGrades:
    """Grades set by hand, by the student's folder name and exercise; none if there is no file.

    Raises:
        KitError: A line is not as it should be; says which and why.
    """
    path = out / FILE
    if not path.is_file():
        return {}
    rows = read_rows(path)[0]
    if not rows or [cell.strip() for cell in rows[0]] != _COLUMNS:
        raise KitError(f"{path}: the first line must be {','.join(_COLUMNS)}.")
    found: HandGrades = {}
    for line, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            key, grade = _row(assignment, row)
        except ValueError as error:
            raise KitError(f"{path}, line {line}: {error}. Mend that line; nothing was changed.") from error
        if key in found:
            raise KitError(f"{path}, line {line}: {row[0]} has points for {row[1]} already.")
        found[key] = grade
    return found


def _row(assignment: Assignment, row: list[str]) -> tuple[tuple[str, str], HandGrade]:
    if len(row) != len(_COLUMNS):
        raise ValueError(f"{len(row)} columns, not {len(_COLUMNS)} (a reason with a comma goes between quotes)")
    student, exercise, points, reason = (cell.strip() for cell in row)
    limits = {e.id: e.points for e in assignment.scored}
    if not student:
        raise ValueError("no student")
    if exercise not in limits:
        raise ValueError(f"no exercise {exercise!r}: there are {', '.join(limits)}")
    value = number(points)
    if value is None or not 0 <= value <= limits[exercise]:
        raise ValueError(f"{points!r} is not a number of points from 0 to {limits[exercise]:g}")
    return (safe_key(student), exercise), HandGrade(value, reason)


def apply_by_hand(report: Report, grades: HandGrades) -> bool:
    """Put the grades set by hand into a report; says whether that changed it."""
    changed = False
    for exercise in report.exercises:
        grade = grades.get((safe_key(report.student), exercise.id))
        points, reason = (grade.points, grade.reason) if grade else (None, "")
        changed |= (exercise.by_hand, exercise.reason) != (points, reason)
        exercise.by_hand, exercise.reason = points, reason
    return changed


def unused(grades: HandGrades, reports: list[Report]) -> list[str]:
    """A line for each grade that no report has a place for: a misspelt student, say; nothing else would tell."""
    places = {(safe_key(report.student), exercise.id) for report in reports for exercise in report.exercises}
    students = {safe_key(report.student) for report in reports}
    lines = []
    for student, exercise in sorted(grades.keys() - places):
        why = f"the report of {student} has no checks" if student in students else f"there is no report of {student}"
        lines.append(
            f"{FILE}: the points for {exercise} count nowhere: {why}. Mend the line, or grade what is missing."
        )
    return lines

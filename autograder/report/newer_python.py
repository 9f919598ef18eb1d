"""A check that a newer Python has to decide: how its result says so, and what staff read of it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from autograder.report.model import Report

_MARK = re.compile(r"^needs Python (\d+\.\d+), this is (\d+\.\d+)\Z", re.MULTILINE)


def marked(version: str, this: str, was: str) -> str:
    """The details of such a check, for staff: the version that it needs, the one at hand, and what came of it here."""
    return f"{was}\nneeds Python {version}, this is {this}"


def needed(report: Report) -> dict[str, tuple[str, str]]:
    """By exercise: the Python that it needs, and the one that graded it."""
    found: dict[str, tuple[str, str]] = {}
    for exercise in report.exercises:
        for check in exercise.checks:
            if exercise.by_hand is None and check.status == "grader_error" and (mark := _MARK.search(check.details)):
                found[exercise.id] = mark[1], mark[2]
    return found


def which_would_do(reports: Iterable[Report]) -> tuple[str, str, list[str]]:
    """The oldest Python that reads all of some submissions, the one that graded them, and whose they are.

    Returns:
        Two versions, "" where nothing needs another, and the students.
    """
    students, versions, this = [], [""], ""
    for report in reports:
        for version, graded_by in needed(report).values():
            versions.append(version)
            this = graded_by
            students.append(report.student)
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".") if part])
    return newest, this, sorted(set(students))

"""The class as CSV: by check, for Canvas' gradebook, and the tables that can be shared.

No cell is a formula to a spreadsheet: text that begins like one gets a quote before it. Numbers are ours.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.checks.result import STATUSES
from autograder.report.anonymous import Row, in_words
from autograder.report.files import csv_text
from autograder.report.items import Item
from autograder.report.model import Report
from autograder.report.summary import ClassSummary
from autograder.runtime.errors import KitError

# What Canvas' gradebook exports and imports: these first, in this order, then a column for each assignment.
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
_POINTS_POSSIBLE = "    Points Possible"  # as Canvas itself writes it


@dataclass(frozen=True)
class Roster:
    """A gradebook that Canvas exported.

    Attributes:
        rows: The cells of `CANVAS` of each student.
        columns: All column names.
    """

    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class CanvasFile:
    """What to import.

    Attributes:
        text: The file.
        unscored: Students left out because a human has to act first.
        unknown: Students left out because the roster does not have them, or not by a name of their own: two
            submissions may go by the login and the number of one student.
    """

    text: str
    unscored: tuple[str, ...]
    unknown: tuple[str, ...]


def checks_csv(summary: ClassSummary) -> str:
    """A row a check: students with a verdict, counts by status, difficulty, discrimination, time."""
    head = ["exercise", "check", "sentence", "public", "points", "students", *STATUSES]
    return csv_text([[*head, "difficulty", "discrimination", "median_seconds"], *map(_check_row, summary.items)])


def shared_checks_csv(summary: ClassSummary) -> str:
    """The same of an `anonymous.shared_summary`: no number about fewer than its `K` students."""
    head = ["exercise", "check", "sentence", "public", "points", "students", "passed", "difficulty", "discrimination"]
    rows: list[Sequence[object]] = [head]
    for item in summary.items:
        numbers = [_number(item.difficulty, 2), _number(item.discrimination, 1)]
        rows.append([*_name(item), item.verdicts, in_words(item.passed, item.verdicts), *numbers])
    return csv_text(rows)


def shared_students_csv(rows: list[Row]) -> str:
    """Pseudonyms and ranges of scores."""
    return csv_text([["pseudonym", "score_from", "score_to"], *([row.pseudonym, row.low, row.high] for row in rows)])


def canvas_csv(reports: list[Report], summary: ClassSummary, roster: Roster | None) -> CanvasFile:
    """Scores in the form that Canvas' gradebook imports.

    A student without a score has no row, so that Canvas leaves what it has. Without a roster the student's name,
    which mostly is a login, stands under "Student" and "SIS Login ID"; with one, the row is Canvas' own.
    """
    column = _column(summary.title, roster)
    rows: list[Sequence[object]] = [[*CANVAS, column], [_POINTS_POSSIBLE, "", "", "", "", summary.scores.most]]
    known = _by_any_name(roster) if roster else {}
    claims = Counter(known.get(_folded(report.student)) for report in reports if report.score is not None)
    unscored, unknown = [], []
    for report in sorted(reports, key=lambda one: one.student):
        score = report.score
        if score is None:
            unscored.append(report.student)
        elif roster is None:
            rows.append([report.student, "", "", report.student, "", score])
        elif (row := known.get(_folded(report.student))) and claims[row] == 1:
            rows.append([*row, score])
        else:
            unknown.append(report.student)
    return CanvasFile(csv_text(rows), tuple(unscored), tuple(unknown))


def read_roster(path: Path) -> Roster:
    """Read a gradebook that Canvas exported.

    Raises:
        KitError: It cannot be read, or is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KitError(f"{path}: the roster cannot be read ({error}).") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    if "Student" not in head or "ID" not in head:
        raise KitError(f'{path} is no gradebook of Canvas: the first line needs the columns "Student" and "ID".')
    place = {name: head.index(name) for name in CANVAS if name in head}
    students = []
    for row in rows[1:]:
        cells = tuple(row[place[name]] if place.get(name, len(row)) < len(row) else "" for name in CANVAS)
        if cells[1].strip():  # "Points Possible" and the like have no ID
            students.append(cells)
    return Roster(tuple(students), tuple(head))


def _by_any_name(roster: Roster) -> dict[str, tuple[str, ...]]:
    """Rows by login, SIS id, Canvas id and name; what two students share names neither."""
    found: dict[str, tuple[str, ...]] = {}
    shared: set[str] = set()
    for row in roster.rows:
        for name in {_folded(cell) for cell in row[:4]} - {""}:
            if name in found:
                shared.add(name)
            found[name] = row
    return {name: row for name, row in found.items() if name not in shared}


def _folded(name: str) -> str:
    return name.strip().casefold()


def _column(title: str, roster: Roster | None) -> str:
    """The assignment's column: the one that Canvas has already, "Title (123)", or a new one."""
    for column in roster.columns if roster else ():
        if re.fullmatch(re.escape(title) + r"( \(\d+\))?", column):
            return column
    return title


def _name(item: Item) -> list[object]:
    return [item.exercise, item.name, item.sentence, "yes" if item.public else "no", item.points]


def _check_row(item: Item) -> list[object]:
    counts = [item.counts.get(status, 0) for status in STATUSES]
    numbers = [_number(item.difficulty, 4), _number(item.discrimination, 4), _number(item.seconds, 4)]
    return [*_name(item), item.verdicts, *counts, *numbers]


def _number(value: float | None, digits: int) -> object:
    return "" if value is None else round(value, digits)

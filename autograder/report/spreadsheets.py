"""The class as CSV: by check, for Canvas' gradebook, and the tables that can be shared.

No cell is a formula to a spreadsheet: text that begins like one gets a quote before it. Numbers are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz import fuzz, process

from autograder.checks.result import STATUSES
from autograder.course.origin import CANVAS as CANVAS_NAMES
from autograder.report.anonymous import Row, in_words
from autograder.report.files import csv_text
from autograder.report.items import Item
from autograder.report.model import Report
from autograder.report.people import People, Person, matched
from autograder.report.summary import ClassSummary
from autograder.report.tables import folded, read_table
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
        lines: What staff should know besides.
    """

    text: str
    unscored: tuple[str, ...]
    unknown: tuple[str, ...]
    lines: tuple[str, ...] = ()


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


def canvas_csv(
    reports: list[Report], summary: ClassSummary, roster: Roster | None, column: str | None = None
) -> CanvasFile:
    """Scores that count, in the form that Canvas' gradebook imports.

    A student without a score has no row, so that Canvas leaves what it has. Without a roster Canvas's own number and
    name stand there if the hand-in has them, else the student's name, which mostly is a login, under "Student" and
    "SIS Login ID"; with one, the row is Canvas' own.

    Args:
        reports: Of the class.
        summary: Of the same.
        roster: The gradebook, if it is known.
        column: Heading of the assignment's column; found by the title if None.

    Raises:
        KitError: The roster has no such column.
    """
    heading, lines = _column(summary.title, roster, column)
    rows: list[Sequence[object]] = [[*CANVAS, heading], [_POINTS_POSSIBLE, "", "", "", "", summary.scores.most]]
    people = People(_people(roster)) if roster else None
    ordered = sorted(reports, key=lambda one: one.student)
    known = matched(people, [(r.student, r.origin) for r in ordered if r.final is not None]) if people else {}
    unscored, unknown = [], []
    for report in ordered:
        score = report.final
        if score is None:
            unscored.append(report.student)
        elif roster is None or people is None:
            rows.append([*_without_roster(report), score])
        elif row := known.get(report.student):
            rows.append([*roster.rows[row.place], score])
        else:
            unknown.append(report.student)
            if alike := people.suggestion(report.student, report.origin):
                lines.append(f"{report.student} may be {alike} in the roster. Nothing was filled in by that.")
    return CanvasFile(csv_text(rows), tuple(unscored), tuple(unknown), tuple(lines))


def _without_roster(report: Report) -> list[object]:
    origin = report.origin
    if origin is not None and origin.platform == CANVAS_NAMES:
        return [origin.name, origin.user, "", "", ""]
    return [report.student, "", "", report.student, ""]


def read_roster(path: Path) -> Roster:
    """Read a gradebook that Canvas exported, also after a spreadsheet has saved it again.

    Raises:
        KitError: It cannot be read, or is none.
    """
    try:
        table = read_table(path)
    except KitError as error:
        raise KitError(f"{path}: the roster cannot be read. {error}") from error
    place = {name: table.column(name) for name in CANVAS}
    first, last = table.column("FirstName", "First Name"), table.column("LastName", "Last Name")
    if place["ID"] is None or (place["Student"] is None and (first is None or last is None)):
        raise KitError(
            f'{path} is no gradebook of Canvas: the first line needs the columns "Student" and "ID". '
            f"It has: {', '.join(table.head)[:300]}."
        )
    students = []
    for row in table.rows:
        cells = [row[at] if (at := place[name]) is not None else "" for name in CANVAS]
        if place["Student"] is None and first is not None and last is not None:
            cells[0] = f"{row[last]}, {row[first]}"
        if cells[1].strip():  # "Points Possible" and the like have no ID
            cells[1] = _whole(cells[1])
            students.append(tuple(cells))
    return Roster(tuple(students), table.head)


def _whole(text: str) -> str:
    """An id as Canvas wrote it: a spreadsheet may have made a number with a point or a comma of it."""
    found = re.fullmatch(r"\s*(\d+)[.,]0*\s*", text)
    return found[1] if found else text.strip()


def _people(roster: Roster) -> list[Person]:
    return [Person(row[0], row[1], (row[2], row[3]), place) for place, row in enumerate(roster.rows)]


def _column(title: str, roster: Roster | None, column: str | None) -> tuple[str, list[str]]:
    """The assignment's column: the one that Canvas has already, "Title (123)", or a new one; and what to say of it."""
    columns = [name for name in roster.columns if name not in CANVAS] if roster else []
    wanted = folded(column or title)
    found = [name for name in columns if wanted in (folded(name), folded(re.sub(r" \(\d+\)$", "", name)))]
    if len(found) == 1:
        return found[0], []
    theirs = [name for name in columns if re.search(r" \(\d+\)$", name)]
    if column is not None and roster is not None:
        why = f"{len(found)} columns" if found else "no column"
        raise KitError(f"The roster has {why} called {column!r}. Assignments in it: {', '.join(theirs) or 'none'}.")
    if not theirs:
        return column or title, []
    best = process.extractOne(title, theirs, scorer=fuzz.WRatio)
    return title, [
        f"The roster has no column called {title!r}, so Canvas will ask about a new assignment. To fill one that is "
        f"there, name it: --column {best[0]!r}, say."
    ]


def _name(item: Item) -> list[object]:
    return [item.exercise, item.name, item.sentence, "yes" if item.public else "no", item.points]


def _check_row(item: Item) -> list[object]:
    counts = [item.counts.get(status, 0) for status in STATUSES]
    numbers = [_number(item.difficulty, 4), _number(item.discrimination, 4), _number(item.seconds, 4)]
    return [*_name(item), item.verdicts, *counts, *numbers]


def _number(value: float | None, digits: int) -> object:
    return "" if value is None else round(value, digits)

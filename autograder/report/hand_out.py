"""What goes back to students and into a platform's gradebook: pages alone, and the scores that count.

Staff's reports stay where they are: nothing here but `feedback.html`, made anew from each report, and numbers.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from autograder.course.origin import BRIGHTSPACE, CANVAS, GITHUB, MOODLE
from autograder.report.files import csv_text
from autograder.report.html import feedback_page
from autograder.report.model import Report
from autograder.report.tables import Table, number
from autograder.runtime.errors import KitError

FEEDBACK, FINAL, WORKSHEET = "feedback.zip", "final.csv", "moodle.csv"
PAGE = "feedback.html"
_EPOCH = (2020, 1, 1, 0, 0, 0)
_ID = (
    "Identifier",
    "Participant ID",
    "Identifikator",
    "Identifiant",
    "Identificador",
    "Identificatore",
    "Identificatie",
)
_GRADE = ("Grade", "Bewertung", "Note", "Calificación", "Valutazione", "Cijfer", "Nota", "Známka", "Ocena", "Betyg")
_MOST = ("Maximum grade", "Maximum Grade", "Bestwertung", "Note maximale", "Calificación máxima", "Valutazione massima")
# Moodle's own headings; the importer needs the identifier, the grade and the last one.
_MOODLE_HEAD = ("Identifier", "Full name", "Status", "Grade", "Maximum grade", "Last modified (grade)")


@dataclass(frozen=True)
class Pages:
    """The zip of pages.

    Attributes:
        data: The file.
        names: By student, the page's name in it.
        unnamed: Students whose hand-in Canvas cannot take a file back for: text that was typed in, or a link.
    """

    data: bytes
    names: dict[str, str]
    unnamed: tuple[str, ...]


def pages_zip(named: Sequence[tuple[str, Report]]) -> Pages:
    """The pages of the students who have a score, each named as its platform takes feedback files back.

    Args:
        named: Reports with the names of their folders, which are safe.
    """
    names: dict[str, str] = {}
    unnamed: list[str] = []
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, report in named:
            name = page_name(report, key)
            if report.score is None:
                continue
            if not name:
                unnamed.append(report.student)
            if not name or name in names.values():
                name = f"{key}.html"
            names[report.student] = name
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, feedback_page(report).encode("utf-8", "replace"), zipfile.ZIP_DEFLATED)
    return Pages(stream.getvalue(), names, tuple(unnamed))


def page_name(report: Report, key: str) -> str:
    """What a student's page is called in the zip; "" where the platform takes none back.

    Canvas finds whose it is by the ids in the name, which have to be those of a file that was handed in; Moodle and
    Brightspace by the name of the folder. Whatever a student chose of the name is left out of it.
    """
    origin = report.origin
    if origin is None:
        return f"{key}.html"
    if origin.platform == CANVAS:
        ids = re.match(r"(?:LATE_)?anon_[A-Za-z0-9]{5}_\d+_|.+?_(?:LATE_)?\d+_\d+_", origin.handle)
        return f"{_one_name(ids[0])}{PAGE}" if ids else ""
    if origin.platform in (MOODLE, GITHUB, BRIGHTSPACE):
        return f"{_one_name(origin.handle)}/{PAGE}"
    return f"{key}.html"


def _one_name(name: str) -> str:
    """A name that is one, whatever was made of it: no folder, nothing that a terminal or a system would act on."""
    kept = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name)
    return kept if PurePosixPath(kept).name == kept and kept.strip(". ") else "student"


def final_csv(reports: Sequence[Report]) -> str:
    """A row a student: what counts, after what lateness costs; empty where a human has to act first."""
    head = ["student", "platform", "user", "name", "score", "late_days", "deducted", "final", "max_score"]
    rows: list[Sequence[object]] = [head]
    for report in reports:
        origin = report.origin
        who = [origin.platform, origin.user, origin.name] if origin else ["", "", ""]
        known = report.score is not None
        numbers = [report.score, report.late_days, report.deducted, report.final] if known else [""] * 4
        rows.append([report.student, *who, *("" if n is None else n for n in numbers), report.max_score])
    return csv_text(rows)


@dataclass(frozen=True)
class Worksheet:
    """Moodle's grading worksheet, filled in.

    Attributes:
        text: The file.
        filled: Students whose grade is in it.
        missing: Students who have a score and no row in it.
        lines: What staff should know besides.
    """

    text: str
    filled: tuple[str, ...]
    missing: tuple[str, ...]
    lines: tuple[str, ...] = ()


def worksheet(reports: Sequence[Report], given: Table | None = None, column: str | None = None) -> Worksheet:
    """The grades of Moodle's participants.

    Args:
        reports: Of the class.
        given: The worksheet that Moodle gave; its other columns and rows stay as they are. None: one is made, which
            Moodle in English takes for students who have no grade yet.
        column: Heading of the grades, where it is none that is known.

    Raises:
        KitError: It has no such columns.
    """
    scored = {r.origin.user: r for r in reports if r.origin and r.origin.platform == MOODLE and r.final is not None}
    if given is None:
        rows: list[Sequence[object]] = [_MOODLE_HEAD]
        for user, report in scored.items():
            name = report.origin.name if report.origin else ""
            rows.append([f"Participant {user}", name, "", _points(report), report.max_score, "-"])
        return Worksheet(csv_text(rows), tuple(r.student for r in scored.values()), ())
    place, grade = _columns(given, set(scored), column)
    most = given.column(*_MOST)
    filled, other_most, table = [], set(), [list(given.head)]
    for row in given.rows:
        cells, found = list(row), scored.get(_user(row[place]))
        if found is not None:
            cells[grade] = f"{_points(found):g}"
            filled.append(found.student)
            theirs = number(row[most]) if most is not None else None
            other_most |= {theirs} if theirs is not None and theirs != found.max_score else set()
        table.append(cells)
    lines = [f"Moodle's maximum grade is {value:g}, not ours: set it to ours first." for value in sorted(other_most)]
    missing = [report.student for report in scored.values() if report.student not in filled]
    return Worksheet(csv_text(table), tuple(filled), tuple(missing), tuple(lines))


def _columns(given: Table, users: set[str], column: str | None) -> tuple[int, int]:
    """Where identifiers and grades stand."""
    place = given.column(*_ID)
    if place is None:  # in another language the cells tell: "Teilnehmer/in 12345"
        hits = {n: sum(_names_one(row[n], users) for row in given.rows) for n in range(len(given.head))}
        best = max(hits, key=lambda n: hits[n])
        place = best if hits[best] else None
    grade = given.column(column) if column else given.column(*_GRADE)
    if place is None or grade is None:
        what = "identifiers" if place is None else f"grades{f' {column!r}' if column else ''}"
        raise KitError(
            f"The worksheet has no column of {what}: it has {', '.join(given.head)}. Download it from Moodle (Download "
            "grading worksheet), or name the column of the grades with --column."
        )
    return place, grade


def _names_one(cell: str, users: set[str]) -> bool:
    """Whether a cell is a word and the number of one of some participants."""
    return _user(cell) in users and not cell.strip().isdigit()


def _user(cell: str) -> str:
    """The number at the end of "Participant 12345"."""
    found = re.search(r"(\d+)\s*$", cell)
    return found[1] if found else ""


def _points(report: Report) -> float:
    return round(report.final or 0.0, 5)

"""All students of a class as a table shows them: what counts, where the page is, and what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autograder.report.attention import Attention
from autograder.report.model import Report
from autograder.report.terminal import first_fault, shortened

_LONG = 160
_ORDER = ("no score", "worth a look", "for the record")


@dataclass(frozen=True)
class StudentRow:
    """A student.

    Attributes:
        student: The name.
        link: To the page, "" where there is none beside.
        score: Points that count; None where there is no verdict.
        lost: What lateness took off.
        level: How urgent a look is, "" where nothing stands out.
        rank: Of that, to sort by: 0 comes first.
        look: What to look at, or what went wrong first.
    """

    student: str
    link: str
    score: float | None
    lost: float
    level: str
    rank: int
    look: str


def student_rows(
    reports: list[Report], attention: tuple[Attention, ...], links: Mapping[str, str]
) -> tuple[StudentRow, ...]:
    """A row for each report, by name.

    Args:
        reports: Of the class.
        attention: Who needs a human, of the same class.
        links: By student, where the page is.
    """
    known = {one.student: one for one in attention}
    rows = [_row(report, known.get(report.student), links.get(report.student, "")) for report in reports]
    return tuple(sorted(rows, key=lambda row: row.student.casefold()))


def _row(report: Report, attention: Attention | None, link: str) -> StudentRow:
    level = attention.level if attention else ""
    reasons = "; ".join(attention.reasons) if attention else ""
    rank = _ORDER.index(level) if level in _ORDER else len(_ORDER)
    look = shortened(reasons or first_fault(report, _LONG), _LONG)
    return StudentRow(report.student, link, report.final, report.deducted, level, rank, look)

"""`map.csv`: what was measured of each student's weights, the best first."""

from __future__ import annotations

from collections.abc import Sequence

from autograder.checks.result import Figure
from autograder.report.anonymous import pseudonym
from autograder.report.files import csv_text
from autograder.report.model import Report


def leaderboard_csv(reports: list[Report], figure_id: str, key: bytes | None = None) -> str:
    """A row a student: rank, name, mAP from 0 to 1, images, status, on what. Those without a figure come last.

    Args:
        reports: Of a class.
        figure_id: Which figure.
        key: Show pseudonyms under this key, as the anonymous form of the class report does, in place of names.
    """
    rows: list[tuple[float | None, str, int, str, str]] = []
    for report in reports:
        name = report.student if key is None else pseudonym(report.student, key)
        figure = next((figure for figure in report.figures if figure.id == figure_id), None)
        if figure is None:
            rows.append((None, name, 0, report.outcome, ""))
        else:
            rows.append((figure.value, name, figure.images, figure.status, _on_what(figure)))
    rows.sort(key=lambda row: (row[0] is None, -(row[0] or 0.0), row[1]))
    values = [row[0] for row in rows]
    table: list[Sequence[object]] = [["rank", "student", "mAP", "images", "status", "measured_on"]]
    for value, name, images, status, on_what in rows:
        known = value is not None
        rank = values.index(value) + 1 if known else ""  # equals share a rank
        table.append([rank, name, f"{value:.4f}" if known else "", images if known else "", status, on_what])
    return csv_text(table)


def _on_what(figure: Figure) -> str:
    """Which images, at which size: figures of different ones are not to be compared."""
    return figure.message.partition(". ")[0].removeprefix("These are ").rstrip(".") if figure.value is not None else ""

"""Reports on disk: written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import tempfile
from pathlib import Path

from autograder.assignment import Assignment
from autograder.report.html import feedback_page
from autograder.report.model import Report


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that at any moment the old content is there or the new, never a part.

    What UTF-8 cannot hold (half a surrogate pair, from a file name or a student's error) becomes "?".
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_report(folder: Path, report: Report) -> None:
    """Write `feedback.html`, then `report.json`, whose presence means that both are there."""
    write_whole(folder / "feedback.html", feedback_page(report))
    write_whole(folder / "report.json", json.dumps(report.to_json(), indent=1, ensure_ascii=True) + "\n")


def read_report(folder: Path) -> Report:
    """Read `report.json`.

    Raises:
        OSError, ValueError, KeyError, TypeError: There is none, or it is not one of ours.
    """
    return Report.from_json(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def read_reports(out: Path) -> list[Report]:
    """Every report of a run's folder, earlier runs' too, ordered by folder name; unreadable ones are left out."""
    reports = []
    for path in sorted(out.glob("*/report.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            reports.append(read_report(path.parent))
    return reports


def write_grades(path: Path, assignment: Assignment, reports: list[Report]) -> None:
    """Write `grades.csv`: a row a student; scores are empty where a human has to act first."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    ids = [exercise.id for exercise in assignment.exercises]
    table.writerow(["student", "score", "max_score", "status", *ids])
    for report in reports:
        points = {exercise.id: exercise.points for exercise in report.exercises}
        score = report.score
        row = ["" if score is None else f"{points.get(name, 0.0):g}" for name in ids]
        name = _no_formula(report.student)
        table.writerow([name, "" if score is None else f"{score:g}", f"{report.max_score:g}", report.status, *row])
    write_whole(path, text.getvalue())


def _no_formula(name: str) -> str:
    """A name that a spreadsheet will not run: a leading = + - @ (or space before one) gets a quote before it."""
    name = name.replace("\r", " ")  # csv does not quote it, readers take it for the end of a row
    return "'" + name if name.strip()[:1] in tuple("=+-@＝＋－＠") and name.strip() else name

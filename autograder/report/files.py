"""Reports on disk: written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.report.html import feedback_page
from autograder.report.model import Report

# What drives a terminal, or turns the rest of a line round: a name that a student chose may hold it.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PARTS = set(',;\t|"\n')  # what parts cells here or elsewhere: cells that hold one stand between quotes
_FORMULA = re.compile(r"([,;\t|\n][\s\"]*)(?=[=+\-@＝＋－＠])")
PART = ".part-"  # begins the name of a file that is being written
PAGE, CHECKS, CANVAS = "class.html", "class.csv", "canvas.csv"  # what is made of all reports, and goes out of date


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file so that at any moment the old content is there or the new, never a part.

    `mode` says who may read it. What UTF-8 cannot hold (half a surrogate pair, from a file name or a student's
    error) becomes "?".
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=PART)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_report(folder: Path, report: Report) -> None:
    """Write `feedback.html`, then `report.json`, whose presence means that both are there.

    The latter has the seed and hidden numbers: it is its owner's alone, whatever the mode of the folder.
    """
    write_whole(folder / "feedback.html", feedback_page(report))
    write_whole(folder / "report.json", json.dumps(report.to_json(), indent=1, ensure_ascii=True) + "\n", 0o600)


def read_report(folder: Path) -> Report:
    """Read `report.json`.

    Raises:
        OSError, ValueError, KeyError, TypeError: There is none, or it is not one of ours.
    """
    try:
        return Report.from_json(json.loads((folder / "report.json").read_text(encoding="utf-8")))
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply to be a report") from error


def read_class(out: Path) -> tuple[list[tuple[str, Report]], list[tuple[str, str]]]:
    """Every report of a run's folder with the name of its folder, and each that cannot be read with the reason."""
    found, broken = [], []
    for path in sorted(out.glob("*/report.json")):
        try:
            found.append((path.parent.name, read_report(path.parent)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            broken.append((path.parent.name, why.partition("\n")[0][:200]))
    return found, broken


def read_reports(out: Path) -> list[Report]:
    """Every report of a run's folder, earlier runs' too, ordered by folder name; unreadable ones are left out."""
    return [report for _, report in read_class(out)[0]]


def write_grades(path: Path, assignment: Assignment, reports: list[Report]) -> None:
    """Write `grades.csv`: a row a student; scores are empty where a human has to act first."""
    ids = [exercise.id for exercise in assignment.scored]
    rows: list[Sequence[object]] = [["student", "score", "max_score", "status", *ids]]
    for report in reports:
        points = {exercise.id: exercise.points for exercise in report.exercises}
        score = "" if report.score is None else report.score
        cells = ["" if report.score is None else points.get(name, 0.0) for name in ids]
        rows.append([report.student, score, report.max_score, report.status, *cells])
    write_whole(path, csv_text(rows))


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV. Numbers are ours; text that a spreadsheet would take for a formula gets a quote before it.

    Control characters become "?", also those that turn a line's direction: somebody may `cat` the file.
    """
    text = io.StringIO()
    for row in rows:
        cells = [f"{cell:g}" if isinstance(cell, (int, float)) else no_formula(_seen(str(cell))) for cell in row]
        text.write(",".join(map(_quoted, cells)) + "\n")
    return text.getvalue()


def _seen(text: str) -> str:
    return _UNSEEN.sub("?", text.replace("\r\n", "\n").replace("\r", " "))


def _quoted(cell: str) -> str:
    """A cell between quotes where it holds what parts cells."""
    return '"' + cell.replace('"', '""') + '"' if _PARTS & set(cell) else cell


def no_formula(name: str) -> str:
    """A text that a spreadsheet will not run: a leading = + - @ (or space before one) gets a quote before it.

    So does one after a sign that parts cells in some country: there the rest of the text is a cell of its own.
    """
    name = name.replace("\r", " ")  # csv does not quote it, readers take it for the end of a row
    lead = len(name) - len(name.lstrip())
    name = name[:lead] + _FORMULA.sub(r"\1'", name[lead:])
    start = name.strip()[:1]
    return "'" + name if start and start in "=+-@＝＋－＠" and name.strip() != "-" else name

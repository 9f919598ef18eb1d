"""`fcoskit report DIR` as a person sees it: the class as a page and spreadsheets, or a form of it to share."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

from rich.console import Console

from autograder.course.assignment import load_assignment
from autograder.course.rubric import FILE as RUBRIC
from autograder.course.rubric import read_rubric
from autograder.report.anonymous import read_key, rows, shared_summary
from autograder.report.class_page import class_page, shared_page
from autograder.report.files import CANVAS, CHECKS, PAGE, read_class, write_whole
from autograder.report.model import Report
from autograder.report.prices import apply_rubric_to
from autograder.report.spreadsheets import (
    CanvasFile,
    canvas_csv,
    checks_csv,
    read_roster,
    shared_checks_csv,
    shared_students_csv,
)
from autograder.report.summary import ClassSummary, summarise, with_warnings
from autograder.report.terminal import printable, shortened
from autograder.runs.by_hand import FILE as BY_HAND
from autograder.runs.by_hand import apply_by_hand, read_by_hand, unused
from autograder.runs.run_folder import need_folder
from autograder.runtime.errors import KitError

STUDENTS = "students.csv"
SHARED, KEY = "anonymous", "pseudonyms.key"
_STAFF, _ALL = 0o600, 0o644  # who may read what is written


def report_class(
    folder: Path,
    console: Console,
    *,
    out: Path | None = None,
    roster: Path | None = None,
    column: str | None = None,
) -> int:
    """Write `class.html`, `class.csv` and `canvas.csv`.

    Args:
        folder: Of a run.
        console: To print on.
        out: Where the files go; the run's folder if None.
        roster: A gradebook that Canvas exported, to take its names and numbers from.
        column: Heading of the assignment's column in it; found by the title if None.

    Returns:
        Exit code: 0, or 1 if a report could not be read or a student has no row in the roster.

    Raises:
        KitError: There are no reports, or a file cannot be read or written.
    """
    known = read_roster(roster) if roster else None
    found, warnings, broken = the_class(folder)
    reports = [report for _, report in found]
    summary = with_warnings(summarise(reports), [*warnings, *_notes(folder, reports)])
    links = {report.student: name for name, report in found} if out is None else {}
    canvas = canvas_csv(reports, summary, known, column)
    target = out or folder
    _write(
        target, {PAGE: class_page(summary, links, reports), CHECKS: checks_csv(summary), CANVAS: canvas.text}, _STAFF
    )
    _say(summary, console)
    say_canvas(canvas, console)
    for name in (PAGE, CHECKS, CANVAS):
        _line(console, f"{target / name}", style="")
    return 1 if broken or canvas.unknown else 0


def say_canvas(canvas: CanvasFile, console: Console) -> None:
    """Who is not in the file for Canvas, and what else to know of it."""
    for line in canvas.lines:
        _line(console, line)
    if canvas.unscored:
        _line(console, f"Not in {CANVAS}, no score yet: {', '.join(canvas.unscored)}")
    if canvas.unknown:
        _line(console, f"Not in {CANVAS}, no row of their own in the roster: {', '.join(canvas.unknown)}")


def share_class(folder: Path, console: Console, *, out: Path | None = None, key: Path | None = None) -> int:
    """Write the anonymous form: `class.html`, `class.csv` and `students.csv`, in a folder of their own.

    Args:
        folder: Of a run.
        console: To print on.
        out: Where the files go; `anonymous/` in the run's folder if None.
        key: Of the pseudonyms; `pseudonyms.key` in the run's folder if None. Made where there is none.

    Returns:
        Exit code: 0, or 1 if a report could not be read.

    Raises:
        KitError: There are too few students, or a file cannot be read or written.
    """
    found, warnings, broken = the_class(folder, names=False)
    reports = [report for _, report in found]
    summary = with_warnings(shared_summary(reports), warnings)
    table = rows(reports, read_key(key or folder / KEY))
    files = {PAGE: shared_page(summary), CHECKS: shared_checks_csv(summary), STUDENTS: shared_students_csv(table)}
    target = out or folder / SHARED
    _write(target, files, _ALL)
    for warning in summary.warnings:
        _line(console, warning)
    for name in files:
        _line(console, f"{target / name}", style="")
    _line(console, f"Pseudonyms can be traced with {key or folder / KEY} alone: share the folder, not the key.")
    return 1 if broken else 0


def the_class(folder: Path, *, names: bool = True) -> tuple[list[tuple[str, Report]], list[str], bool]:
    """The reports of one assignment by folder name, what to say of the others, and whether some are broken."""
    need_folder(folder)
    found, broken = read_class(folder)
    if not found:
        why = f" {len(broken)} cannot be read: {broken[0][0]}/report.json ({broken[0][1]})." if broken else ""
        raise KitError(f"{folder} holds no reports.{why} Give the folder that `fcoskit grade` wrote with --out.")
    lines = [f"{name}/report.json cannot be read and is left out ({why}): grade it again." for name, why in broken]
    if broken and not names:
        lines = ["Some of the reports cannot be read and are left out."]  # one or two would be a small number
    counts = Counter(report.assignment for _, report in found)
    chosen = counts.most_common(1)[0][0]
    if len(counts) > 1:
        left = (f"{name} ({count})" if names else name for name, count in counts.items() if name != chosen)
        others = ", ".join(left)
        lines.append(f"This is about {chosen}; the folder holds reports of other assignments, left out: {others}.")
    kept = [(name, report) for name, report in found if report.assignment == chosen]
    lines += priced(chosen, [report for _, report in kept])
    suites = Counter(report.suites for _, report in kept).most_common()
    if len(suites) > 1:
        told = ", ".join(f"{count} by {digest or 'unknown'}" for digest, count in suites) if names else f"{len(suites)}"
        lines.append(
            f"The submissions were graded by different suites ({told}): points and pass rates are mixed. "
            "Grade them again with the same suites before you compare."
        )
    return kept, lines, bool(broken)


def priced(assignment_id: str, reports: list[Report]) -> list[str]:
    """Price the faults in some reports by the rubric as it is now; says so where that changes any."""
    try:
        rubric = read_rubric(load_assignment(assignment_id).folder)
    except KitError as error:
        with_prices = any(exercise.charges for report in reports for exercise in report.exercises)
        return [f"{RUBRIC} was not looked at: {error}"] if with_prices else []
    changed = sum(apply_rubric_to(report, rubric) for report in reports)
    if not changed:
        return []
    return [
        f"{RUBRIC} has changed since grading: here {changed} of {len(reports)} reports are priced by it as it is now. "
        "Run `fcoskit grade` again for the students' pages and grades.csv; no code runs again for that."
    ]


def _notes(folder: Path, reports: list[Report]) -> list[str]:
    """What staff should know besides: points set by hand that no report has yet, or has no place for."""
    try:
        grades = read_by_hand(folder, load_assignment(reports[0].assignment))
    except KitError as error:
        return [f"{BY_HAND} was not looked at: {error}"] if (folder / BY_HAND).exists() else []
    stale = [report.student for report in reports if apply_by_hand(copy.deepcopy(report), grades)]
    lines = unused(grades, reports)
    if stale:
        lines.append(f"{BY_HAND} has changed since grading ({', '.join(stale[:5])}): run `fcoskit grade` again first.")
    return lines


def _write(folder: Path, files: dict[str, str], mode: int) -> None:
    try:
        for name, text in files.items():
            write_whole(folder / name, text, mode)
    except OSError as error:
        raise KitError(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error


def _say(summary: ClassSummary, console: Console) -> None:
    """The class in a few lines."""
    for warning in summary.warnings:
        _line(console, warning)
    scores = summary.scores
    if scores.mean is not None and scores.median is not None:
        median = round(scores.median, 1)
        told = f"{scores.count} with a score: mean {scores.mean:.1f}, median {median:g} of {scores.most:g}"
        _line(console, f"{told}; {scores.without} without.", style="")
    for one in summary.attention:
        if one.level != "for the record":
            _line(console, shortened(f"{one.level}: {one.student}: {'; '.join(one.reasons)}", 400))


def _line(console: Console, text: str, style: str = "yellow") -> None:
    console.print(printable(text, line=True), style=style, markup=False, highlight=False, soft_wrap=True)

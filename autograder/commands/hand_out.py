"""`fcoskit hand-out OUT`: what goes back to students, and what a platform's gradebook takes, in one folder."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

from rich.console import Console

from autograder.commands.class_report import say_canvas, the_class
from autograder.course.assignment import load_assignment
from autograder.course.origin import CANVAS as FROM_CANVAS
from autograder.course.origin import MOODLE as FROM_MOODLE
from autograder.report.files import CANVAS, write_whole
from autograder.report.hand_out import FEEDBACK, FINAL, WORKSHEET, Pages, final_csv, pages_zip, worksheet
from autograder.report.model import Report
from autograder.report.spreadsheets import canvas_csv, read_roster
from autograder.report.summary import summarise
from autograder.report.tables import read_table
from autograder.report.terminal import counted, printable
from autograder.runs.by_hand import apply_by_hand, read_by_hand
from autograder.runs.lateness import apply_late, read_late, unused_late
from autograder.runtime.errors import KitError

FOLDER = "hand-out"
_SHOWN = 8
_ADVICE = {
    FROM_CANVAS: (
        "In Canvas: the assignment, Upload Submissions. Canvas shows a page under the name of the file that was handed "
        "in, as if it were the notebook: tell students that it is a web page."
    ),
    FROM_MOODLE: "In Moodle: the assignment's submissions, Upload multiple feedback files in a zip.",
}


def hand_out_class(
    folder: Path,
    console: Console,
    *,
    out: Path | None = None,
    roster: Path | None = None,
    worksheet_file: Path | None = None,
    column: str | None = None,
) -> int:
    """Write `feedback.zip` and `final.csv`, and `canvas.csv` or `moodle.csv` where the hand-ins come from there.

    Args:
        folder: Of a run.
        console: To print on.
        out: Where the files go; `hand-out/` in the run's folder if None.
        roster: A gradebook that Canvas exported.
        worksheet_file: The grading worksheet that Moodle gave.
        column: Heading of the grades in either of these.

    Returns:
        Exit code: 0, or 1 where somebody is left out of a file.

    Raises:
        KitError: There are no reports, points or days have changed since grading, or a file cannot be read or written.
    """
    if column and not (roster or worksheet_file):
        raise KitError("--column names a column of --roster or of --worksheet: give one of them.")
    found, warnings, broken = the_class(folder)
    reports = [report for _, report in found]
    for line in [*warnings, *_up_to_date(folder, reports)]:
        _line(console, line)
    pages, target = pages_zip(found), out or folder / FOLDER
    files: dict[str, str | bytes] = {FEEDBACK: pages.data, FINAL: final_csv(reports)}
    platforms = Counter(report.origin.platform for report in reports if report.origin)
    left_out = bool(broken) | any(report.score is None for report in reports) | bool(pages.unnamed)
    if roster or platforms[FROM_CANVAS]:
        canvas = canvas_csv(reports, summarise(reports), read_roster(roster) if roster else None, column)
        files[CANVAS] = canvas.text
        say_canvas(canvas, console)
        left_out |= bool(canvas.unknown)
    if worksheet_file or platforms[FROM_MOODLE]:
        filled = worksheet(reports, read_table(worksheet_file) if worksheet_file else None, column)
        files[WORKSHEET] = filled.text
        for line in filled.lines:
            _line(console, line)
        _names(console, f"Not in {WORKSHEET}, not in Moodle's worksheet", filled.missing)
        left_out |= bool(filled.missing or filled.lines)
    _write(target, files)
    _say(console, pages, reports, platforms, target, files)
    return int(left_out)


def _up_to_date(folder: Path, reports: list[Report]) -> list[str]:
    """Refuse to hand out what points set by hand, or late days, have overtaken; and say what counts nowhere.

    Raises:
        KitError: A report is older than them.
    """
    assignment = load_assignment(reports[0].assignment)
    by_hand, late = read_by_hand(folder, assignment), read_late(folder)
    stale = []
    for report in reports:
        other = copy.deepcopy(report)
        if apply_by_hand(other, by_hand) | apply_late(other, assignment.late, late):
            stale.append(report.student)
    if stale:
        shown = ", ".join(printable(name, line=True) for name in stale[:5])
        raise KitError(
            f"Points set by hand, or what lateness costs, have changed since grading ({shown}): run `fcoskit grade` "
            "again, which grades nothing anew, then hand out."
        )
    return unused_late(late, reports)


def _say(
    console: Console,
    pages: Pages,
    reports: list[Report],
    platforms: Counter[str],
    target: Path,
    files: dict[str, str | bytes],
) -> None:
    """What was written, who is not in it, and where it goes."""
    _names(console, "No page, a human has to look first", [r.student for r in reports if r.score is None])
    _names(console, f"{FEEDBACK} holds their pages, but Canvas takes none back for typed text and links", pages.unnamed)
    late = [report for report in reports if report.late_days]
    if late:
        cost = sum(1 for report in late if report.late_per_cent)
        _line(console, f"{counted(len(late), 'hand-in')} late, {cost} of them with points off.", style="")
    _line(console, f"{counted(len(pages.names), 'page')}, and nothing else, in {FEEDBACK}.", style="")
    for name in files:
        _line(console, f"{target / name}", style="")
    for platform, advice in _ADVICE.items():
        if platforms[platform]:
            _line(console, advice, style="")


def _names(console: Console, what: str, names: list[str] | tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        _line(console, f"{what}: {', '.join(names[:_SHOWN])}{more}.")


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    try:
        for name, content in files.items():
            write_whole(folder / name, content, 0o600)
    except OSError as error:
        raise KitError(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error


def _line(console: Console, text: str, style: str = "yellow") -> None:
    console.print(printable(text, line=True), style=style, markup=False, highlight=False, soft_wrap=True)

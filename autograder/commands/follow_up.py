"""What a person should know after a run: who could not be read, who is there from before, which pages are old now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from autograder.intake.submissions import Submission
from autograder.intake.untrusted import shown_member
from autograder.report.files import CANVAS, CHECKS, PAGE
from autograder.report.model import Report
from autograder.report.newer_python import which_would_do
from autograder.report.terminal import counted

_SHOWN = 8


def unreadable_line(reports: dict[str, Report], submissions: Iterable[Submission]) -> str:
    """How many of a run's submissions cannot be read, whose they are and where they lie; "" if there are none.

    Args:
        reports: Of the run, by key.
        submissions: Those that were graded.
    """
    found = [one for one in submissions if one.key in reports and reports[one.key].status == "unreadable"]
    if not found:
        return ""
    shown = ", ".join(f"{one.student} ({shown_member(one.path, one.member)})" for one in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    every = "None can be read: is this the right folder? " if len(found) == len(reports) > 1 else ""
    return f"{every}{len(found)} unreadable, look at {'it' if len(found) == 1 else 'them'}: {shown}{more}."


def newer_python_line(reports: dict[str, Report]) -> str:
    """Which Python would give the scores that this one could not; "" where none is missing for that.

    Args:
        reports: Of the run, by key.
    """
    version, this, students = which_would_do(reports.values())
    if not version:
        return ""
    shown = ", ".join(students[:_SHOWN]) + (f" and {len(students) - _SHOWN} more" if len(students) > _SHOWN else "")
    return (
        f"{counted(len(students), 'submission')} without a score for want of a newer Python than this {this}: {shown}. "
        f"Python {version} or newer would do. Run the same command with --python and one that has the kit, such as "
        f"--python .venv-{version}/bin/python (`make PYTHON=python{version} VENV=.venv-{version}` makes it)."
    )


def earlier_line(reports: dict[str, Report], there: Iterable[str]) -> str:
    """How many students of earlier runs `grades.csv` has besides; "" if none.

    Args:
        reports: Of the run, by key.
        there: Keys of all reports in the run's folder.
    """
    count = len(set(there) - reports.keys())
    kept = "is" if count == 1 else "are"
    return f"{counted(count, 'student')} of earlier runs into this folder {kept} kept in grades.csv." if count else ""


def old_pages_line(out: Path) -> str:
    """Which files of the class are older than the reports they are made of, and what makes them anew; "" if none."""
    newest = max((path.stat().st_mtime_ns for path in out.glob("*/report.json")), default=0)
    made = [name for name in (PAGE, CHECKS, CANVAS) if (out / name).is_file()]
    old = [name for name in made if (out / name).stat().st_mtime_ns < newest]
    if not old:
        return ""
    shown = old[0] if len(old) == 1 else f"{', '.join(old[:-1])} and {old[-1]}"
    verb, them = ("is", "it") if len(old) == 1 else ("are", "them")
    return f"{shown} {verb} older than grades.csv now: `fcoskit report {out}` makes {them} anew."

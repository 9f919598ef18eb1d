"""How late each hand-in is, and what that costs: from the platform's names, or from `late.csv` in a run's folder.

    student,days
    lovelaceada_10001,0.5

Canvas says "LATE" and not how late, and Moodle says nothing in its names: `late.csv`, which grading reads and never
writes, has the last word. 0 days excuse. Points of exercises stay what they are; what lateness costs is taken off once.
"""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from autograder.course.late_settings import LateSettings
from autograder.course.origin import Origin
from autograder.intake.submissions import safe_key
from autograder.report.model import Report
from autograder.report.tables import number, read_table
from autograder.runtime.errors import KitError

FILE = "late.csv"
_DAY = 24 * 3600


def read_late(out: Path) -> dict[str, float]:
    """Late days by the student's folder name; none if there is no file.

    Raises:
        KitError: A line is not as it should be; says which and why.
    """
    path = out / FILE
    if not path.is_file():
        return {}
    table = read_table(path)
    if [name.casefold() for name in table.head] != ["student", "days"]:
        raise KitError(f"{path}: the first line must be student,days.")
    found: dict[str, float] = {}
    for student, text in table.rows:
        days = number(text)
        if not student.strip() or days is None or days < 0:
            raise KitError(f"{path}: {student!r} and {text!r} are no student and number of days. Mend that line.")
        found[safe_key(student.strip())] = days
    return found


def apply_late(report: Report, policy: LateSettings | None, days: dict[str, float]) -> bool:
    """Put what lateness costs into a report; says whether that changed it."""
    before = (report.late_days, report.late_per_cent)
    late = 0.0 if policy is None else _days(report, policy, days)
    report.late_days = late
    report.late_per_cent = 0.0 if policy is None else policy.per_cent_off(late)
    return before != (report.late_days, report.late_per_cent)


def unused_late(days: dict[str, float], reports: list[Report]) -> list[str]:
    """A line for each student of `late.csv` of whom there is no report."""
    known = {safe_key(report.student) for report in reports}
    lost = [student for student in days if student not in known]
    return [f"{FILE}: there is no report of {student}, so the days count nowhere." for student in lost]


def _days(report: Report, policy: LateSettings, days: dict[str, float]) -> float:
    known = days.get(safe_key(report.student))
    if known is not None:
        return known
    origin = report.origin
    if origin is None:
        return 0.0
    by_time = _by_time(origin, policy)
    if by_time is not None:
        return by_time
    return policy.unless_known if origin.late else 0.0


def _by_time(origin: Origin, policy: LateSettings) -> float | None:
    """Days between what was due and when it came, by the hundredth; None where one of the two is not known."""
    if policy.due is None or not origin.time:
        return None
    try:
        came = datetime.fromisoformat(origin.time)
    except ValueError:
        return None
    if came.tzinfo is None:
        return None
    seconds = (came - policy.due).total_seconds()
    return math.ceil(max(0.0, seconds) / _DAY * 100) / 100

"""What lateness costs: by the policy of `assignment.toml`, from a platform's names, times, or `late.csv`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autograder.course.assignment import load_assignment
from autograder.course.late_settings import LateSettings, read_late_settings
from autograder.course.origin import CANVAS, GRADESCOPE, Origin
from autograder.runs.lateness import apply_late, read_late, unused_late
from autograder.runtime.errors import KitError
from tests.support.classroom import thirty

POLICY = LateSettings(per_cent=10, free_days=1, most_days=5, due=datetime(2026, 3, 10, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("days", "off"), [(0, 0), (0.5, 0), (1, 0), (1.01, 10), (2, 10), (2.5, 20), (5, 40), (5.01, 100), (99, 100)]
)
def test_what_days_cost(days, off):
    """Free days cost nothing, each further one that was begun its share, and after the last nothing counts."""
    assert POLICY.per_cent_off(days) == off


def test_never_more_than_all():
    """Without a last day the points are gone after ten, and no further."""
    assert LateSettings(per_cent=30).per_cent_off(9) == 100


@pytest.mark.parametrize(
    ("origin", "known", "days"),
    [
        (None, {}, 0),
        (Origin(CANVAS, "1", "x", "h", late=False), {}, 0),
        (Origin(CANVAS, "1", "x", "h", late=True), {}, 1),
        (Origin(CANVAS, "1", "x", "h", late=True), {"aisha": 3.0}, 3),
        (Origin(CANVAS, "1", "x", "h", late=True), {"aisha": 0.0}, 0),
        (Origin(GRADESCOPE, "1", "x", "h", time="2026-03-11T11:00:00+00:00"), {}, 0.5),
        (Origin(GRADESCOPE, "1", "x", "h", time="2026-03-11T00:30:00+02:00"), {}, 0),
        (Origin(GRADESCOPE, "1", "x", "h", time="yesterday"), {}, 0),
    ],
)
def test_how_late_it_was(origin, known, days):
    """A platform's word, its time beside what was due, and above both what staff wrote down."""
    report = thirty()[0]
    report.origin = origin
    changed = apply_late(report, POLICY, known)
    assert (report.late_days, report.late_per_cent) == (days, POLICY.per_cent_off(days)) and changed == bool(days)
    assert not apply_late(report, POLICY, known)


def test_without_a_policy_nothing_costs():
    """What an earlier policy took off comes back where there is none any more."""
    report = thirty()[0]
    report.origin = Origin(CANVAS, "1", "x", "h", late=True)
    assert apply_late(report, POLICY, {}) and report.late_days == 1
    assert apply_late(report, None, {"aisha": 9.0}) and report.final == report.score


def test_days_in_a_file(tmp_path):
    """`late.csv` is read as a spreadsheet saves it; a student of whom there is no report is told."""
    assert read_late(tmp_path) == {}
    (tmp_path / "late.csv").write_bytes("\ufeffStudent;Days\r\naisha;1,5\r\n;;\r\nnobody;2\r\n".encode())
    days = read_late(tmp_path)
    assert days == {"aisha": 1.5, "nobody": 2.0}
    (line,) = unused_late(days, thirty())
    assert "nobody" in line


@pytest.mark.parametrize("line", ["student,points\na,1", "student,days\na,x", "student,days\na,-1", "student,days\n,1"])
def test_a_slip_in_the_file(tmp_path, line):
    """What is no number of days of a student stops the run before anything is changed."""
    (tmp_path / "late.csv").write_text(f"{line}\n")
    with pytest.raises(KitError, match=r"late\.csv"):
        read_late(tmp_path)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "per_cent"),
        ({"per_cent": "10"}, "per_cent in .late. has to be a number"),
        ({"per_cent": 101}, "100 at most"),
        ({"per_cent": 10, "free": 1}, 'unknown setting "free"'),
        ({"per_cent": 10, "free_days": -1}, "free_days in .late."),
        ({"per_cent": 10, "due": datetime(2026, 3, 10)}, "with its zone"),
    ],
)
def test_a_slip_in_the_table(table, said):
    """A TA's mistake in `[late]` is a sentence."""
    with pytest.raises((ValueError, KeyError), match=said):
        read_late_settings(table)


def test_an_assignment_with_a_policy(course, edit):
    """The table is read where it stands, and without it lateness costs nothing."""
    assert course.late is None
    edit(course.folder / "assignment.toml", "[release]", "[late]\nper_cent = 10\nfree_days = 1\n\n[release]")
    assert load_assignment("ps7", course.root).late == LateSettings(per_cent=10, free_days=1)

"""What is said after a run: who could not be read, who is there from before, which pages are old now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from autograder.commands.class_report import report_class
from autograder.commands.follow_up import earlier_line, old_pages_line, unreadable_line
from autograder.commands.front import grade_paths
from autograder.intake.submissions import Submission
from autograder.report.files import read_report, write_report
from autograder.report.model import Report
from autograder.runs.grade import Run
from tests.support.classroom import thirty, write


def _report(outcome: str) -> Report:
    return Report("ps7", "", "ann", "", "", "", 0, 100.0, outcome=outcome)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["unreadable"], 1),
        (["unreadable", "unreadable"], 1),
        (["unreadable", "graded"], 0),
        (["graded"], 0),
        ([], 0),
        (["graded", "undecided"], 1),
        (["graded", "grader_error"], 1),
    ],
)
def test_exit_codes(tmp_path, outcomes, code):
    """A zero among others is a result; where no file at all can be read, a human has to look."""
    run = Run(tmp_path, {str(number): _report(outcome) for number, outcome in enumerate(outcomes)})
    assert run.exit_code == code


def test_the_unreadable_are_counted_and_where_they_lie():
    """The first ones by name with their file, the others by number; nothing where all can be read."""
    submissions = [Submission(f"s{n}", f"s{n}", Path(f"in/s{n}.ipynb")) for n in range(10)]
    reports = {one.key: _report("unreadable") for one in submissions}
    line = unreadable_line(reports, submissions)
    assert line.startswith(
        "None can be read: is this the right folder? 10 unreadable, look at them: s0 (in/s0.ipynb), "
    )
    assert line.endswith("s7 (in/s7.ipynb) and 2 more.")
    reports |= {f"s{n}": _report("graded") for n in range(1, 10)}
    assert unreadable_line(reports, submissions) == "1 unreadable, look at it: s0 (in/s0.ipynb)."
    assert unreadable_line({"s1": _report("graded")}, submissions) == ""


def test_students_of_earlier_runs_are_counted():
    """They are in `grades.csv` beside those of this run."""
    assert earlier_line({"a": _report("graded")}, ["a"]) == ""
    assert (
        earlier_line({"a": _report("graded")}, "ab")
        == "1 student of earlier runs into this folder is kept in grades.csv."
    )
    assert earlier_line({}, "abc").startswith("3 students of earlier runs into this folder are kept")


def test_pages_that_are_older_than_a_report_are_told(tmp_path):
    """The class's files after `fcoskit report` are new; after another report was written, old; made again, new."""
    write(tmp_path, thirty())
    assert old_pages_line(tmp_path) == ""
    report_class(tmp_path, Console(quiet=True))
    assert old_pages_line(tmp_path) == ""
    write_report(tmp_path / "bao", read_report(tmp_path / "bao"))
    later = (tmp_path / "class.html").stat().st_mtime_ns + 10**9  # a disk's clock may be coarse
    os.utime(tmp_path / "bao" / "report.json", ns=(later, later))
    told = "class.html, class.csv and canvas.csv are older than grades.csv now"
    assert old_pages_line(tmp_path) == f"{told}: `fcoskit report {tmp_path}` makes them anew."
    (tmp_path / "class.html").unlink()
    (tmp_path / "class.csv").unlink()
    assert old_pages_line(tmp_path).startswith("canvas.csv is older") and "makes it anew" in old_pages_line(tmp_path)


@pytest.mark.usefixtures("sandbox")
def test_the_command_says_it(tmp_path, assignment):
    """Grading other submissions into the folder of an earlier run, with its pages there: all three lines, exit 1."""
    console = Console(record=True, width=400)
    for student in ("ann", "bob"):
        path = tmp_path / f"of-{student}" / f"{student}.zip"
        path.parent.mkdir()
        path.write_bytes(b"PK")
        assert grade_paths(assignment, [path.parent], tmp_path / "out", 1, "auto", console) == 1
        said = console.export_text()
        assert f"1 unreadable, look at it: {student} ({path})." in said
        assert ("1 student of earlier runs" in said) == (student == "bob")
        assert ("class.html, class.csv and canvas.csv are older" in said) == (student == "bob")
        report_class(tmp_path / "out", Console(quiet=True))


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(("name", "code"), [("bob.pdf", 1), ("README.md", 0), ("fcos (1).ipynb", 0)])
def test_what_is_left_out_needs_a_human(tmp_path, assignment, monkeypatch, name, code):
    """All are graded and a file is left out: exit 1, told at the end again; a name that may be wrong is only told."""
    (tmp_path / "in").mkdir()
    for file in ("ann.ipynb", name):
        (tmp_path / "in" / file).write_text("{}", encoding="utf-8")
    run = Run(tmp_path / "out", {"ann": _report("graded")})
    monkeypatch.setattr("autograder.commands.front.grade_submissions", lambda *_, **__: run)
    console = Console(record=True, width=400)
    assert grade_paths(assignment, [tmp_path / "in"], tmp_path / "out", 1, "auto", console) == code
    said = console.export_text()
    assert (f"Left out: {tmp_path / 'in' / name}: not a notebook" in said) == (code == 1)
    assert ("Left out, see above: 1. Is somebody missing?" in said) == (code == 1)
    assert ("goes by the folder's name, 'in'." in said) == name.startswith("fcos")

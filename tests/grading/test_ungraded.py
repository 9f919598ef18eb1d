"""Submissions that hold nothing to run, and what is carried over from an earlier run: all of it is in the folder."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from rich.console import Console

from autograder.commands.class_report import report_class
from autograder.commands.front import grade_paths
from autograder.intake.submissions import Submission, find_submissions
from autograder.report.files import read_report, write_report
from autograder.runs.by_hand import FILE
from autograder.runs.grade import grade_submissions, secret_seed
from autograder.runs.run_folder import FIGURE_SEED, claim


@pytest.fixture(name="handed_in")
def _handed_in(tmp_path: Path) -> list[Submission]:
    """A folder without a notebook beside one with two of which neither has the released name."""
    for name in ("carol/ps7/photo.png", "dave/ps7/one.py", "dave/ps7/two.py"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", encoding="utf-8")
    found, lines = find_submissions([tmp_path / "in"], "fcos", "ps7")
    assert lines == [] and [submission.student for submission in found] == ["carol", "dave"]
    return found


@pytest.mark.usefixtures("sandbox")
def test_a_folder_without_a_notebook_has_a_row_and_a_page(tmp_path, assignment, handed_in):
    """It is in `grades.csv` like everybody's, with a report and a page; only a second run had it before."""
    out, known = tmp_path / "out", []
    for _ in range(2):
        grade_submissions(assignment, handed_in, out, progress=lambda report, before: known.append(before))
    assert known == [False, False, True, False], "what a human has to choose is never settled"
    with (out / "grades.csv").open(encoding="utf-8") as stream:
        rows = [(row["student"], row["score"], row["status"]) for row in csv.DictReader(stream)]
    assert rows == [("carol", "0", "unreadable"), ("dave", "", "undecided")]
    assert "nothing that can be graded" in (out / "carol" / "feedback.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("sandbox")
def test_an_older_report_does_not_outlive_its_notebook(tmp_path, assignment, handed_in):
    """Who takes the notebook out of the folder does not keep the points of it."""
    grade_submissions(assignment, handed_in, tmp_path / "out")
    old = read_report(tmp_path / "out" / "carol")
    old.outcome, old.problem, old.sha256 = "graded", "", "0"
    write_report(tmp_path / "out" / "carol", old)
    grade_submissions(assignment, handed_in, tmp_path / "out")
    assert read_report(tmp_path / "out" / "carol").status == "unreadable"


@pytest.mark.usefixtures("sandbox")
def test_points_by_hand_that_count_nowhere_are_told(tmp_path, assignment, handed_in):
    """A misspelt student, and one whose report has no checks to set points for: a line each, in both commands."""
    out, console = tmp_path / "out", Console(record=True, width=200)
    out.mkdir()
    (out / FILE).write_text("student,exercise,points,reason\ncarol,7.1d,3,x\ncraol,7.1d,3,x\n", encoding="utf-8")
    for command in (
        lambda: grade_paths(assignment, [tmp_path / "in"], out, 1, "auto", console),
        lambda: report_class(out, console),
    ):
        command()
        said = console.export_text()
        assert "the report of carol has no checks" in said and "there is no report of craol" in said


def test_the_seed_of_the_images_may_be_there_before_the_run(tmp_path):
    """Carried into a new folder it keeps the images, so that nobody's mAP changes by regrading alone."""
    seed = secret_seed(tmp_path / FIGURE_SEED)
    claim(tmp_path)
    assert secret_seed(tmp_path / FIGURE_SEED) == seed and (tmp_path / ".fcoskit").is_file()

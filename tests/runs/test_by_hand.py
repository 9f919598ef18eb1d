"""Grades that staff set by hand: read with care, applied everywhere, never lost."""

from __future__ import annotations

import csv

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.intake.submissions import Submission, find_submissions
from autograder.report import Report
from autograder.report.files import read_report, write_report
from autograder.report.html import feedback_page
from autograder.runs.by_hand import FILE, HandGrade, apply_by_hand, read_by_hand
from autograder.runs.grade import grade_submissions
from autograder.runs.run_folder import claim
from autograder.runs.slots import failed_report
from autograder.runtime.errors import KitError

HEAD = "student,exercise,points,reason\n"


def report(status: str = "failed") -> Report:
    """A report with one exercise."""
    check = CheckResult("7.1d", "a", "The first rows are right.", 10.0, status, True, "expected 1, got 2")
    exercise = ExerciseResult("7.1d", "Locations", 10.0, [check])
    fields = {"assignment": "ps7", "title": "FCOS", "file": "fcos.ipynb", "sha256": "0", "suites": "s", "seed": 1}
    return Report(student="alice", max_score=100.0, exercises=[exercise], **fields)


def test_points_reason_and_the_checks_own_are_on_the_page(assignment):
    """The points count, the page says who set them and why, and what the checks alone give."""
    made = report()
    assert apply_by_hand(made, {("alice", "7.1d"): HandGrade(8.5, "right in spirit <b>")})
    assert made.score == 8.5 and made.exercises[0].earned == 0
    page = feedback_page(made)
    assert "Set by staff" in page and "8.5 points: right in spirit &lt;b&gt;" in page and "alone give 0" in page
    assert Report.from_json(made.to_json()).score == 8.5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1250", "utf-16"])
def test_as_a_spreadsheet_saves_it(assignment, tmp_path, encoding):
    """Semicolons, a decimal comma, blank rows and another encoding say the same; a slip is named by its line."""
    text = f"{HEAD.replace(',', ';')};;;\r\nžofie;7.1d;8,5;příliš\r\n;;;\r\n"
    (tmp_path / FILE).write_bytes(text.encode(encoding))
    assert read_by_hand(tmp_path, assignment) == {("žofie", "7.1d"): HandGrade(8.5, "příliš")}
    (tmp_path / FILE).write_bytes(text.replace("8,5", "8,5x").encode(encoding))
    with pytest.raises(KitError, match=r"line 3: '8,5x' is not a number"):
        read_by_hand(tmp_path, assignment)


def test_applying_twice_changes_nothing_and_a_line_taken_out_is_undone():
    """The file is what counts: without its line the checks' points are back."""
    made, grades = report(), {("alice", "7.1d"): HandGrade(3, "")}
    assert apply_by_hand(made, grades) and not apply_by_hand(made, grades)
    assert apply_by_hand(made, {}) and made.score == 0


def test_a_check_of_ours_that_broke_can_be_settled_by_hand():
    """Points set by hand give a score where the grader had none."""
    made = report("grader_error")
    assert made.score is None
    apply_by_hand(made, {("alice", "7.1d"): HandGrade(10, "checked by eye")})
    assert made.score == 10 and made.status == "graded"


def test_a_submission_that_we_failed_on_can_be_graded_by_hand(assignment, tmp_path):
    """One that was set aside, or whose grading process died: points for each exercise make a score, on the page too."""
    why = failed_report(assignment, Submission("alice", "alice", tmp_path / "alice.ipynb"), 1, "the process died")
    grades = {("alice", e.id): HandGrade(e.points, "by eye") for e in assignment.exercises}
    one = dict([grades.popitem()])
    assert why.score is None and apply_by_hand(why, grades) and why.score is None
    assert apply_by_hand(why, grades | one) and (why.status, why.score) == ("graded", 100.0)
    assert "by eye" in feedback_page(why) and Report.from_json(why.to_json()).score == 100.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,points\n", "first line must be"),
        (HEAD + "alice,7.1d,11,too many\n", "line 2: '11' is not a number of points from 0 to 10"),
        (HEAD + "alice,7.1d,nan,\n", "'nan' is not a number"),
        (HEAD + "alice,7.1z,1,\n", "no exercise '7.1z'"),
        (HEAD + "alice,7.1d,1,a, b\n", "5 columns"),
        (HEAD + ",7.1d,1,x\n", "no student"),
        (HEAD + "alice,7.1d,1,x\nalice,7.1d,2,y\n", "line 3: alice has points for 7.1d already"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, assignment, text, said):
    """Which line, and what is wrong with it."""
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(KitError, match=said.replace("(", r"\(")):
        read_by_hand(tmp_path, assignment)


def test_a_spreadsheet_s_file_is_read(tmp_path, assignment):
    """A byte order mark, quotes, Windows line ends and empty lines are no problem."""
    text = '\ufeffstudent,exercise,points,reason\r\n\r\nalice,7.1d,8.5,"yes, but"\r\n'
    (tmp_path / FILE).write_bytes(text.encode())
    assert read_by_hand(tmp_path, assignment) == {("alice", "7.1d"): HandGrade(8.5, "yes, but")}


@pytest.mark.slow
def test_they_survive_a_regrade(tmp_path, assignment, slots):
    """Graded, set by hand, graded again, with the known report and with a fresh one: the points stay."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "alice.py").write_text("# %%\nx = 1\n", encoding="utf-8")
    found, _ = find_submissions([tmp_path / "in"], "fcos", "ps7")
    out = tmp_path / "out"
    assert grade_submissions(assignment, found, out, slots=slots).reports["alice"].score == 0
    (out / FILE).write_text(HEAD + "alice,7.1d,7,sat with her\n", encoding="utf-8")
    for spoil in (False, True):
        if spoil:  # as if the suites had changed since
            old = read_report(out / "alice")
            old.suites = "others"
            write_report(out / "alice", old)
        assert grade_submissions(assignment, found, out, slots=slots).reports["alice"].score == 7
        assert read_report(out / "alice").score == 7
        with (out / "grades.csv").open(encoding="utf-8") as stream:
            assert [row["score"] for row in csv.DictReader(stream)] == ["7"]


def test_points_set_by_hand_may_be_there_before_the_run(tmp_path):
    """To grade again into a new folder one copies the file into it; next to anything else it is no run's folder."""
    (tmp_path / FILE).write_text(HEAD, encoding="utf-8")
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(KitError, match="is not empty"):
        claim(tmp_path)
    (tmp_path / "thesis.txt").unlink()
    claim(tmp_path)
    assert (tmp_path / FILE).read_text(encoding="utf-8") == HEAD and (tmp_path / ".fcoskit").is_file()

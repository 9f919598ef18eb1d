"""Standing behind a grade: `fcoskit explain` and `fcoskit report --against`."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from rich.console import Console

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.commands.against import changes, show_changes
from autograder.commands.regrade import explain
from autograder.grading.samples import load_samples, write_sample
from autograder.intake.submissions import find_submissions
from autograder.report import Report
from autograder.report.files import read_report, write_report
from autograder.runs.grade import grade_submissions
from autograder.runtime.errors import KitError

# Of a package that is not here a name is mentioned, and nothing is used.
LOGGED = """
import wandb
def logged(function):
    return lambda *arguments: (wandb, function(*arguments))[1]
fcos_get_deltas_from_locations = logged(fcos_get_deltas_from_locations)
"""


def console() -> Console:
    """A console that keeps what is printed."""
    return Console(file=io.StringIO(), width=160)


def run(folder: Path, **students: dict[str, str]) -> Path:
    """A run's folder with a report a student, from names of checks to statuses."""
    for student, statuses in students.items():
        checks = [CheckResult("7.1d", n, "A check.", 5.0, s, True, "expected 1") for n, s in statuses.items()]
        fields = {"assignment": "ps7", "title": "FCOS", "file": "f", "sha256": "0", "suites": "s", "seed": 1}
        exercises = [ExerciseResult("7.1d", "Locations", 10.0, checks)]
        write_report(folder / student, Report(student=student, max_score=10.0, exercises=exercises, **fields))
    return folder


def test_who_gained_and_who_lost_and_why(tmp_path):
    """The greatest loss first; a check that changed is named with what it says now."""
    old = run(tmp_path / "old", ann={"a": "passed", "b": "passed"}, ben={"a": "failed"}, cem={"a": "passed"})
    new = run(tmp_path / "new", ann={"a": "failed", "b": "passed"}, ben={"a": "passed"}, cem={"a": "passed"})
    found = changes(new, old)
    assert [(c.student, c.before, c.after) for c in found] == [("ann", 10, 5), ("ben", 0, 5)]
    assert found[0].why == ("7.1d a: passed (5) -> failed (5). expected 1",)
    out = console()
    show_changes(new, old, out)
    assert "1 gained, 1 lost" in out.file.getvalue()


def test_new_and_old_checks_and_students(tmp_path):
    """Checks and students that are in one run only are said to be."""
    old = run(tmp_path / "old", ann={"a": "passed"}, ben={"a": "passed"})
    new = run(tmp_path / "new", ann={"b": "passed"}, cem={"a": "passed"})
    by_name = {change.student: " ".join(change.why) for change in changes(new, old)}
    assert "b: a new check, passed" in by_name["ann"] and "a: no such check any more" in by_name["ann"]
    assert by_name["ben"] == "only in the old run" and by_name["cem"] == "only in the new run"


def test_who_is_in_one_run_only_has_lost_nothing(tmp_path):
    """They come last, and are counted apart from those who lost."""
    old = run(tmp_path / "old", ann={"a": "passed"}, ben={"a": "passed"})
    new = run(tmp_path / "new", ann={"a": "failed"}, cem={"a": "passed"})
    assert [(c.student, c.delta) for c in changes(new, old)] == [("ann", -5), ("ben", None), ("cem", None)]
    out = console()
    show_changes(new, old, out)
    text = out.file.getvalue()
    assert "0 gained, 1 lost, 0 changed in their checks alone, 2 in one run only." in text
    assert "in common" not in text


def test_runs_of_two_classes(tmp_path):
    """Where no student is in both, it says that these may be the wrong folders."""
    old, new = run(tmp_path / "old", ann={"a": "passed"}), run(tmp_path / "new", ben={"a": "passed"})
    out = console()
    show_changes(new, old, out)
    assert "0 gained, 0 lost" in out.file.getvalue() and "no student in common" in out.file.getvalue()


def test_without_a_score_nobody_has_lost(tmp_path):
    """A check of ours that broke leaves no score: that is counted by itself."""
    old, new = run(tmp_path / "old", ann={"a": "passed"}), run(tmp_path / "new", ann={"a": "grader_error"})
    out = console()
    show_changes(new, old, out)
    assert "0 lost" in out.file.getvalue() and "1 without a score in one of them" in out.file.getvalue()


def test_points_set_by_hand_are_a_reason(tmp_path):
    """Where only staff's own points differ, that is what is said."""
    old, new = run(tmp_path / "old", ann={"a": "failed"}), run(tmp_path / "new", ann={"a": "failed"})
    report = read_report(new / "ann")
    report.exercises[0].by_hand = 4.0
    write_report(new / "ann", report)
    (change,) = changes(new, old)
    assert change.after == 4 and change.why == ("7.1d: points set by hand: none -> 4",)


def test_who_did_not_change_is_counted_and_not_shown(tmp_path):
    """A new check that costs nobody anything is no reason to list the class; who lost is listed alone."""
    old = run(tmp_path / "old", **{f"s{n}": {"a": "passed"} for n in range(9)}, ann={"a": "passed"})
    new = run(tmp_path / "new", **{f"s{n}": {"a": "passed"} for n in range(9)}, ann={"a": "failed"})
    for n in range(9):
        report = read_report(new / f"s{n}")
        report.exercises[0].checks.append(CheckResult("7.1d", "b", "A check.", 0.0, "passed", True))
        write_report(new / f"s{n}", report)
    show_changes(new, old, out := console())
    said = out.file.getvalue()
    assert "ann" in said and "s3" not in said and "Not shown: 9 students have the same points" in said
    write_report(new / "ann", read_report(old / "ann"))
    show_changes(new, old, out := console())
    assert out.file.getvalue().startswith("Nobody's points differ. Not shown: 9 students")


def test_points_that_make_up_for_others_are_shown(tmp_path):
    """The same sum from other exercises is a change; a sum in another order is none."""
    old, new = run(tmp_path / "old", ann={"a": "passed"}), run(tmp_path / "new", ann={"a": "passed"})
    for folder, points in ((old, (0.1, 0.2)), (new, (0.2, 0.1))):
        report = read_report(folder / "ann")
        report.exercises = [
            ExerciseResult(name, "T", 1.0, [CheckResult(name, "c", "S.", worth, "passed", True)])
            for name, worth in zip(("q1", "q2"), points, strict=True)
        ]
        write_report(folder / "ann", report)
    show_changes(new, old, out := console())
    assert "ann" in out.file.getvalue() and "Not shown" not in out.file.getvalue()


def test_two_equal_runs(tmp_path):
    """Nothing differs: one line says so."""
    old, new = run(tmp_path / "old", ann={"a": "failed"}), run(tmp_path / "new", ann={"a": "failed"})
    out = console()
    show_changes(new, old, out)
    assert out.file.getvalue() == "No student's points or checks differ.\n"


def test_a_folder_without_reports(tmp_path):
    """A folder that is no run is named."""
    with pytest.raises(KitError, match="holds no reports"):
        changes(run(tmp_path / "new", ann={"a": "failed"}), tmp_path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory, slots):
    """A run of one wrong submission, without the slow exercise."""
    from autograder.course.assignment import load_assignment
    from tests.conftest import ROOT

    assignment = load_assignment("ps7", ROOT)
    root = tmp_path_factory.mktemp("explain")
    sample = next(s for s in load_samples(assignment) if s.student == "finn-stride-forgotten")
    write_sample(assignment, sample, root / "in", assignment.release)
    (path,) = (root / "in").rglob("*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(LOGGED))
    nbformat.write(notebook, path)
    found, _ = find_submissions([root / "in"], "fcos", "ps7")
    grade_submissions(assignment, [replace(found[0], skip=("7.1j",))], root / "out", slots=slots)
    return root


@pytest.mark.slow
def test_explain_shows_all_and_comes_to_the_same(graded, slots):
    """Hidden numbers, diagnosis and seed are shown; the verdict is the report's."""
    out = console()
    assert explain(graded / "out", "finn-stride-forgotten", "7.1f", out, slots=slots) == 0
    said = out.file.getvalue()
    assert "not divided by the stride" in said and "expected (" in said and "random_deltas" in said
    assert f"seed {read_report(graded / 'out' / 'finn-stride-forgotten').seed}" in said
    assert "Every check comes to what the report says" in said


@pytest.mark.slow
def test_explain_says_how_it_was_read_and_what_did_not_run(graded, slots):
    """Why it was read twice, which reading counts, and what is not here; the report has the same."""
    out = console()
    explain(graded / "out", "finn-stride-forgotten", "7.1f", out, slots=slots)
    recorded = next(e for e in read_report(graded / "out" / "finn-stride-forgotten").exercises if e.id == "7.1f")
    assert recorded.readings.startswith("the first reading counts: ")
    assert recorded.unloaded == ["The notebook imports wandb, which is not here."]
    said = out.file.getvalue()
    assert f"Read twice: {recorded.readings}." in said
    assert "What of the notebook did not run, or is not here:\n    The notebook imports wandb" in said


@pytest.mark.slow
def test_explain_says_where_the_report_differs(graded, tmp_path, slots):
    """A verdict that is not the recorded one is named, and the exit code says so."""
    report = read_report(graded / "out" / "finn-stride-forgotten")
    next(e for e in report.exercises if e.id == "7.1f").checks[0].status = "passed"
    write_report(tmp_path / "finn-stride-forgotten", report)
    out = console()
    assert explain(tmp_path, "finn-stride-forgotten", "7.1f", out, slots=slots) == 1
    assert "the report says passed, now it is failed" in out.file.getvalue()


@pytest.mark.slow
def test_explain_refuses_a_notebook_that_has_changed(graded, tmp_path):
    """What was graded is not there any more: that is said, and nothing is explained."""
    report = read_report(graded / "out" / "finn-stride-forgotten")
    report.path = str(tmp_path / "finn.ipynb")
    write_report(tmp_path / "finn-stride-forgotten", report)
    with pytest.raises(KitError, match="cannot be read again"):
        explain(tmp_path, "finn-stride-forgotten", "7.1f", console())
    (tmp_path / "finn.ipynb").write_text("{}", encoding="utf-8")
    with pytest.raises(KitError, match="has changed since it was graded"):
        explain(tmp_path, "finn-stride-forgotten", "7.1f", console())


@pytest.mark.slow
def test_explain_wants_a_student_and_an_exercise_that_are_there(graded):
    """The message lists those there are."""
    with pytest.raises(KitError, match="There are: finn-stride-forgotten"):
        explain(graded / "out", "nobody", "7.1f", console())
    with pytest.raises(KitError, match="no graded exercise"):
        explain(graded / "out", "finn-stride-forgotten", "7.1z", console())

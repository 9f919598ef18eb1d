"""Verified mAP in a run: reports, leaderboard, points, and what is measured again."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import safetensors.torch
from rich.console import Console

from autograder.checks.result import Figure
from autograder.commands.front import show
from autograder.commands.regrade import explain
from autograder.course.assignment import load_assignment
from autograder.grading.engine import unreadable
from autograder.grading.map_score import Asked, scored
from autograder.intake.submissions import find_submissions
from autograder.intake.weights import Weights
from autograder.nbgrader.gradebook import sync_gradebook
from autograder.report.blank import blank_report
from autograder.report.files import read_report, write_grades, write_report
from autograder.report.html import feedback_page
from autograder.report.leaderboard import leaderboard_csv
from autograder.report.model import Report
from autograder.runs.by_hand import read_by_hand
from autograder.runs.grade import Run, grade_submissions, secret_seed, write_leaderboard
from autograder.runs.slot_pool import open_slots
from autograder.runtime.errors import KitError
from tests.conftest import copy_course
from tests.grading.test_map import BY_HEART, book, shapes_book

DRAWN = "6 images drawn as `ShapesDetection` draws them, at 64 pixels"
OLD_SIZES = "arguments = [[20, 128, [128, 128]], [20, 64, [64, 64]]]"


def soon_measured(course, edit):
    """A course whose `[map]` is soon measured."""
    path = course.folder / "assignment.toml"
    edit(path, OLD_SIZES, "arguments = [[20, 8, [8]]]")
    path.write_text(re.sub(r"^trained = \[.*?^\]\n", "", path.read_text(), flags=re.M | re.S))
    edit(path, "images = 200\nimage_size = 224", "images = 6\nimage_size = 64")
    return load_assignment("ps7", course.root)


@pytest.fixture(scope="module")
def small(tmp_path_factory, edit):
    """Such a course, not to be changed."""
    return soon_measured(copy_course(tmp_path_factory.mktemp("small") / "course"), edit)


@pytest.fixture(scope="module")
def small_slots(small, sandbox_once):
    """A slot of it for all runs."""
    with open_slots(small, "auto", small.root / "grade.log", 1) as made:
        yield made


def hand_in(folder: Path, seed: int | None) -> None:
    """A notebook, and weights that know the images of a seed; no weights if None."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fcos.py").write_text(f"# %%\n{BY_HEART}")
    if seed is not None:
        data = safetensors.torch.save(shapes_book(seed) if seed else book({}))
        (folder / "fcos_detector.safetensors").write_bytes(data)


def graded(assignment, folder: Path, out: Path, **options):
    """A run in which nothing but weights is looked at; the run, and who was graded before."""
    found, _ = find_submissions([folder], "fcos", "ps7", assignment.weights)
    skip = tuple(exercise.id for exercise in assignment.exercises)
    known: list[str] = []
    run = grade_submissions(
        assignment,
        [replace(submission, skip=skip) for submission in found],
        out,
        progress=lambda report, before: known.append(report.student) if before else None,
        **options,
    )
    return run, known


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file."""
    return list(csv.DictReader(StringIO(path.read_text())))


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_run_with_weights(small, small_slots, tmp_path, monkeypatch):
    """Figures in reports and leaderboard; the same images for all; only what has changed is measured again."""
    submitted, out = tmp_path / "in", tmp_path / "out"
    hand_in(submitted / "ann", 11)
    hand_in(submitted / "bob", 0)
    hand_in(submitted / "cy", None)
    out.mkdir()
    (out / ".fcoskit").touch()
    (out / "map.seed").write_text("11\n")
    run, known = graded(small, submitted, out, slots=small_slots)
    assert run.exit_code == 0 and known == []
    figures = {name: report.figures[0] for name, report in run.reports.items()}
    assert {name: (f.status, f.value, f.seed) for name, f in figures.items()} == {
        "ann": ("measured", 1.0, 11),
        "bob": ("measured", 0.0, 11),
        "cy": ("absent", None, 11),
    }
    assert [list(row.values()) for row in rows(out / "map.csv")] == [
        ["1", "ann", "1.0000", "6", "measured", DRAWN],
        ["2", "bob", "0.0000", "6", "measured", DRAWN],
        ["", "cy", "", "", "absent", ""],
    ]
    assert list(rows(out / "grades.csv")[0])[4:] == [exercise.id for exercise in small.exercises]
    assert json.loads((out / "ann" / "report.json").read_text())["figures"][0]["seed"] == 11
    page = (out / "ann" / "feedback.html").read_text()
    assert "100.00%" in page and "on 6 images that your code had not seen" in page
    hand_in(submitted / "bob", 11)
    hand_in(submitted / "cy", 0)
    run, known = graded(small, submitted, out, slots=small_slots)
    assert known == ["ann"]
    assert {name: report.figures[0].value for name, report in run.reports.items()} == {"ann": 1, "bob": 1, "cy": 0}
    (submitted / "cy" / "fcos_detector.safetensors").unlink()
    run, known = graded(small, submitted, out, slots=small_slots)
    assert known == ["ann", "bob"] and run.reports["cy"].figures[0].status == "absent"
    console = Console(file=StringIO(), width=100)
    monkeypatch.chdir(small.root)
    assert explain(out, "ann", "7.1l", console, slots=small_slots) == 0
    assert "mAP 100.00%" in console.file.getvalue() and "seed 11" in console.file.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_points_for_weights(course, edit, tmp_path):
    """With points in the table they count in score, maximum, columns and by-hand, a share for each mark reached."""
    small = soon_measured(course, edit)
    edit(small.folder / "assignment.toml", "points = 0     ", "points = 9\nmarks_at = [0.2, 0.5, 0.9]\n#")
    assignment = load_assignment("ps7", small.root)
    assert assignment.max_score == small.max_score + 9
    hand_in(tmp_path / "in" / "ann", 11)
    hand_in(tmp_path / "in" / "bob", None)
    run, _ = graded(assignment, tmp_path / "in", tmp_path / "out", figure_seed=11)
    assert {name: report.score for name, report in run.reports.items()} == {"ann": 9, "bob": 0}
    assert run.reports["ann"].max_score == assignment.max_score
    assert [e.status for e in run.reports["bob"].exercises] == ["missing"]
    assert [row["7.1l"] for row in rows(tmp_path / "out" / "grades.csv")] == ["9", "0"]
    (tmp_path / "out" / "by-hand.csv").write_text("student,exercise,points,reason\nbob,7.1l,4,ill\n")
    assert read_by_hand(tmp_path / "out", assignment)["bob", "7.1l"].points == 4
    with pytest.raises(KitError, match="nbgrader cannot hold them"):
        sync_gradebook(assignment, f"sqlite:///{tmp_path / 'gradebook.db'}")


def test_points_by_marks(assignment):
    """Each mark gives an equal share, from its very value on; what was not measured gives none and says why."""
    settings = replace(assignment.map, points=9.0, marks_at=(0.2, 0.4, 0.6))
    at = [scored(settings, Figure("7.1l", "mAP", "measured", value)).points for value in (0, 0.1999, 0.2, 0.4, 0.6, 1)]
    assert at == [0, 0, 3, 6, 9, 9]
    for status, expected in (("timeout", "timeout"), ("refused", "failed"), ("absent", "missing")):
        result = scored(settings, Figure("7.1l", "mAP", status, message="why"))
        assert (result.points, result.status, result.checks[0].message) == (0, expected, "why")
    broke = scored(settings, Figure("7.1l", "mAP", "grader_error"))
    report = Report("ps7", "t", "ann", "f", "", "", 0, 9, [broke])
    assert report.score is None  # ours: it costs nothing


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("images = 200", "images = 0", "images must be positive"),
        ("images = 200", 'images = "all"', "images must be a number"),
        ("images = 200", "images = 1.5", "images must be a whole number"),
        ("images = 200", "photos = 200", "unknown keys photos"),
        ("points = 0 ", "points = 5 ", "points and marks_at belong together"),
        ("points = 0 ", "points = 5\nmarks_at = [0.5, 0.4] ", "marks_at must rise"),
        ("points = 0 ", "points = 5\nmarks_at = [40] ", "a mAP of 40% is 0.4"),
        ('"fcos_detector.pt"', '"../fcos_detector.pt"', "without folders"),
        ('id = "7.1l"', 'id = "7.1d"', "two exercises have the same id"),
        ('make = "FCOS"', "", "it has no 'make'"),
    ],
)
def test_a_wrong_table_is_refused(course, edit, old, new, said):
    """Each mistake in `[map]` is named."""
    edit(course.folder / "assignment.toml", old, new)
    with pytest.raises(KitError, match=said):
        load_assignment("ps7", course.root)


def made(student: str, figure: Figure | None) -> Report:
    """A report with nothing in it but a figure."""
    return Report("ps7", "t", student, "f.ipynb", "", "", 0, 9, figures=[figure] if figure else [])


def measured(value: float) -> Figure:
    """A figure."""
    return Figure("7.1l", "mAP", "measured", value, images=6)


def test_leaderboard():
    """The best first, equals by name with one rank, those without a figure last and unranked; no formulas."""
    reports = [made("=cy", measured(0.5)), made("ann", measured(0.2)), made("bob", measured(0.5))]
    reports += [made("dan", Figure("7.1l", "mAP", "timeout")), made("eve", None)]
    got = list(csv.reader(StringIO(leaderboard_csv(reports, "7.1l"))))[1:]
    assert [row[:3] for row in got] == [
        ["1", "'=cy", "0.5000"],
        ["1", "bob", "0.5000"],
        ["3", "ann", "0.2000"],
        ["", "dan", ""],
        ["", "eve", ""],
    ]


def test_leaderboard_without_names(assignment, tmp_path):
    """With `short_names` there are the pseudonyms of the class report's anonymous form, and no name."""
    reports = [made("ann", measured(0.5))]
    write_leaderboard(tmp_path, replace(assignment.map, short_names=True), reports)
    (row,) = rows(tmp_path / "map.csv")
    assert row["student"].startswith("s-") and "ann" not in (tmp_path / "map.csv").read_text()
    assert (tmp_path / "map.csv").stat().st_mode & 0o777 == 0o600
    write_leaderboard(tmp_path, replace(assignment.map, short_names=True), reports)
    assert rows(tmp_path / "map.csv") == [row]


def test_the_seed_is_kept_and_secret(tmp_path):
    """One seed for a run's folder, for its owner's eyes; another folder has another."""
    first = secret_seed(tmp_path / "map.seed")
    assert secret_seed(tmp_path / "map.seed") == first != secret_seed(tmp_path / "other")
    assert (tmp_path / "map.seed").stat().st_mode & 0o777 == 0o600
    (tmp_path / "map.seed").write_text("seven")
    with pytest.raises(KitError, match="does not hold the seed"):
        secret_seed(tmp_path / "map.seed")


def test_reports_keep_figures(tmp_path):
    """Figures survive the disk; reports from before there were any can be read; damaged ones are refused."""
    report = made("ann", measured(0.25))
    write_report(tmp_path, report)
    assert read_report(tmp_path) == report
    content = report.to_json()
    assert Report.from_json({key: value for key, value in content.items() if key != "figures"}).figures == []
    for wrong in ({"status": "splendid"}, {"value": "much"}, {"message": 3}, {"value": float("nan")}):
        with pytest.raises(ValueError, match="not a report"):
            Report.from_json({**content, "figures": [{**content["figures"][0], **wrong}]})


def test_the_student_reads_the_reason_and_no_seed():
    """Feedback shows a reason with its code, escaped; the seed and what is for staff stay out."""
    figure = Figure("7.1l", "mAP", "refused", message="`<b>` of `a`", details="SECRET", seed=987654321, file="w.pt")
    page = feedback_page(made("ann", figure))
    assert "<code>&lt;b&gt;</code> of <code>a</code>" in page and "the weights cannot be used" in page
    assert "SECRET" not in page and "987654321" not in page


def test_an_unreadable_notebook_has_no_figure(assignment):
    """There is no code to run the weights with: the figure says so, and its points are none."""
    plugin = type("Plugin", (), {"checks": lambda self: []})()
    with_points = replace(assignment, map=replace(assignment.map, points=5.0, marks_at=(0.5,)))
    blank = blank_report(with_points, "ann", "f", "s", 1)
    assert unreadable(with_points, plugin, blank, "no JSON").figures[0].status == "absent"
    handed_in = Asked(Weights("fcos_detector.pt", Path("fcos_detector.pt")), 1)
    report = unreadable(with_points, plugin, blank_report(with_points, "ann", "f", "s", 1), "no JSON", handed_in)
    assert report.figures[0].status == "missing" and report.figures[0].message == "no JSON"
    last = report.exercises[-1]
    assert (last.id, last.status, last.points, last.max_points, report.max_score) == ("7.1l", "missing", 0, 5, 105)


def test_the_table_and_the_line(assignment, tmp_path):
    """The terminal shows a column and where the leaderboard is, but only where someone handed weights in."""
    for figure, shown in ((measured(0.4171), True), (Figure("7.1l", "mAP", "absent"), False)):
        console = Console(file=StringIO(), width=140)
        show(assignment, Run(tmp_path, {"ann": made("ann", figure)}), console)
        said = console.file.getvalue()
        assert ("41.71%" in said) == ("Leaderboard: " in said) == ("mAP" in said) == shown


def test_grades_csv_stays_as_it_was(assignment, tmp_path):
    """Without points for weights there is no new column."""
    write_grades(tmp_path / "grades.csv", assignment, [made("ann", measured(0.5))])
    assert "mAP" not in (tmp_path / "grades.csv").read_text() and "7.1l" not in (tmp_path / "grades.csv").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_weights_in_a_zip_that_is_damaged_cost_nothing_else(small, small_slots, tmp_path):
    """The notebook is graded as ever; the figure is refused with the reason."""
    with zipfile.ZipFile(tmp_path / "ann.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fcos.py", f"# %%\n{BY_HEART}")
        archive.writestr("fcos_detector.pt", bytes(3 * 2**20))
    run, _ = graded(small, tmp_path / "ann.zip", tmp_path / "out", slots=small_slots)
    (report,) = run.reports.values()
    assert report.status == "graded" and report.score == 0 and run.exit_code == 0
    assert report.figures[0].status == "refused" and "unpacks to" in report.figures[0].message

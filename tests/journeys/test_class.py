"""The sample class, graded by `fcoskit grade` and by the real nbgrader: each gets exactly its own points."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from autograder.course.assignment import load_assignment
from autograder.grading.cases import Case, write_case
from autograder.grading.samples import load_samples, unexpected, write_sample
from autograder.intake.submissions import find_submissions
from autograder.report.files import read_report
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import SlotPool
from tests.conftest import ROOT, copy_course
from tests.support import warm_commands

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("sandbox")]

SAMPLES = load_samples(load_assignment("ps7", ROOT))
# One of each kind of outcome; nbgrader grades one after the other.
NBGRADER_CLASS = ("dan-untouched", "finn-stride-forgotten", "zoe-no-json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample class as it hands in, `<student>.<suffix>` side by side."""
    made = tmp_path_factory.mktemp("class")
    for sample in SAMPLES:
        write_sample(load_assignment("ps7", ROOT), sample, made / "submitted", ROOT / "release" / "ps7")
    (made / "submitted" / "zoe-no-json.ipynb").write_text("this is no notebook", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def graded(folder: Path, slots: SlotPool) -> Path:
    """The class, graded."""
    assignment, out = load_assignment("ps7", ROOT), folder / "graded"
    found, _ = find_submissions([folder / "submitted"], assignment.notebook, assignment.id)
    # Slow exercises only where a sample's change can matter to them: the demo grades everything.
    skips = {
        s.student: write_case(assignment, Case("mutant", s), folder / "cases").skip
        for s in SAMPLES
        if s.loses and s.student not in NBGRADER_CLASS
    }
    found = [replace(submission, skip=skips.get(submission.student, ())) for submission in found]
    assert grade_submissions(assignment, found, out, slots=slots).exit_code == 0
    return out


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.student)
def test_each_sample_loses_its_own_points_and_no_others(graded, sample):
    """What samples.toml says of a submission is what grading makes of it, and the message names the fault."""
    assert unexpected(sample, read_report(graded / sample.student)) == []


def test_grades_csv(graded):
    """A row a student: score, maximum, status, points by exercise."""
    with (graded / "grades.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    exercises = load_assignment("ps7", ROOT).exercises
    assert list(rows[0]) == ["student", "score", "max_score", "status", *(exercise.id for exercise in exercises)]
    by_student = {row["student"]: row for row in rows}
    full = {exercise.id: f"{exercise.points:g}" for exercise in exercises}
    head = {"student": "ada-solution", "score": "100", "max_score": "100", "status": "graded"}
    assert by_student["ada-solution"] == head | full
    assert by_student["zoe-no-json"]["status"] == "unreadable"
    assert by_student["zoe-no-json"]["score"] == "0"


def test_each_submission_gets_a_seed_of_its_own(graded):
    """Seeds are recorded in staff's report and differ between submissions."""
    seeds = {read_report(graded / sample.student).seed for sample in SAMPLES}
    assert len(seeds) == len(SAMPLES)


def test_feedback_shows_nothing_of_hidden_checks_but_sentence_and_hint(graded):
    """The page of a wrong submission has hidden checks' sentences, not their numbers."""
    report = json.loads((graded / "finn-stride-forgotten" / "report.json").read_text(encoding="utf-8"))
    page = (graded / "finn-stride-forgotten" / "feedback.html").read_text(encoding="utf-8")
    hidden = [c for e in report["exercises"] for c in e["checks"] if not c["public"] and c["status"] == "failed"]
    assert hidden and all(check["details"] for check in hidden)
    lines = [line for check in hidden for line in check["details"].splitlines()[1:]]
    assert lines and not [line for line in lines if line in page]
    assert str(report["seed"]) not in page


def test_a_second_run_grades_nothing_again(folder, graded, monkeypatch):
    """What is there with the same notebook and the same suites is kept."""
    before = {path: path.stat().st_mtime_ns for path in graded.glob("*/report.json")}
    monkeypatch.setattr("autograder.runs.slots.Slot.grade", lambda *_: pytest.fail("graded again"))
    assignment = load_assignment("ps7", ROOT)
    found, _ = find_submissions([folder / "submitted"], assignment.notebook, assignment.id)
    known = [s for s in found if s.student != "zoe-no-json"]
    run = grade_submissions(assignment, known, graded)
    assert run.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in graded.glob("*/report.json")} == before


def test_the_same_seed_gives_the_same_report(folder, tmp_path, slots):
    """Grading again with a recorded seed gives the same verdict, message by message."""
    assignment = load_assignment("ps7", ROOT)
    found, _ = find_submissions([folder / "submitted" / "finn-stride-forgotten.ipynb"], "fcos", "ps7")
    found = [replace(submission, skip=("7.1j",)) for submission in found]
    texts = []
    for name in ("one", "two"):
        run = grade_submissions(assignment, found, tmp_path / name, seed=5, slots=slots)
        checks = [c for e in run.reports["finn-stride-forgotten"].exercises for c in e.checks]
        texts.append([(c.name, c.status, c.message, c.diagnosis, c.details) for c in checks])
    assert texts[0] == texts[1]


@pytest.fixture(scope="module")
def nbgrader_course(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real nbgrader course with the same class in submitted/, graded by the real nbgrader."""
    root = tmp_path_factory.mktemp("nbgrader") / "course"
    copy_course(root)
    for name in NBGRADER_CLASS:
        path = folder / "submitted" / f"{name}.ipynb"
        target = root / "submitted" / path.stem / "ps7" / "fcos.ipynb"
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes())
    # The solution goes in without any metadata, as Colab leaves it.
    bare = nbformat.read(folder / "submitted" / "ada-solution.ipynb", as_version=4)
    for cell in bare.cells:
        cell.metadata = {}
    target = root / "submitted" / "ada-without-metadata" / "ps7" / "fcos.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(bare, target)
    run_nbgrader(root, "autograde", "ps7")
    run_nbgrader(root, "export")
    return root


def run_nbgrader(root: Path, *arguments: str) -> str:
    """Run the real nbgrader in a course folder; fail with what it printed."""
    done = warm_commands.nbgrader(root, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_nbgrader_gives_the_same_points(graded, nbgrader_course):
    """`nbgrader autograde` and `fcoskit grade` agree on every submission that both can read."""
    with (nbgrader_course / "grades.csv").open(encoding="utf-8") as stream:
        exported = {row["student_id"]: float(row["score"]) for row in csv.DictReader(stream)}
    with (graded / "grades.csv").open(encoding="utf-8") as stream:
        ours = {row["student"]: float(row["score"]) for row in csv.DictReader(stream)}
    assert exported.pop("ada-without-metadata") == 100
    assert exported == {student: ours[student] for student in exported}
    assert sorted(exported) == sorted(NBGRADER_CLASS)


def test_nbgrader_feedback_shows_our_panel_and_no_hidden_numbers(nbgrader_course):
    """`generate_feedback` shows each check's sentence; staff's details stay out of every file it writes."""
    run_nbgrader(nbgrader_course, "generate_feedback", "ps7", "--student", "finn-stride-forgotten")
    folder = nbgrader_course / "feedback" / "finn-stride-forgotten" / "ps7"
    page = (folder / "fcos.html").read_text(encoding="utf-8")
    assert "not divided by the stride" in page
    assert [path.name for path in folder.iterdir()] == ["fcos.html"]
    reports = nbgrader_course / ".fcoskit" / "reports" / "ps7" / "finn-stride-forgotten" / "report.json"
    details = [
        line
        for exercise in read_report(reports.parent).exercises
        for check in exercise.checks
        for line in check.details.splitlines()[1:]
    ]
    assert details
    assert not [line for line in details if line in page]


def test_nbgrader_saves_no_grade_without_a_verdict(nbgrader_course, tmp_path):
    """Where our grading step did not run, nbgrader fails instead of giving everyone full marks."""
    config = nbgrader_course / "nbgrader_config.py"
    before = config.read_text(encoding="utf-8")
    skipping = before + "\nc.Autograde.autograde_preprocessors = c.Autograde.autograde_preprocessors[1:]\n"
    config.write_text(skipping, encoding="utf-8")
    try:
        command = [
            sys.executable,
            "-m",
            "nbgrader",
            "autograde",
            "ps7",
            "--force",
            "--student",
            "dan-untouched",
        ]
        done = subprocess.run(command, cwd=nbgrader_course, capture_output=True, text=True, check=False)
    finally:
        config.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert "No grade saved" in done.stderr

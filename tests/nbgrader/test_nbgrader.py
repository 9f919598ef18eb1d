"""The real nbgrader on a real course folder, and what it does wrong by itself: each trap cured, in one class.

docs/nbgrader.md has the table: what stock nbgrader makes of each, what comes of it here, and the test that holds it.
"""

from __future__ import annotations

import copy
import csv
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from nbgrader.api import Gradebook

from autograder.course.assignment import Assignment
from autograder.intake.submissions import find_submissions
from autograder.nbgrader.rebuilt import unread
from autograder.report.files import read_report
from autograder.runs.grade import grade_submissions
from tests.conftest import ROOT
from tests.support import warm_commands
from tests.support.small_course import small_course, write

EXERCISE, CELL, POINTS = "7.1d", "7-1d", 10.0
PAGE = (ROOT / "docs" / "nbgrader.md").read_text(encoding="utf-8")
LATE = "downloaded/ps7/archive/ps7_late_attempt_2026-03-03-12-00-00_fcos.ipynb"
PENALTY = """
from nbgrader.plugins import LateSubmissionPlugin
class TwoAnHour(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2 * total_seconds_late / 3600
c.AssignLatePenalties.plugin_class = TwoAnHour
c.FileNameCollectorPlugin.named_regexp = (
    r".*ps7_(?P<student_id>\\w+)_attempt_(?P<timestamp>[0-9-]+)_(?P<file_id>.*)"
)
"""


def nbgrader(root: Path, *arguments: str) -> str:
    """Run the real nbgrader in a course folder; fail with what it printed."""
    done = warm_commands.nbgrader(root, *arguments)
    assert done.returncode == 0, done.stderr[max(0, done.stderr.find("ERROR") - 200) :][:4000]
    return done.stderr


def cell_with(notebook: Any, text: str) -> Any:
    """The one code cell that holds a text."""
    (found,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    return found


def a_warning(notebook: Any) -> None:
    """Warns and writes to standard error, where it is defined and where it is called."""
    cell = cell_with(notebook, "def get_fpn_location_coords")
    noise = 'import sys, warnings\nwarnings.warn("old")\nprint("progress", file=sys.stderr)\n'
    inside = re.sub(
        r"(\n    location_coords)", '\n    warnings.warn("slow")\n    print(1, file=sys.stderr)\\1', cell.source
    )
    assert inside != cell.source
    cell.source = noise + inside


def ends_in(value: str) -> Callable[[Any], None]:
    """A check cell that the student made end in a value."""

    def edit(notebook: Any) -> None:
        cell_with(notebook, f'check("{EXERCISE}")').source += f"\n{value}"

    return edit


def every_cell_twice(notebook: Any) -> None:
    """Metadata and all."""
    notebook.cells = [cell for one in notebook.cells for cell in (one, copy.deepcopy(one))]


def no_metadata(notebook: Any) -> None:
    """As Colab leaves it."""
    notebook.metadata = {}
    for cell in notebook.cells:
        cell.metadata = {}


def no_check_cells(notebook: Any) -> None:
    """All of them deleted."""
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("check(")]


def checks_that_pass(notebook: Any) -> None:
    """The check cell says something else, and check is the student's own."""
    cell_with(notebook, f'check("{EXERCISE}")').source = f"check = lambda name: {POINTS}\n{POINTS}"


def a_gradebook_of_ones_own(notebook: Any) -> None:
    """Writes the gradebook from within the graded function, wherever it may lie."""
    cell = cell_with(notebook, "def get_fpn_location_coords")
    cell.source = (
        "import glob, sqlite3\ndef get_fpn_location_coords(*_, **__):\n"
        "    found = [p for top in ('COURSE', '.', '/') for p in glob.glob(top + '/gradebook.db')]\n"
        "    for path in [*found, 'COURSE/gradebook.db']:\n"
        "        db = sqlite3.connect(path)\n        db.execute('update grade set manual_score = 999')\n"
        "        db.commit()\n"
    )


# Student, what they start from, what they do, the points they must get.
CLASS: list[tuple[str, str, Callable[[Any], None] | None, float]] = [
    ("right", "ada-solution", None, POINTS),
    ("wrong", "eva-transposed-locations", None, 7.0),
    ("warns", "ada-solution", a_warning, POINTS),
    ("ends-in-a-tensor", "dan-untouched", ends_in("torch.tensor(1.0)"), 0.0),
    ("ends-in-nan", "dan-untouched", ends_in("float('nan')"), 0.0),
    ("ends-negative", "dan-untouched", ends_in("-1.0"), 0.0),
    ("duplicates", "ada-solution", every_cell_twice, POINTS),
    ("bare", "ada-solution", no_metadata, POINTS),
    ("renamed", "ada-solution", None, POINTS),
    ("deletes", "dan-untouched", no_check_cells, 0.0),
    ("edits", "dan-untouched", checks_that_pass, 0.0),
    ("writes-gradebook", "ada-solution", a_gradebook_of_ones_own, 0.0),
    ("no-json", "", None, 0.0),
    ("as-python", "ben-solution-percent", None, POINTS),
    ("nothing", "", None, 0.0),
    ("late", "ada-solution", None, POINTS),
]
SHOWN = ("right", "wrong", "no-json", "nothing")  # who gets feedback
OWN = {"data.csv": "mine", "fcos_notes.txt": "mine, too"}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, sandbox_once: None) -> Assignment:
    """A course of one exercise whose class has handed in; one submission comes through zip_collect."""
    made = small_course(tmp_path_factory.mktemp("nbgrader") / "course", EXERCISE)
    root, samples = made.root, tmp_path_factory.mktemp("samples")
    config = root / "nbgrader_config.py"
    config.write_text(config.read_text(encoding="utf-8") + PENALTY, encoding="utf-8")
    written = {name: write(name, samples) for name in {sample for _, sample, _, _ in CLASS if sample}}
    for student, sample, edit, _ in CLASS:
        folder = root / "submitted" / student / "ps7"
        target = folder / "fcos.ipynb" if student != "renamed" else folder / "fcos (1).ipynb"
        if student == "late":
            target = root / LATE
        target.parent.mkdir(parents=True)
        if not sample:
            _ = student == "no-json" and target.write_text("this is no notebook")
        elif written[sample].suffix == ".py":
            shutil.copy(written[sample], target.with_suffix(".py"))
        else:
            notebook = nbformat.read(written[sample], as_version=4)
            notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]  # the rest takes time
            if edit is not None:
                edit(notebook)
            text = json.dumps(notebook).replace("COURSE", str(root))  # nbformat would mend ids that are there twice
            target.write_text(text, encoding="utf-8")
    for name, text in OWN.items():
        (root / "submitted" / "right" / "ps7" / name).write_text(text)
    # An old source folder of stock nbgrader's, with what must get to nobody.
    (root / "source" / "ps7").mkdir(parents=True)
    for name in ("data.csv", "solution.txt"):
        (root / "source" / "ps7" / name).write_text("THE SOLUTION")
    return made


@pytest.fixture(scope="module")
def submitted(course: Assignment) -> dict[str, bytes]:
    """Every file under submitted/, before anything is graded; `nbgrader zip_collect` has added one."""
    nbgrader(course.root, "zip_collect", "ps7")
    return _files(course.root / "submitted")


@pytest.fixture(scope="module")
def said(course: Assignment, submitted: dict[str, bytes]) -> str:
    """What `nbgrader autograde` printed; afterwards everything is graded, and some have feedback."""
    nbgrader(course.root, "db", "assignment", "add", "ps7", "--duedate", "2026-03-03 11:00:00 UTC")
    printed = nbgrader(course.root, "autograde", "ps7")
    others = ",".join(student for student, *_ in CLASS if student not in SHOWN)  # a page takes a second
    nbgrader(course.root, "generate_feedback", "ps7", f"--CourseDirectory.student_id_exclude={others}")
    return printed


@pytest.fixture(scope="module")
def exported(course: Assignment, said: str) -> dict[str, dict[str, str]]:
    """`nbgrader export`: a row by student."""
    return _export(course.root)


def _export(root: Path) -> dict[str, dict[str, str]]:
    nbgrader(root, "export")
    with (root / "grades.csv").open(encoding="utf-8") as stream:
        return {row["student_id"]: row for row in csv.DictReader(stream)}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("student", "points"), [(student, points) for student, _, _, points in CLASS])
def test_each_trap(exported, student, points):
    """Whatever a notebook has been through, `nbgrader export` has the points that its code earns."""
    assert float(exported[student]["raw_score"]) == points
    assert float(exported[student]["max_score"]) == POINTS


def test_one_notebook_does_not_stop_the_class(exported, said):
    """Everybody has a row, and whose file had another name is told to staff."""
    assert set(exported) == {student for student, *_ in CLASS}
    assert "renamed handed in fcos (1).ipynb" in said and "as-python handed in fcos.py" in said


def test_fcoskit_grade_gives_the_same(assignment, course, exported, tmp_path, slots):
    """The same folder, graded by the command: the same points for each student."""
    found, lines = find_submissions([course.root / "submitted"], course.notebook, course.id)
    assert lines == []
    others = tuple(exercise.id for exercise in assignment.exercises if exercise.id != EXERCISE)
    found = [replace(submission, skip=others) for submission in found]
    run = grade_submissions(assignment, found, tmp_path / "out", slots=slots)
    theirs = {student: float(row["raw_score"]) for student, row in exported.items()}
    assert {student: report.score for student, report in run.reports.items()} == theirs
    with (run.out / "grades.csv").open(encoding="utf-8") as stream:
        assert {row["student"]: float(row["score"]) for row in csv.DictReader(stream)} == theirs


def test_submitted_files_stay_as_they_were(course, submitted, said):
    """Under `submitted/` nothing is written; what is goes elsewhere, and a student's own data are not replaced."""
    assert _files(course.root / "submitted") == submitted
    graded = _files(course.root / "autograded" / "right" / "ps7")
    assert {name: graded[name].decode() for name in OWN} == OWN


def test_no_file_of_the_source_goes_to_students(course, said):
    """Neither `autograded/` nor `feedback/` has anything that lies beside the source or the solution."""
    for folder in ("autograded", "feedback"):
        files = _files(course.root / folder)
        names = {Path(name).name for name in files}
        assert names and names <= {"fcos.ipynb", "fcos.html", "fcos.py", "timestamp.txt", *OWN}
        assert not [name for name, content in files.items() if b"THE SOLUTION" in content]


def test_the_gradebook_is_out_of_reach(course, exported):
    """Code that writes a gradebook finds none: no manual score is anywhere, and its own points are lost."""
    with sqlite3.connect(course.root / "gradebook.db") as db:
        assert db.execute("select count(*) from grade where manual_score is not null").fetchone() == (0,)
    report = read_report(course.root / ".fcoskit" / "reports" / "ps7" / "writes-gradebook")
    assert {check.status for check in report.exercises[0].checks} == {"error"}


def test_check_cells_are_the_releases(course, said):
    """Deleted, edited or twice: `autograded/` has the released check cell once, with our panel under it."""
    for student, *_ in CLASS:
        cells = nbformat.read(course.root / "autograded" / student / "ps7" / "fcos.ipynb", as_version=4).cells
        (cell,) = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]
        assert (cell.metadata.nbgrader.grade_id, cell.source) == (CELL, f'check("{EXERCISE}")')


def test_feedback_says_why_and_no_hidden_number(course, said):
    """A page for each of them: the fault by name, why a file is no notebook; of hidden checks no detail."""
    pages = {student: course.root / "feedback" / student / "ps7" / "fcos.html" for student in SHOWN}
    text = {student: path.read_text(encoding="utf-8") for student, path in pages.items()}
    assert "transposed" in text["wrong"] and "This file is not a notebook" in text["no-json"]
    assert "nothing that can be graded was handed in" in text["nothing"]
    report = read_report(course.root / ".fcoskit" / "reports" / "ps7" / "wrong")
    checks = report.exercises[0].checks
    hidden = [check for check in checks if not check.public and check.status == "failed"]
    told = "\n".join(check.message for check in checks if check.public)  # a public check may compare the same rows
    lines = [line for check in hidden for line in check.details.splitlines() if line not in told]
    assert lines and not [line for line in lines if line in text["wrong"]]
    assert all(check.sentence.split("`")[0] in text["wrong"] for check in hidden)


def test_zip_collect(course, submitted, exported):
    """What `nbgrader zip_collect` puts under `submitted/` is graded like the rest, with its time."""
    assert "late/ps7/fcos.ipynb" in submitted and "late/ps7/timestamp.txt" in submitted
    assert exported["late"]["timestamp"].startswith("2026-03-03 12:00")


def test_late_policy(exported):
    """A penalty of two points an hour, one hour late: from the score, not from the points earned; nobody else pays."""
    late = exported["late"]
    assert (late["raw_score"], late["late_submission_penalty"], late["score"]) == ("10.0", "2.0", "8.0")
    assert not [row for student, row in exported.items() if student != "late" and row["score"] != row["raw_score"]]


def test_manual_grades_survive_regrading(course, exported):
    """What a grader set in formgrader counts, before and after the submission is graded again."""
    database = f"sqlite:///{course.root / 'gradebook.db'}"
    with Gradebook(database) as gradebook:
        grade = gradebook.find_grade(CELL, "fcos", "ps7", "wrong")
        grade.manual_score, grade.extra_credit = 6.0, 0.5  # as formgrader does
        comment = gradebook.find_comment(_solution_cell(course), "fcos", "ps7", "wrong")
        comment.manual_comment = "Right in spirit."
        gradebook.db.commit()
    nbgrader(course.root, "autograde", "ps7", "--force", "--student", "wrong")
    with Gradebook(database) as gradebook:
        grade = gradebook.find_grade(CELL, "fcos", "ps7", "wrong")
        assert (grade.manual_score, grade.auto_score, grade.extra_credit) == (6.0, 7.0, 0.5)
        assert grade.needs_manual_grade  # as stock nbgrader: for the grader to look at once more
        comment = gradebook.find_comment(_solution_cell(course), "fcos", "ps7", "wrong")
        assert comment.manual_comment == "Right in spirit."
    assert float(_export(course.root)["wrong"]["score"]) == 6.5


def _solution_cell(course: Assignment) -> str:
    """The released cell in which the exercise is solved."""
    cells = json.loads((course.release / "fcos.ipynb").read_text(encoding="utf-8"))["cells"]
    named = [cell for cell in cells if "def get_fpn_location_coords" in "".join(cell["source"])]
    return str(named[0]["metadata"]["nbgrader"]["grade_id"])


def test_a_files_name_is_text_in_autograded():
    """Why a submission was not read may hold names of files: no tag or Markdown in them has an effect."""
    kind, source = unread("2 submissions (![](//x.org/a.png) <b>.ipynb, `$x$`.py):\n\n# keep one")
    page = markdown2html_mistune(source)
    assert kind == "markdown" and "<strong>This submission could not be read.</strong>" in page
    assert "![](//x.org/a.png) &lt;b&gt;.ipynb, `$x$`.py): # keep one" in page
    assert not re.search("<(img|b|h1|code)[ >]", page)


def test_the_table_names_tests_that_are_there():
    """Each row of docs/nbgrader.md ends with a test, which exists."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) >= 12
    for row in rows:
        named = re.findall(r"`(?:(\w+\.py)::)?(test_\w+)`", row.rpartition("|")[0].rpartition("|")[2])
        assert named, row
        for file, name in named:
            (path,) = (ROOT / "tests").rglob(file or "test_nbgrader.py")
            assert f"def {name}(" in path.read_text(encoding="utf-8"), name

"""A second assignment is a folder and a suite: `tests/second` goes all the way through the same engine."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from rich.console import Console

from autograder.check import check
from autograder.commands.front import grade_paths
from autograder.commands.validate import validate
from autograder.course.assignment import Assignment, load_assignment, load_assignments
from autograder.gradescope.bundle import write_bundle
from autograder.grading.samples import load_samples, unexpected, write_sample
from autograder.release.build import build_release, check_release
from autograder.report.files import read_report
from autograder.runs.slot_pool import SlotPool, open_slots
from autograder.runtime.errors import KitError
from tests.conftest import ROOT

SECOND = ROOT / "tests" / "second"


@pytest.fixture(name="second", scope="module")
def _second(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """A course that has the second assignment alone."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(SECOND / "assignment", root / "assignment")
    return load_assignment(root=root)


@pytest.fixture(name="its_slots", scope="module")
def _its_slots(second: Assignment, sandbox_once: None) -> Iterator[SlotPool]:
    """A slot of it."""
    with open_slots(second, "auto", second.root / "grade.log", 1) as slots:
        yield slots


@pytest.fixture(name="graded", scope="module")
def _graded(second: Assignment, its_slots: SlotPool) -> Path:
    """The second assignment released, and its small class graded."""
    console = Console(file=io.StringIO())
    out = second.root / "graded"
    build_release(second, console, jobs=1, slots=its_slots)
    for sample in load_samples(second):
        write_sample(second, sample, second.root / "submitted", second.release)
    assert grade_paths(second, [second.root / "submitted"], out, 1, "auto", console, its_slots) == 0
    return out


@pytest.mark.slow
def test_it_is_released(second, graded):
    """The notebook has a stub, and the students' wheel this assignment's checks and no other's."""
    check_release(second, Console(file=io.StringIO()))
    notebook = nbformat.read(second.release / "softmax.ipynb", as_version=4)
    assert "raise NotImplementedError" in "".join(cell.source for cell in notebook.cells)
    with zipfile.ZipFile(second.release / "ps1_checks-0.1.0-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        told = json.loads(wheel.read("autograder/shipped/handout.json"))
    assert (told["assignment"], told["notebook"], told["weights"]) == ("softmax", "softmax", [])
    assert told["tasks"] == {
        "1a": {"title": "Softmax", "points": 4.0, "names": ["softmax"], "canned": [], "slow": False, "leans": []}
    }
    assert [name for name in names if "public/test_" in name] == ["autograder/shipped/suites/public/test_1a.py"]
    assert not [name for name in names if name.endswith(".safetensors") or "ps7" in name]


@pytest.mark.slow
def test_it_is_graded(second, graded):
    """Each sample gets what `samples.toml` says, and grades.csv has a column for the one exercise."""
    reports = {sample.student: read_report(graded / sample.student) for sample in load_samples(second)}
    assert [unexpected(sample, reports[sample.student]) for sample in load_samples(second)] == [[], [], []]
    assert (graded / "grades.csv").read_text(encoding="utf-8").splitlines() == [
        "student,score,max_score,status,1a",
        "amy-solution,4,4,graded,4",
        "bob-overflows,2,4,graded,2",
        "cat-untouched,0,4,graded,0",
    ]


@pytest.mark.slow
def test_it_is_fed_back(graded):
    """The student's page has the title, the points, the diagnosis and the hint, and no hidden number."""
    page = (graded / "bob-overflows" / "feedback.html").read_text(encoding="utf-8")
    for text in ("Problem set 1", "2 of 4 points", "The exponential of a large logit is infinite", "The logits here"):
        assert text in page
    assert "expected (" not in page


@pytest.mark.slow
def test_a_student_checks_it(second, graded, tmp_path):
    """With nothing but the wheel, `check("1a")` runs the public checks."""
    with zipfile.ZipFile(next(second.release.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path)
    code = "import torch\nfrom autograder.check import check\nsoftmax = lambda x: x.exp() / x.exp().sum(0)\ncheck('1a')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=True
    )
    assert "1 of 2 checks pass" in done.stdout
    assert "The sum runs over the images" in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("graded")
def test_its_suites_hold(second, its_slots):
    """The proof grades this assignment's mutants and variants, not those of the other."""
    said = io.StringIO()
    assert validate(second, Console(file=said, width=140), slots=its_slots) == 0, said.getvalue()
    assert "3 mutants, 6 pairs of check and fault, 100% named" in said.getvalue()


def test_it_goes_to_gradescope(second, tmp_path):
    """Checks that compare with no stored tensor need none: the zip is written without."""
    write_bundle(second, tmp_path / "[odd] name.zip", Console(file=io.StringIO()))
    with zipfile.ZipFile(tmp_path / "[odd] name.zip") as archive:
        names = archive.namelist()
    assert "kit/assignment/softmax/suites/hidden/test_1a.py" in names
    assert not [name for name in names if "softmax/reference" in name]


@pytest.fixture(name="both")
def _both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course with two assignments, and this process in it."""
    shutil.copytree(SECOND / "assignment", tmp_path / "assignment")
    shutil.copytree(ROOT / "assignment" / "ps7", tmp_path / "assignment" / "ps7")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_in_one_course(both, capsys):
    """Where the full kit is installed `check` finds an exercise in whichever assignment has it, with its suites."""
    check("1a", {"softmax": lambda logits: logits.softmax(1)})
    check("7.1d", {})
    check("2b")
    said = capsys.readouterr().out
    assert "all 2 checks pass" in said and "worth 2 of 4 points" in said
    assert "not done yet" in said
    assert "There are: 7.1b, 7.1c, 7.1d, 7.1f, 7.1i-losses, 7.1i-inference, 7.1j, 1a." in said
    with pytest.raises(KitError, match="Several assignments: name one"):
        load_assignment()


def test_nothing_of_one_is_taken_for_the_other(both):
    """Suites of an assignment's own bring their own tensors and proof."""
    first, second = load_assignments(both)
    assert (first.id, second.id) == ("ps7", "softmax")
    assert (
        second.reference == both / "assignment/softmax/reference" and second.proof == both / "assignment/softmax/proof"
    )
    assert first.reference.parent == first.suites.parent != second.suites.parent
    assert first.proof == both / "assignment/ps7/proof"


def test_suites_that_are_not_there(both, edit):
    """A slip in the folder's name is told at once, not as checks that are missing."""
    edit(both / "assignment/softmax/assignment.toml", '"assignment/softmax/suites"', '"assignment/sofmax/suites"')
    with pytest.raises(KitError, match=r'names the suites "assignment/sofmax/suites", but there is no .*public'):
        load_assignment("softmax", both)

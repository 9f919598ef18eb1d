"""What makes a stored grade stale: a change of what decides a verdict, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from autograder import PACKAGE
from autograder.course import digests
from autograder.course.digests import DECIDING, suites_digest


@pytest.fixture(name="kit")
def _kit(tmp_path, monkeypatch):
    """A copy of the kit's sources, in place of the kit."""
    kit = tmp_path / "autograder"
    shutil.copytree(PACKAGE, kit, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    monkeypatch.setattr(digests, "PACKAGE", kit)
    return kit


def changed(path) -> None:
    """Add a line to a file that is there."""
    assert path.is_file()
    path.write_text(path.read_text(encoding="utf-8") + "\n# Another line.\n", encoding="utf-8")


@pytest.mark.parametrize("room", DECIDING)
def test_a_room_that_decides_counts(room, kit, assignment):
    """A changed file in each of them gives another digest."""
    before = suites_digest(assignment)
    changed(kit / room / "__init__.py")
    assert suites_digest(assignment) != before


def test_rooms_that_show_or_carry_do_not_count(kit, assignment):
    """A changed help text, page or front end leaves every stored grade as it is."""
    before = suites_digest(assignment)
    others = [folder for folder in kit.iterdir() if folder.is_dir() and folder.name not in DECIDING]
    assert {"commands", "report", "runs", "nbgrader", "gradescope", "release", "notebook_kit"} == {
        folder.name for folder in others
    }
    for folder in others:
        changed(folder / "__init__.py")
    changed(kit / "commands" / "cli.py")
    changed(kit / "report" / "templates" / "base.css.j2")
    assert suites_digest(assignment) == before


@pytest.mark.parametrize(
    "place",
    [
        "assignment/ps7/assignment.toml",
        "assignment/ps7/suites/scenes.py",
        "assignment/ps7/suites/public/test_7_1d.py",
        "assignment/ps7/suites/hidden/test_7_1d.py",
        "helpers/ps7_helpers/nms.py",
    ],
)
def test_the_assignment_counts(place, course):
    """Settings, checks and helpers do."""
    before = suites_digest(course)
    changed(course.root / place)
    assert suites_digest(course) != before


def test_stored_tensors_count(course):
    """So does a single byte of one."""
    before = suites_digest(course)
    path = course.reference / "public" / "7.1d.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    assert suites_digest(course) != before


def test_of_the_notebook_its_code_counts(course, edit):
    """Another word of its text does not; another line of its solution does."""
    before = suites_digest(course)
    edit(course.source, "# %% [markdown]\n", "# %% [markdown]\n# A word more.\n#\n")
    assert suites_digest(course) == before
    edit(course.source, "### BEGIN SOLUTION\n", "### BEGIN SOLUTION\n    1 + 1\n")
    assert suites_digest(course) != before


def test_prices_right_cases_and_samples_do_not_count(course):
    """They prove the checks, or say what a fault costs, which no code runs again for."""
    before = suites_digest(course)
    for path in (course.proof / "variants" / "small.toml", course.folder / "samples.toml"):
        changed(path)
    changed(course.folder / "rubric.toml")
    assert suites_digest(course) == before


def test_known_faults_count(course):
    """The wrong cases of the proof explain failing checks."""
    before = suites_digest(course)
    changed(course.proof / "mutants" / "7.1d.toml")
    assert suites_digest(course) != before

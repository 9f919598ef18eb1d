"""nbgrader's gradebook in step with the release, also when exercises come and go in mid-term."""

from __future__ import annotations

import shutil

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.course.assignment import load_assignment
from autograder.nbgrader.gradebook import sync_gradebook
from autograder.nbgrader.tools import own_tools_first
from autograder.runtime.errors import KitError
from tests.support.small_course import small_course

BOTH = ("7.1d", "7.1f")


@pytest.fixture(name="filled", scope="module")
def _filled(tmp_path_factory):
    """A folder with a course of two exercises, and a gradebook in which one student has 4 points for each."""
    own_tools_first()
    folder = tmp_path_factory.mktemp("held")
    made, database = small_course(folder / "course", *BOTH), f"sqlite:///{folder / 'gradebook.db'}"
    sync_gradebook(made, database)
    with Gradebook(database) as gradebook:
        gradebook.update_or_create_student("ada")
        gradebook.update_or_create_submission("ps7", "ada")
        for cell in ("7-1d", "7-1f"):
            gradebook.find_grade(cell, "fcos", "ps7", "ada").auto_score = 4.0
        gradebook.db.commit()
    return folder


@pytest.fixture(name="held")
def _held(filled, tmp_path):
    """A copy of that course, and the address of a copy of that gradebook."""
    shutil.copytree(filled, tmp_path / "held")
    return load_assignment("ps7", tmp_path / "held" / "course"), f"sqlite:///{tmp_path / 'held' / 'gradebook.db'}"


def dropped(made):
    """The same course without the second exercise, in settings and release."""
    path = made.folder / "assignment.toml"
    head, entry, _ = path.read_text(encoding="utf-8").split("[[exercise]]")
    path.write_text(f"{head}[[exercise]]{entry}", encoding="utf-8")
    released = made.release / "fcos.ipynb"
    notebook = nbformat.read(released, as_version=4)
    gone = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "7-1f"]
    gone += [cell for cell in notebook.cells if "def fcos_get_deltas_from_locations" in cell.source]
    assert len(gone) == 2
    notebook.cells = [cell for cell in notebook.cells if cell not in gone]
    nbformat.write(notebook, released)
    return load_assignment("ps7", made.root), gone[1].metadata.nbgrader.grade_id


def test_an_exercise_that_is_dropped_goes(held):
    """Its cells leave the gradebook, the maximum is that of the release, and the other grades stay."""
    made, database = held
    with Gradebook(database) as gradebook:
        assert gradebook.find_assignment("ps7").max_score == 25
    fewer, solution = dropped(made)
    sync_gradebook(fewer, database)
    with Gradebook(database) as gradebook:
        notebook = gradebook.find_notebook("fcos", "ps7")
        assert [cell.name for cell in notebook.grade_cells] == ["7-1d"]
        assert not {"7-1f", solution} & {cell.name for cell in [*notebook.solution_cells, *notebook.source_cells]}
        submission = gradebook.find_submission("ps7", "ada")
        assert (submission.max_score, submission.score) == (10, 4)


def test_what_a_human_set_is_never_removed(held):
    """Points set in formgrader for the exercise that is dropped: a refusal in words, and nothing changes."""
    made, database = held
    with Gradebook(database) as gradebook:
        gradebook.find_grade("7-1f", "fcos", "ps7", "ada").manual_score = 9.0
        gradebook.db.commit()
    fewer, _ = dropped(made)
    with pytest.raises(KitError, match=r"no 7-1f any more.*a human set.*Clear them in formgrader"):
        sync_gradebook(fewer, database)
    with Gradebook(database) as gradebook:
        assert gradebook.find_submission("ps7", "ada").score == 13

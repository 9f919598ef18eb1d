"""The notebook on a simulated Colab: only the students' wheel, no kit, no network, from the first cell to the last."""

from __future__ import annotations

import re
import zipfile

import nbformat
import pytest

from autograder.commands.execute import execute_notebook
from autograder.course.assignment import load_assignment
from autograder.intake.submissions import find_submissions
from tests.conftest import ROOT
from tests.support.students_machine import filled_in, make_machine, make_release

# The long runs made as short as they can be: few images, two iterations.
SHORTER = {
    "else 150,": "else 2,",
    "else 500,": "else 2,",
    '"train", image_size=SHAPES_SIZE, keep=SHORT_RUN': '"train", image_size=SHAPES_SIZE, length=16',
    '"val", image_size=SHAPES_SIZE, keep=SHORT_RUN': '"val", image_size=SHAPES_SIZE, length=10',
    "NUM_WORKERS = 2": "NUM_WORKERS = 0",
    'check("7.1j")': "# it trains: tests/journeys/test_class.py has it",
}
PROBE = """
import autograder
print("autograder:", autograder.__file__)
print("engine:", importlib.util.find_spec("autograder.runs.grade"))
print("on Colab:", IN_COLAB)
"""


@pytest.fixture(name="machine", scope="module")
def _machine(tmp_path_factory):
    """The machine after the whole notebook ran on it, and the notebook with its outputs."""
    root = tmp_path_factory.mktemp("colab")
    assignment = load_assignment("ps7", ROOT)
    release = make_release(assignment, root)
    made = make_machine(root / "machine", release, colab=True)
    (made.folder / "fcos.ipynb").unlink()  # on Colab the notebook is no file of the machine
    notebook = filled_in(assignment, release)
    for old, new in SHORTER.items():
        holders = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        assert len(holders) == 1, f"{old!r} stands in {len(holders)} cells"
        holders[0].source = holders[0].source.replace(old, new)
    notebook.metadata["colab"] = {"name": "Copy of fcos.ipynb"}
    made.page.write_text(nbformat.writes(notebook), encoding="utf-8")
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        execute_notebook(notebook, made.folder, timeout=600)
    return made, notebook


def texts(notebook) -> str:
    """All that its cells printed or showed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    parts = [output.get("text") or output.get("data", {}).get("text/html", "") for output in outputs]
    return "\n".join("".join(part) for part in parts)


@pytest.mark.slow
def test_the_set_up_cell_installs_the_wheel(machine):
    """It notices Colab, installs the wheel, and what is imported is the wheel's; the engine is not there."""
    made, notebook = machine
    said = texts(notebook)
    assert "Installing the course's helpers on Colab: ps7_helpers-" in said
    assert f"autograder: {made.python.parents[1]}" in said
    assert "engine: None" in said and "on Colab: True" in said


@pytest.mark.slow
def test_every_check_passes_and_every_part_runs(machine):
    """No cell raised, each check() is right, detections were evaluated."""
    said = texts(machine[1])
    for exercise in ("7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference"):
        assert re.search(rf"{exercise} [^<]*: all \d+ checks pass", said), exercise
    assert "mAP" in said


@pytest.mark.slow
def test_the_submission_is_downloaded_and_gradable(machine):
    """The last cell hands one zip to the browser, with the notebook of the page and the weights, for the grader."""
    made, notebook = machine
    (path,) = made.folder.glob("*.zip")
    assert made.downloads.read_text(encoding="utf-8").split() == [str(path)]
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["fcos.ipynb", "fcos_detector.pt"]
        handed_in = nbformat.reads(archive.read("fcos.ipynb").decode(), as_version=4)
    assert [cell.source for cell in handed_in.cells] == [cell.source for cell in notebook.cells[:-1]]
    assignment = load_assignment("ps7", ROOT)
    (submission,), _ = find_submissions([path], assignment.notebook, assignment.id, assignment.weights)
    assert not submission.problem and submission.weights.read(128)
    said = texts(notebook)
    assert "Copy of fcos.ipynb, as it is on this page now." in said and "differs from the code" not in said

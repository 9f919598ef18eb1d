"""The release: what the source gives, byte for byte, and what is refused."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import nbformat
import pytest
from rich.console import Console

from autograder.release import build
from autograder.course.assignment import load_assignment
from autograder.runtime.errors import KitError
from autograder.release.leaks import find_leaks
from autograder.course.notebook import parted_cells, solved_notebook, source_notebook
from autograder.release.wheel import build_wheel

SOLUTION_LINE = 'grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")'


@pytest.fixture
def console() -> Console:
    """A console that keeps quiet."""
    return Console(file=io.StringIO())


def leaks_of(course, folder) -> str:
    """The leak check's findings on a folder, as text."""
    cells = parted_cells(course, source_notebook(course))
    return "\n".join(map(str, find_leaks(course, folder, cells)))


def refused(course, tmp_path: Path) -> str:
    """Make the release's files and give the message that refuses them."""
    with pytest.raises(KitError) as caught:
        build.make_files(course, tmp_path / "made", tmp_path / "work")
    return str(caught.value)


def test_the_committed_release_is_what_the_source_gives(assignment, console):
    """`release/` is never edited and never stale."""
    build.check_release(assignment, console)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import suites.hidden.draws", "`suites.hidden.draws`"),
        ("from suites.hidden import draws", "`suites.hidden`"),
        ("from suites import no_such_file", "`suites`"),
        ("from suites.hidden import *", "`suites.hidden`"),
        ("from autograder.grading import engine", "`autograder.grading`"),
        ("def later():\n    import jupytext", "`jupytext`"),
    ],
)
def test_a_public_check_that_imports_what_students_lack(course, tmp_path, line, said):
    """`check()` would stop there for everybody: told by file and line."""
    path = course.suites / "public" / "test_7_1d.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n\n{line}\n", encoding="utf-8")
    number = text.count("\n") + 3 + line.count("\n")
    assert f"public/test_7_1d.py, line {number}: {said}" in refused(course, tmp_path)


def test_a_public_check_that_python_cannot_read(course, tmp_path):
    """The file and the line, in a sentence."""
    path = course.suites / "public" / "test_7_1d.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}def broken(:\n", encoding="utf-8")
    number = text.count("\n") + 1
    assert f"public/test_7_1d.py, line {number}: invalid syntax" in refused(course, tmp_path)


def test_what_students_have_may_be_imported(course, tmp_path):
    """The kit by either name, what the wheel ships and requires, what that requires, and Python's own."""
    path = course.suites / "public" / "test_7_1d.py"
    lines = ["import numpy.linalg", "import PIL.Image", "import jinja2", "from autograder.suites import compare"]
    lines += ["import ps7_helpers.nms", "import xml.dom", "from suites import scenes", "from suites.public import slips", "from suites.public import *"]
    (course.suites / "public" / "slips.py").write_text('"""Nothing."""\n', encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8") + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    build.make_files(course, tmp_path / "made", tmp_path / "work")


def test_same_input_same_bytes(course, tmp_path):
    """Two builds of the same source are equal, byte for byte."""
    for name in ("one", "two"):
        build.make_files(course, tmp_path / name, tmp_path / f"work-{name}")
    assert build.differences(tmp_path / "one", tmp_path / "two") == []


def first_text(folder: Path) -> str:
    """The first cell of a release's notebook."""
    return nbformat.read(folder / "fcos.ipynb", as_version=4).cells[0].source


def test_the_badge_leads_to_the_courses_own_address(course, tmp_path, edit):
    """With an address in assignment.toml the notebook begins with a badge that opens it on Colab."""
    address = "https://colab.research.google.com/github/o/r/blob/main/release/ps7/fcos.ipynb"
    build.make_files(course, tmp_path / "plain", tmp_path / "work-plain")
    edit(course.folder / "assignment.toml", "[release]", f'[release]\ncolab = "{address}"')
    build.make_files(load_assignment("ps7", course.root), tmp_path / "badge", tmp_path / "work-badge")
    plain, badge = first_text(tmp_path / "plain"), first_text(tmp_path / "badge")
    assert plain.startswith("# Problem set") and "badge" not in plain
    assert badge.endswith("\n\n" + plain)
    assert badge.startswith("[![Open in Colab](https://") and f"]({address})\n" in badge


@pytest.mark.parametrize(
    "address", ["http://x.org/a", "https://x.org/a) [b](c", "javascript:x", "https://x.org/\\n#", " "]
)
def test_an_address_that_would_make_a_dead_badge_is_refused(course, edit, address):
    """Only a plain https address goes into the notebook."""
    edit(course.folder / "assignment.toml", "[release]", f'[release]\ncolab = "{address}"')
    with pytest.raises(KitError, match="has to be an address that begins with"):
        load_assignment("ps7", course.root)


SET_UP = {  # wheels in the folder, the installed version, the address: what is installed
    "nothing installed": (["0.9.0", "0.10.0"], None, "", "ps7_helpers-0.10.0-py3-none-any.whl"),
    "an older one installed": (["0.10.0"], "0.9.0", "", "ps7_helpers-0.10.0-py3-none-any.whl"),
    "the same one installed": (["0.9.0"], "0.9.0", "", ""),
    "a newer one installed": (["0.9.0"], "0.10.0", "", ""),
    "there without a wheel": (["0.9.0"], "", "", ""),
    "no wheel, but an address": ([], None, "https://x.org/ps7_helpers-0.9.0-py3-none-any.whl", "ps7_helpers-0.9.0"),
    "installed, no wheel": ([], "0.9.0", "https://x.org/ps7_helpers-0.10.0-py3-none-any.whl", ""),
}


@pytest.mark.parametrize("case", SET_UP)
def test_the_set_up_cell_installs_what_is_needed(assignment, tmp_path, monkeypatch, capsys, case):
    """The newest wheel beside the notebook if there is none installed or an older one, else nothing."""
    wheels, installed, address, expected = SET_UP[case]
    commands = run_set_up(assignment, tmp_path, monkeypatch, wheels, installed, address)
    assert len(commands) == bool(expected)
    if commands:
        assert commands[0][1:5] == ["-m", "pip", "install", "--quiet"] and expected in commands[0][5]


@pytest.mark.parametrize("on_colab", [False, True])
def test_the_set_up_cell_says_what_to_do_without_a_wheel(assignment, tmp_path, monkeypatch, on_colab):
    """No wheel and no address: one sentence, on Colab about Colab's own pane."""
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    with pytest.raises(FileNotFoundError) as caught:
        run_set_up(assignment, tmp_path, monkeypatch, [], None, "")
    assert ("Files pane" in str(caught.value)) == on_colab and "run this cell again" in str(caught.value)


def run_set_up(assignment, folder, monkeypatch, wheels, installed, address) -> list[list[str]]:
    """Run the notebook's set-up cell in a folder; what it would have executed."""

    def version(_):
        if not installed:
            raise importlib.metadata.PackageNotFoundError
        return installed

    commands: list[list[str]] = []
    for number in wheels:
        (folder / f"ps7_helpers-{number}-py3-none-any.whl").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None if installed is None else object())
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    cell = next(c.source for c in solved_notebook(assignment).cells if c.source.startswith("import importlib"))
    assert 'HELPERS_URL = ""' in cell
    exec(cell.replace('HELPERS_URL = ""', f'HELPERS_URL = "{address}"'), {})
    return commands


def test_check_fails_after_an_edit_of_the_source(course, console, edit):
    """A changed text in the source makes the release stale, and the message says what to run."""
    edit(course.source, "Always look at the data first.", "Look at the data.")
    with pytest.raises(KitError, match=r"fcos\.ipynb differs.*fcoskit release ps7"):
        build.check_release(course, console)


@pytest.mark.parametrize("name", ["fcos.ipynb", "MANIFEST.json"])
def test_check_fails_after_an_edit_of_the_release(course, console, name):
    """A release edited by hand is found."""
    path = course.release / name
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(KitError, match=f"{name} differs"):
        build.check_release(course, console)


def test_check_finds_files_too_many_and_too_few(course, console):
    """A stray file and a missing wheel are named."""
    (course.release / "solution.py").write_text("x = 1", encoding="utf-8")
    next(course.release.glob("*.whl")).unlink()
    with pytest.raises(KitError, match=r"is missing; solution\.py should not be there"):
        build.check_release(course, console)


def test_the_released_notebook_holds_stubs_and_no_solution(assignment):
    """Each solution cell raises NotImplementedError where the solution stood."""
    notebook = nbformat.read(assignment.release / "fcos.ipynb", as_version=4)
    solutions = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")]
    assert len(solutions) >= 3
    assert all("raise NotImplementedError" in cell.source for cell in solutions)
    assert SOLUTION_LINE not in "\n".join(cell.source for cell in notebook.cells)


def test_the_solved_notebook_has_no_markers(assignment):
    """What a perfect student hands in says nothing of solutions."""
    text = "\n".join(cell.source for cell in solved_notebook(assignment).cells)
    assert SOLUTION_LINE in text
    assert "SOLUTION" not in text


@pytest.mark.parametrize(
    "wrong",
    [
        "### BEGIN SOLUTON",
        "## BEGIN SOLUTION",
        "### begin solution",
        "# BEGIN  SOLUTION",
        "### BEGIN SOLUTIONS",
    ],
)
def test_a_misspelt_marker_is_refused(course, tmp_path, edit, wrong):
    """A marker that nbgrader would overlook, or read otherwise, is named with its line."""
    text = course.source.read_text(encoding="utf-8")
    course.source.write_text(text.replace("### BEGIN SOLUTION", wrong, 1), encoding="utf-8")
    assert "looks like a marker but is none" in refused(course, tmp_path)


def line_of(course, text):
    """The number of the line of the source that holds a text."""
    lines = course.source.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_a_syntax_error_in_the_solution_is_told_at_once(course, tmp_path, edit):
    """With the line of the file that the TA edits, before anything is built or graded."""
    edit(course.source, "loss_cls = sigmoid_focal_loss(pred_cls_logits, gt_one_hot)", "loss_cls = sigmoid_focal_loss(")
    line = line_of(course, "loss_cls = sigmoid_focal_loss(")
    said = refused(course, tmp_path)
    assert f"fcos.py, line {line}: " in said and "'loss_cls = sigmoid_focal_loss('. A TA has to mend" in said
    assert not (tmp_path / "made" / "fcos.ipynb").exists()


def test_a_misspelt_marker_is_told_by_the_line_of_the_file(course, tmp_path, edit):
    """Not by a line of its cell, which nobody sees there."""
    after = "\n\n        # A running average"
    edit(course.source, f"        ### END SOLUTION{after}", f"        ### END SOLUTON{after}")
    line = line_of(course, "### END SOLUTON")
    assert f"fcos.py, line {line}: '### END SOLUTON'" in refused(course, tmp_path)


def test_a_marker_without_its_end_is_refused(course, tmp_path):
    """A solution that is never ended is named."""
    text = course.source.read_text(encoding="utf-8")
    start = text.index("def get_fpn_location_coords")
    changed = text[:start] + text[start:].replace("        ### END SOLUTION\n", "", 1)
    course.source.write_text(changed, encoding="utf-8")
    assert "is never ended" in refused(course, tmp_path)


def test_a_stray_end_is_refused(course, tmp_path):
    """An end without a beginning, which nbgrader lets through, is named."""
    text = course.source.read_text(encoding="utf-8")
    course.source.write_text(text.replace("        ### BEGIN SOLUTION\n", "", 1), encoding="utf-8")
    assert "was never begun" in refused(course, tmp_path)


def test_a_solution_in_a_cell_that_is_none_is_refused(course, tmp_path, edit):
    """Markers in a cell without nbgrader's metadata are refused: nbgrader would not replace them."""
    edit(course.source, "NUM_CLASSES = 20", "### BEGIN SOLUTION\nNUM_CLASSES = 20\n### END SOLUTION")
    assert "its header lacks nbgrader" in refused(course, tmp_path)


def test_a_solution_line_in_a_text_cell_is_refused(course, tmp_path, edit):
    """A TA who quotes the solution in the explanation gets told where."""
    edit(course.source, "# Two orders meet here", f"# For example `{SOLUTION_LINE}`. Two orders meet here")
    assert "fcos.ipynb: holds a line of the solution" in refused(course, tmp_path)


def test_a_solution_line_in_a_comment_is_refused(course, tmp_path, edit):
    """A solution line left in a comment of given code is no less a leak."""
    edit(course.source, "NUM_CLASSES = 20", f"# {SOLUTION_LINE}\nNUM_CLASSES = 20")
    assert "fcos.ipynb: holds a line of the solution" in refused(course, tmp_path)


def test_a_solution_line_in_a_helper_is_refused(course, tmp_path):
    """A line of the solution in the students' wheel is found, however it is indented."""
    path = course.root / "helpers" / "ps7_helpers" / "extra.py"
    path.write_text(f"def g(rows, columns):\n            {SOLUTION_LINE}\n    # end\n", encoding="utf-8")
    said = refused(course, tmp_path)
    assert "ps7_helpers/extra.py: holds a line of the solution" in said


def test_points_that_do_not_agree_are_refused(course, tmp_path, edit):
    """The notebook's cells and assignment.toml must name the same points."""
    edit(course.source, '"points": 10', '"points": 11')
    assert "says 11 points, assignment.toml 10" in refused(course, tmp_path)


def test_a_check_cell_that_is_missing_is_refused(course, tmp_path, edit):
    """An exercise without its check cell would never be graded by nbgrader."""
    edit(course.source, '"grade_id": "7-1d"', '"grade_id": "other"')
    assert "has no check cell for 7.1d" in refused(course, tmp_path)


def test_the_wheel_holds_no_hidden_check_and_no_engine(assignment):
    """Public checks and helpers are in it; hidden suites, engine, sandbox and the live solution are not."""
    (wheel,) = assignment.release.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "autograder/shipped/suites/public/test_7_1d.py" in names
    assert "ps7_helpers/dataset.py" in names
    assert not [name for name in names if "hidden" in name or "sandbox" in name or "reference/__init__" in name]


def test_a_hidden_suite_in_the_wheel_is_found(course, tmp_path):
    """A hidden check that slips into the shipped folders is found, in its own file or copied into another."""
    hidden = (course.suites / "hidden" / "test_7_1d.py").read_text(encoding="utf-8")
    body = hidden[hidden.index("def _random_shapes") : hidden.index("@pytest.mark.points")]
    (course.root / "helpers" / "ps7_helpers" / "more.py").write_text(body, encoding="utf-8")
    folder = tmp_path / "made"
    build_wheel(course, folder, tmp_path)
    assert "more.py: holds lines of the hidden suite test_7_1d.py" in leaks_of(course, folder)


@pytest.mark.parametrize("part", ["test_maps_that_are_not_square", "The result has the dtype asked for."])
def test_names_and_sentences_of_hidden_checks_are_found(course, tmp_path, part):
    """Even one hidden check's name or sentence in a file of the release is a leak."""
    text = f"def {part}(student):\n" if part.startswith("test") else f'"""{part}"""\n'
    (tmp_path / "notes.py").write_text(text, encoding="utf-8")
    assert "hidden check" in leaks_of(course, tmp_path)


def test_outputs_are_found(course, tmp_path):
    """A cell with an output or an execution count is a leak: solutions print their results."""
    shutil.copy(course.release / "fcos.ipynb", tmp_path)
    notebook = json.loads((tmp_path / "fcos.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code[0]["execution_count"] = 3
    code[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello"]}]
    (tmp_path / "fcos.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    said = leaks_of(course, tmp_path)
    assert "holds an output" in said
    assert "holds an execution count" in said


def test_a_surviving_marker_is_found(course, tmp_path):
    """A marker in any file of the release is a leak."""
    (tmp_path / "readme.txt").write_text("some text\n### END SOLUTION\n", encoding="utf-8")
    assert "readme.txt: holds a marker" in leaks_of(course, tmp_path)


def test_the_committed_release_does_not_leak(assignment):
    """The leak check finds nothing in what is committed."""
    assert leaks_of(assignment, assignment.release) == ""


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_solution_without_full_marks_is_refused(course, console, edit):
    """A source whose own solution is wrong gives no release, and the old one stays as it is."""
    before = (course.release / "MANIFEST.json").read_bytes()
    edit(course.source, "deltas.clamp(min=0) * stride", "deltas * stride")
    with pytest.raises(KitError, match=r"own solution gets \d+\.0 of 100 points: 7\.1f: Negative deltas"):
        build.build_release(course, console, jobs=1)
    assert (course.release / "MANIFEST.json").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_another_wheel_under_the_old_version_is_refused(course, console):
    """Students who have the old one would keep it; the old release stays, and the way out is said."""
    path = course.root / "helpers" / "ps7_helpers" / "nms.py"
    path.write_text(path.read_text(encoding="utf-8") + "# one more line\n", encoding="utf-8")
    before = {path.name: path.read_bytes() for path in course.release.iterdir()}
    with pytest.raises(KitError, match=r"whl has changed.*Raise `version`.*--same-version"):
        build.build_release(course, console, jobs=1)
    assert {path.name: path.read_bytes() for path in course.release.iterdir()} == before


def test_two_versions_of_one_wheel_are_refused(course, tmp_path, edit):
    """What assignment.toml says, and what the shipped package says of itself."""
    edit(course.root / "helpers" / "ps7_helpers" / "__init__.py", '__version__ = "', '__version__ = "9')
    assert "helpers/ps7_helpers/__init__.py says version 9" in refused(course, tmp_path)


def test_a_good_source_gives_a_release(course, console, edit):
    """After a change of text the release is built anew and then passes the check."""
    edit(course.source, "Always look at the data first.", "Look at the data.")
    build.build_release(course, console, jobs=1)
    build.check_release(load_assignment("ps7", course.root), console)

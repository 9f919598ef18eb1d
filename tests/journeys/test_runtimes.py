"""The released notebook in every place where it has to work: real environments, real kernels, from end to end.

The places are in `tests/runtimes`; `support/runtimes.py` says how to add one. On each, a machine with the environment's
libraries and no network gets the released files. There the notebook is run as it is, with a wrong exercise, and solved.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.commands.execute import execute_notebook, printed
from autograder.course.assignment import load_assignment
from autograder.grading.map_score import Asked, measure
from autograder.intake.submissions import find_submissions
from autograder.parsing.cells import read_notebook
from autograder.report.files import read_report
from autograder.runs.grade import grade_submissions
from autograder.sandbox.host import Host
from tests.conftest import ROOT
from tests.support.runtimes import CHOICE, NotReady, Runtime, chosen, load_runtimes, ready
from tests.support.students_machine import Machine, filled_in, make_machine, make_release

pytestmark = pytest.mark.slow

# The long runs made as short as they can be: few images, three iterations.
SHORTER = {
    "else 150,": "else 3,",
    "else 500,": "else 3,",
    '"train", image_size=SHAPES_SIZE, keep=SHORT_RUN': '"train", image_size=SHAPES_SIZE, length=16',
    '"val", image_size=SHAPES_SIZE, keep=SHORT_RUN': '"val", image_size=SHAPES_SIZE, length=10',
    "NUM_WORKERS = 2": "NUM_WORKERS = 0",
}
# A training's plot is drawn when it is three seconds old: here after each iteration.
DRAW_AT_ONCE = """import ps7_helpers.live
made = ps7_helpers.live.LivePlot.__init__
made.__defaults__ = (0.0, *made.__defaults__[1:])"""
PROBE = """
import autograder, json, platform
names = "ipython", "ipykernel", "torch", "torchvision", "numpy", "matplotlib", "pytest", "gdown"
versions = {"Python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}
print("probe:", json.dumps({
    "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    "autograder": autograder.__file__,
    "engine": importlib.util.find_spec("autograder.runs") is not None,
    "on Colab": IN_COLAB,
}))
"""
CHECKED = ("7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference", "7.1j")
UNWRITTEN = "This part is still to be written: replace this line by your code."
WRONG = ("torch.stack([grid_x, grid_y], dim=-1)", "torch.stack([grid_x.T, grid_y.T], dim=-1)")
# What is no warning: a progress bar, and what torch says of a download, up to 2.4 on stderr.
PROGRESS = re.compile(r"(?:[\w ]+: )? *\d+%\||Downloading: \"https://download\.pytorch\.org/")


@dataclass
class Ran:
    """A notebook after a run.

    Attributes:
        notebook: With its outputs; the last cell is `PROBE`.
        zip: What it made to hand in.
        downloads: What Colab's page downloaded.
    """

    notebook: Any
    zip: Path
    downloads: list[str]

    @property
    def cells(self) -> list[Any]:
        """The code cells that a student sees."""
        return [c for c in self.notebook.cells if c.cell_type == "code" and c.source not in (PROBE, DRAW_AT_ONCE)]

    @property
    def stopped(self) -> list[tuple[Any, str]]:
        """Cells that raised, and what."""
        return [
            (cell, f"{output.ename}: {output.evalue}")
            for cell in self.cells
            for output in cell.outputs
            if output.output_type == "error"
        ]

    @property
    def probe(self) -> dict[str, Any]:
        """What `PROBE` found."""
        (line,) = printed(self.notebook, "probe:")
        return json.loads(line.removeprefix("probe:"))

    @property
    def said(self) -> str:
        """All that its cells printed or showed."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        parts = [output.get("text") or output.get("data", {}).get("text/html", "") for output in outputs]
        return "\n".join("".join(part) for part in parts)

    def line(self, runtime: Runtime, kind: str) -> str:
        """How it went: for people, at the end of the tests."""
        kinds = [said.partition(":")[0] for _, said in self.stopped]
        what = ", ".join(f"{kinds.count(name)} by {name}" for name in dict.fromkeys(kinds)) or "none"
        ran = sum(cell.execution_count is not None for cell in self.cells)
        return (
            f"{runtime.name}, {kind}: {ran} of {len(self.cells)} cells ran, stopped: {what} ({self.probe['versions']})"
        )


@dataclass
class Place:
    """A runtime's machine, after the notebook was run there in each of its forms."""

    runtime: Runtime
    machine: Machine
    ran: dict[str, Ran] = field(default_factory=dict)


@pytest.fixture(name="runtime", scope="module", params=load_runtimes(), ids=lambda runtime: runtime.name)
def _runtime(request) -> tuple[Runtime, Path | None]:
    """A runtime that is to be had, and the interpreter of its environment; None for ours."""
    runtime = request.param
    if runtime not in chosen(load_runtimes(), os.environ.get(CHOICE)):
        pytest.skip(f"{runtime.name} is left out of `make test`: `make runtimes` runs it")
    try:
        return runtime, None if runtime.is_ours else ready(runtime)
    except NotReady as reason:
        pytest.skip(str(reason))


@pytest.fixture(name="place", scope="module")
def _place(runtime, tmp_path_factory) -> Place:
    """The notebook as it is released, with a wrong exercise, and solved: run one after the other on one machine."""
    root, assignment = tmp_path_factory.mktemp("runtime"), load_assignment("ps7", ROOT)
    release = make_release(assignment, root)
    machine = make_machine(root / "machine", release, colab=runtime[0].colab, python=runtime[1])
    place = Place(runtime[0], machine)
    solved = filled_in(assignment, release)
    wrong = nbformat.from_dict(solved)
    replace_in(wrong, *WRONG)
    untouched = nbformat.read(release / "fcos.ipynb", as_version=4)
    for kind, notebook in {"untouched": untouched, "wrong": wrong, "solved": solved}.items():
        for old, new in SHORTER.items():
            replace_in(notebook, old, new)
        place.ran[kind] = run(machine, notebook, runtime[0].colab, root / f"{kind}.zip")
    return place


def replace_in(notebook: Any, old: str, new: str) -> None:
    """Replace a text that stands in one code cell."""
    (holder,) = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
    holder.source = holder.source.replace(old, new)


def run(machine: Machine, notebook: Any, colab: bool, kept: Path) -> Ran:
    """Run a notebook to its end, cells that raise included, where the machine's notebook is this one."""
    file = machine.folder / "fcos.ipynb"
    if colab:
        file.unlink(missing_ok=True)  # there the notebook is no file of the machine
        notebook.metadata["colab"] = {"name": "Copy of fcos.ipynb"}
    (machine.page if colab else file).write_text(nbformat.writes(notebook), encoding="utf-8")
    machine.downloads.write_text("", encoding="utf-8")
    imports = next(n for n, cell in enumerate(notebook.cells) if "from ps7_helpers import" in cell.source)
    notebook.cells.insert(imports + 1, nbformat.v4.new_code_cell(DRAW_AT_ONCE))
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE))
    for cell in notebook.cells:
        cell.metadata["tags"] = ["raises-exception"]  # and the next one is run all the same, as a student would
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in machine.environment.items():
            monkeypatch.setenv(name, value)
        execute_notebook(notebook, machine.folder, timeout=600)
    (made,) = machine.folder.glob("*.zip")
    shutil.move(made, kept)
    return Ran(notebook, kept, machine.downloads.read_text(encoding="utf-8").split())


def test_no_cell_stops(place, record_property):
    """Every cell of the solved notebook, and of one with a wrong exercise, runs to its end."""
    for kind, ran in place.ran.items():
        record_property("line", ran.line(place.runtime, kind))
    assert place.ran["solved"].stopped == [] and place.ran["wrong"].stopped == []


def test_what_is_not_written_stops_and_nothing_else(place):
    """In the untouched notebook a cell stops by the line to be replaced, or for what such a cell would have defined."""
    missing = set()
    for cell, said in place.ran["untouched"].stopped:
        known = {f"NameError: name '{name}' is not defined" for name in missing}
        assert said in {f"NotImplementedError: {UNWRITTEN}", *known}
        nodes = ast.walk(ast.parse(cell.source))
        missing |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert missing


def test_nothing_that_a_student_has_to_wonder_about(place):
    """No warning reaches the page, of the installation neither: progress is all that comes on stderr."""
    for kind, ran in place.ran.items():
        outputs = [output for cell in ran.cells for output in cell.outputs if output.get("name") == "stderr"]
        lines = [line.strip() for output in outputs for line in re.split(r"[\r\n]", output.text)]
        assert [line for line in lines if line and not PROGRESS.match(line)] == [], kind


def test_the_set_up_cell_installs_the_wheel(place):
    """It says so, notices where it is, and what is imported is the wheel's; the engine is not there."""
    said = "Installing the course's helpers" + (" on Colab" if place.runtime.colab else "") + ": ps7_helpers-"
    assert said in place.ran["untouched"].said
    for ran in place.ran.values():
        assert Path(ran.probe["autograder"]).is_relative_to(place.machine.python.parents[1])
        assert not ran.probe["engine"] and ran.probe["on Colab"] == place.runtime.colab


def test_the_runtime_is_what_its_file_says(place):
    """The versions in the kernel are those that were asked for."""
    versions = place.ran["solved"].probe["versions"].lower() + ","
    asked = [package.replace("==", " ").lower() for package in place.runtime.packages]
    told = [text for text in asked if f" {text.split()[0]} " in f" {versions}"]
    assert [text for text in told if f" {text}," not in versions] == [] and (told or place.runtime.is_ours)
    assert place.runtime.is_ours or versions.startswith(tuple(f"python {v}." for v in place.runtime.python))


def test_the_panels_say_what_is_so(place):
    """All checks of the solved notebook pass, a wrong exercise is told its fault, an untouched one is not done yet."""
    passes = r"(?:all \d+ checks pass|its one check passes)"
    for exercise in CHECKED:
        assert re.search(rf"{exercise} [^<]*: {passes}", place.ran["solved"].said), exercise
        assert re.search(rf"{exercise} [^<]*: not done yet", place.ran["untouched"].said), exercise
    wrong = place.ran["wrong"].said
    assert re.search(r"7\.1d [^<]*: 4 of 8 checks pass", wrong) and "The order is transposed" in wrong
    for exercise in ("7.1b", "7.1c", "7.1f"):
        assert re.search(rf"{exercise} [^<]*: all \d+ checks pass", wrong), exercise


def test_the_plot_of_a_training_grows(place):
    """Each training shows one picture, drawn while it ran and anew at its end, that says in words what it shows."""
    cells = [cell for cell in place.ran["solved"].cells if "istory = train_detector(" in cell.source]
    assert len(cells) == 2
    for cell in cells:
        (picture,) = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert picture.metadata["image/png"]["alt"].startswith("LossHistory(3 iterations")


def test_detections_are_evaluated(place):
    """The last part comes to a figure."""
    assert re.search(r"mAP \(?.*\d", place.ran["solved"].said) and "Total inference time" in place.ran["solved"].said


def test_what_is_handed_in(place):
    """`make_submission()` finds the notebook and zips it whole, says how it stands, and Colab downloads the zip."""
    for kind, ran in place.ran.items():
        with zipfile.ZipFile(ran.zip) as archive:
            names = archive.namelist()
            handed_in = nbformat.reads(archive.read("fcos.ipynb").decode(), as_version=4)
        assert names == ["fcos.ipynb", *([] if kind == "untouched" else ["fcos_detector.pt"])]
        shown = [cell.source for cell in ran.notebook.cells if cell.source not in (PROBE, DRAW_AT_ONCE)]
        assert [cell.source for cell in handed_in.cells] == shown
        assert "differs from the code" not in ran.said and "ps7-submission.zip is ready" in ran.said
        assert [Path(name).name for name in ran.downloads] == ["ps7-submission.zip"] * place.runtime.colab
        if place.runtime.colab:
            assert "Copy of fcos.ipynb, as it is on this page now." in ran.said
    assert re.search(r"passes [1-7] of 8 checks", place.ran["wrong"].said)
    assert "are as given" in place.ran["untouched"].said


@pytest.mark.usefixtures("sandbox")
def test_what_is_handed_in_gets_full_marks(place, slots, tmp_path):
    """The kit gives the solved notebook's zip all points, and reads the weights in it."""
    assignment = load_assignment("ps7", ROOT)
    zipped = [place.ran["solved"].zip]
    (submission,), _ = find_submissions(zipped, assignment.notebook, assignment.id, assignment.weights)
    assert not submission.problem
    todo = [replace(submission, skip=("7.1l",))]
    assert grade_submissions(assignment, todo, tmp_path / "out", seed=3, slots=slots).exit_code == 0
    report = read_report(tmp_path / "out" / submission.key)
    assert report.score == report.max_score == 100, report.exercises
    if not place.runtime.is_ours:  # what another torch saved is read by ours; all 200 images would take half a minute
        few = replace(assignment.map, images=8)
        cells = read_notebook(submission.read(assignment.limits.notebook_megabytes), Path(submission.name).suffix)
        host = Host(assignment)
        try:
            figure = measure(assignment, few, cells, host, Asked(submission.weights, 3))
        finally:
            host.close()
        assert (figure.status, figure.images) == ("measured", 8), figure


def test_the_helpers_own_tests_pass(runtime, tmp_path):
    """The tests of the helpers, of downloads with a real gdown too, pass with the libraries of the runtime."""
    if runtime[0].is_ours:
        pytest.skip("they are run as they are")
    folder = ROOT / "tests" / "helpers"
    texts = {path: path.read_text(encoding="utf-8") for path in folder.glob("test_*.py")}
    files = [path for path, text in texts.items() if "autograder" not in text and "tests.support" not in text]
    own = {"PYTHONPATH": str(ROOT / "helpers"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [runtime[1], "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", f"--confcutdir={folder}"]
    command += ["-o", "filterwarnings=", "--rootdir", ROOT]  # libraries of another year warn of one another
    command += ["--basetemp", tmp_path / "made", *sorted(files)]
    done = subprocess.run(command, env={**os.environ, **own}, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

"""`make_submission()`: one zip with what is to be handed in, whole or not at all, and what is missing from it."""

from __future__ import annotations

import errno
import hashlib
import json
import linecache
import os
import re
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.checks.result import CheckResult
from autograder.intake.submissions import find_submissions
from autograder.intake.trained import Trained, trained_as
from autograder.intake.untrusted import read_member
from autograder.notebook_kit import submit
from autograder.notebook_kit.handout import SHIPPED, Handout, handout_in, handout_of, handouts, spoken
from autograder.notebook_kit.run_public import check_exercise, last_verdict
from autograder.notebook_kit.saved_notebook import find_saved, is_saved
from autograder.notebook_kit.submission_panel import (
    File,
    Row,
    Summary,
    shown_age,
    shown_size,
    summary_html,
    summary_text,
)
from autograder.parsing.cells import handed_in_with

CALL = "make_submission()"
RIGHT = """\
import torch

def get_fpn_location_coords(shape_per_fpn_level, strides_per_fpn_level, dtype=torch.float32, device="cpu"):
    coords = {}
    for level, (_, _, height, width) in shape_per_fpn_level.items():
        stride = strides_per_fpn_level[level]
        rows = [(stride * (j + 0.5), stride * (i + 0.5)) for i in range(height) for j in range(width)]
        coords[level] = torch.tensor(rows, dtype=dtype, device=device)
    return coords
"""
GIVEN = """\
def fcos_get_deltas_from_locations(locations, gt_boxes, stride):
    raise NotImplementedError("still to be written")

def fcos_apply_deltas_to_locations(deltas, locations, stride):
    raise NotImplementedError("still to be written")
"""
CLASS = "class FCOS:\n    def __init__(self):\n        raise NotImplementedError('to be written')\n"


@pytest.fixture(autouse=True)
def rehearsed(monkeypatch) -> list[str]:
    """What a reading of the saved file comes to: nothing, unless a test says otherwise; `test_rehearsal.py` does it."""
    told: list[str] = []
    monkeypatch.setattr(submit, "rehearse", lambda *_: told)
    return told


@pytest.fixture(name="folder")
def _folder(tmp_path, monkeypatch):
    """An empty working folder of a plain Python session; the course is found all the same."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    for name in ("ipykernel", "google.colab", "google.colab._message", "google.colab.files"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def write(path: Path, *cells: str, **more) -> Path:
    """Write a notebook with some code cells."""
    made = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"title": "mine"}, "cells": made} | more
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def ran(*cells: str) -> dict:
    """The globals after some cells ran, as IPython runs them: their text is known by a file name of its own."""
    namespace: dict = {}
    for number, cell in enumerate(cells):
        name = f"<ipython-input-{number}-{hash(cell)}>"
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"), namespace)
    return namespace


def names_in(path: Path) -> list[str]:
    """What a zip holds."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def colab(monkeypatch, answer, download=None):
    """A stand-in for Colab: its page answers with a notebook, or raises."""

    def blocking_request(kind, request, timeout_sec):
        assert kind == "get_ipynb" and timeout_sec > 0
        if isinstance(answer, Exception):
            raise answer
        return {"ipynb": answer}

    def fetched(path):
        if isinstance(download, Exception):
            raise download
        downloads.append(path)

    downloads: list[str] = []
    message, files = types.ModuleType("google.colab._message"), types.ModuleType("google.colab.files")
    message.blocking_request, files.download = blocking_request, fetched
    for name, module in (("", types.ModuleType("google.colab")), ("._message", message), (".files", files)):
        monkeypatch.setitem(sys.modules, f"google.colab{name}", module)
    monkeypatch.setattr("autograder.notebook_kit.submission_panel.in_notebook", lambda: False)
    return downloads


def test_nothing_but_what_is_handed_in(folder, capsys):
    """The notebook under its released name and the weights; no other file of the folder, however near it looks."""
    write(folder / "my fcos (1).ipynb", RIGHT, CALL)
    write(folder / "other.ipynb", "x = 1")
    (folder / "fcos_detector.pt").write_bytes(b"weights")
    for name in ("fcos_training.pt", ".netrc", "key.txt", "fcos_detector.pt.bak"):
        (folder / name).write_text("private")
    submit.make_submission(namespace=ran(RIGHT))
    made = folder / "ps7-submission.zip"
    assert names_in(made) == ["fcos.ipynb", "fcos_detector.pt"]
    said = capsys.readouterr().out
    assert 'fcos.ipynb, 1 kB (from "my fcos (1).ipynb")' in said and "fcos_detector.pt, 1 kB" in said
    assert str(made) in said and "saved a moment ago" in said
    submit.make_submission(namespace=ran(RIGHT))
    assert names_in(made) == ["fcos.ipynb", "fcos_detector.pt"], "made again, it does not hold itself"
    assert not list(folder.glob(".*.part"))


def test_what_the_saved_file_lacks_is_told_first(folder, capsys, rehearsed):
    """What passes here and not from the file stands above all else, and the zip is made all the same."""
    write(folder / "fcos.ipynb", RIGHT, CALL)
    rehearsed.append("7.1 (d) passes in this session and not from the saved file.")
    submit.make_submission(namespace=ran(RIGHT))
    said = capsys.readouterr().out.splitlines()
    remarks = [line for line in said if line.startswith(" ! ")]
    assert any(rehearsed[0] in line for line in remarks[:2]) and (folder / "ps7-submission.zip").is_file()


def test_the_notebook_in_it_is_the_students_and_says_what_with(folder, capsys):
    """Cells and metadata are as they were; the version of the helpers is noted beside them."""
    path = write(folder / "ümlaut.ipynb", RIGHT, "s = 'größer → ∞'", CALL, nbformat_minor=2)
    submit.make_submission(namespace={})
    with zipfile.ZipFile(folder / "ps7-submission.zip") as archive:
        data = archive.read("fcos.ipynb")
    made, mine = json.loads(data), json.loads(path.read_text(encoding="utf-8"))
    assert made["metadata"].pop("fcoskit") == {"assignment": "ps7", "version": handouts()[0].version}
    assert made == mine
    assert handed_in_with(data, ".ipynb") == handouts()[0].version


class ShapesDetection:
    """A data set, in name and size."""

    image_size = 64


class Half:
    """A part of one, as torch's `Subset` is."""

    dataset = ShapesDetection()


class Sulky:
    """One that does not want to be asked."""

    @property
    def image_size(self) -> int:
        """Never known."""
        raise RuntimeError


@pytest.mark.parametrize(
    ("data", "noted"),
    [
        (ShapesDetection(), {"data": "ShapesDetection", "image_size": 64}),
        (Half(), {"data": "ShapesDetection", "image_size": 64}),
        (Sulky(), None),
        (None, None),
        ("text", None),
    ],
)
def test_what_the_weights_were_trained_on_is_noted(folder, capsys, data, noted):
    """Class and size of the data set, and which file the note is about; nothing where that cannot be known."""
    write(folder / "fcos.ipynb", RIGHT, CALL)
    (folder / "fcos_detector.pt").write_bytes(b"weights")
    submit.make_submission(namespace={"train_dataset": data})
    with zipfile.ZipFile(folder / "ps7-submission.zip") as archive:
        made = archive.read("fcos.ipynb")
    digest = hashlib.sha256(b"weights").hexdigest()
    record = json.loads(made)["metadata"]["fcoskit"]
    assert record.get("weights") == (None if noted is None else {**noted, "sha256": digest})
    assert trained_as(made, ".ipynb") == (None if noted is None else Trained("ShapesDetection", 64, digest))


def test_code_that_does_not_end_costs_its_row_alone(folder, capsys):
    """Stopped while an exercise is checked, it says so in that row, checks the others and writes the zip."""
    endless = "def get_fpn_location_coords(*_, **__):\n    raise KeyboardInterrupt  # as the stop button does\n"
    write(folder / "a.ipynb", endless, GIVEN, CALL)
    submit.make_submission(namespace=ran(endless, GIVEN))
    said = capsys.readouterr().out
    row = {line[3:10]: line for line in said.splitlines() if line[3:6] == "7.1"}
    assert row["7.1 (d)"].startswith(" ?") and row["7.1 (d)"].endswith("not checked: stopped")
    assert row["7.1 (f)"].endswith("as given")
    assert names_in(folder / "ps7-submission.zip") == ["fcos.ipynb"]


def test_each_exercise_gets_its_own_word(folder, capsys):
    """Right, as given, not run, not there, and not checked as it takes long: each is told apart from the others."""
    written = "class DetectorBackboneWithFPN:\n    pass\n"
    cells = (RIGHT, GIVEN, written, CLASS, CALL)
    write(folder / "a.ipynb", *cells)
    submit.make_submission(namespace=ran(RIGHT, GIVEN))
    said = capsys.readouterr().out
    row = {line[3:10]: line for line in said.splitlines() if line[3:6] == "7.1"}
    assert row["7.1 (d)"].startswith(" ✓") and row["7.1 (d)"].endswith("passes all 8 checks")
    assert row["7.1 (f)"].startswith(" –") and row["7.1 (f)"].endswith("as given")
    assert row["7.1 (b)"].startswith(" ?") and "was not run" in row["7.1 (b)"]
    assert row["7.1 (c)"].endswith("the notebook does not define FCOSPredictionNetwork")
    assert row["7.1 (i)"].endswith("as given") and row["7.1 (j)"].endswith("as given")
    assert "7.1 (f), 7.1 (i) losses, 7.1 (i) inference and 7.1 (j) are as given." in said
    assert (
        "7.1 (c) is not there: the notebook does not define" in said
        and "No weights: there is no fcos_detector.safetensors or" in said
    )
    assert (folder / "ps7-submission.zip").exists()


def test_a_wrong_exercise_is_counted_and_zipped(folder, capsys):
    """Checks that fail are counted, and nothing is refused for it."""
    wrong = RIGHT.replace("(j + 0.5)", "(i + 0.5)")
    write(folder / "a.ipynb", wrong, CALL)
    submit.make_submission(namespace=ran(wrong))
    said = capsys.readouterr().out
    assert re.search(r'passes [1-7] of 8 checks: check\("7\.1d"\) says why', said)
    assert names_in(folder / "ps7-submission.zip") == ["fcos.ipynb"]


def test_what_takes_long_is_told_from_its_last_verdict(folder, capsys, monkeypatch):
    """The check that trains is not run again; its verdict counts until anything of the code is defined anew."""
    (given,) = handouts()
    namespace, asked = {name: object() for name in given.names}, []

    def run_public(exercise, *_):
        asked.append(exercise)
        return [CheckResult(exercise, "right", "It is right.", 1.0, "passed", True)]

    monkeypatch.setattr("autograder.notebook_kit.run_public.run_public", run_public)
    write(folder / "a.ipynb", CALL)

    def told() -> str:
        submit.make_submission(namespace=namespace)
        return next(line for line in capsys.readouterr().out.splitlines() if line[3:10] == "7.1 (j)")

    row = told()
    assert (
        row.startswith(" ?")
        and row.endswith('not checked here, as it takes longer: run check("7.1j")')
        and "7.1j" not in asked
    )
    result = check_exercise(given, "7.1j", namespace)
    assert last_verdict(given, "7.1j", namespace) is result
    assert told().startswith(" ✓") and told().endswith("passes its check") and asked.count("7.1j") == 1
    namespace["get_fpn_location_coords"] = object()
    assert last_verdict(given, "7.1j", namespace) is None
    assert told().startswith(" ?")


@pytest.mark.parametrize(
    ("saved", "differs"),
    [
        (RIGHT, False),
        ("%%time\n" + RIGHT.replace("coords = {}\n", "coords = {}   \n"), False),
        ("x = 1\n\n" + RIGHT + "\ny = 2", False),
        (RIGHT.replace("0.5", "0.0"), True),
        ("y = 2", True),
    ],
)
def test_code_that_ran_but_is_not_in_the_saved_notebook(folder, capsys, saved, differs):
    """What is graded is what is saved: where another code ran, the student is told before anything else."""
    write(folder / "a.ipynb", saved, CALL)
    submit.make_submission(namespace=ran(RIGHT))
    lines = capsys.readouterr().out.splitlines()
    assert ("save the notebook (Ctrl+S)" in lines[1] and "7.1 (d)" in lines[1]) == differs
    assert ("ready to hand in" in lines[0]) == (not differs)
    assert (folder / "ps7-submission.zip").exists()


def test_classes_are_compared_by_their_own_text():
    """Also one with a method that was put in later from another cell; what never stood in a cell is not judged."""
    patched = "def late(self):\n    return 3\nFCOS.inference = late\n"
    namespace = ran(CLASS, patched)
    assert is_saved(["FCOS"], namespace, [CLASS, patched])
    assert not is_saved(["FCOS"], namespace, [CLASS.replace("to be", "not yet"), patched])
    assert is_saved(["FCOS", "rows"], {"FCOS": object, "rows": len}, [])


def test_the_server_or_the_editor_says_which_notebook(folder, monkeypatch):
    """Of several notebooks the one that the kernel belongs to; a name that is no longer there is not believed."""
    for name in ("one.ipynb", "two.ipynb"):
        write(folder / name, CALL)
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "two.ipynb"))
    assert find_saved(None, {}, CALL).name == "two.ipynb"
    assert find_saved(None, {"__vsc_ipynb_file__": str(folder / "one.ipynb")}, CALL).name == "one.ipynb"
    assert find_saved("one.ipynb", {}, CALL).name == "one.ipynb"
    (folder / "two.ipynb").unlink()
    assert find_saved(None, {}, CALL).name == "one.ipynb"


@pytest.mark.parametrize(
    ("names", "argument", "says"),
    [
        ([], None, "was not found in"),
        (["a.ipynb", "b (1).ipynb"], None, 'a.ipynb, b (1).ipynb. Say which: make_submission("a.ipynb")'),
        (["a.ipynb"], "c.ipynb", "c.ipynb cannot be read"),
        (["a.ipynb"], "bad.ipynb", "bad.ipynb is no notebook"),
    ],
)
def test_where_the_notebook_is_not_known_nothing_is_made(folder, capsys, names, argument, says):
    """No guess is handed in: one sentence says what is wrong and what to do, and no exception ends the cell."""
    for name in names:
        write(folder / name, CALL)
    (folder / "bad.ipynb").write_text('{"cells": 3}')
    submit.make_submission(argument, namespace={})
    said = capsys.readouterr().out
    assert said.startswith("No submission was made") and says in said
    assert not list(folder.glob("*.zip"))


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "zipfile.ZipFile.writestr"])
def test_whole_or_not_at_all(folder, capsys, monkeypatch, broken):
    """A full disk leaves the earlier file as it was, nothing half written, and says which is there."""
    write(folder / "a.ipynb", CALL)
    (folder / "ps7-submission.zip").write_bytes(b"earlier")

    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(broken, fail)
    submit.make_submission(namespace={})
    monkeypatch.undo()
    assert (folder / "ps7-submission.zip").read_bytes() == b"earlier"
    assert sorted(path.name for path in folder.iterdir()) == ["a.ipynb", "ps7-submission.zip"]
    said = capsys.readouterr().out
    assert "was not written: No space left on device. The file of that name is an older one." in said


def test_the_newest_weights_are_taken(folder, capsys):
    """Of two files with weights the one written last, whichever a grader would prefer, and the other is named."""
    write(folder / "a.ipynb", CALL)
    for age, name in ((500, "fcos_detector.safetensors"), (5, "fcos_detector.pt")):
        (folder / name).write_bytes(b"x" * age)
        os.utime(folder / name, (1_700_000_000 - age, 1_700_000_000 - age))
    submit.make_submission(namespace={})
    assert names_in(folder / "ps7-submission.zip") == ["fcos.ipynb", "fcos_detector.pt"]
    assert "fcos_detector.safetensors is older than fcos_detector.pt and is left out" in capsys.readouterr().out


def test_weights_beside_the_notebook_are_found_from_elsewhere(folder, monkeypatch, tmp_path):
    """A kernel that works in another folder finds the weights there or beside the notebook."""
    path = write(folder / "a.ipynb", CALL)
    (folder / "fcos_detector.pt").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    submit.make_submission(str(path), namespace={})
    assert names_in(folder / "ps7-submission.zip") == ["fcos.ipynb", "fcos_detector.pt"]


def test_a_notebook_that_packs_too_well_is_no_bomb(folder):
    """A million equal lines in an output would look like a bomb to the grader: they are not packed."""
    output = {"output_type": "stream", "name": "stdout", "text": "nan\n" * 500_000}
    cell = {"cell_type": "code", "metadata": {}, "outputs": [output], "source": CALL}
    (folder / "a.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]}))
    submit.make_submission(namespace={})
    assert len(read_member(folder / "ps7-submission.zip", "fcos.ipynb", 2**26)) > 2_000_000


def test_the_grader_takes_the_zip_as_it_is(folder, assignment):
    """One submission, its notebook and its weights."""
    write(folder / "a (2).ipynb", RIGHT, CALL)
    (folder / "fcos_detector.pt").write_bytes(b"weights")
    submit.make_submission(namespace={})
    made = (folder / "ps7-submission.zip").rename(folder / "alice.zip")
    found, lines = find_submissions([made], assignment.notebook, assignment.id, assignment.weights)
    assert lines == [] and [(s.student, s.name, s.problem) for s in found] == [("alice", "fcos.ipynb", "")]
    assert found[0].weights.read(1) == b"weights"


def test_colab_gives_the_open_page_and_takes_the_zip(folder, monkeypatch, capsys):
    """On Colab the notebook is that of the page, under the name it has there, and the zip is downloaded."""
    page = json.loads(write(folder / "x", RIGHT, CALL).read_text())
    page["metadata"] = {"colab": {"name": "Copy of fcos.ipynb"}}
    downloads = colab(monkeypatch, page)
    submit.make_submission(namespace=ran(RIGHT))
    said = capsys.readouterr().out
    assert downloads == [str(folder / "ps7-submission.zip")]
    assert "Copy of fcos.ipynb, as it is on this page now." in said and "(Ctrl+S)" not in said


def test_colab_without_a_page(folder, monkeypatch, capsys):
    """Where the page does not answer, a file will do; without one the way to get it is told."""
    colab(monkeypatch, TimeoutError())
    submit.make_submission(namespace={})
    assert "File > Download > Download .ipynb" in capsys.readouterr().out
    write(folder / "fcos.ipynb", CALL)
    downloads = colab(monkeypatch, {"no": "notebook"}, download=RuntimeError())
    submit.make_submission(namespace={})
    said = capsys.readouterr().out
    assert "saved a moment ago" in said and "The download did not start. In the Files pane" in said
    assert downloads == [] and (folder / "ps7-submission.zip").exists()


def test_the_wheel_holds_what_students_are_told(assignment):
    """The file in the wheel is read back as it was; no names of checks, limits or answers are in it."""
    made = handout_of(assignment)
    read = Handout.from_json(made.to_json())
    assert replace(read, suites=made.suites, reference=made.reference) == made == handouts()[0]
    assert read.suites.parent == read.reference.parent == SHIPPED
    assert set(json.loads(made.to_json())["tasks"]["7.1j"]) == {"title", "points", "names", "canned", "slow", "leans"}
    assert [e for e, task in made.tasks.items() if task.slow] == ["7.1j"]


def test_of_several_assignments_the_one_that_the_notebook_checks(monkeypatch, assignment):
    """On staff's machines, where every assignment of the course is at hand; a wheel knows its own alone."""
    first = handout_of(assignment)
    second = replace(first, assignment="other", tasks={"1a": first.tasks["7.1d"]})
    monkeypatch.setattr("autograder.notebook_kit.handout.handouts", lambda: [first, second])
    assert handout_in(['check("1a")', "x = 1"]) is second
    assert handout_in(['check("7.1d")', 'check("7.1f")', 'check("1a")']) is first


@pytest.mark.parametrize(
    ("exercise", "words"),
    [("7.1f", "7.1 (f)"), ("7.1i-losses", "7.1 (i) losses"), ("2a", "2 (a)"), ("warm-up", "warm-up")],
)
def test_ids_are_written_as_the_text_writes_them(exercise, words):
    """The letter of an exercise stands in parentheses."""
    assert spoken(exercise) == words


def test_everything_in_the_panel_is_escaped():
    """File names and notes are text; the panel in HTML says what the plain one says."""
    nasty = "<script>alert(1)</script>\"'&"
    rows = [Row("7.1 (d)", nasty, "failed", nasty), Row("7.1 (f)", "Deltas", "missing", "as given")]
    summary = Summary(nasty, nasty, 3_500_000, nasty, 90.0, rows, [File("fcos.ipynb", 2000, nasty)], [nasty], [nasty])
    page, text = summary_html(summary), summary_text(summary)
    assert "<script>" not in page and page.count("&lt;script&gt;") == 8
    for words in ("7.1 (f) is as given.", "saved 1 minute ago", "read this first", "fcos.ipynb, 2 kB", "Deltas"):
        assert words in page and words in text
    assert page.index("is as given.") < page.index("<table>")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "a moment"), (1, "1 second"), (59.9, "59 seconds"), (60, "1 minute"), (7200, "2 hours"), (2e5, "2 days")],
)
def test_ages(seconds, words):
    """Ages are in the largest unit that has passed."""
    assert shown_age(seconds) == words


def test_the_headline_says_whether_it_is_ready():
    """With its size, unless another code ran than is in it."""
    ready = Summary("a.zip", "/a.zip", 3_500_000, "a.ipynb", None, [Row("1", "x", "passed", "right")], [], [])
    assert summary_text(ready).startswith("a.zip is ready to hand in (3.3 MB)\n") and ready.remarks == []


def test_sizes():
    """Never 0 kB for a file that holds something, megabytes from one on."""
    assert (shown_size(1), shown_size(2**20 - 1), shown_size(2**20)) == ("1 kB", "1024 kB", "1.0 MB")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"metadata": []}',
        b'{"metadata": {"fcoskit": "0.1"}}',
        b'{"metadata": {"fcoskit": {"version": 3}}}',
        b'{"metadata": {"fcoskit": {"version": "1<script>"}}}',
        b'{"metadata": {"fcoskit": {"version": "1.1.1.1.1"}}}',
        b'{"metadata": {"fcoskit": {"version": "1.0\\n"}}}',
    ],
)
def test_a_version_is_a_version_or_nothing(data):
    """Whatever a notebook claims in that place: only numbers and dots come through."""
    assert handed_in_with(data, ".ipynb") == ""
    assert handed_in_with(b'{"metadata": {"fcoskit": {"version": "0.12.3"}}}', ".ipynb") == "0.12.3"
    assert handed_in_with(b'{"metadata": {"fcoskit": {"version": "0.12.3"}}}', ".py") == ""

"""Before it is handed in, the saved file is read as grading reads it; the student's own files stay as they are."""

from __future__ import annotations

import pytest
import torch

from autograder.course.assignment import load_assignment
from autograder.notebook_kit import rehearsal
from autograder.notebook_kit.handout import Handout, handout_of
from autograder.notebook_kit.rehearsal import rehearse
from tests.conftest import ROOT

RIGHT = """\
def get_fpn_location_coords(shape_per_fpn_level, strides_per_fpn_level, dtype=torch.float32, device="cpu"):
    coords = {}
    for level, (_, _, height, width) in shape_per_fpn_level.items():
        stride = strides_per_fpn_level[level]
        rows = [(stride * (j + HALF), stride * (i + HALF)) for i in range(height) for j in range(width)]
        coords[level] = torch.tensor(rows, dtype=dtype, device=device)
    return coords
"""
# What a notebook may do on its author's machine once, and must not do again: a line each, with the files given.
DEEDS = """\
open({kept!r}, "w").write("lost")
torch.save(torch.zeros(1), {weights!r})
os.remove({kept!r})
os.rename({kept!r}, {kept!r} + ".old")
shutil.rmtree({folder!r})
shutil.copyfile({weights!r}, {kept!r})
subprocess.run(["touch", {made!r}])
os.system("touch " + {made!r})
pathlib.Path({kept!r}).unlink()
safetensors.torch.save_file(dict(a=torch.zeros(1)), {weights!r})
"""


@pytest.fixture(name="given", scope="module")
def _given() -> Handout:
    """What students know of the assignment."""
    return handout_of(load_assignment("ps7", ROOT))


def saved(*cells: str) -> dict:
    """A saved notebook of some code cells."""
    made = [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in cells]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}


def test_a_file_that_stands_alone_passes_and_changes_nothing(given, tmp_path):
    """Cells are run with all that they do, but for what would reach a file, a program or the network outside."""
    kept, weights, made = tmp_path / "kept.txt", tmp_path / "fcos_detector.pt", tmp_path / "made"
    kept.write_text("precious")
    torch.save(torch.ones(3), weights)
    places = {"kept": str(kept), "weights": str(weights), "folder": str(tmp_path), "made": str(made)}
    deeds = DEEDS.format(**places).splitlines()
    imports = "import os, pathlib, shutil, subprocess, torch\nimport safetensors.torch"
    file = saved(imports, *deeds, "open('own.txt', 'w').write('0.5')", "HALF = float(open('own.txt').read())", RIGHT)
    assert rehearse(given, file, ["7.1d"]) == []
    assert kept.read_text() == "precious" and torch.equal(torch.load(weights), torch.ones(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fcos_detector.pt", "kept.txt"]


def test_a_name_that_only_the_session_knows_is_told(given):
    """What a fresh kernel lacks is named; where the file has it and it came to nothing, the error is told."""
    (told,) = rehearse(given, saved("import torch", RIGHT), ["7.1d"])
    assert told.startswith("7.1 (d) passes in this session and not from the saved file. `HALF` is defined nowhere")
    (told,) = rehearse(given, saved("import torch", RIGHT, "HALF = 1 / 0"), ["7.1d"])
    assert "defined nowhere" not in told and "from top to bottom, it says: " in told and "'HALF'" in told


def test_one_that_takes_too_long_says_so(given, monkeypatch):
    """A rehearsal is cut off, and costs nobody the zip."""
    monkeypatch.setattr(rehearsal, "SECONDS", 0.01)
    (told,) = rehearse(given, saved("import torch\nHALF = 0.5", RIGHT), ["7.1d"])
    assert "took longer" in told


def test_a_file_that_cannot_be_read_is_our_fault(given):
    """What breaks the reading itself is not the student's, and is said in a sentence."""
    (told,) = rehearse(given, {"cells": []}, ["7.1d"])
    assert "by our fault" in told


def test_nothing_to_try_starts_nothing(given, monkeypatch):
    """Where nothing passes here, nothing is read."""
    monkeypatch.setattr(rehearsal.subprocess, "run", None)
    assert rehearse(given, saved("x = 1"), []) == []

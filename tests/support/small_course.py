"""A copy of the course that grades a few exercises only, so that whole runs of front ends stay short."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat

from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.samples import Sample, load_samples, write_sample
from tests.conftest import ROOT, copy_course

RELEASE = ROOT / "release" / "ps7"


def small_course(root: Path, *exercises: str, verified_map: str = "") -> Assignment:
    """Copy the course and keep some of its exercises, in settings and release; of the release its code.

    Args:
        root: Where it goes.
        exercises: Ids of those that stay.
        verified_map: Text in place of the settings of the verified weights; without it there are none.
    """
    copy_course(root)
    path = root / "assignment" / "ps7" / "assignment.toml"
    text = re.sub(r"^\[map\].*?(?=^\[)", lambda _: verified_map, path.read_text(encoding="utf-8"), flags=re.M | re.S)
    head, *entries = text.split("[[exercise]]")
    kept = [entry for entry in entries if re.search(r'id = "(.+)"', entry)[1] in exercises]  # type: ignore[index]
    path.write_text("[[exercise]]".join([head, *kept]), encoding="utf-8")
    made = load_assignment("ps7", root)
    released = made.release / "fcos.ipynb"
    notebook = nbformat.read(released, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.metadata.nbgrader.grade_id not in {
            exercise.grade_id for exercise in made.exercises
        }:
            del cell.metadata["nbgrader"]
    nbformat.write(notebook, released)
    return made


def sample(name: str) -> Sample:
    """One of `samples.toml`."""
    (found,) = [sample for sample in load_samples(load_assignment("ps7", ROOT)) if sample.student == name]
    return found


def write(name: str, folder: Path) -> Path:
    """Write a sample as it hands in, `<folder>/<name>.<suffix>`."""
    return write_sample(load_assignment("ps7", ROOT), sample(name), folder, RELEASE)

"""Hunts for the solution: what stands in for earlier exercises is in no reach of student code.

Each notebook of `hunts.toml` loses points in the losses, so that its constructor is replaced, and then looks for the
solution in its process. What it earns is held to the same notebook without anything to be found.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.course.assignment import Assignment
from autograder.intake.submissions import Submission
from autograder.report.files import write_whole
from autograder.report.html import feedback_page
from autograder.report.model import Report
from autograder.runs.slots import Slot
from autograder.runtime.errors import KitError
from autograder.sandbox import probe
from tests.conftest import copy_course

KIND = os.environ.get("FCOSKIT_ATTACK_SANDBOX", "bwrap")
pytestmark = [pytest.mark.open_python] if KIND == "uid" else []
HUNTS = tomllib.loads((Path(__file__).parent / "hunts.toml").read_text(encoding="utf-8"))["hunt"]
SEED = 5
GRADED = ("7.1i-losses", "7.1i-inference", "7.1j")
TELLS = "the solution:"
FINDS_NOTHING = "def found():\n    return None"
DOES_WHAT_IT_FINDS = """
def part_of_it(text):
    # A line of the solution in two halves, backwards: what is searched with is not found.
    first, second = (bytes(reversed(half)) for half in (b"derp_level = tpek_si", b"erocs_tset > serocs_"))
    at = text.find(first)
    while at >= 0:
        if text[at + len(first) : at + len(first) + len(second)] == second:
            return True
        at = text.find(first, at + 1)
    return False

class FCOS(nn.Module):
    def __init__(self, num_classes, fpn_channels, stem_channels):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = DetectorBackboneWithFPN(out_channels=fpn_channels)
        self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)
        self._normalizer = 150

    def forward(self, *args, **kwargs):
        return self.doing("forward", args, kwargs)

    def inference(self, *args, **kwargs):
        return self.doing("inference", args, kwargs)

    def doing(self, name, args, kwargs):
        thing = found()
        if isinstance(thing, type):
            return getattr(thing, name)(self, *args, **kwargs)
        raise KeyError("the solut" + f"ion: {thing}" if thing else "nothing is found")
"""


@dataclass
class Hunting:
    """One slot, and the folder for what is handed in."""

    course: Assignment
    slot: Slot
    folder: Path

    def grade(self, name: str, code: str) -> Report:
        """The notebook as released, nothing solved, with a detector that does what it finds."""
        notebook = nbformat.read(self.course.release / f"{self.course.notebook}.ipynb", as_version=4)
        notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in (DOES_WHAT_IT_FINDS, code)]
        path = self.folder / f"{name}.ipynb"
        write_whole(path, nbformat.writes(notebook))
        skip = tuple(e.id for e in self.course.exercises if e.id not in GRADED)
        return self.slot.grade(Submission(name, name, path, skip=skip), SEED)


@pytest.fixture(scope="module")
def hunting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hunting]:
    """The slot that all are graded in."""
    if "FCOSKIT_ATTACK_SANDBOX" not in os.environ:
        try:
            probe.choose(KIND)
        except KitError as error:
            pytest.skip(f"no sandbox on this machine: {error}")
    folder = tmp_path_factory.mktemp("hunts")
    course = copy_course(folder / "course")
    slot = Slot(course, KIND, folder / "grade.log")
    slot.start()
    yield Hunting(course, slot, folder)
    slot.close()


@pytest.fixture(scope="module")
def honest(hunting: Hunting) -> Report:
    """What the notebook earns that finds nothing: the points of its constructor, which is written."""
    report = hunting.grade("finds-nothing", FINDS_NOTHING)
    assert [exercise.earned for exercise in report.exercises] == [1.5, 0, 0]
    return report


def test_the_line_that_is_searched_for_is_the_solution_s(hunting: Hunting) -> None:
    """Or those hunts could not find anything; and the hunts themselves do not hold it."""
    space: dict[str, Any] = {}
    exec(DOES_WHAT_IT_FINDS.partition("class FCOS")[0], space)
    assert space["part_of_it"](hunting.course.source.read_bytes())
    assert not space["part_of_it"]((DOES_WHAT_IT_FINDS + str(HUNTS)).encode())


@pytest.mark.parametrize("hunt", HUNTS, ids=[hunt["name"] for hunt in HUNTS])
def test_hunt(hunting: Hunting, honest: Report, hunt: dict[str, str]) -> None:
    """It earns what it would without looking, and its page tells nothing of the solution."""
    report = hunting.grade(hunt["name"], hunt["code"])
    assert report.score is not None, report.problem
    for exercise, plain in zip(report.exercises, honest.exercises, strict=True):
        assert exercise.earned <= plain.earned, exercise.id
    assert TELLS not in feedback_page(report)

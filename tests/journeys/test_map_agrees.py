"""The notebook's own mAP and the one that grading measures are the same figure: size, thresholds, evaluation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from autograder.checks.result import Figure
from autograder.commands import demo_map
from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.map_score import Asked, measure
from autograder.intake.weights import Weights
from autograder.parsing.cells import read_notebook
from autograder.sandbox.host import Host
from ps7_helpers.evaluation_files import evaluate_folders
from ps7_helpers.inference import inference_with_detector
from ps7_helpers.shapes import ShapesDetection
from tests.conftest import ROOT

IMAGES = 60
# A detector with the arguments of the one that is trained without a GPU. It knows drawings of 64 pixels by heart, finds
# them inexactly and not all of them, and is sure of few: like a short training, and as sensitive to size and threshold.
SHORT_TRAINED = """
import torch
from torch import nn
class FCOS(nn.Module):
    def __init__(self, num_classes, fpn_channels, stem_channels):
        super().__init__()
        self.register_buffer("known", torch.zeros(fpn_channels))
        self.register_buffer("rows", torch.zeros(fpn_channels, 4, 6))
    def forward(self, images, gt_boxes=None, test_score_thresh=None, test_nms_thresh=None):
        same = (self.known - images.double().abs().sum().float()).abs() < 1e-2
        rows = self.rows[same].reshape(-1, 6)
        rows = rows[rows[:, 5] > test_score_thresh]
        return rows[:, :4], rows[:, 4].long(), rows[:, 5]
"""


def weights(seed: int) -> dict[str, torch.Tensor]:
    """What the detector knows of the drawings of a seed: boxes off by some pixels, scores from 0.06 on, some lost."""
    data, random = ShapesDetection("val", image_size=64, length=IMAGES, seed=seed), torch.Generator().manual_seed(seed)
    known, rows = torch.zeros(64), torch.zeros(64, 4, 6)
    for place in range(IMAGES):
        _, image, boxes = data[place]
        boxes = boxes[boxes[:, 4] >= 0][:4]
        found = boxes[torch.rand(len(boxes), generator=random) < 0.85]
        found[:, :4] += 1.5 * torch.randn(len(found), 4, generator=random)
        scores = 0.06 + 0.84 * torch.rand(len(found), 1, generator=random)
        known[place] = image.double().abs().sum().float()
        rows[place, : len(found)] = torch.cat([found, scores], dim=1)
    return {"known": known, "rows": rows}


def by_the_notebook(state: dict[str, torch.Tensor], folder: Path) -> float:
    """The figure of 7.1 (l), as its short run makes it."""
    scope: dict[str, object] = {}
    exec(SHORT_TRAINED, scope)
    detector = scope["FCOS"](20, 64, [64, 64])  # type: ignore[operator]
    detector.load_state_dict(state)
    data = ShapesDetection("val", image_size=64, length=IMAGES, seed=0)
    with contextlib.redirect_stdout(io.StringIO()):
        inference_with_detector(detector, DataLoader(data, batch_size=8), data.idx_to_class, 0.05, 0.6, folder)
    return evaluate_folders(folder / "ground-truth", folder / "detection-results").mean_ap


@pytest.fixture(name="place", scope="module")
def _place(sandbox_once) -> Iterator[tuple[Assignment, Host]]:
    """The real assignment with fewer images, and a sandbox."""
    loaded = load_assignment("ps7", ROOT)
    assignment = replace(loaded, map=replace(loaded.map, images=IMAGES))
    host = Host(assignment)
    yield assignment, host
    host.close()


def by_grading(
    place: tuple[Assignment, Host], state: dict[str, torch.Tensor], folder: Path, **changed: object
) -> Figure:
    """The figure that grading measures of a hand-in, of the same drawings."""
    assignment, host = place
    path = folder / "fcos_detector.safetensors"
    path.write_bytes(safetensors.torch.save(state))
    settings = replace(assignment.map, **changed)
    cells = read_notebook(b"# %%\n" + SHORT_TRAINED.encode(), ".py")
    return measure(replace(assignment, map=settings), settings, cells, host, Asked(Weights(path.name, path), 0))


def test_the_two_figures_are_one(place, tmp_path):
    """On the same drawings they agree to a hundredth of a point, for a detector that is neither blind nor perfect."""
    state = weights(0)
    own, figure = by_the_notebook(state, tmp_path), by_grading(place, state, tmp_path)
    assert figure.status == "measured" and figure.message.endswith("at 64 pixels.") and 0.3 < own < 0.95
    assert abs(own - figure.value) < 1e-4


def test_what_made_them_differ_would_be_noticed(place, tmp_path):
    """At the size or the threshold of the long training, where the figure was measured once, they are far apart."""
    state = weights(0)
    own, settings = by_the_notebook(state, tmp_path), place[0].map
    small = settings.ways[1]
    at_224 = by_grading(place, state, tmp_path, trained=(replace(small, image_size=224),))
    at_04 = by_grading(place, state, tmp_path, trained=(replace(small, call=settings.call),))
    assert at_224.value < 0.01 and own - at_04.value > 0.1


@pytest.mark.parametrize(
    ("printed", "own"),
    [
        (["mAP  71.79%"], 0.7179),
        (["mAP 1.00%", "mAP (20 classes): 40.0 %"], 0.4),
        (["mAP"], None),
        ([], None),
    ],
)
def test_the_notebooks_figure_is_read(printed, own):
    """The last one that it printed."""
    assert demo_map.own_figure(printed) == (own if own is None else pytest.approx(own))


@pytest.mark.parametrize(
    ("own", "value", "agree"), [(0.71, 0.70, True), (0.71, 0.60, False), (0.71, 0.0006, False), (None, 0.5, False)]
)
def test_the_demo_holds_them_together(monkeypatch, tmp_path, own, value, agree):
    """It shows both, and fails where they are apart, or one is not there."""
    told = "These are 200 images drawn as `ShapesDetection` draws them, at 64 pixels."
    figure = Figure("7.1l", "mAP", "measured", value, told, images=200)
    monkeypatch.setattr(demo_map, "measured", lambda *_: figure)
    console = Console(file=io.StringIO(), width=120)
    printed = [] if own is None else [f"mAP {own:.2%}"]
    assert demo_map.beside(load_assignment("ps7", ROOT), printed, tmp_path, tmp_path, console) == agree
    said = console.file.getvalue()
    assert f"{value:.2%}" in said and "at 64 pixels" in said and (own is None or f"{own:.2%}" in said)

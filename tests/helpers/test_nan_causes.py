"""Where NaN can come from in training, and where it cannot: what docs/training.md says, shown."""

import contextlib
import io
import math
import socket

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.ops import generalized_box_iou_loss

from ps7_helpers import (
    NonFiniteLoss,
    ShapesDetection,
    fcos_make_centerness_targets,
    fcos_match_locations_to_gt,
    precision,
    train_detector,
)
from tests.support.solution import whole_solution

STRIDES = {"p3": 8, "p4": 16, "p5": 32}


@pytest.fixture
def solution(assignment, monkeypatch):
    """The instructor's notebook as names; offline, so that the backbone starts from scratch everywhere."""

    def no_network(*_, **__):
        raise socket.gaierror("tests do not use the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    return whole_solution(assignment)


def small_detector(solution):
    """A small detector with random weights."""
    with contextlib.redirect_stdout(io.StringIO()):
        return solution["FCOS"](num_classes=20, fpn_channels=32, stem_channels=[32])


def locations(size):
    """Locations of the three levels for square images."""
    grids = {}
    for level, stride in STRIDES.items():
        centres = (torch.arange(size // stride) + 0.5) * stride
        grids[level] = torch.cartesian_prod(centres, centres).flip(1)
    return grids


DEGENERATE = {
    "no object": [],
    "no width": [[30.0, 10.0, 30.0, 60.0, 3.0]],
    "no area": [[36.0, 36.0, 36.0, 36.0, 3.0]],
    "thinner than a float's last digit": [[36.0, 10.0, math.nextafter(36.0, 37.0), 60.0, 3.0]],
    "a sliver round a location": [[35.9999, 4.0, 36.0001, 60.0, 3.0]],
    "edges on locations": [[4.0, 4.0, 60.0, 60.0, 3.0], [12.0, 12.0, 20.0, 20.0, 4.0]],
    "the whole image": [[0.0, 0.0, 64.0, 64.0, 19.0]],
    "forty at one place": [[10.0, 10.0, 50.0, 50.0, 5.0]] * 40,
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_boxes_are_harmless(solution, name):
    """Ruled out: whatever boxes the data hold, losses and gradients are finite."""
    detector = small_detector(solution).train()
    boxes = torch.full((2, 40, 5), -1.0)
    if DEGENERATE[name]:
        boxes[0, : len(DEGENERATE[name])] = torch.tensor(DEGENERATE[name])
    losses = detector(torch.randn(2, 3, 64, 64), boxes)
    assert all(bool(loss.isfinite()) for loss in losses.values())
    sum(losses.values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in detector.parameters() if p.grad is not None)


def test_no_root_of_a_negative_number():
    """Ruled out: a matched location lies strictly inside its box in float32, edges a last digit beside it included."""
    grids = locations(64)
    corners = torch.randint(0, 15, (400, 2, 2)).sort(dim=1).values * 4.0  # edges on locations and between them
    nudge = torch.randint(-1, 2, corners.shape)
    nudged = torch.where(nudge == 0, corners, corners.nextafter(corners + nudge))
    boxes = torch.cat([nudged.flatten(1), torch.ones(400, 1)], dim=1)
    matched_any = 0
    for box in boxes:
        for level, rows in fcos_match_locations_to_gt(grids, STRIDES, box[None]).items():
            real = rows[:, 4] >= 0
            left_top = grids[level][real] - rows[real, :2]
            deltas = torch.cat([left_top, rows[real, 2:4] - grids[level][real]], dim=1) / STRIDES[level]
            assert (deltas > 0).all()
            centerness = fcos_make_centerness_targets(deltas)
            assert ((centerness > 0) & (centerness <= 1)).all()
            matched_any += int(real.sum())
    assert matched_any > 1000


@pytest.mark.parametrize("target", [[-1.0, -1.0, -1.0, -1.0], [10.0, 10.0, 30.0, 30.0]])
def test_boxes_without_size_are_harmless(target):
    """Ruled out: a predicted box without any size, as from negative distances, against background or an object."""
    predicted = torch.tensor([[20.0, 20.0, 20.0, 20.0]], requires_grad=True)
    loss = generalized_box_iou_loss(predicted, torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss.sum(), predicted)
    assert loss.isfinite().all() and gradient.isfinite().all()


def test_the_normalizer_stays_positive(solution):
    """Ruled out: a whole epoch of VOC without one object leaves the running number far enough from zero."""
    detector = small_detector(solution).train()
    images, nothing = torch.randn(2, 3, 32, 32), -torch.ones(2, 40, 5)
    detector(images, nothing)
    assert detector._normalizer == pytest.approx(0.9 * 150)  # it shrinks by that much in each such batch
    detector._normalizer = 150 * 0.9 ** (2501 // 16)
    losses = detector(images, nothing)
    sum(losses.values()).backward()
    assert all(bool(loss.isfinite()) for loss in losses.values())
    assert all(bool(p.grad.isfinite().all()) for p in detector.parameters() if p.grad is not None)


@pytest.mark.parametrize("far", [1e9, 1e18])
def test_far_boxes_before_the_overflow(far):
    """Boxes of any size that training could meet are harmless: areas fit into float32 up to a side of 1e19."""
    predicted = torch.tensor([[-far, -far, far, far]], requires_grad=True)
    loss = generalized_box_iou_loss(predicted, torch.tensor([[10.0, 10.0, 30.0, 30.0]]))
    assert loss.isfinite().all() and torch.autograd.grad(loss.sum(), predicted)[0].isfinite().all()


def test_a_mask_does_not_stop_it():
    """Remains: once predictions are beyond that, a box loss is NaN, and masked background spoils the gradient, too."""
    predicted = torch.tensor([[-1e20, -1e20, 1e20, 1e20]], requires_grad=True)
    loss = generalized_box_iou_loss(predicted, torch.tensor([[-1.0, -1.0, -1.0, -1.0]]), reduction="none")
    assert loss.isnan().all()
    masked = torch.where(torch.tensor([True]), torch.zeros_like(loss), loss).sum()
    assert masked == 0
    assert torch.autograd.grad(masked, predicted)[0].isnan().any()


class Sides(nn.Module):
    """Predicts a square of 256 pixels, and computes with its area."""

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 1, 1)
        nn.init.zeros_(self.net.weight)
        nn.init.constant_(self.net.bias, 256.0)

    def forward(self, images, gt_boxes):
        """One loss."""
        side = self.net(images)
        return {"loss_box": (side * side).mean()}


def test_areas_overflow_in_half_precision(figures, monkeypatch):
    """Remains, where boxes are computed in float16: 256 x 256 pixels are too many. So only networks run in 16 bits."""
    batch = (("a.jpg",), torch.ones(1, 3, 4, 4), -torch.ones(1, 40, 5))
    with torch.autocast("cpu", torch.float16):
        assert Sides()(*batch[1:])["loss_box"].isinf()
    monkeypatch.setattr(precision, "half_type", lambda device: torch.float16)
    history = train_detector(Sides(), [batch], max_iters=1, precision="half")
    assert history.losses["loss_box"] == [256.0**2]


@pytest.mark.slow
def test_divergence_ends_in_nan_and_clipping_mends_it(solution, figures):
    """Found: losses that grow without end overflow to NaN; with gradients of at most 10 the same goes through."""
    dataset = ShapesDetection("train", image_size=64, length=32)
    items = [dataset[i] for i in range(32)]
    settings = {"learning_rate": 0.2, "max_iters": 25, "log_period": 100, "seed": 0}

    def train(**options):
        torch.manual_seed(0)
        detector = small_detector(solution)
        history = train_detector(detector, DataLoader(items, batch_size=8, shuffle=True), **settings, **options)
        return history.losses["loss"]

    with pytest.raises(NonFiniteLoss, match=r"First wrong: .*infinite"):
        train()
    clipped = train(max_grad_norm=10.0)
    assert len(clipped) == 25 and clipped[-1] < 10

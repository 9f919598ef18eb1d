"""The instructor's solution as a detector: on real images, where they are there."""

from __future__ import annotations

import math
import socket

import pytest
import torch
from torch.utils.data import DataLoader, Subset

from ps7_helpers import VOC2007Detection, reset_seed, train_detector
from tests.conftest import SHARED_DATA
from tests.support.solution import whole_solution


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED_DATA / "voc2007-mini").exists(), reason="needs real images beside the checkout")
def test_twenty_iterations_on_real_images(assignment, monkeypatch):
    """On VOC's first sixteen images the first loss is the known one, 1.31, and training on four stays finite."""
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)  # the figure is that of an untrained head on any backbone
    namespace = whole_solution(assignment)
    dataset = VOC2007Detection(SHARED_DATA / "voc2007-mini", "train")
    reset_seed(0)
    detector = namespace["FCOS"](num_classes=20, fpn_channels=128, stem_channels=[128, 128])
    first = train_detector(detector, DataLoader(dataset, batch_size=16), max_iters=1).losses
    first = {name: value for name, (value,) in first.items()}
    assert first["loss"] == pytest.approx(1.31, rel=0.1)
    assert first["loss_cls"] == pytest.approx(0.53, rel=0.1)
    assert first["loss_box"] == pytest.approx(0.47, rel=0.1)
    assert first["loss_ctr"] == pytest.approx(0.32, rel=0.1)
    history = train_detector(detector, DataLoader(Subset(dataset, range(4)), batch_size=4), max_iters=20)
    assert len(history.losses["loss"]) == 20
    assert all(math.isfinite(value) for values in history.losses.values() for value in values)
    assert all(bool(torch.isfinite(p).all()) for p in detector.parameters())


def _no_network(*_: object, **__: object) -> None:
    raise socket.gaierror("tests do not use the network")

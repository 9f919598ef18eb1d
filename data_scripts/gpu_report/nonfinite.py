"""Two trainings that must end in NaN, and what a student would read."""

from __future__ import annotations

import contextlib
import io
import time
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from data_scripts.gpu_report.plan import Part, Setting
from data_scripts.gpu_report.training import Data, make_detector, train
from ps7_helpers import NonFiniteLoss

TOO_HIGH = 1e3


def forced(solution: dict[str, Any], data: Data, setting: Setting, deadline: float) -> Part:
    """Force NaN by a learning rate far too high, and by one weight that is NaN.

    Returns:
        `data`: by way, what was said, the iteration, and whether the detector kept finite weights.
    """
    part = Part()
    for name, poisoned, count in (
        (f"a learning rate of {TOO_HIGH:g}, gradients of any length", False, setting.sizes.nan_iterations),
        ("a weight of the prediction network that is NaN", True, 1),
    ):
        if time.monotonic() >= deadline:
            part.cut.append(f"NaN: {name}: not tried, the time was up.")
            continue
        detector = make_detector(solution, setting.sizes.overfit_channels)
        if poisoned:
            poison(detector)
        found, over = _said(detector, data, setting, deadline, count)
        if over:
            part.cut.append(f"NaN: {name}: no NaN yet when the time was up.")
        elif not found["said"]:
            part.differs.append(f"{name[:1].upper()}{name[1:]} did not stop the training.")
        elif not poisoned and not found["weights_finite"]:
            part.differs.append("The training stopped at NaN too late: the detector's weights are not finite.")
        part.data[name] = found | {"poisoned": poisoned}
    return part


def _said(
    detector: nn.Module, data: Data, setting: Setting, deadline: float, count: int
) -> tuple[dict[str, Any], bool]:
    """What a training says that should stop, and whether the time was up before."""
    batch = setting.sizes.batch
    loader = DataLoader(Subset(data.train, range(2 * batch)), batch_size=batch)
    found: dict[str, Any] = {"said": "", "iteration": None}
    over = False
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            _, timed = train(detector, loader, count, setting, deadline, learning_rate=TOO_HIGH)
        over = timed.over
    except NonFiniteLoss as error:
        found = {"said": str(error), "iteration": error.iteration}
    found["weights_finite"] = all(bool(torch.isfinite(p).all()) for p in detector.parameters())
    return found, over


def poison(detector: nn.Module) -> None:
    """Make one number of the last parameter NaN."""
    *_, last = detector.parameters()
    with torch.no_grad():
        last.view(-1)[0] = float("nan")

"""The losses of a training run: kept, and plotted."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from ps7_helpers.figures import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", "-.", ":")


@dataclass
class LossHistory:
    """The losses of every iteration: ``losses["loss"]`` is the total, the others are its parts."""

    losses: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def append(self, losses: dict[str, float]) -> None:
        """Add one iteration."""
        for name, value in losses.items():
            self.losses[name].append(value)

    def __len__(self) -> int:
        return max((len(values) for values in self.losses.values()), default=0)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}: {values[-1]:.3f}" for name, values in self.losses.items())
        return f"LossHistory({len(self)} iterations, last {last or 'none'})"


def plot_losses(history: LossHistory) -> None:
    """Plot total loss and parts over the iterations: every value faintly, and a running mean.

    Args:
        history: What :func:`train_detector` returned.
    """
    import matplotlib.pyplot as plt

    if not len(history):
        return
    _, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    draw_losses(axes, history)
    show()


def draw_losses(axes: "Axes", history: LossHistory) -> None:
    """Draw what :func:`plot_losses` shows into given axes."""
    window = max(1, len(history) // 50)
    top = 0.0
    for (name, values), style in zip(history.losses.items(), itertools.cycle(_STYLES), strict=False):
        smooth = running_mean(values, window)
        (line,) = axes.plot(smooth, style, label=name, linewidth=2.5 if name == "loss" else 1.5)
        axes.plot(values, color=line.get_color(), alpha=0.2, linewidth=0.8)
        top = max([top, *smooth])
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss" if window == 1 else f"loss (mean of the last {window} iterations)")
    axes.set_ylim(0, 1.1 * top or 1.0)  # by the means: a single batch far above them does not flatten the rest
    axes.grid(alpha=0.3)
    axes.legend()


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each value and those before it, ``window`` of them at most."""
    sums = torch.tensor([0.0, *values], dtype=torch.float64).cumsum(0)  # (n + 1,)
    ends = torch.arange(1, len(values) + 1)
    starts = (ends - window).clamp(min=0)
    means: list[float] = ((sums[ends] - sums[starts]) / (ends - starts)).tolist()
    return means

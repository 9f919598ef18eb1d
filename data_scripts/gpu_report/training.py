"""What is trained on, trainings with a clock and a deadline, and the overfit run of the notebook's 7.1 (j)."""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from data_scripts.gpu_report.plan import Part, Setting
from ps7_helpers import LossHistory, ShapesDetection, VOC2007Detection, reset_seed, train_detector

Batch = tuple[list[str], Tensor, Tensor]  # paths, images (B, 3, H, W), boxes (B, N, 5)
CLASSES = 20
RATE, GRAD_NORM = 5e-3, 10.0  # the notebook's
_WARM = 3  # iterations before a clock counts: kernels are chosen, memory is asked for


@dataclass(frozen=True)
class Data:
    """What is trained and validated on, and what it is called."""

    name: str
    train: Dataset[Any]
    val: Any
    images: tuple[int, int]


def open_data(voc: Path | None, image_size: int, keep: bool) -> Data:
    """VOC 2007 where there is a folder with it, else the built-in shapes.

    Args:
        voc: Folder with `voc07_train.json` and `VOCdevkit`, or None.
        image_size: Of the images, pixels.
        keep: Keep the shapes that were drawn in memory.

    Raises:
        FileNotFoundError, ValueError: The folder has no VOC 2007 in it.
    """
    if voc is not None:
        train, val = (VOC2007Detection(voc, split, image_size=image_size) for split in ("train", "val"))
        return Data(f"VOC 2007, {image_size} pixels", train, val, (len(train), len(val)))
    drawn, validated = (ShapesDetection(split, image_size=image_size, keep=keep) for split in ("train", "val"))
    return Data(f"built-in shapes, {image_size} pixels", drawn, validated, (len(drawn), len(validated)))


class Timed:
    """A loader that notes when each batch is asked for, and ends a training whose time is up as Ctrl-C would.

    `train_detector` waits for each loss, and so does the plain loop: between two batches lies one whole iteration,
    also on a GPU.

    Args:
        loader: Gives the batches.
        deadline: On the clock.
        clock: Gives seconds.
    """

    def __init__(
        self, loader: Iterable[Batch], deadline: float = float("inf"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.loader, self.deadline, self.clock = loader, deadline, clock
        self.asked: list[float] = []
        self.ended: float | None = None
        self.over = False

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.loader)
        while True:
            now = self.clock()
            if now >= self.deadline:
                self.over = True
                raise KeyboardInterrupt
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.asked.append(now)
            yield batch

    def iterations(self) -> list[float]:
        """Seconds of each iteration, loading included; the first ones are left out where there are others."""
        times = [*self.asked, *([self.ended] if self.ended is not None else [])]
        took = [after - before for before, after in itertools.pairwise(times)]
        return took[_WARM:] or took

    def seconds(self) -> float | None:
        """The median of them; None where there is none."""
        took = self.iterations()
        return statistics.median(took) if took else None


def train(
    detector: nn.Module, loader: Iterable[Batch], iterations: int, setting: Setting, deadline: float, **options: Any
) -> tuple[LossHistory, Timed]:
    """Train as the notebook does, until the deadline.

    Raises:
        KeyboardInterrupt: Somebody pressed Ctrl-C.
    """
    timed = Timed(loader, deadline)
    period = max(1, iterations // 5)
    history = train_detector(detector, timed, max_iters=iterations, log_period=period, device=setting.device, **options)
    timed.ended = time.monotonic()
    if len(history) < iterations and not timed.over:
        raise KeyboardInterrupt  # `train_detector` ends at Ctrl-C; here all of it has to
    return history, timed


def peak_megabytes(device: torch.device, start: bool = False) -> float | None:
    """Most memory of the GPU that tensors took since the last call with `start`; None on another device."""
    if device.type != "cuda":
        return None
    if start:
        gc.collect()  # an earlier detector is no part of this one's memory
    peak = torch.cuda.max_memory_allocated(device) / 1e6
    if start:
        torch.cuda.reset_peak_memory_stats(device)
    return peak


def make_detector(solution: dict[str, Any], channels: int) -> nn.Module:
    """A detector of the solution's, from the same seed each time."""
    reset_seed(0)
    detector: nn.Module = solution["FCOS"](
        num_classes=CLASSES, fpn_channels=channels, stem_channels=[channels, channels]
    )
    return detector


def weights_of(solution: dict[str, Any]) -> str:
    """Where the backbone's first weights came from; to be asked after a detector was made."""
    scratch = getattr(solution.get("load_backbone"), "has_said_so", False)
    return "from scratch (ImageNet's could not be downloaded)" if scratch else "ImageNet's"


def overfit(solution: dict[str, Any], data: Data, setting: Setting, deadline: float) -> Part:
    """The notebook's overfit run: 16 images, 500 iterations, learning rate 5e-3, 64 channels."""
    sizes = setting.sizes
    detector = make_detector(solution, sizes.overfit_channels)
    loader = DataLoader(Subset(data.train, range(sizes.batch)), batch_size=sizes.batch)
    peak_megabytes(setting.device, start=True)
    history, timed = train(
        detector,
        loader,
        sizes.overfit_iterations,
        setting,
        deadline,
        learning_rate=RATE,
        max_grad_norm=GRAD_NORM,
    )
    losses = history.losses.get("loss", [])
    part = Part(
        {
            "iterations": len(losses),
            "wanted_iterations": sizes.overfit_iterations,
            "images": sizes.batch,
            "channels": sizes.overfit_channels,
            "first_loss": losses[0] if losses else None,
            "last_loss": losses[-1] if losses else None,
            "seconds_an_iteration": timed.seconds(),
            "peak_mb": peak_megabytes(setting.device),
            "losses": {name: list(values) for name, values in history.losses.items()},
        }
    )
    if timed.over:
        part.cut.append(f"Overfit run: {len(losses)} of {sizes.overfit_iterations} iterations, then the time was up.")
    elif sizes.overfit_iterations >= 500 and losses[-1] > losses[0] / 2:
        part.differs.append("The overfit run did not learn: its last loss is more than half of its first.")
    return part

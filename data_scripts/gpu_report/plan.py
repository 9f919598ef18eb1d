"""How much is measured, how long it may take, and what each part comes to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything; by default what the notebook has on a GPU.

    Attributes:
        image: Width and height of the images, pixels.
        batch: Images in a batch.
        channels: Of pyramid and stems in the long training.
        overfit_channels: The same in the overfit run.
        overfit_iterations: Of the overfit run.
        recipe_iterations: Of each recipe.
        val_images: Images that mAP is over.
        timed_iterations: Of each way of training in a round of the timing; the first three are not counted.
        timed_rounds: In each, the ways take turns.
        nan_iterations: Within which a learning rate far too high must end in NaN.
        cases: Of the proof; None: all.
        workers: Processes that load images.
        processes: Processes that compare verdicts.
    """

    image: int = 224
    batch: int = 16
    channels: int = 128
    overfit_channels: int = 64
    overfit_iterations: int = 500
    recipe_iterations: int = 1000
    val_images: int = 200
    timed_iterations: int = 23
    timed_rounds: int = 3
    nan_iterations: int = 60
    cases: int | None = None
    workers: int = max(1, min(8, (os.cpu_count() or 2) - 1))
    processes: int = max(1, min(4, (os.cpu_count() or 2) // 3))


PRETENDED = Sizes(
    image=64,
    batch=4,
    channels=16,
    overfit_channels=16,
    overfit_iterations=6,
    recipe_iterations=8,
    val_images=4,
    timed_iterations=5,
    timed_rounds=1,
    cases=12,
    workers=0,
    processes=1,
)


@dataclass(frozen=True)
class Setting:
    """Where everything runs.

    Attributes:
        device: The device that is compared with the CPU and trained on: cuda, or what pretends to be it.
        sizes: How much.
        say: Prints a line for whoever waits.
    """

    device: torch.device
    sizes: Sizes
    say: Callable[[str], None] = print


@dataclass
class Part:
    """What one part of the run came to.

    Attributes:
        data: What goes into `results.json`.
        cut: Sentences: what was left out, and why.
        differs: Sentences: what is not as it should be.
    """

    data: dict[str, Any] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)


class Budget:
    """The time that the whole run may take.

    Args:
        seconds: From now on.
        clock: Gives seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._end = self._start + seconds

    @property
    def used(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def until(self, share: float) -> float:
        """When a part has to end that may take this share of the time that is left; on the clock."""
        now = self._clock()
        return now + share * max(0.0, self._end - now)

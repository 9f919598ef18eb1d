"""How a training goes: learning rate over time, averaged weights, augmentation.

``plain`` is what the assignment asks for. ``strong`` trains the same network for the same number of iterations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

MOMENTUM = 0.9
ADAM_RATE = 0.05  # 0.001 where the notebook's short run asks for 0.02, 0.00025 where its long one asks for 0.005
LR_DROPS = (6, 9)  # tenths of the training after which the learning rate is divided by ten


@dataclass(frozen=True)
class Recipe:
    """The parts of a training that are not the detector's.

    Attributes:
        rate: ``rate(iteration, max_iters)`` is what the learning rate is multiplied by.
        adam: AdamW (Loshchilov and Hutter 2019) in place of SGD with momentum. It divides each step by the running
            size of the gradient, so the learning rate and weight decay that suit SGD are converted to ones for it.
        average: Over what part of the iterations the weights are averaged that the detector ends with; 0: it ends
            with the last ones.
        flip: Probability with which an image is mirrored.
        max_grad_norm: Where ``train_detector`` is not told another.
    """

    rate: Callable[[int, int], float]
    adam: bool = False
    average: float = 0.0
    flip: float = 0.0
    max_grad_norm: float | None = None

    @property
    def peak(self) -> float:
        """What the learning rate that is asked for, one for SGD, is multiplied by throughout."""
        return ADAM_RATE if self.adam else 1.0

    def optimizer(self, parameters: list[nn.Parameter], learning_rate: float, weight_decay: float) -> Optimizer:
        """SGD with momentum, or AdamW with what is asked for converted.

        Args:
            parameters: What is trained.
            learning_rate: As for SGD.
            weight_decay: As for SGD: AdamW's pulls at the weights as strongly.
        """
        if self.adam:
            decay = weight_decay / (ADAM_RATE * (1 - MOMENTUM))
            return torch.optim.AdamW(parameters, learning_rate * self.peak, weight_decay=decay)
        return torch.optim.SGD(parameters, learning_rate, MOMENTUM, weight_decay=weight_decay)

    def decay(self, max_iters: int) -> float:
        """Of the running average: its weights reach back over that part of the iterations, ten of them at least."""
        return 1 - 1 / max(10.0, self.average * max_iters)

    @property
    def augments(self) -> bool:
        """Whether batches are altered at all."""
        return self.flip > 0


def steps(iteration: int, max_iters: int) -> float:
    """1, and a tenth of that after 60% and again after 90% of the iterations."""
    drops = sum(10 * iteration >= tenths * max_iters > 0 for tenths in LR_DROPS) if iteration else 0
    return float(0.1**drops)


def warm_cosine(iteration: int, max_iters: int) -> float:
    """Rises from near 0 to 1 over the first 5% (500 iterations at most), then falls as a cosine to 0.01."""
    warm = min(500, max(1, max_iters // 20))
    rise = min(1.0, (iteration + 1) / warm)
    part = max(0, iteration - warm) / max(1, max_iters - warm)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


RECIPES: dict[str, Recipe] = {
    "plain": Recipe(rate=steps),
    "strong": Recipe(rate=warm_cosine, adam=True, average=0.05, flip=0.5, max_grad_norm=10.0),
}


class AveragedWeights:
    """A running average of a module's parameters and buffers (Polyak averaging with exponential decay).

    The decay grows as ``(1 + n) / (10 + n)`` up to its full value, so that the first weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.values: dict[str, Tensor] = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights as they are now. Whole numbers, such as counters, are copied."""
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

"""A training loop for anything that takes a batch and gives a dictionary of losses."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ps7_helpers.losses import LossHistory, plot_losses
from ps7_helpers.progress import progress, say
from ps7_helpers.utils import infinite_loader

Batch = tuple[Sequence[str], Tensor, Tensor]

MOMENTUM = 0.9
LR_DROPS = (6, 9)  # tenths of the training after which the learning rate is divided by ten


def train_detector(
    detector: nn.Module,
    train_loader: Iterable[Batch],
    learning_rate: float = 5e-3,
    weight_decay: float = 1e-4,
    max_iters: int = 5000,
    log_period: int = 20,
    device: str | torch.device = "cpu",
    max_grad_norm: float | None = None,
) -> LossHistory:
    """Train a detector with SGD, print the losses now and then, and plot them at the end.

    Momentum is 0.9. The learning rate is divided by ten after 60% and after 90% of the iterations. The
    loader is read as often as needed. Interrupting it (Ctrl-C, the stop button of a notebook) ends the
    training as if it had been planned: the losses are plotted and the detector keeps the weights it has.

    Args:
        detector: Called as ``detector(images, gt_boxes)``, it returns a dictionary of scalar losses, of
            which the sum is minimised. It is moved to ``device`` and left there, in training mode.
        train_loader: Gives batches ``(image_paths, images (B, 3, H, W), gt_boxes (B, N, 5))``.
        learning_rate: Of the first 60% of the iterations.
        weight_decay: L2 penalty on all parameters.
        max_iters: Number of batches to train on.
        log_period: A line is printed every so many iterations, the first one included.
        device: Where to train.
        max_grad_norm: If given, a gradient longer than this is shortened to it before the step. That stops the
            rare batch whose gradient is a hundred times the usual one from undoing what was learned, or from
            ending in NaN.

    Returns:
        The losses of every iteration.

    Raises:
        FloatingPointError: A loss is infinite or not a number; the parameters are left as they were before.
        TypeError: The detector returns something else than a dictionary of scalar tensors.
        ValueError: The loader has no batch.
    """
    detector.to(device).train()
    parameters = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, learning_rate, MOMENTUM, weight_decay=weight_decay)
    history = LossHistory()
    try:
        batches = zip(range(max_iters), infinite_loader(train_loader), strict=False)
        for iteration, (paths, images, gt_boxes) in progress(batches, max_iters, "training"):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(iteration, max_iters, learning_rate)
            losses = detector(images.to(device), gt_boxes.to(device))
            values = _checked(losses, iteration, paths)
            optimizer.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            if max_grad_norm is not None:
                nn.utils.clip_grad_norm_(parameters, max_grad_norm)
            optimizer.step()
            history.append(values)
            if iteration % log_period == 0:
                say(f"[Iter {iteration}]" + "".join(f"[{k}: {v:.3f}]" for k, v in values.items()))
    except KeyboardInterrupt:
        say(f"Interrupted after {len(history)} of {max_iters} iterations. The detector keeps its weights.")
    plot_losses(history)
    return history


def learning_rate_at(iteration: int, max_iters: int, learning_rate: float) -> float:
    """The learning rate of an iteration, counted from 0: divided by ten after 60% and after 90% of them."""
    drops = sum(10 * iteration >= tenths * max_iters > 0 for tenths in LR_DROPS) if iteration else 0
    return learning_rate * 0.1**drops


def _checked(losses: dict[str, Tensor], iteration: int, paths: Sequence[str]) -> dict[str, float]:
    """The losses as numbers, their sum (``loss``) first; raises where they are none."""
    if not (isinstance(losses, dict) and losses and all(map(_is_scalar, losses.values()))):
        raise TypeError(
            'Expected the detector to return a dictionary of scalar losses, {"loss_cls": tensor(0.5), ...}, '
            f"got {_described(losses)}. In training mode, forward() has to return the losses, each summed up."
        )
    parts = {name: value.item() for name, value in losses.items()}
    bad = " and ".join(f"{name} is {value}" for name, value in parts.items() if not math.isfinite(value))
    if bad:
        raise FloatingPointError(
            f"Iteration {iteration}: {bad}. Training stopped before this spoiled the weights. Usual reasons: "
            "a learning rate that is too high (then the losses grew before), a division by zero, a logarithm "
            "or square root of zero or less. Compute the losses of this batch again and look at every step. "
            f"Its images: {', '.join(paths)}"
        )
    return {"loss": sum(parts.values()), **parts}


def _is_scalar(value: object) -> bool:
    """Whether this is a tensor with one element."""
    return isinstance(value, Tensor) and value.numel() == 1


def _described(losses: object) -> str:
    """What a detector returned, in a few words."""
    if isinstance(losses, dict):
        shapes = {k: tuple(v.shape) for k, v in losses.items() if isinstance(v, Tensor)}
        return f"a dictionary of {len(losses)} entries, tensors of shapes {shapes}"
    return f"a {type(losses).__name__}"

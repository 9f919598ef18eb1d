"""A training loop for anything that takes a batch and gives a dictionary of losses."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ps7_helpers.augmentation import augment_batch
from ps7_helpers.batches import ResumableBatches, random_state, set_random_state
from ps7_helpers.checkpoints import (
    MAY_CHANGE,
    check_same_training,
    data_of,
    make_folder,
    moving_parts,
    plain_attributes,
    plain_number,
    put_back,
    read_checkpoint,
    set_plain_attributes,
    write_checkpoint,
)
from ps7_helpers.live import LivePlot
from ps7_helpers.losses import LossHistory
from ps7_helpers.nonfinite import NonFiniteLoss, explain_nonfinite, named_bad
from ps7_helpers.precision import Precision, half_type, networks_in_half
from ps7_helpers.progress import progress, say
from ps7_helpers.recipes import RECIPES, AveragedWeights, Recipe
from ps7_helpers.utils import reset_seed

Batch = tuple[Sequence[str], Tensor, Tensor]

_MAX_SKIPPED = 20  # steps in a row that the loss scale of float16 may take to come down


def train_detector(
    detector: nn.Module,
    train_loader: Iterable[Batch],
    learning_rate: float = 5e-3,
    weight_decay: float = 1e-4,
    max_iters: int = 5000,
    log_period: int = 20,
    device: str | torch.device = "cpu",
    max_grad_norm: float | None = None,
    *,
    recipe: str = "plain",
    checkpoint: str | Path | None = None,
    checkpoint_period: int = 500,
    precision: Precision = "float32",
    seed: int | None = None,
) -> LossHistory:
    """Train a detector, print the losses now and then, and plot them.

    With SGD, momentum 0.9, unless another recipe is asked for. The learning rate is divided by ten after 60% and
    after 90% of the iterations. The loader is read as often as needed. Interrupting it (Ctrl-C, the stop button of a
    notebook) ends the training as if it had been planned: the losses are plotted and the detector keeps the weights
    it has.

    Args:
        detector: Called as ``detector(images, gt_boxes)``, it returns a dictionary of scalar losses, of
            which the sum is minimised. It is moved to ``device`` and left there, in training mode.
        train_loader: Gives batches ``(image_paths, images (B, 3, H, W), gt_boxes (B, N, 5))``.
        learning_rate: Of the first 60% of the iterations. Always the one for SGD: ``"strong"`` converts it.
        weight_decay: L2 penalty on all parameters. Likewise.
        max_iters: Number of batches to train on.
        log_period: A line is printed every so many iterations, the first one included.
        device: Where to train.
        max_grad_norm: If given, a gradient longer than this is shortened to it before the step. That stops the
            rare batch whose gradient is a hundred times the usual one from undoing what was learned, or from
            ending in NaN.
        recipe: ``"plain"``, or ``"strong"``: AdamW in place of SGD, a twentieth of the learning rate with warm-up
            and a cosine in place of the two drops, half of the images mirrored, gradients of at most 10, and in the
            end the running average of the weights.
        checkpoint: A file that gets the state of the training every ``checkpoint_period`` iterations and at
            the end. Where it is there already, training goes on from it and ends with the numbers it would
            have ended with; the same settings, data and detector are needed, but for ``learning_rate`` and
            ``max_grad_norm``, from there on. A finished training is not repeated: delete the file for that.
        checkpoint_period: Iterations between two checkpoints.
        precision: ``"half"``: the networks compute in 16 bits, their results and the losses in 32. Quicker and
            smaller on a GPU, slower on most CPUs.
        seed: If given, Python's, numpy's and torch's random generators are seeded with it first. The same seed then
            gives the same order of batches, unless the loader brings a generator of its own, and on a CPU with the
            same number of threads the same weights to the last bit.

    Returns:
        The losses of every iteration, those before a checkpoint included.

    Raises:
        NonFiniteLoss: A loss or a gradient is infinite or not a number (a ``FloatingPointError``); the detector
            is left as it was before that batch. It names iteration, images and the first tensor that went wrong.
        TypeError: The detector returns something else than a dictionary of scalar tensors.
        ValueError: The loader has no batch, a choice is unknown, or the checkpoint is of another training.
        FileNotFoundError: The folder above the checkpoint's is missing, as where Google Drive is not mounted.
    """
    if recipe not in RECIPES:
        raise ValueError(f"There is no recipe {recipe!r}: choose one of {', '.join(RECIPES)}.")
    if precision not in ("float32", "half"):
        raise ValueError(f"There is no precision {precision!r}: choose float32 or half.")
    if seed is not None:
        reset_seed(seed)
    device = torch.device(device)
    settings: dict[str, Any] = {"max_iters": max_iters, "learning_rate": learning_rate, "weight_decay": weight_decay}
    settings |= {"recipe": recipe, "precision": precision, "max_grad_norm": max_grad_norm}
    if RECIPES[recipe].adam:
        settings["optimizer"] = "AdamW"
    settings = {name: plain_number(value) for name, value in settings.items()}
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        make_folder(path)
    detector.to(device).train()
    run = _Run(detector, train_loader, RECIPES[recipe], settings, device)
    if path is not None and path.exists():
        run.resume(path)
    plot = LivePlot()
    resumed = len(run.history)
    try:
        for iteration in progress(range(resumed, max_iters), max_iters, "training", resumed):
            values = run.step(iteration, path)
            if iteration % log_period == 0:
                say(f"[Iter {iteration}]" + "".join(f"[{k}: {v:.3f}]" for k, v in values.items()))
            if path is not None and ((iteration + 1) % checkpoint_period == 0 or iteration + 1 == max_iters):
                run.save(path)
            plot.update(run.history)
    except KeyboardInterrupt:
        say(f"Interrupted after {len(run.history)} of {max_iters} iterations. The detector keeps its weights.")
    run.finish()
    plot.finish(run.history)
    return run.history


class _Run:
    """A training under way: everything that a checkpoint has to hold."""

    def __init__(
        self,
        detector: nn.Module,
        loader: Iterable[Batch],
        recipe: Recipe,
        settings: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.detector, self.loader, self.recipe = detector, loader, recipe
        self.settings, self.device = settings, device
        self.parameters = [p for p in detector.parameters() if p.requires_grad]
        self.optimizer = recipe.optimizer(self.parameters, settings["learning_rate"], settings["weight_decay"])
        self.peak_rate = settings["learning_rate"] * recipe.peak
        self.half = settings["precision"] == "half"
        scaled = self.half and half_type(device) == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.skipped = 0
        self.batches = ResumableBatches(loader)
        self.history = LossHistory()
        decay = recipe.decay(settings["max_iters"])
        self.average = AveragedWeights(detector, decay) if recipe.average else None
        if self.half and device.type == "cuda":
            detector.to(memory_format=torch.channels_last)

    def step(self, iteration: int, checkpoint: Path | None) -> dict[str, float]:
        """Train on one batch; the losses as numbers, their sum (``loss``) first."""
        paths, images, gt_boxes = self.batches.take()
        images = images.to(self.device, non_blocking=True)
        gt_boxes = gt_boxes.to(self.device, non_blocking=True)
        if self.recipe.augments:
            images, gt_boxes = augment_batch(images, gt_boxes, self.recipe.flip, scales=(1.0, 1.0))
        rate = self.peak_rate * self.recipe.rate(iteration, self.settings["max_iters"])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        before = moving_parts(self.detector, self.device)
        with self._precision():
            losses = self.detector(images, gt_boxes)
        _require_losses(losses)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(sum(losses.values())).backward()
        self.scaler.unscale_(self.optimizer)
        limit = self.settings["max_grad_norm"] or self.recipe.max_grad_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        values = dict(zip(losses, torch.stack([v.detach().reshape(()) for v in losses.values()]).tolist(), strict=True))
        self._require_finite(values, float(norm), before, (iteration, paths, images, gt_boxes, checkpoint))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.detector)
        total = {"loss": sum(values.values()), **values}
        self.history.append(total)
        return total

    def _precision(self) -> AbstractContextManager[None]:
        return networks_in_half(self.detector, self.device) if self.half else nullcontext()

    def _require_finite(self, values: dict[str, float], norm: float, before: dict[str, Any], place: Any) -> None:
        """Stop where a number is none, before the step, with the detector as it was before the batch."""
        bad = named_bad(values)
        self.skipped = 0 if math.isfinite(norm) else self.skipped + 1
        scaling = self.scaler.is_enabled() and self.skipped <= _MAX_SKIPPED  # it skips the step and lowers the scale
        if not bad and (self.skipped == 0 or scaling):
            return
        iteration, paths, images, gt_boxes, checkpoint = place
        put_back(self.detector, before, self.device)
        origin = explain_nonfinite(self.detector, images, gt_boxes, self._precision())
        put_back(self.detector, before, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        kept = checkpoint if checkpoint is not None and checkpoint.exists() else None
        raise NonFiniteLoss(iteration, bad or f"the length of the gradient is {norm}", origin, paths, kept)

    def save(self, path: Path) -> None:
        """Write a checkpoint, of finite weights only: the last good one is never replaced by a bad one."""
        state = self.detector.state_dict()
        bad = next((k for k, v in state.items() if v.is_floating_point() and not bool(v.isfinite().all())), None)
        if bad is not None:
            say(f"No checkpoint after iteration {len(self.history) - 1}: {bad} holds numbers that are not finite.")
            return
        average = None if self.average is None else {"count": self.average.count, "values": self.average.values}
        write_checkpoint(
            {
                "training": self.settings,
                "data": data_of(self.loader),
                "detector": state,
                "plain": plain_attributes(self.detector),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "average": average,
                "history": dict(self.history.losses),
                "batches": self.batches.state(),
                "random": random_state(self.loader),
            },
            path,
        )

    def resume(self, path: Path) -> None:
        """Take up a checkpoint."""
        state = read_checkpoint(path)
        done, wanted = max(map(len, state["history"].values()), default=0), self.settings["max_iters"]
        data = data_of(self.loader)
        there = state["training"] | state.get("data", data)
        changed = check_same_training(path, there, self.settings | data, MAY_CHANGE if done < wanted else ())
        try:
            self.detector.load_state_dict(state["detector"])
        except RuntimeError as error:
            raise ValueError(
                f"{path} is the checkpoint of another detector: {error} Delete it to begin anew, or name another file."
            ) from error
        set_plain_attributes(self.detector, state["plain"], self.device)
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # none where half precision was bfloat16: then float16 begins with its own scale
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None and state["average"] is not None:
            self.average.count = state["average"]["count"]
            self.average.values = {k: v.to(self.device) for k, v in state["average"]["values"].items()}
        self.history.losses.update(state["history"])
        if done >= wanted:
            say(f"{path} holds this training, finished. The detector has its weights; delete the file to train anew.")
            return
        say(f"Going on from {path} at iteration {done} of {wanted}" + "".join(f"; {c}" for c in changed) + ".")
        self.batches.resume(state["batches"])
        set_random_state(state["random"], self.loader)

    def finish(self) -> None:
        """Give the detector its final weights."""
        if self.average is not None and self.average.count:
            self.detector.load_state_dict(self.average.values)


def _require_losses(losses: object) -> None:
    """A dictionary of scalar tensors, or an error that says what came instead."""
    if not (isinstance(losses, Mapping) and losses and all(map(_is_scalar, losses.values()))):
        raise TypeError(
            'Expected the detector to return a dictionary of scalar losses, {"loss_cls": tensor(0.5), ...}, '
            f"got {_described(losses)}. In training mode, forward() has to return the losses, each summed up."
        )


def _is_scalar(value: object) -> bool:
    """Whether this is a tensor with one element."""
    return isinstance(value, Tensor) and value.numel() == 1


def _described(losses: object) -> str:
    """What a detector returned, in a few words."""
    if isinstance(losses, Mapping):
        shapes = {k: tuple(v.shape) for k, v in losses.items() if isinstance(v, Tensor)}
        return f"a dictionary of {len(losses)} entries, tensors of shapes {shapes}"
    return f"a {type(losses).__name__}"

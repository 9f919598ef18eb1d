"""A loss or gradient that is infinite or not a number: where it began, and the error that says so.

The batch is computed once more with every tensor operation watched. Of each storage that holds a bad value it is
noted which operation put the first one there, and which bad storages that operation had read. From the loss the
notes lead back to an operation that made a bad value out of good ones.
"""

import linecache
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NOT_THE_STUDENTS = ("/torch/", "/torchvision/", "/ps7_helpers/", "<frozen", "<string>")
_BLANK = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")  # what lies in them is chance


class NonFiniteLoss(FloatingPointError):
    """Training stopped at a loss or gradient that is infinite or not a number.

    Attributes:
        iteration: Counted from 0.
        origin: The first tensor that went wrong: operation, shape and line, in a sentence.
        image_paths: The images of the batch.
        checkpoint: The file with the last good state, if there is one.
    """

    def __init__(
        self, iteration: int, what: str, origin: str, image_paths: Sequence[str], checkpoint: Path | None
    ) -> None:
        self.iteration = iteration
        self.origin = origin
        self.image_paths = tuple(image_paths)
        self.checkpoint = checkpoint
        kept = "The detector keeps the weights that it had before this batch"
        kept += f", and {checkpoint} keeps the last checkpoint." if checkpoint else "."
        then = "; the same call with one of these changed goes on from the checkpoint" if checkpoint else ""
        super().__init__(
            f"Iteration {iteration}: {what}. Training stopped before this spoiled the weights. {kept} {origin} "
            "If that line is right, the numbers before it grew too large: look whether the losses rose, lower the "
            f"learning rate, or pass max_grad_norm=10.0 or less{then}. "
            f"The images of the batch: {', '.join(self.image_paths)}"
        )


def explain_nonfinite(
    detector: nn.Module, images: Tensor, gt_boxes: Tensor, precision: AbstractContextManager[object] | None = None
) -> str:
    """Compute the losses of a batch and their gradients again, and say which tensor went wrong first.

    Args:
        detector: Called as ``detector(images, gt_boxes)``; its parameters are left alone, its buffers may move.
        images: ``(B, 3, H, W)``.
        gt_boxes: ``(B, N, 5)``.
        precision: Entered around the forward pass, as in training.

    Returns:
        One sentence.
    """
    parameters = dict(detector.named_parameters())
    given = {"the images of the batch": images, "the boxes of the batch": gt_boxes}
    given |= {f"the parameter {name}": value for name, value in parameters.items()}
    given |= {f"the buffer {name}": value for name, value in detector.named_buffers()}
    for name, value in given.items():
        if _is_bad(value):
            return f"First wrong: {name}, before anything was computed: {_count(value)}."
    watch = _Watch()
    with torch.autograd.set_detect_anomaly(True, check_nan=False), watch:
        with precision or nullcontext():
            losses = detector(images, gt_boxes)
        bad = [loss for loss in losses.values() if _is_bad(loss)]
        if not bad:
            wanted = {name: p for name, p in parameters.items() if p.requires_grad}
            total = sum(losses.values())
            found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
            gradients = {name: g for name, g in zip(wanted, found, strict=True) if g is not None}
            bad = [g for g in gradients.values() if _is_bad(g)]
    if not bad and (said := _too_long(gradients)):
        return said
    if not bad:
        return "Computed again, the same batch gave finite numbers: something outside of it changes from call to call."
    return watch.origin(bad)


def _too_long(gradients: Mapping[str, Tensor]) -> str:
    """What to say of finite gradients whose common length is none: their squares no longer fit; "" if it is finite."""
    norms = [gradient.norm() for gradient in gradients.values()]
    if not norms or bool(torch.stack(norms).norm().isfinite()):
        return ""
    largest = {name: float(gradient.abs().max()) for name, gradient in gradients.items() if gradient.numel()}
    name = max(largest, key=largest.__getitem__)
    return (
        f"Each number of the gradient is finite, but its length, the root of the sum of their squares, is too large to "
        f"be one: the largest is {largest[name]:.1e} of {name}."
    )


@dataclass(frozen=True)
class _Note:
    """The operation that put the first bad value into a storage; ``parents`` are the bad storages it read."""

    order: int
    text: str
    parents: tuple[int, ...]


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no annotations here
    """Notes which operation made which storage bad."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._notes: dict[int, _Note] = {}
        self._alive: list[Tensor] = []  # so that no address is used twice

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in _BLANK:
            for tensor in filter(_is_bad, _tensors(result)):
                key = _storage(tensor)
                if key not in self._notes:
                    inputs = [_storage(t) for t in _tensors((args, kwargs or {})) if _is_bad(t)]
                    parents = tuple(k for k in dict.fromkeys(inputs) if k != key and k in self._notes)
                    self._notes[key] = _Note(len(self._notes), _sentence(name, tensor), parents)
                    self._alive.append(tensor)
        return result

    def origin(self, bad: Iterable[Tensor]) -> str:
        """The sentence about the first operation on the way to these tensors."""
        todo = [_storage(tensor) for tensor in bad]
        reached: dict[int, _Note] = {}
        while todo:
            key = todo.pop()
            if key in self._notes and key not in reached:
                reached[key] = self._notes[key]
                todo.extend(self._notes[key].parents)
        notes = reached or self._notes
        if not notes:
            return "Which tensor went wrong first could not be found."
        return min(notes.values(), key=lambda note: note.order).text


def _sentence(operation: str, tensor: Tensor) -> str:
    """Which operation, what came out, and the line of code behind it."""
    node = torch._C._current_autograd_node()
    if node is None:
        where, step = _line_now(), "First wrong: the result"
    else:
        metadata: Any = node.metadata  # a dictionary, whatever its annotation says
        where = _line_of(metadata.get("traceback_", []))
        step = "The losses are finite. First wrong: the gradient"
    return f"{step} of {operation.strip('_')}, {_count(tensor)}{where}."


def _count(tensor: Tensor) -> str:
    """``3 of 16 values are not finite (NaN), shape (4, 4)``."""
    nan, inf = int(tensor.isnan().sum()), int(tensor.isinf().sum())
    kinds = " and ".join(kind for kind, count in (("NaN", nan), ("infinite", inf)) if count)
    return f"{nan + inf} of {tensor.numel()} values not finite ({kinds}), shape {tuple(tensor.shape)}"


def _line_now() -> str:
    """The innermost line on the stack that is neither torch's nor ours."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not any(part in name for part in _NOT_THE_STUDENTS):
            line = linecache.getline(name, frame.f_lineno).strip()
            return f", in {frame.f_code.co_name}, line {frame.f_lineno}" + (f": `{line}`" if line else "")
        frame = frame.f_back
    return ""


def _line_of(traceback: Sequence[str]) -> str:
    """The same, of the forward pass, from the lines of a formatted traceback."""
    for entry in reversed(traceback):
        if not any(part in entry for part in _NOT_THE_STUDENTS):
            place, _, line = entry.strip().partition("\n")
            where = place.rpartition(", line ")[2].partition(", in ")
            return f", in {where[2]}, line {where[0]}: `{line.strip().partition(chr(10))[0]}`"
    return ""


def _tensors(tree: object) -> list[Tensor]:
    """All tensors in nested arguments."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    """What a tensor shares with its views."""
    return tensor.untyped_storage().data_ptr()


def _is_bad(tensor: Tensor) -> bool:
    """Whether a tensor holds a number that is none, or infinity."""
    return tensor.is_floating_point() and not bool(tensor.isfinite().all())


def named_bad(values: Mapping[str, float]) -> str:
    """``loss_box is nan and loss_ctr is inf``; empty if all are finite."""
    return " and ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))

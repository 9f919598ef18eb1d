"""Non-maximum suppression: of boxes that overlap much, the one with the highest score stays."""

import torch
from torch import Tensor
from torchvision import ops


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Go through the boxes by falling score and drop every one that overlaps a kept one too much.

    Args:
        boxes: ``(N, 4)`` of ``(x1, y1, x2, y2)``, any float dtype; N may be 0.
        scores: ``(N,)``.
        iou_threshold: A box stays as long as its intersection over union with every kept box is at most this.

    Returns:
        Indices (int64, device of ``boxes``) of the kept boxes, by falling score; of equal scores the one that
        comes first in ``boxes`` is taken first.

    Raises:
        ValueError: The shapes do not fit.
    """
    _check(boxes, scores, scores)
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    # In float64: as a float32, 0.4 is more than 0.4, and a pair that overlaps by exactly 0.4 would lose one. A Mac's
    # GPU has no float64: from there it goes to the CPU and back.
    near = [tensor.detach().cpu() if tensor.device.type == "mps" else tensor.detach() for tensor in (boxes, scores)]
    kept: Tensor = ops.nms(near[0].double(), near[1].double(), iou_threshold)
    return kept.to(boxes.device)


def class_spec_nms(boxes: Tensor, scores: Tensor, class_ids: Tensor, iou_threshold: float = 0.5) -> Tensor:
    """Suppress overlapping boxes class by class: boxes of different classes leave each other alone.

    Args:
        boxes: ``(N, 4)`` of ``(x1, y1, x2, y2)``, any float dtype; N may be 0.
        scores: ``(N,)``.
        class_ids: ``(N,)``, any integers.
        iou_threshold: As for :func:`nms`.

    Returns:
        Indices (int64, device of ``boxes``) of the kept boxes of all classes, by falling score; of equal
        scores the one that comes first in ``boxes`` comes first.

    Raises:
        ValueError: The shapes do not fit.
    """
    _check(boxes, scores, class_ids)
    keep = torch.zeros(len(scores), dtype=torch.bool, device=boxes.device)  # (N,)
    for class_id in set(class_ids.tolist()):
        members = (class_ids == class_id).nonzero().squeeze(1)
        keep[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    kept = keep.nonzero().squeeze(1)
    return kept[scores[kept].argsort(descending=True, stable=True)]


def _check(boxes: Tensor, scores: Tensor, class_ids: Tensor) -> None:
    """One score and one class per box, four coordinates each."""
    fits = boxes.dim() == 2 and boxes.shape[1] == 4 and scores.shape == class_ids.shape == boxes.shape[:1]
    if not fits and scores.dim() == 2:
        raise ValueError(
            f"The scores still have a column for each class, {tuple(scores.shape)}: give the best class's score "
            "alone, (N,), one for each box."
        )
    if not fits and not boxes.numel() == scores.numel() == class_ids.numel() == 0:
        raise ValueError(
            "Expected boxes of shape (N, 4), scores and class_ids of shape (N,), got "
            f"{tuple(boxes.shape)}, {tuple(scores.shape)} and {tuple(class_ids.shape)}. Filter all of them "
            "with the same mask."
        )

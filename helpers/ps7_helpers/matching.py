"""Which location has to find which box, and how central it lies in it.

FCOS (arXiv 1904.01355), section 3.1 and 3.2: every location of the feature maps is matched with at most one
box of its image, or is background.
"""

import functools
import math
from collections.abc import Mapping

import torch
from torch import Tensor


def fcos_match_locations_to_gt(
    locations_per_fpn_level: Mapping[str, Tensor],
    strides_per_fpn_level: Mapping[str, int],
    gt_boxes: Tensor,
) -> dict[str, Tensor]:
    """Match the locations of one image with its boxes (FCOS, sections 3.1 and 3.2).

    A location belongs to a box that holds it *strictly inside*, if the largest of its distances to the four
    edges suits its level: it lies in [4 s, 8 s) for stride s; at the level of the smallest stride from 0, at
    that of the largest without end. So no distance falls between two levels. Among several such boxes the one
    of smallest area wins, among equal areas the one that comes first in ``gt_boxes``.

    Args:
        locations_per_fpn_level: Per level ``(L, 2)`` of ``(x, y)``, pixels; the order of levels is free.
        strides_per_fpn_level: Per level its stride, pixels; each twice the one before.
        gt_boxes: ``(N, 5)`` of ``(x1, y1, x2, y2, class)``, pixels. Rows of -1 (padding) match nothing, and N
            may be 0.

    Returns:
        Per level ``(L, 5)``, dtype and device of ``gt_boxes``: for every location its box with class, or five
        times -1 where it is background.

    Raises:
        ValueError: ``gt_boxes`` has another shape, or a level lacks locations or a stride.
    """
    if gt_boxes.dim() != 2 or gt_boxes.shape[1] != 5:
        raise ValueError(
            f"Expected gt_boxes of one image, shape (N, 5), got {tuple(gt_boxes.shape)}. For a batch take "
            "gt_boxes[i] image by image, or call fcos_match_batch (from ps7_helpers) with all of them."
        )
    matched = fcos_match_batch(locations_per_fpn_level, strides_per_fpn_level, gt_boxes.unsqueeze(0))
    return {level: boxes[0] for level, boxes in matched.items()}


def fcos_match_batch(
    locations_per_fpn_level: Mapping[str, Tensor],
    strides_per_fpn_level: Mapping[str, int],
    gt_boxes: Tensor,
) -> dict[str, Tensor]:
    """Match the locations of a whole batch: :func:`fcos_match_locations_to_gt` of every image, stacked.

    Args:
        locations_per_fpn_level: Per level ``(L, 2)`` of ``(x, y)``, pixels, the same for all images.
        strides_per_fpn_level: Per level its stride, pixels.
        gt_boxes: ``(B, N, 5)`` of ``(x1, y1, x2, y2, class)``, pixels, padded with rows of -1.

    Returns:
        Per level ``(B, L, 5)``, dtype and device of ``gt_boxes``; background is five times -1.

    Raises:
        ValueError: ``gt_boxes`` has another shape, or a level lacks locations or a stride.
    """
    if gt_boxes.dim() != 3 or gt_boxes.shape[2] != 5:
        raise ValueError(f"Expected gt_boxes of a batch, shape (B, N, 5), got {tuple(gt_boxes.shape)}.")
    _check_levels(locations_per_fpn_level, strides_per_fpn_level)
    used = (gt_boxes[:, :, 4] >= 0).any(dim=0)  # (N,): columns with a real box in some image
    gt_boxes = gt_boxes[:, used]  # (B, M, 5)
    if not locations_per_fpn_level:
        return {}
    types = [gt_boxes.dtype, torch.float32, *(locations.dtype for locations in locations_per_fpn_level.values())]
    wide = functools.reduce(torch.promote_types, types)
    counts = [len(locations) for locations in locations_per_fpn_level.values()]
    # All levels at once: where maps are small, starting an operation takes longer than the operation.
    everywhere = torch.cat([locations.to(gt_boxes.device, wide) for locations in locations_per_fpn_level.values()])
    bounds = _bounds([strides_per_fpn_level[level] for level in locations_per_fpn_level])  # (levels, 2)
    bounds = bounds.repeat_interleave(torch.tensor(counts), dim=0).to(gt_boxes.device, wide)  # (L, 2)
    matched = torch.split(_match(everywhere, gt_boxes, bounds), counts, dim=1)
    # Copies: whoever changes one level's boxes in place, or saves them, has nothing to do with the other levels'.
    return {
        level: boxes.clone(memory_format=torch.contiguous_format)
        for level, boxes in zip(locations_per_fpn_level, matched, strict=True)
    }


def _bounds(strides: list[int]) -> Tensor:
    """``(levels, 2)``: the smallest largest distance that a level of each stride takes, and the first beyond it."""
    smallest, largest = min(strides), max(strides)
    rows = [(0.0 if s == smallest else 4.0 * s, math.inf if s == largest else 8.0 * s) for s in strides]
    return torch.tensor(rows, dtype=torch.float64)


def _check_levels(locations: Mapping[str, Tensor], strides: Mapping[str, int]) -> None:
    """Every level needs its locations and its stride."""
    if set(locations) != set(strides):
        raise ValueError(
            f"The levels differ: locations are given for {sorted(locations)}, strides for {sorted(strides)}. "
            "Give both for the same levels."
        )


def _match(locations: Tensor, gt_boxes: Tensor, bounds: Tensor) -> Tensor:
    """Match ``(L, 2)`` locations with ``(B, M, 5)`` boxes whose largest distance is within ``(L, 2)`` bounds."""
    batch, boxes_per_image = gt_boxes.shape[:2]
    background = gt_boxes.new_full((batch, len(locations), 5), -1.0)
    if boxes_per_image == 0:
        return background
    x, y = (v[None, :, None] for v in locations.unbind(dim=1))  # each (1, L, 1)
    lower, upper = (v[None, :, None] for v in bounds.unbind(dim=1))  # each (1, L, 1)
    x1, y1, x2, y2, class_ids = (v[:, None, :] for v in gt_boxes.to(locations.dtype).unbind(dim=2))  # each (B, 1, M)
    left, right = x - x1, x2 - x  # (B, L, M)
    top, bottom = y - y1, y2 - y
    nearest = torch.minimum(torch.minimum(left, right), torch.minimum(top, bottom))
    farthest = torch.maximum(torch.maximum(left, right), torch.maximum(top, bottom))
    candidate = (nearest > 0) & (farthest >= lower) & (farthest < upper) & (class_ids >= 0)
    area = torch.where(candidate, (x2 - x1) * (y2 - y1), math.inf)
    best = area.argmin(dim=2)  # (B, L); of equal areas the first
    chosen = gt_boxes.gather(1, best.unsqueeze(2).expand(-1, -1, 5))  # (B, L, 5)
    return torch.where(candidate.any(dim=2, keepdim=True), chosen, background)


def fcos_make_centerness_targets(deltas: Tensor) -> Tensor:
    """How central a location lies in its box (FCOS, equation 3): 1 in the middle, 0 at an edge.

    The square root of ``min(l, r) min(t, b) / (max(l, r) max(t, b))``.

    Args:
        deltas: ``(N, 4)`` of left, top, right and bottom distances, in any unit; -1 throughout for
            background.

    Returns:
        ``(N,)``, same dtype and device: numbers in [0, 1], and -1 for background. A location outside of its
        box (some distances negative) has 0.

    Raises:
        ValueError: The shape is another.
    """
    if deltas.dim() != 2 or deltas.shape[1] != 4:
        raise ValueError(f"Expected deltas of shape (N, 4), got {tuple(deltas.shape)}.")
    background = (deltas == -1).all(dim=1)  # (N,)
    left, top, right, bottom = deltas.to(torch.promote_types(deltas.dtype, torch.float32)).unbind(dim=1)
    inside = torch.minimum(left, right).clamp(min=0) * torch.minimum(top, bottom).clamp(min=0)  # (N,)
    across = torch.maximum(left, right) * torch.maximum(top, bottom)
    centerness = torch.where(inside > 0, inside / across, 0.0).sqrt()
    return torch.where(background, -1.0, centerness).to(deltas.dtype)

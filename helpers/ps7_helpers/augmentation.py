"""Random flips and scales of images together with their boxes."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

FLIP = 0.5
SCALES = (0.75, 1.5)
MIN_VISIBLE = 0.25  # part of a box's area that has to stay within the picture for it to stay a box


def flip_boxes(boxes: Tensor, width: float) -> Tensor:
    """Boxes ``(N, 4)`` of ``(x1, y1, x2, y2)`` after their image was mirrored left to right."""
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=1)


def crop_boxes(boxes: Tensor, width: float, height: float, min_visible: float = 0.0) -> Tensor:
    """Boxes ``(N, 4)`` cut to the picture; those of which too little is left have no area.

    Args:
        boxes: Pixels.
        width: Of the picture.
        height: Of the picture.
        min_visible: The part of its area that has to be left of a box.
    """
    limits = boxes.new_tensor([width, height, width, height])
    cut = boxes.clamp(min=0).minimum(limits)
    before = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    after = (cut[:, 2:] - cut[:, :2]).prod(dim=1)
    gone = (after < min_visible * before) | (cut[:, 2:] <= cut[:, :2]).any(dim=1)
    return torch.where(gone[:, None], torch.zeros_like(cut), cut)


def augment_batch(
    images: Tensor, gt_boxes: Tensor, flip: float = FLIP, scales: tuple[float, float] = SCALES
) -> tuple[Tensor, Tensor]:
    """Mirror some images, and enlarge or reduce each round a random point; sizes stay as they are.

    What lies beyond an image's edge is zero, the mean colour of normalised images. Randomness comes from torch's
    generator of the CPU, so a seed gives the same on every device.

    Args:
        images: ``(B, 3, H, W)``, normalised.
        gt_boxes: ``(B, N, 5)`` of ``(x1, y1, x2, y2, class)``, pixels, padded with rows of -1.
        flip: Probability of mirroring.
        scales: Smallest and largest factor, even on a logarithmic scale.

    Returns:
        New images and boxes of the same shapes; boxes that left the picture are rows of -1.
    """
    batch, _, height, width = images.shape
    flipped = torch.rand(batch) < flip  # (B,)
    low, high = math.log(scales[0]), math.log(scales[1])
    scale = torch.exp(low + (high - low) * torch.rand(batch))  # (B,)
    size = torch.tensor([width, height], dtype=torch.float32)
    offset = torch.rand(batch, 2) * (1 - scale)[:, None] * size  # (B, 2): where the old origin comes to lie
    offset = offset.round()
    scale, offset = scale.to(images.device), offset.to(images.device)
    turned = flipped.to(images.device)
    images = torch.where(turned[:, None, None, None], images.flip(3), images)
    if scales != (1.0, 1.0):
        images = _resample(images, scale, offset)
    return images, _move(gt_boxes, turned, scale, offset, width, height)


def _resample(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Pixels of ``(B, 3, H, W)`` images after ``x -> scale x + offset``."""
    height, width = images.shape[2:]
    size = images.new_tensor([width, height])
    # affine_grid asks where a new point comes from, in coordinates that run from -1 to 1 between the outer edges
    shift = (-2 * offset.to(images.dtype) / size + 1) / scale[:, None].to(images.dtype) - 1  # (B, 2)
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _move(gt_boxes: Tensor, flipped: Tensor, scale: Tensor, offset: Tensor, width: int, height: int) -> Tensor:
    """The boxes after mirroring, ``x -> scale x + offset`` and cropping."""
    batch, rows = gt_boxes.shape[:2]
    boxes = gt_boxes[..., :4].reshape(-1, 4)
    mirrored = flip_boxes(boxes, width).view(batch, rows, 4)
    boxes = torch.where(flipped[:, None, None], mirrored, gt_boxes[..., :4])
    boxes = boxes * scale[:, None, None] + torch.cat([offset, offset], dim=1)[:, None]
    boxes = crop_boxes(boxes.view(-1, 4), width, height, MIN_VISIBLE).view(batch, rows, 4)
    kept = (gt_boxes[..., 4:] >= 0) & (boxes[..., 2:] > boxes[..., :2]).all(dim=-1, keepdim=True)
    return torch.where(kept, torch.cat([boxes, gt_boxes[..., 4:]], dim=-1), gt_boxes.new_tensor(-1.0))

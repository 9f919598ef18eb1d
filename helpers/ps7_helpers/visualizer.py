"""Draws an image with its boxes: what is there, and what a detector says is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ps7_helpers.figures import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRUTH_COLOR = "#0072b2"  # blue and vermilion: told apart by most colour-blind readers, and by line style besides
_PREDICTION_COLOR = "#d55e00"
_POINT_COLOR = "#f0e442"
_FIGURE_INCHES = 7.0


def detection_visualizer(
    image: Tensor,
    idx_to_class: Mapping[int, str],
    bbox: Tensor | None = None,
    pred: Tensor | None = None,
    points: Tensor | Sequence[Tensor | Sequence[float]] | None = None,
) -> None:
    """Show an image with true boxes (solid, blue), predicted boxes (dashed, orange) and points (crosses).

    Args:
        image: ``(3, H, W)``, R, G, B in [0, 1]: undo the normalisation of a data set item first
            (``denormalize``).
        idx_to_class: Class index to name.
        bbox: ``(N, 5)`` of ``(x1, y1, x2, y2, class)``, pixels; rows of -1 are skipped. ``(N, 4)``: no
            labels.
        pred: ``(M, 6)`` of ``(x1, y1, x2, y2, class, score)``, pixels. The score or class may be left out.
        points: ``(K, 2)`` of ``(x, y)``, pixels; or a list of such points; or one point.

    Raises:
        ValueError: A shape is none of these.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    if image.dim() != 3 or image.shape[0] != 3:
        raise ValueError(
            f"Expected one image of shape (3, H, W), got {tuple(image.shape)}. Take one image out of a "
            "batch with images[0]; channels come first."
        )
    pixels = image.detach().float().cpu().clamp(0.0, 1.0).permute(1, 2, 0)  # (H, W, 3)
    height, width = pixels.shape[:2]
    scale = _FIGURE_INCHES / max(height, width)
    _, axes = plt.subplots(figsize=(width * scale, height * scale + 0.4), layout="constrained")
    axes.imshow(pixels.numpy(), extent=(0, width, height, 0))  # a pixel's left edge, not its centre, is its x
    axes.axis("off")
    legend: list[Line2D] = []
    truth = _rows(bbox, "bbox", (4, 5))
    if len(truth):
        _draw_boxes(axes, truth, idx_to_class, _TRUTH_COLOR, "solid", above=True)
        legend.append(Line2D([], [], color=_TRUTH_COLOR, linestyle="solid", label="ground truth"))
    predicted = _rows(pred, "pred", (4, 5, 6))
    if len(predicted):
        _draw_boxes(axes, predicted, idx_to_class, _PREDICTION_COLOR, "dashed", above=False)
        legend.append(Line2D([], [], color=_PREDICTION_COLOR, linestyle="dashed", label="prediction"))
    spots = _point_rows(points)
    if len(spots):
        legend += axes.plot(
            spots[:, 0].numpy(),
            spots[:, 1].numpy(),
            color=_POINT_COLOR,
            marker="X",
            markersize=8,
            markeredgecolor="black",
            linestyle="none",
            label="location",
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    if legend:
        axes.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False)
    show()


def _rows(boxes: Tensor | None, name: str, columns: tuple[int, ...]) -> Tensor:
    """The boxes that are no padding, on the CPU; a single box may lack the first dimension."""
    if boxes is None:
        return torch.empty(0, max(columns))
    boxes = boxes.detach().float().cpu()
    if boxes.dim() == 1 and boxes.numel():
        boxes = boxes.unsqueeze(0)
    if boxes.numel() == 0:
        return torch.empty(0, max(columns))
    if boxes.dim() != 2 or boxes.shape[1] not in columns:
        wanted = " or ".join(f"(N, {n})" for n in columns)
        raise ValueError(
            f"Expected {name} of shape {wanted}, got {tuple(boxes.shape)}. Take one image's boxes at a time."
        )
    return boxes[(boxes[:, :4] != -1).any(dim=1)]


def _point_rows(points: Tensor | Sequence[Tensor | Sequence[float]] | None) -> Tensor:
    """Points as ``(K, 2)`` on the CPU."""
    if points is None:
        return torch.empty(0, 2)
    if not isinstance(points, Tensor):
        points = torch.stack([torch.as_tensor(p).detach().float().cpu() for p in points]) if points else torch.empty(0)
    points = points.detach().float().cpu()
    if points.dim() > 2 or points.numel() % 2 or (points.dim() == 2 and points.numel() and points.shape[1] != 2):
        raise ValueError(f"Expected points of shape (K, 2), each (x, y), got {tuple(points.shape)}.")
    return points.reshape(-1, 2)


def _draw_boxes(
    axes: Axes, boxes: Tensor, idx_to_class: Mapping[int, str], color: str, linestyle: str, above: bool
) -> None:
    """Draw boxes with their labels: true boxes have theirs at the top, predicted ones at the bottom."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    halo: list[AbstractPathEffect] = [withStroke(linewidth=4, foreground="white", alpha=0.7)]
    for row in boxes.tolist():
        x1, y1, x2, y2 = row[:4]
        frame = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=2, linestyle=linestyle)
        frame.set_path_effects(halo)
        axes.add_patch(frame)
        label = _label(row[4:], idx_to_class)
        if label:
            axes.text(
                x1,
                y1 if above else y2,
                label,
                color="white",
                fontsize=9,
                verticalalignment="top" if above else "bottom",
                bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5},
                clip_on=True,
            )


def _label(class_and_score: list[float], idx_to_class: Mapping[int, str]) -> str:
    """``car``, or ``car 0.87`` with a score; a class without a name shows its number."""
    if not class_and_score:
        return ""
    index = int(class_and_score[0])
    name = idx_to_class.get(index, f"class {index}")
    return name if len(class_and_score) < 2 else f"{name} {class_and_score[1]:.2f}"

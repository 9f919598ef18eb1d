"""Looks inside a detector: what it learns from, what it is sure of where, and what its parts are good for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ps7_helpers.evaluation import ImageDetections, ImageTruth, evaluate_detections
from ps7_helpers.figures import show
from ps7_helpers.images import denormalize
from ps7_helpers.inference import Batch, detect_one
from ps7_helpers.matching import fcos_match_locations_to_gt
from ps7_helpers.visualizer import detection_visualizer

_CERTAIN = 20.0  # a logit whose sigmoid is 1


def show_positive_locations(
    image: Tensor, gt_boxes: Tensor, locations_per_fpn_level: Mapping[str, Tensor], fpn_strides: Mapping[str, int]
) -> None:
    """Show the locations of each level that answer for an object, one colour an object.

    Args:
        image: ``(3, H, W)``, as a data set gives it.
        gt_boxes: ``(N, 5)`` of ``(x1, y1, x2, y2, class)``, pixels, padded with -1.
        locations_per_fpn_level: ``(cells, 2)`` of ``(x, y)`` for each level.
        fpn_strides: The stride of each level.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    matched = fcos_match_locations_to_gt(dict(locations_per_fpn_level), dict(fpn_strides), gt_boxes)
    objects = gt_boxes[gt_boxes[:, 4] >= 0]
    colors = plt.get_cmap("tab10").colors  # type: ignore[attr-defined]
    _, panels = plt.subplots(1, len(matched), figsize=(3.4 * len(matched), 3.8), layout="constrained", squeeze=False)
    height, width = image.shape[1:]
    for axes, (level, boxes) in zip(panels[0], matched.items(), strict=True):
        axes.imshow(_pixels(image), extent=(0, width, height, 0))
        for number, row in enumerate(objects):
            color, (x1, y1, x2, y2) = colors[number % len(colors)], row[:4].tolist()
            mine = locations_per_fpn_level[level][(boxes == row).all(dim=1)]
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=2))
            axes.plot(*mine.T.numpy(), "o", color=color, markeredgecolor="black", markersize=5)
        count = int((boxes[:, 4] >= 0).sum())
        axes.set_title(f"{level}: {count} of {len(boxes)} locations", fontsize=10)
        axes.axis("off")
    show()


@torch.no_grad()
def show_score_maps(detector: nn.Module, image: Tensor) -> None:
    """Show for each level the best class score of each cell, its centerness, and the score made of both.

    Args:
        detector: With ``backbone`` and ``pred_net``, as in the notebook. Left in eval mode.
        image: ``(3, H, W)``, as a data set gives it.
    """
    import matplotlib.pyplot as plt

    feats = detector.eval().backbone(image[None].to(_device(detector)))  # type: ignore[operator]
    logits, _, centers = detector.pred_net(feats)  # type: ignore[operator]
    height, width = image.shape[1:]
    _, panels = plt.subplots(len(feats), 4, figsize=(10, 2.6 * len(feats)), layout="constrained", squeeze=False)
    for row, (level, features) in zip(panels, feats.items(), strict=True):
        size = features.shape[2:]
        classes = logits[level][0].sigmoid().amax(dim=1).reshape(size).cpu()
        centerness = centers[level][0, :, 0].sigmoid().reshape(size).cpu()
        named = {"best class": classes, "centerness": centerness, "score": (classes * centerness).sqrt()}
        row[0].imshow(_pixels(image), extent=(0, width, height, 0))
        row[0].set_title(level, fontsize=10)
        for axes, (name, scores) in zip(row[1:], named.items(), strict=True):
            axes.imshow(scores.numpy(), vmin=0, vmax=1, cmap="viridis", extent=(0, width, height, 0))
            axes.set_title(f"{name}, at most {float(scores.max()):.2f}", fontsize=10)
        for axes in row:
            axes.axis("off")
    show()


def show_suppression(
    detector: nn.Module, image: Tensor, idx_to_class: Mapping[int, str], score_thresh: float, nms_thresh: float
) -> None:
    """Show the boxes of an image before and after overlapping ones are suppressed."""
    detector.eval()
    for title, overlap in (("before", 1.0), ("after", nms_thresh)):
        found = detect_one(detector, image.to(_device(detector)), score_thresh, overlap)
        print(f"{title} suppression: {len(found)} boxes")
        detection_visualizer(denormalize(image), idx_to_class, pred=found)


def compare_settings(
    detector: nn.Module,
    dataset: Dataset[Batch],
    idx_to_class: Mapping[int, str],
    score_thresh: float,
    nms_thresh: float,
    images: int = 100,
) -> None:
    """Print the mean average precision over some images as it is, and with one thing changed at a time.

    Args:
        detector: As in the notebook. Left in eval mode, otherwise as it was.
        dataset: Items ``(path, image (3, H, W), boxes (N, 5))``.
        idx_to_class: Class index to name.
        score_thresh: What is usual; a tenth of it is held against it.
        nms_thresh: What is usual; 0.3 and 0.9 are held against it.
        images: How many, from the first one on.
    """
    usual = (score_thresh, nms_thresh)
    settings = [
        ("as it is", usual, False),
        ("without centerness", usual, True),
        ("NMS at 0.3", (score_thresh, 0.3), False),
        ("NMS at 0.9", (score_thresh, 0.9), False),
        ("a tenth of the score threshold", (score_thresh / 10, nms_thresh), False),
    ]
    items = [dataset[k] for k in range(min(images, len(dataset)))]  # type: ignore[arg-type]
    print(f"Over {len(items)} images, score threshold {score_thresh:g}, NMS at {nms_thresh:g}:")
    for name, thresholds, blind in settings:
        with _without_centerness(detector) if blind else contextlib.nullcontext():
            found = [_named(detector, image, idx_to_class, thresholds) for _, image, _ in items]
        truth = {str(k): _truth(boxes, idx_to_class) for k, (_, _, boxes) in enumerate(items)}
        mean = evaluate_detections(truth, {str(k): one for k, one in enumerate(found)}).mean_ap
        boxes = sum(len(one.classes) for one in found)
        print(f"  {name:32} {mean:6.1%} mAP, {boxes / max(len(found), 1):5.1f} boxes an image")


@contextlib.contextmanager
def _without_centerness(detector: nn.Module) -> Iterator[None]:
    """Within it, every location counts as the centre of its object."""
    network = detector.pred_net
    own = network.forward  # type: ignore[union-attr]

    def forward(*args: object, **kwargs: object) -> list[dict[str, Tensor]]:
        logits, deltas, centers = own(*args, **kwargs)
        return [logits, deltas, {level: torch.full_like(rows, _CERTAIN) for level, rows in centers.items()}]

    network.forward = forward  # type: ignore[union-attr]
    try:
        yield
    finally:
        del network.forward  # type: ignore[union-attr]


def _named(
    detector: nn.Module, image: Tensor, idx_to_class: Mapping[int, str], thresholds: tuple[float, float]
) -> ImageDetections:
    rows = detect_one(detector.eval(), image.to(_device(detector)), *thresholds)  # (M, 6)
    return ImageDetections([idx_to_class[int(label)] for label in rows[:, 4]], rows[:, 5].numpy(), rows[:, :4].numpy())


def _truth(boxes: Tensor, idx_to_class: Mapping[int, str]) -> ImageTruth:
    rows = boxes[boxes[:, 4] >= 0]
    return ImageTruth([idx_to_class[int(label)] for label in rows[:, 4]], rows[:, :4].numpy())


def _pixels(image: Tensor) -> object:
    return denormalize(image).clamp(0, 1).permute(1, 2, 0).cpu().numpy()


def _device(detector: nn.Module) -> torch.device:
    return next(detector.parameters()).device

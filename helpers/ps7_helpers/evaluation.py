"""Average precision as Pascal VOC defines it.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2; ``voc10`` is
the area under the precision-recall curve that the challenges from 2010 on use.

Per class, all detections of all images are taken by falling score. Each is compared with the true box of its
image and class that it overlaps most. It is *right* if they overlap by the threshold or more and no detection
before it took that box, otherwise *wrong*; where that box is marked difficult, it does not count. Precision
is the part of the detections so far that are right, recall the part of the true boxes found, difficult ones
left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Metric = Literal["voc10", "voc07"]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class ImageTruth(NamedTuple):
    """The objects of one image: N class names, ``(N, 4)`` boxes, N marks (none difficult if left out)."""

    classes: Sequence[str]
    boxes: npt.ArrayLike
    difficult: Sequence[bool] | None = None


class ImageDetections(NamedTuple):
    """The detections in one image: M class names, M scores, ``(M, 4)`` boxes."""

    classes: Sequence[str]
    scores: npt.ArrayLike
    boxes: npt.ArrayLike


class Curve(NamedTuple):
    """One class, after each of its M detections by falling score: recall, precision (as it is), score; ``(M,)`` each.

    Detections of difficult objects are not among them.
    """

    recall: Numbers
    precision: Numbers
    scores: Numbers
    positives: int


@dataclass(frozen=True)
class Evaluation:
    """Average precision per class, in [0, 1], of the classes that have true boxes, and its mean over them."""

    ap: dict[str, float]
    mean_ap: float
    curves: dict[str, Curve] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        width = max(map(len, [*self.ap, "mAP"]))
        rows = [*sorted(self.ap.items()), ("mAP", self.mean_ap)]
        return "\n".join(f"{name:{width}s} {value:7.2%}" for name, value in rows)


def evaluate_detections(
    ground_truth: Mapping[str, ImageTruth],
    detections: Mapping[str, ImageDetections],
    iou_threshold: float = 0.5,
    metric: Metric = "voc10",
    inclusive: bool = True,
) -> Evaluation:
    """Compute the average precision of every class, over all images.

    Of equal scores, the image that comes first in ``ground_truth``, and in it the detection that comes first,
    counts first.

    Args:
        ground_truth: Image id to its objects; ``(x1, y1, x2, y2)``, pixels. An image without objects has to
            be there with empty lists, so that what is detected in it counts as wrong.
        detections: Image id to its detections, in the same coordinates. An image that is missing has none.
        iou_threshold: The overlap (intersection over union) from which on a detection is right.
        metric: ``"voc10"``: area under the curve, with precision made falling; ``"voc07"``: mean of the
            precision at the recalls 0, 0.1, ..., 1.
        inclusive: Whether coordinates name the first and the last pixel, as in VOC's annotations, so that a
            box from 3 to 5 is 3 wide; otherwise they are edges and it is 2 wide.

    Returns:
        Average precisions. A class with objects and no detections has 0; a class without objects has none and
        does not enter the mean; without any object the mean is NaN.

    Raises:
        ValueError: There are detections for an image that is not in ``ground_truth``, lengths do not fit, a
            number is not finite, or the metric is unknown.
    """
    if metric not in ("voc10", "voc07"):
        raise ValueError(f"There is no metric {metric!r}: choose voc10 (area) or voc07 (eleven points).")
    unknown = sorted(set(detections) - set(ground_truth))
    if unknown:
        raise ValueError(
            f"There are detections for {len(unknown)} images without ground truth, the first is "
            f"{unknown[0]!r}. Evaluate the same images on both sides; an image without objects needs an "
            "empty entry (or file)."
        )
    truth, found = gather_boxes(ground_truth, detections)
    average = {"voc10": _area_under_curve, "voc07": _eleven_points}[metric]
    ap: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for name in sorted(set(truth.classes[~truth.difficult].tolist())):
        of_class = truth.select(truth.classes == name)
        judged = judge_class(of_class, found.select(found.classes == name), iou_threshold, inclusive)
        right, wrong = judged.right.cumsum(), judged.wrong.cumsum()
        positives = int((~of_class.difficult).sum())
        ap[name] = average(right, wrong, positives)
        counts = judged.right | judged.wrong
        right, wrong = right[counts], wrong[counts]
        curves[name] = Curve(right / positives, right / (right + wrong), judged.found.scores[counts], positives)
    return Evaluation(ap, float(np.mean(list(ap.values()))) if ap else float("nan"), curves)


@dataclass(frozen=True)
class BoxTable:
    """Boxes of many images in one table; scores of detections, difficulty of true boxes."""

    image: Indices  # (N,)
    classes: npt.NDArray[np.str_]  # (N,)
    boxes: Numbers  # (N, 4)
    scores: Numbers  # (N,)
    difficult: npt.NDArray[np.bool_]  # (N,)

    def select(self, rows: npt.NDArray[np.bool_] | Indices) -> "BoxTable":
        """Some of the rows."""
        return BoxTable(self.image[rows], self.classes[rows], self.boxes[rows], self.scores[rows], self.difficult[rows])


def gather_boxes(
    ground_truth: Mapping[str, ImageTruth], detections: Mapping[str, ImageDetections]
) -> tuple[BoxTable, BoxTable]:
    """All true boxes and all detections, images numbered in the order of the ground truth.

    Raises:
        ValueError: Lengths do not fit, or a number is not finite.
    """
    return _gather_truth(ground_truth), _gather_detections(ground_truth, detections)


def _gather_truth(ground_truth: Mapping[str, ImageTruth]) -> BoxTable:
    """All true boxes in one table."""
    images = [ImageTruth(*entry) for entry in ground_truth.values()]
    difficult = [i.difficult if i.difficult is not None else [False] * len(i.classes) for i in images]
    zeros = [[0.0] * len(i.classes) for i in images]
    return _table(list(ground_truth), [i.classes for i in images], [i.boxes for i in images], zeros, difficult)


def _gather_detections(order: Mapping[str, ImageTruth], detections: Mapping[str, ImageDetections]) -> BoxTable:
    """All detections in one table, images in the order of the ground truth."""
    images = [ImageDetections(*detections.get(image_id, ImageDetections([], [], []))) for image_id in order]
    no = [[False] * len(i.classes) for i in images]
    return _table(list(order), [i.classes for i in images], [i.boxes for i in images], [i.scores for i in images], no)


def _table(
    ids: list[str],
    classes: Sequence[Sequence[str]],
    boxes: Sequence[npt.ArrayLike],
    scores: Sequence[npt.ArrayLike],
    difficult: Sequence[Sequence[bool]],
) -> BoxTable:
    """Join the lists of all images, after a look at their lengths and numbers."""
    arrays = [np.asarray(b, dtype=np.float64).reshape(-1, 4) for b in boxes]
    score_arrays = [np.asarray(s, dtype=np.float64).reshape(-1) for s in scores]
    lengths = [[len(entry) for entry in entries] for entries in (classes, arrays, score_arrays, difficult)]
    if lengths.count(lengths[0]) != len(lengths):
        of_image = next(group for group in zip(ids, *lengths, strict=True) if len(set(group[1:])) != 1)
        raise ValueError(
            f"Image {of_image[0]!r}: the numbers of classes, boxes, scores and marks differ: {list(of_image[1:])}. "
            "Give one of each per object."
        )
    table = BoxTable(
        image=np.repeat(np.arange(len(ids)), lengths[0]),
        classes=np.array([str(name) for names in classes for name in names], dtype=np.str_),
        boxes=np.concatenate([np.empty((0, 4)), *arrays]),
        scores=np.concatenate([np.empty(0), *score_arrays]),
        difficult=np.array([bool(mark) for marks in difficult for mark in marks], dtype=np.bool_),
    )
    bad = np.flatnonzero(~(np.isfinite(table.boxes).all(axis=1) & np.isfinite(table.scores)))
    if len(bad):
        raise ValueError(
            f"Image {ids[table.image[bad[0]]]!r} has a coordinate or a score that is infinite or not a number. Leave "
            "such detections out, or find out where they come from."
        )
    return table


class Judged(NamedTuple):
    """The detections of one class by falling score, ``(M,)`` each; those of a difficult box are neither."""

    found: BoxTable
    right: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_]
    taken: npt.NDArray[np.bool_]  # (N,): which of the true boxes a detection is right about


def judge_class(truth: BoxTable, found: BoxTable, iou_threshold: float, inclusive: bool) -> Judged:
    """Which detections of one class are right, and which are wrong, as said at the top of this module.

    Args:
        truth: The true boxes of the class, ordered by image.
        found: Its detections, in the order in which equal scores count.
        iou_threshold: See :func:`evaluate_detections`.
        inclusive: The same.
    """
    found = found.select(np.argsort(-found.scores, kind="stable"))
    matched, overlap = _best_truth(truth, found, inclusive)
    hit = overlap >= iou_threshold
    ignored = hit.copy()
    ignored[hit] = truth.difficult[matched[hit]]
    candidates = np.flatnonzero(hit & ~ignored)
    boxes, first = np.unique(matched[candidates], return_index=True)  # of all that hit a box, the first
    right = np.zeros(len(hit), dtype=np.bool_)
    right[candidates[first]] = True
    taken = np.zeros(len(truth.image), dtype=np.bool_)
    taken[boxes] = True
    return Judged(found, right, ~right & ~ignored, taken)


def _best_truth(truth: BoxTable, found: BoxTable, inclusive: bool) -> tuple[Indices, Numbers]:
    """For each detection the true box of its image that it overlaps most (of equals the first), and how much.

    Where there is none, the overlap is -1 and the index means nothing.
    """
    if not len(truth.image) or not len(found.image):
        return np.zeros(len(found.image), dtype=np.int64), np.full(len(found.image), -1.0)
    start = np.searchsorted(truth.image, found.image, side="left")  # truth is ordered by image
    count = np.searchsorted(truth.image, found.image, side="right") - start  # (M,)
    columns = np.arange(max(int(count.max()), 1))  # (G,), the most boxes that an image has
    index = np.minimum(start[:, None] + columns, len(truth.image) - 1)  # (M, G)
    overlaps = _iou(found.boxes[:, None], truth.boxes[index], inclusive)
    overlaps = np.where(columns < count[:, None], overlaps, -1.0)  # (M, G)
    best = overlaps.argmax(axis=1)  # (M,)
    rows = np.arange(len(start))
    return index[rows, best], overlaps[rows, best]


def _iou(a: Numbers, b: Numbers, inclusive: bool) -> Numbers:
    """Intersection over union of boxes ``(..., 4)``, broadcast against each other."""
    extra = 1.0 if inclusive else 0.0
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low + extra).clip(min=0.0).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2] + extra).prod(axis=-1) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    overlap: Numbers = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return overlap


def _precision(right: Indices, wrong: Indices) -> Numbers:
    """Precision after each detection, made falling: the best at its recall or any beyond."""
    precision = right / np.maximum(right + wrong, 1)
    falling: Numbers = np.maximum.accumulate(precision[::-1])[::-1]
    return falling


def _area_under_curve(right: Indices, wrong: Indices, positives: int) -> float:
    """Every-point average precision from the counts after each detection."""
    gained = np.diff(right, prepend=0) / positives  # recall won by each detection
    return float((gained * _precision(right, wrong)).sum())


def _eleven_points(right: Indices, wrong: Indices, positives: int) -> float:
    """Average precision over the recalls 0, 0.1, ..., 1; compared as whole numbers, 3 of 10 reach 0.3."""
    precision = np.append(_precision(right, wrong), 0.0)
    reached = [np.searchsorted(10 * right, tenths * positives, side="left") for tenths in range(11)]
    return float(precision[reached].mean())

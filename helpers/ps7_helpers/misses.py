"""What a detector got most wrong: objects that it did not find, and things that it saw where there are none."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from ps7_helpers.evaluation import BoxTable, ImageDetections, ImageTruth, gather_boxes, judge_class


class Miss(NamedTuple):
    """One mistake.

    Attributes:
        kind: ``"missed"``: an object without a right detection; ``"invented"``: a wrong detection.
        image_id: Which image.
        class_name: Of the object, or of the detection.
        box: ``(x1, y1, x2, y2)``, pixels.
        badness: In [0, 1]: a wrong detection's score, a missed object's part of the largest object.
    """

    kind: Literal["missed", "invented"]
    image_id: str
    class_name: str
    box: tuple[float, float, float, float]
    badness: float


def worst_misses(
    ground_truth: Mapping[str, ImageTruth],
    detections: Mapping[str, ImageDetections],
    count: int = 12,
    iou_threshold: float = 0.5,
    inclusive: bool = True,
) -> list[Miss]:
    """The wrong detections of highest score and the largest objects that were not found, half of each.

    Difficult objects count neither way. Where there are too few of one kind, more of the other are given.

    Args:
        ground_truth: As for :func:`~ps7_helpers.evaluation.evaluate_detections`.
        detections: The same.
        count: How many mistakes at most.
        iou_threshold: As there.
        inclusive: As there.

    Returns:
        The mistakes, worst first, invented and missed ones in turn.
    """
    truth, found = gather_boxes(ground_truth, detections)
    ids = list(ground_truth)
    invented: list[Miss] = []
    missed: list[Miss] = []
    for name in sorted({*truth.classes.tolist(), *found.classes.tolist()}):
        of_class = truth.select(truth.classes == name)
        judged = judge_class(of_class, found.select(found.classes == name), iou_threshold, inclusive)
        wrong, lost = judged.found.select(judged.wrong), of_class.select(~judged.taken & ~of_class.difficult)
        invented += _mistakes("invented", wrong, wrong.scores, ids)
        missed += _mistakes("missed", lost, (lost.boxes[:, 2:] - lost.boxes[:, :2]).prod(axis=1), ids)
    largest = max((miss.badness for miss in missed), default=0.0) or 1.0
    missed = [miss._replace(badness=miss.badness / largest) for miss in missed]
    for mistakes in (invented, missed):
        mistakes.sort(key=lambda miss: (-miss.badness, miss.image_id, miss.box))
    half = max(count - len(missed), min(count // 2 + count % 2, len(invented)))
    chosen = [invented[:half], missed[: count - min(half, len(invented))]]
    longest = max(map(len, chosen))
    return [part[i] for i in range(longest) for part in chosen if i < len(part)]


def _mistakes(kind: Literal["missed", "invented"], rows: BoxTable, badness: np.ndarray, ids: list[str]) -> list[Miss]:
    """Rows of a table as mistakes."""
    parts = zip(rows.image.tolist(), rows.classes.tolist(), rows.boxes.tolist(), badness.tolist(), strict=True)
    return [Miss(kind, ids[image], name, (x1, y1, x2, y2), bad) for image, name, (x1, y1, x2, y2), bad in parts]

"""7.1 (i), inference, the hidden half: random predictions, images of other shapes, the thresholds handed on.

Each check is about one thing, by inputs on which nothing else shows: boxes that lie inside of a square image where it
is not about clipping, boxes that do not overlap where it is not about suppression.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import box_iou

from autograder.checks.bounded import numbers_text
from autograder.checks.compare import CheckFailed, is_close
from autograder.checks.student import Handle, Student
from suites.detections import Detections, expect_detections, expect_three
from suites.scenes import few_left, predictions, striped_images

pytestmark = pytest.mark.exercise("7.1i-inference")

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
CLASSES = 4
NEW = ("FCOS", CLASSES, 8, [8])
SIDE = 64  # of the square images
Parts = list[dict[str, torch.Tensor]]


def locations_of(height: int, width: int) -> dict[str, torch.Tensor]:
    """Locations of an image, written out without the exercise's function."""
    return {
        level: torch.tensor(
            [(s * (j + 0.5), s * (i + 0.5)) for i in range(height // s) for j in range(width // s)], dtype=torch.float32
        )
        for level, s in STRIDES.items()
    }


@pytest.mark.points(2)
@pytest.mark.hint(
    "Here every box lies inside of a square image and none overlaps much with another. A level may have one detection, "
    "or none."
)
def test_boxes_classes_and_scores(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The best class of each location, its score and its box are right, for more than one score threshold."""
    for score, few in ((0.4, False), (0.6, False), (0.4, True)):
        parts = _inside(rng, 0.45, score)
        if few:
            parts[1], parts[3] = few_left(parts[1]), parts[3] | {"p5": torch.full_like(parts[3]["p5"], 3.0)}
        got = detect(student.new(*NEW), torch.zeros(1, 3, SIDE, SIDE), parts, score, 0.5)
        expect_detections(got, right_detections(solution, parts, (SIDE, SIDE), score, 0.5))


@pytest.mark.points(1)
@pytest.mark.hint("Images higher than wide and wider than high; mind which of the two goes with x.")
def test_clipping(student: Student, rng: torch.Generator) -> None:
    """Boxes that reach beyond an image of either shape end at its edges, all four, and others stay as they are."""
    for height, width in ((32, 128), (128, 32)):
        where = locations_of(height, width)
        parts = [where, *predictions(where, CLASSES, rng)]
        parts[2] = {level: 3 * deltas for level, deltas in parts[2].items()}
        got = detect(student.new(*NEW), torch.zeros(1, 3, height, width), parts, 0.02, 0.9)
        boxes, whole = expect_three(got)[0], _decoded(parts)
        right = [_clipped(whole, height - less, width - less) for less in (0, 1)]
        if boxes.dim() != 2 or boxes.shape[1] != 4 or not any(_are_among(boxes, some) for some in right):
            text = "There are boxes that no location gives, clipped to the image: x to [0, width], y to [0, height]."
            raise CheckFailed(text, public_text=text)
        edges = torch.tensor([0.0, 0.0, width, height])
        if not bool(((boxes - edges).abs() <= 1.001).any(dim=0).all()):  # else it shows nothing
            text = "No box ends at some edge of the image, though there are many that reach beyond it."
            raise CheckFailed(text, public_text=text)


@pytest.mark.points(1)
@pytest.mark.hint("Here boxes overlap, inside of a square image; only which boxes are left is looked at.")
def test_suppression(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Of boxes of a class that overlap more than the threshold the best is left, whatever their levels."""
    for nms in (0.5, 0.2):
        parts = _inside(rng, 1.5, 0.3, nms, sure=True)
        boxes = expect_three(detect(student.new(*NEW), torch.zeros(1, 3, SIDE, SIDE), parts, 0.3, nms))[0]
        right = right_detections(solution, parts, (SIDE, SIDE), 0.3, nms)[0][0]
        if boxes.shape != right.shape or not (_are_among(boxes, right) and _are_among(right, boxes)):
            text = f"Of boxes that overlap {len(right)} should be left, not these {len(boxes)}."
            text += f" The first are {numbers_text(boxes.flatten()[:8].tolist(), '.4g')}."
            raise CheckFailed(text, public_text="Of boxes that overlap, others are left than should be.")


@pytest.mark.points(1.5)
@pytest.mark.hint("In evaluation mode `forward` hands its results and both thresholds on to `inference`.")
def test_forward_in_evaluation(student: Student, solution: Student) -> None:
    """Called in evaluation mode, the detector gives what its `inference` gives for the image and these thresholds."""
    networks, module = solution.new(*NEW), student.new(*NEW)
    found: list[Detections] = []
    for size, score, nms in (((64, 96), 0.5, 0.5), ((96, 64), 0.5, 0.5), ((96, 64), 0.7, 0.2)):
        images = striped_images(1, *size)
        networks.eval()
        parts = [locations_of(*size), *networks.call("pred_net", networks.call("backbone", images))]
        found.append(_alone(student, solution, images, parts, score, nms))
        module.eval()
        expect_detections(module(images, None, test_score_thresh=score, test_nms_thresh=nms), [found[-1]])
    _expect_different(found)


@pytest.mark.points(0.5)
@pytest.mark.hint("One detector gets two images of different shapes, with other thresholds.")
def test_a_second_image(student: Student, solution: Student, rng: torch.Generator) -> None:
    """For a second image a detector gives what a new one gives: nothing of the first is left."""
    used, found = student.new(*NEW), []
    for height, width, score, nms in ((32, 96, 0.4, 0.5), (96, 32, 0.6, 0.3)):
        where, images = locations_of(height, width), torch.zeros(1, 3, height, width)
        parts = [where, *clear_predictions(where, (height, width), score, nms, rng, CLASSES)]
        found.append(_alone(student, solution, images, parts, score, nms))
        expect_detections(detect(used, images, parts, score, nms), [found[-1]])
    _expect_different(found)


_NOTHING_YET = "`inference` finds nothing yet, or nothing that is in the predictions: this counts once it does."


def _alone(
    student: Student, solution: Student, images: torch.Tensor, parts: Parts, score: float, nms: float
) -> Detections:
    """What the student's `inference` gives in a new detector: something that is right, at least in part."""
    found = expect_three(detect(student.new(*NEW), images, parts, score, nms))

    def again(others: Parts) -> Detections:
        return expect_three(detect(student.new(*NEW), images, others, score, nms))

    if not are_of_locations(found, solution, parts, (images.shape[2], images.shape[3]), again):
        raise CheckFailed(_NOTHING_YET, public_text=_NOTHING_YET)
    return found


def are_of_locations(
    found: Detections,
    solution: Student,
    parts: Parts,
    size: tuple[int, int],
    again: Callable[[Parts], Detections],
) -> bool:
    """Whether there are detections, and half of them have the box or the score of a location of these predictions.

    Else they may be anything: what is only held to itself counts where something of it was computed. Scores alone are
    made by lines that are given: they count where the boxes, wrong as they are, are made of something.

    Args:
        found: The detections.
        solution: Knows the right ones.
        parts: Locations and predictions.
        size: Height and width of the image.
        again: Gives the detections of other predictions.
    """
    boxes, _, scores = found
    if not 0 < len(boxes) <= sum(map(len, parts[0].values())) or boxes.shape[1:] != (4,) or len(scores) != len(boxes):
        return False
    for every, _, known in right_detections(solution, parts, size, 1e-9, 1.0):
        of_box = (boxes[:, None].float() - every[None]).abs().amax(dim=2).amin(dim=1) <= 2e-3  # (N,)
        of_score = (scores.reshape(-1, 1).float() - known[None]).abs().amin(dim=1) <= 1e-6
        if 2 * int(of_box.sum()) >= len(boxes):
            return True
        if 2 * int((of_box | of_score).sum()) >= len(boxes):
            return _are_made(boxes.float(), every, parts, again)
    return False


def _are_made(boxes: torch.Tensor, right: torch.Tensor, parts: Parts, again: Callable[[Parts], Detections]) -> bool:
    """Whether wrong boxes are made of something: of deltas, of locations, or right ones that are cut off too early."""
    if not bool((boxes - boxes[:, :1]).abs().amax() > 1e-3):  # each is one number, four times
        return False
    width, height = (float(boxes[:, side::2].max()) for side in (0, 1))
    if _are_among(boxes, _clipped(right, height, width)):  # type: ignore[arg-type]
        return True
    where, logits, deltas, centerness = parts
    turned = {level: part.flip(-1) * 0.7 for level, part in deltas.items()}
    shifted = {level: rows + 16.0 for level, rows in where.items()}
    others = [again([where, logits, turned, centerness]), again([shifted, logits, deltas, centerness])]
    return any(len(found[0]) > 0 and not _half_are_among(boxes, found[0].float()) for found in others)


def _half_are_among(boxes: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether half of some boxes at least are among others."""
    return 2 * int(((boxes[:, None] - others[None]).abs().amax(dim=2) <= 1e-3).any(dim=1).sum()) >= len(boxes)


def _expect_different(found: list[Detections]) -> None:
    """Fail if something is the same in two images: it may be so whatever is asked."""
    for number, (boxes, _classes, scores) in enumerate(found):
        for others, _, known in found[:number]:
            if is_close(boxes, others) or is_close(scores, known):
                raise CheckFailed(_NOTHING_YET, public_text=_NOTHING_YET)


def _inside(rng: torch.Generator, reach: float, score: float, nms: float = 0.5, *, sure: bool = False) -> Parts:
    """Locations of a square image, and predictions whose boxes lie inside of it.

    Args:
        rng: What they are drawn from.
        reach: The largest delta.
        score: A threshold that no score is near to.
        nms: A threshold that no overlap is near to.
        sure: Whether each location is sure of one class, and all of them alike that an object's centre is near.
    """
    where = locations_of(SIDE, SIDE)
    while True:
        parts = [where, *predictions(where, CLASSES, rng)]
        for level, rows in where.items():
            shape, room = parts[2][level].shape, torch.cat([rows, SIDE - rows], dim=1)[None] - 2
            drawn = (0.6 + 0.4 * torch.rand(shape, generator=rng)) * reach * STRIDES[level]
            parts[2][level] = torch.minimum(drawn, room) / STRIDES[level]
            if sure:
                best = F.one_hot(parts[1][level].argmax(dim=-1), CLASSES)
                parts[1][level] = best * (8 + 3 * torch.rand(1, len(rows), 1, generator=rng)) - 6
                parts[3][level] = torch.full_like(parts[3][level], 3.0)
        if is_clear(parts, (SIDE, SIDE), score, nms):
            return parts


def _decoded(parts: Parts) -> torch.Tensor:
    """The boxes `(N, 4)` of all locations, not clipped to the image."""
    strides = torch.cat([torch.full((len(parts[0][level]), 1), float(s)) for level, s in STRIDES.items()])
    centre = torch.cat([parts[0][level] for level in STRIDES])
    reach = torch.cat([parts[2][level][0] for level in STRIDES]).clamp(min=0) * strides
    return torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], dim=1)


def _clipped(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height]))


def _are_among(boxes: torch.Tensor, others: torch.Tensor) -> bool:
    """Whether there are boxes, and each is one of some others."""
    if not len(boxes) or not len(others) or len(boxes) > len(others):
        return False
    return bool(((boxes[:, None].float() - others[None].float()).abs().amax(dim=2) <= 2e-3).any(dim=1).all())


def detect(module: Handle, images: torch.Tensor, parts: Parts, score: float, nms: float) -> Any:
    """Run `inference` on copies of predictions, which older notebooks change in place."""
    module.eval()
    copies = [{level: tensor.clone() for level, tensor in part.items()} for part in parts]
    return module.call("inference", images, *copies, test_score_thresh=score, test_nms_thresh=nms)


def right_detections(
    solution: Student, parts: Parts, size: tuple[int, int], score: float, nms: float
) -> list[Detections]:
    """The right detections: clipped to the image's edge, or to its last pixel, which is as right."""
    module = solution.new(*NEW)
    return [detect(module, torch.zeros(1, 3, size[0] - n, size[1] - n), parts, score, nms) for n in (0, 1)]


def clear_predictions(
    where: dict[str, torch.Tensor], size: tuple[int, int], score: float, nms: float, rng: torch.Generator, classes: int
) -> tuple[dict[str, torch.Tensor], ...]:
    """Random predictions in which no score and no overlap is so near its threshold that rounding decides."""
    while True:
        parts = predictions(where, classes, rng)
        if is_clear([where, *parts], size, score, nms):
            return parts


def is_clear(parts: Parts, size: tuple[int, int], score: float, nms: float) -> bool:
    """Whether no score and no overlap is so near its threshold that rounding decides."""
    cls, ctr = (torch.cat([part[level][0] for level in STRIDES]) for part in (parts[1], parts[3]))
    scores, labels = (cls.sigmoid() * ctr.sigmoid()).sqrt().max(dim=1)
    if bool(((scores - score).abs() < 1e-5).any()):
        return False
    boxes, same = _decoded(parts)[scores > score], labels[scores > score]
    for less in (0, 1):
        kept = _clipped(boxes, size[0] - less, size[1] - less)
        if bool(((same[:, None] == same) & ((box_iou(kept, kept) - nms).abs() < 1e-5)).any()):
            return False
    return True

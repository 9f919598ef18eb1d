"""7.1 (i), inference, the hidden half: random predictions, images of other shapes, the thresholds handed on."""

from typing import Any

import pytest
import torch
from torchvision.ops import box_iou

from autograder.checks.student import Handle, Student
from suites.detections import Detections, expect_detections
from suites.scenes import predictions, striped_images

pytestmark = pytest.mark.exercise("7.1i-inference")

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
CLASSES = 4


def locations_of(height: int, width: int) -> dict[str, torch.Tensor]:
    """Locations of an image, written out without the exercise's function."""
    return {
        level: torch.tensor(
            [(s * (j + 0.5), s * (i + 0.5)) for i in range(height // s) for j in range(width // s)], dtype=torch.float32
        )
        for level, s in STRIDES.items()
    }


@pytest.mark.points(4)
@pytest.mark.hint("Images higher than wide and wider than high; mind which of the two goes with x.")
def test_random_predictions(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The detections are right for images of either shape and other thresholds."""
    module = student.new("FCOS", CLASSES, 8, [8])  # the same for both images: nothing may be left of the first
    for height, width, score, nms in ((64, 160, 0.4, 0.5), (160, 64, 0.6, 0.3)):
        where = locations_of(height, width)
        parts = [where, *clear_predictions(where, (height, width), score, nms, rng, CLASSES)]
        got = detect(module, torch.zeros(1, 3, height, width), parts, score, nms)
        expect_detections(got, right_detections(solution, parts, (height, width), score, nms))


@pytest.mark.points(2)
@pytest.mark.hint("In evaluation mode `forward` hands its results and both thresholds on to `inference`.")
def test_forward_in_evaluation(student: Student, solution: Student) -> None:
    """Called in evaluation mode, the detector gives the detections of the image, with the thresholds it was given."""
    size = (96, 160)
    images = striped_images(1, *size)
    networks = solution.new("FCOS", CLASSES, 8, [8])
    networks.eval()
    parts = [locations_of(*size), *networks.call("pred_net", networks.call("backbone", images))]
    for score, nms in ((0.5, 0.5), (0.7, 0.2)):
        module = student.new("FCOS", CLASSES, 8, [8])
        module.eval()
        expect_detections(module(images, None, score, nms), right_detections(solution, parts, size, score, nms))


def detect(module: Handle, images: torch.Tensor, parts: list[Any], score: float, nms: float) -> Any:
    """Run `inference` on copies of predictions, which older notebooks change in place."""
    module.eval()
    copies = [{level: tensor.clone() for level, tensor in part.items()} for part in parts]
    return module.call("inference", images, *copies, test_score_thresh=score, test_nms_thresh=nms)


def right_detections(
    solution: Student, parts: list[Any], size: tuple[int, int], score: float, nms: float
) -> list[Detections]:
    """The right detections: clipped to the image's edge, or to its last pixel, which is as right."""
    module = solution.new("FCOS", CLASSES, 8, [8])
    return [detect(module, torch.zeros(1, 3, size[0] - n, size[1] - n), parts, score, nms) for n in (0, 1)]


def clear_predictions(
    where: dict[str, torch.Tensor], size: tuple[int, int], score: float, nms: float, rng: torch.Generator, classes: int
) -> tuple[dict[str, torch.Tensor], ...]:
    """Random predictions in which no score and no overlap is so near its threshold that rounding decides."""
    while True:
        parts = predictions(where, classes, rng)
        cls, deltas, ctr = (torch.cat([part[level][0] for level in STRIDES]) for part in parts)  # (cells, ...)
        scores, labels = (cls.sigmoid() * ctr.sigmoid()).sqrt().max(dim=1)
        strides = torch.cat([torch.full((len(where[level]), 1), float(s)) for level, s in STRIDES.items()])
        centre = torch.cat([where[level] for level in STRIDES])
        reach = deltas.clamp(min=0) * strides
        boxes = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], dim=1)
        if bool(((scores - score).abs() < 1e-5).any()):
            continue
        near = False
        for less in (0, 1):
            edge = torch.tensor([size[1], size[0], size[1], size[0]]) - less
            kept = torch.minimum(boxes.clamp(min=0), edge)[scores > score]
            same = labels[scores > score][:, None] == labels[scores > score]
            near |= bool((same & ((box_iou(kept, kept) - nms).abs() < 1e-5)).any())
        if not near:
            return parts

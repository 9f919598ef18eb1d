"""7.1 (i), inference, the hidden half: random predictions, images of other shapes, the thresholds handed on."""

import pytest
import torch

from autograder.student import Student
from autograder.suites.detections import Detections, expect_detections
from autograder.suites.scenes import predictions, striped_images

pytestmark = pytest.mark.exercise("7.1i-inference")

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
CLASSES = 4


def _locations(height: int, width: int) -> dict[str, torch.Tensor]:
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
    for height, width, score, nms in ((64, 160, 0.4, 0.5), (160, 64, 0.6, 0.3)):
        where = _locations(height, width)
        cls, box, ctr = predictions(where, CLASSES, rng)
        found = []
        for who in (solution, student):
            module = who.new("FCOS", CLASSES, 8, [8])
            module.eval()
            copies = [{k: v.clone() for k, v in part.items()} for part in (where, cls, box, ctr)]
            images = torch.zeros(1, 3, height, width)
            found.append(module.call("inference", images, *copies, test_score_thresh=score, test_nms_thresh=nms))
        right: Detections = found[0]
        expect_detections(found[1], [right, _minus_one(right, height, width)])


@pytest.mark.points(2)
@pytest.mark.hint("In evaluation mode `forward` hands its results and both thresholds on to `inference`.")
def test_forward_in_evaluation(student: Student, solution: Student) -> None:
    """Called in evaluation mode, the detector gives the detections of the image, with the thresholds it was given."""
    images = striped_images(1, 96, 160)
    for score, nms in ((0.5, 0.5), (0.9, 0.2)):
        found = []
        for who in (solution, student):
            module = who.new("FCOS", CLASSES, 8, [8])
            module.eval()
            found.append(module(images, None, score, nms))
        right: Detections = found[0]
        expect_detections(found[1], [right, _minus_one(right, 96, 160)])


def _minus_one(found: Detections, height: int, width: int) -> Detections:
    """The same, clipped to the last pixel instead of the edge: as right."""
    boxes = torch.minimum(found[0], torch.tensor([width - 1.0, height - 1.0, width - 1.0, height - 1.0]))
    return boxes, found[1], found[2]

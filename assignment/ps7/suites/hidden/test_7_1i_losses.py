"""7.1 (i), training, the hidden half: random boxes, other shapes, images without objects."""

import functools

import pytest
import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from ps7_helpers import fcos_match_locations_to_gt
from suites.public.test_7_1i_losses import LOSSES, close, losses_of
from suites.scenes import random_boxes, striped_images

STRIDES = {"p3": 8, "p4": 16, "p5": 32}

pytestmark = pytest.mark.exercise("7.1i-losses")


def _compare(student: Student, solution: Student, classes: int, images: torch.Tensor, boxes: torch.Tensor) -> None:
    """Both in the same state, twice in a row with other boxes: the normalizer moves on alike, nothing else is kept."""
    modules: list[Handle] = [who.new("FCOS", classes, 8, [8]) for who in (student, solution)]
    fewer = boxes.clone()
    fewer[:, 0] = -1.0
    for objects in (boxes, fewer):
        got, expected = (losses_of(module, images, objects) for module in modules)
        for name in LOSSES:
            if not close(got[name], expected[name]):
                said = f"{name}: expected {expected[name]:.4f}, got {got[name]:.4f}."
                raise CheckFailed(said, public_text=f"{name} has the wrong value.")


def matched_boxes(rng: torch.Generator, batch: int, classes: int, height: int, width: int) -> torch.Tensor:
    """Random boxes that say something: an image whose boxes suit no location is one without objects.

    Every image has a location with an object of the first class, and, without its first box, one of the last class;
    both finer levels have objects. Else it would hang on the draw which checks a wrong detector fails.
    """
    while True:
        boxes = torch.cat([_matched(rng, classes, height, width) for _ in range(batch)])
        if {"p3", "p4"} <= {level for image in boxes for level, _ in _objects(image, height, width)}:
            return boxes


def _matched(rng: torch.Generator, classes: int, height: int, width: int) -> torch.Tensor:
    """Boxes `(1, 40, 5)` of one image."""
    while True:
        boxes = random_boxes(rng, 1, classes, height, width)
        if boxes[0, 1, 4] < 0:
            continue  # there is only one
        boxes[0, :2, 4] = torch.tensor([0.0, classes - 1.0])
        seen = [{kind for _, kind in _objects(some, height, width)} for some in (boxes[0], boxes[0, 1:])]
        if 0 in seen[0] and classes - 1 in seen[1]:
            return boxes


def _objects(boxes: torch.Tensor, height: int, width: int) -> set[tuple[str, int]]:
    """Levels and classes of the locations of an image that have an object."""
    matched = fcos_match_locations_to_gt(_centres(height, width), STRIDES, boxes)
    return {(level, int(kind)) for level, rows in matched.items() for kind in set(rows[:, 4].tolist()) if kind >= 0}


@functools.cache
def _centres(height: int, width: int) -> dict[str, torch.Tensor]:
    """Locations of an image, in no particular order."""
    return {
        level: torch.cartesian_prod(torch.arange(s / 2, width, s), torch.arange(s / 2, height, s))
        for level, s in STRIDES.items()
    }


@pytest.mark.points(3)
@pytest.mark.hint("Three images, five classes, maps that are not square, and boxes of every size.")
def test_random_boxes(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The losses are right for other batch sizes, numbers of classes and shapes of images."""
    for batch, classes, height, width in ((3, 5, 64, 160), (1, 20, 192, 96)):
        boxes = matched_boxes(rng, batch, classes, height, width)
        _compare(student, solution, classes, striped_images(batch, height, width), boxes)


@pytest.mark.points(2)
@pytest.mark.hint("An image may hold no object at all: then all its locations are background.")
def test_images_without_objects(student: Student, solution: Student, rng: torch.Generator) -> None:
    """An image without objects beside one with objects, and a batch without any object, give the right losses."""
    boxes = torch.cat([matched_boxes(rng, 1, 20, 64, 96), torch.full((1, 40, 5), -1.0)])
    _compare(student, solution, 20, striped_images(2, 64, 96), boxes)
    _compare(student, solution, 20, striped_images(2, 64, 96), torch.full((2, 40, 5), -1.0))


@pytest.mark.points(2)
@pytest.mark.hint("The arguments of FCOS say how many classes and channels there are.")
def test_the_networks_get_the_arguments(student: Student) -> None:
    """FCOS makes its two networks, as `backbone` and `pred_net`, with the numbers that it is given."""
    module = student.new("FCOS", 7, 12, [10])
    channels = module.get("backbone.out_channels")
    classes = module.parameters().get("pred_net.cls_offset")
    if channels != 12:
        raise CheckFailed(f"The backbone got {channels} channels, not fpn_channels.", public_text="Wrong fpn_channels.")
    if classes is None:
        text = "The prediction network is not in `self.pred_net`."
        raise CheckFailed(text, "The text asks for the names `self.backbone` and `self.pred_net`.", text)
    if len(classes) != 7:
        text = "`self.pred_net` was not made with num_classes."
        raise CheckFailed(text, public_text=text)

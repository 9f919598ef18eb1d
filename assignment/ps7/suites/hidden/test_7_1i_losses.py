"""7.1 (i), training, the hidden half: random boxes, other shapes, images without objects.

Each check is about one thing. What all three losses are divided by is asked for once: elsewhere losses count as right
that are so but for a common factor. A loss that is wrong for random boxes is not held to its value again.
"""

import functools

import pytest
import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from ps7_helpers import fcos_match_locations_to_gt
from suites.hidden.draws import drawn_once
from suites.public.networks_made import given_to_network
from suites.public.test_7_1i_losses import LOSSES, close, losses_of
from suites.scenes import random_boxes, striped_images

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
SCENES = {5: (3, 64, 96), 20: (1, 128, 64)}  # by the number of classes: images, their height and width
USUAL = 20
Losses = dict[str, float]
Pair = tuple[Losses, Losses]  # the student's losses, and the right ones

pytestmark = pytest.mark.exercise("7.1i-losses")


def right_but_for_a_factor(got: Losses, expected: Losses) -> set[str]:
    """Names of the losses that are right, or so but for a factor that at least two of them share."""
    right = {name for name in LOSSES if close(got[name], expected[name])}
    if right:
        return right
    factors = {name: got[name] / expected[name] for name in LOSSES if expected[name]}
    return {
        name
        for name, factor in factors.items()
        if factor > 0 and any(close(other / factor, 1.0) for key, other in factors.items() if key != name)
    }


def _first(student: Student, solution: Student, rng: torch.Generator, classes: int) -> Pair:
    """The losses of a new detector, for another batch size and shape with each number of classes; asked once."""

    def draw() -> tuple[torch.Tensor, torch.Tensor, Losses]:
        batch, height, width = SCENES[classes]
        boxes, images = matched_boxes(rng, batch, classes, height, width), striped_images(batch, height, width)
        return images, boxes, losses_of(solution.new("FCOS", classes, 8, [8]), images, boxes)

    def ask() -> Pair:
        images, boxes, expected = drawn_once(f"losses of {classes} classes", rng, draw)
        return losses_of(student.new("FCOS", classes, 8, [8]), images, boxes), expected

    return student.once(f"losses of {classes} classes", ask)


def _right(student: Student, solution: Student, rng: torch.Generator) -> set[str]:
    """Names of the losses that are right for random boxes, but for a common factor.

    Raises:
        CheckFailed: None is: then nothing that is asked beside values has been shown.
    """
    found = right_but_for_a_factor(*_first(student, solution, rng, USUAL))
    if not found:
        text = "No loss is right yet for ordinary batches: this counts once one is."
        raise CheckFailed(text, public_text=text)
    return found


def _expect(names: set[str], got: Losses, expected: Losses) -> None:
    """Fail unless these losses are right, but for a common factor."""
    wrong = names - right_but_for_a_factor(got, expected)
    if wrong:
        name = min(wrong)
        said = f"{name}: expected {expected[name]:.4f}, got {got[name]:.4f}."
        raise CheckFailed(said, public_text=f"{name} has the wrong value.")


def matched_boxes(rng: torch.Generator, batch: int, classes: int, height: int, width: int) -> torch.Tensor:
    """Random boxes that say something: an image whose boxes suit no location is one without objects.

    Every image has a location with an object of the first class, and, without its first box, one of the last class; the
    first of these boxes begins at the image's left or top edge, the other ends at its right or bottom edge. Both finer
    levels have objects. Else it would hang on the draw which checks a wrong detector fails.
    """
    while True:
        boxes = torch.cat([_matched(rng, classes, height, width) for _ in range(batch)])
        if {"p3", "p4"} <= {level for image in boxes for level, _ in _objects(image, height, width)}:
            return boxes


def _matched(rng: torch.Generator, classes: int, height: int, width: int) -> torch.Tensor:
    """Boxes `(1, 40, 5)` of one image, with padding between them."""
    while True:
        boxes = random_boxes(rng, 1, classes, height, width)
        if boxes[0, 1, 4] < 0:
            continue  # there is only one
        side = int(torch.randint(2, (), generator=rng))
        boxes[0, 0, side] = 0.0
        boxes[0, 1, 3 - side] = (height, width)[side]
        boxes[0, :2, 4] = torch.tensor([0.0, classes - 1.0])
        seen = [{kind for _, kind in _objects(some, height, width)} for some in (boxes[0], boxes[0, 1:])]
        if 0 in seen[0] and classes - 1 in seen[1]:
            boxes[0, [2, 5]] = boxes[0, [5, 2]]  # a row of padding comes before the third box
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


@pytest.mark.points(1)
@pytest.mark.hint("Three images, five classes, maps that are not square, boxes of every size and at every edge.")
@pytest.mark.parametrize("name", LOSSES)
def test_random_boxes(student: Student, solution: Student, name: str, rng: torch.Generator) -> None:
    """Each loss is right for other batch sizes, numbers of classes and shapes of images."""
    for classes in SCENES:
        _expect({name}, *_first(student, solution, rng, classes))


@pytest.mark.points(1)
@pytest.mark.hint(
    "All three losses are divided by `self._normalizer`, which moves on with each batch, and the batch size."
)
def test_what_the_losses_are_divided_by(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The losses are not divided by something else, in the first call and in the next."""
    boxes, images = matched_boxes(rng, 2, 20, 64, 96), striped_images(2, 64, 96)
    names = _right(student, solution, rng)
    fewer = boxes.clone()
    fewer[:, 0] = -1.0
    modules: list[Handle] = [who.new("FCOS", 20, 8, [8]) for who in (student, solution)]
    for objects in (boxes, fewer):
        got, expected = (losses_of(module, images, objects) for module in modules)
        if not any(close(got[name], expected[name]) for name in names):
            name = min(names)
            said = f"{name}: expected {expected[name]:.4f}, got {got[name]:.4f}. "
            text = "Right but for a factor: the losses are to be divided by `self._normalizer` times the batch size."
            raise CheckFailed(said + text, public_text=text)


@pytest.mark.points(0.5)
@pytest.mark.hint("One detector gets two batches, with other boxes and images of another shape.")
def test_a_second_batch(student: Student, solution: Student, rng: torch.Generator) -> None:
    """A second batch, of images of another shape, gives the losses of its own."""
    scenes = [(striped_images(1, *size), matched_boxes(rng, 1, 20, *size)) for size in ((64, 96), (96, 64))]
    names = _right(student, solution, rng)
    modules = [who.new("FCOS", 20, 8, [8]) for who in (student, solution)]
    for images, boxes in scenes:
        got, expected = (losses_of(module, images, boxes) for module in modules)
        _expect(names, got, expected)


@pytest.mark.points(1)
@pytest.mark.hint("An image may hold no object at all: then all its locations are background.")
def test_images_without_objects(student: Student, solution: Student, rng: torch.Generator) -> None:
    """An image without objects beside one with objects, and a batch without any object, give the right losses."""
    nothing, images = torch.full((1, 40, 5), -1.0), striped_images(2, 64, 96)
    beside = torch.cat([matched_boxes(rng, 1, 20, 64, 96), nothing])
    names = _right(student, solution, rng)
    for boxes in (beside, nothing.repeat(2, 1, 1)):
        got, expected = (losses_of(who.new("FCOS", 20, 8, [8]), images, boxes) for who in (student, solution))
        for name in names & {"loss_box", "loss_ctr"}:
            if not expected[name] and abs(got[name]) > 1e-6:
                said = f"{name}: expected 0, got {got[name]:.4f}."
                raise CheckFailed(said, "Background is counted in this loss.", f"{name} has the wrong value.")
        if len(names) > 1 and all(expected.values()):
            _expect(names, got, expected)


@pytest.mark.points(1.5)
@pytest.mark.hint("The arguments of FCOS say how many classes and channels there are.")
def test_the_networks_get_the_arguments(student: Student) -> None:
    """FCOS makes its two networks, as `backbone` and `pred_net`, with the numbers that it is given."""
    module = student.new("FCOS", 7, 12, [10, 9])
    (channels,) = given_to_network(module, "backbone") or [module.get("backbone.out_channels")]
    if channels != 12:
        raise CheckFailed(f"The backbone got {channels} channels, not fpn_channels.", public_text="Wrong fpn_channels.")
    made = given_to_network(module, "pred_net")
    if made is None:
        text = "The prediction network is not in `self.pred_net`."
        raise CheckFailed(text, "The text asks for the names `self.backbone` and `self.pred_net`.", text)
    for name, got, expected in zip(
        ("num_classes", "in_channels", "stem_channels"), made, (7, 12, [10, 9]), strict=True
    ):
        if got != expected:
            text = f"`self.pred_net` was made with another {name}."
            raise CheckFailed(text, "`in_channels` of the prediction network is `fpn_channels` of the pyramid.", text)

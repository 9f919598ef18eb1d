"""7.1 (j): the detector learns a few pictures by heart, judged by what it then detects."""

from collections.abc import Callable

import pytest
import torch
from torchvision.ops import box_iou

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from ps7_helpers import ShapesDetection
from suites.detections import expect_three

pytestmark = pytest.mark.exercise("7.1j")

PICTURES, SIZE = 3, 64
# Attempts of steps and learning rate, later ones only where need be. One in a hundred fails a right detector whose
# first weights do not suit the pictures. Going on seldom helps then: each attempt has a new detector, other pictures.
ATTEMPTS = (((40, 0.003),), ((40, 0.003),), ((40, 0.003), (60, 0.0015), (80, 0.001)))
ENOUGH = 0.7


@pytest.mark.points(10)
def test_learns_three_pictures(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """After some forty training steps on three small pictures, the detector finds what is in them."""
    dataset = ShapesDetection("train", image_size=SIZE)
    chosen = torch.randperm(len(dataset), generator=rng)[: PICTURES * len(ATTEMPTS)].tolist()
    doubt: CheckFailed | None = None
    for attempt, rounds in enumerate(ATTEMPTS):
        pictures = [dataset[index] for index in chosen[PICTURES * attempt : PICTURES * (attempt + 1)]]
        images = torch.stack([image for _, image, _ in pictures])  # (3, 3, 64, 64)
        boxes = torch.stack([objects for _, _, objects in pictures])  # (3, 40, 5)
        module = student.shallow("FCOS", 20, 32, [32])
        history: list[float] = []
        for steps, rate in rounds:
            module.train()
            history += module.minimise([[images, boxes]], steps=steps, lr=rate)
            enough, (found, objects, claimed) = learned_enough(module, images, boxes)
            if enough:
                try:
                    return confirm("learned", module, images, boxes)
                except CheckFailed as error:  # the same threshold may be missed by a hair there; lies fail every time
                    doubt = error
    if doubt is not None:
        raise doubt
    said = f"Of {objects} objects it found {found}, with {claimed} detections in all, after {len(history)} steps. "
    said += f"The sum of the losses went from {history[0]:.2f} to {history[-1]:.2f}."
    raise CheckFailed(said, "The detector does not learn. Look at 7.1 (i) first.", f"It found {found} of {objects}.")


def learned_enough(module: Handle, images: torch.Tensor, boxes: torch.Tensor) -> tuple[bool, tuple[int, int, int]]:
    """Whether a detector finds what is in the pictures; and objects found, objects there, detections claimed."""
    found, objects, claimed = _score(module, images, boxes)
    return found >= ENOUGH * objects and claimed <= 4 * objects + 4, (found, objects, claimed)


def _score(module: Handle, images: torch.Tensor, boxes: torch.Tensor) -> tuple[int, int, int]:
    """Objects found, objects there, and detections claimed."""
    module.eval()
    found = objects = claimed = 0
    for image, truth in zip(images, boxes, strict=True):
        detections = expect_three(module(image[None], None, 0.2, 0.5))
        truth = truth[truth[:, 4] >= 0]
        found += hits(truth, detections[0], detections[1])
        objects, claimed = objects + len(truth), claimed + len(detections[0])
    return found, objects, claimed


def hits(truth: torch.Tensor, boxes: torch.Tensor, classes: torch.Tensor) -> int:
    """How many objects `(N, 5)` have a detection of their class with an IoU of at least 0.5."""
    if not len(boxes):
        return 0
    right = (box_iou(truth[:, :4], boxes) >= 0.5) & (truth[:, 4:5] == classes[None, :])
    return int(right.any(dim=1).sum())

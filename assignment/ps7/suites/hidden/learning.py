"""What 7.1 (j) was told, compared with the solution; and either half of a detector, with the solution's other.

Where the losses or the inference have lost points in (i), that mistake is not charged again: the solution does that
half, out of the student's reach, and only tensors go to and fro.
"""

from __future__ import annotations

import torch
from torchvision.ops import box_iou

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from suites.detections import expect_three
from suites.public.test_7_1j import (
    ATTEMPTS,
    THRESHOLDS,
    Rounds,
    Score,
    finds_enough,
    learned_enough,
    not_learned,
    pictures,
    trained,
)

NEW = ("FCOS", 20, 32, [32])
ALIKE = 0.7  # the share of detections that two detectors of the same weights have in common
SAME = 0.95  # IoU
CELL = 8  # pixels: the stride of p3


def learned(solution: Student, module: Handle, images: torch.Tensor, boxes: torch.Tensor) -> None:
    """Load what was learned into the solution's detector: it must find the objects, too, and where the student's does.

    A detector that has only noted down the boxes that it was trained with has learned no such weights, or does not
    detect with them: it shows on the same pictures moved by a cell, which it was not trained with.
    """
    ours, moved = with_weights_of(solution, module), images.roll((CELL, CELL), dims=(2, 3))
    good = learned_enough(ours, images, boxes)[0]
    if not good or any(_shared(module, ours, some) < ALIKE for some in (images, moved)):
        text = "The detections do not come from the weights that were trained."
        raise CheckFailed(text, public_text=text)


def _shared(theirs: Handle, ours: Handle, images: torch.Tensor) -> float:
    """The share of the solution's detections that a student's detector has, too: one of that class, all but there.

    1 where the solution's detector finds nothing.
    """
    found = every = 0
    for image in images:
        (boxes, classes, _), (known, kinds, _) = (
            expect_three(module(image[None], None, **THRESHOLDS)) for module in (theirs, ours)
        )
        every += len(known)
        if len(boxes) and len(known):
            there = (box_iou(known, boxes) >= SAME) & (kinds[:, None] == classes[None, :])
            found += int(there.any(dim=1).sum())
    return found / every if every else 1.0


def with_weights_of(solution: Student, module: Handle) -> Handle:
    """The solution's detector with the weights of a student's, whatever the two networks are called there.

    Of several networks alike, a spare one say, those count that have the names of the text.
    """
    weights = module.parameters() | module.buffers()
    ours = solution.shallow(*NEW)
    for name, own in (ours.parameters() | ours.buffers()).items():
        tail = "." + name.partition(".")[2]  # the name within its network
        alike = (t for other, t in weights.items() if f".{other}".endswith(tail) and t.shape == own.shape)
        found = weights[name] if name in weights and weights[name].shape == own.shape else next(alike, None)
        if found is not None:
            ours.load({name: found})
    return ours


def learned_in_part(solution: Student, student: Student, rng: torch.Generator, ours: frozenset[str]) -> None:
    """7.1 (j) where an earlier exercise lost points: the student's half of the detector, with the solution's other.

    Raises:
        CheckFailed: Together they do not learn, or do not find what is in the pictures.
    """
    judge = trained_by_ours if "FCOS.forward" in ours else detected_by_ours
    for plan, scene in zip(ATTEMPTS, pictures(rng), strict=True):
        well, result, losses = judge(solution, student, plan, *scene)
        if well:
            return
    raise not_learned(*result, losses)


def trained_by_ours(
    solution: Student, student: Student, plan: Rounds, images: torch.Tensor, boxes: torch.Tensor
) -> tuple[bool, Score, list[float]]:
    """The solution trains and predicts; the student's `inference` is to find the objects in what it predicts."""
    detector, theirs = solution.shallow(*NEW), student.shallow(*NEW)
    _, _, losses = trained(detector, plan, images, boxes, lambda: learned_enough(detector, images, boxes))
    theirs.eval()
    return *finds_enough(lambda image: _inferred(solution, detector, theirs, image), images, boxes), losses


def _inferred(solution: Student, trained: Handle, theirs: Handle, image: torch.Tensor) -> object:
    """What a student's `inference` makes of the predictions for an image `(1, 3, H, W)`."""
    trained.eval()
    maps = trained.call("backbone", image)
    shapes = {level: list(features.shape) for level, features in maps.items()}
    locations = solution.call("get_fpn_location_coords", shapes, trained.get("backbone.fpn_strides"))
    return theirs.call("inference", image, locations, *trained.call("pred_net", maps), **THRESHOLDS)


def detected_by_ours(
    solution: Student, student: Student, plan: Rounds, images: torch.Tensor, boxes: torch.Tensor
) -> tuple[bool, Score, list[float]]:
    """The student's losses train; the solution is to find the objects with the weights that come of it."""
    theirs = student.shallow(*NEW)
    return trained(
        theirs, plan, images, boxes, lambda: learned_enough(with_weights_of(solution, theirs), images, boxes)
    )

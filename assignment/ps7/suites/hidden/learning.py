"""What 7.1 (j) was told, compared with the solution; and either half of a detector, with the solution's other.

Where the losses or the inference have lost points in (i), that mistake is not charged again: the solution does that
half, out of the student's reach, and only tensors go to and fro.
"""

from __future__ import annotations

import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from suites.public.test_7_1j import ATTEMPTS, THRESHOLDS, finds_enough, learned_enough, not_learned, pictures

NEW = ("FCOS", 20, 32, [32])
Rounds = tuple[tuple[int, float], ...]
Outcome = tuple[bool, tuple[int, int, int], list[float]]


def learned(solution: Student, module: Handle, images: torch.Tensor, boxes: torch.Tensor) -> None:
    """Load what was learned into the solution's detector: it must find the objects, too.

    A detector that has only noted down the boxes that it was trained with has learned no such weights.
    """
    if not learned_enough(with_weights_of(solution, module), images, boxes)[0]:
        text = "The detections do not come from the weights that were trained."
        raise CheckFailed(text, public_text=text)


def with_weights_of(solution: Student, module: Handle) -> Handle:
    """The solution's detector with the weights of a student's, whatever the two networks are called there."""
    weights = module.parameters() | module.buffers()
    ours = solution.shallow(*NEW)
    for name in [*ours.parameters(), *ours.buffers()]:
        tail = "." + name.partition(".")[2]  # the name within its network
        found = next((tensor for other, tensor in weights.items() if f".{other}".endswith(tail)), None)
        if found is not None:
            ours.load({name: found})
    return ours


def learned_in_part(solution: Student, student: Student, rng: torch.Generator, ours: frozenset[str]) -> None:
    """7.1 (j) where an earlier exercise lost points: the student's half of the detector, with the solution's other.

    Raises:
        CheckFailed: Together they do not learn, or do not find what is in the pictures.
    """
    attempt = trained_by_ours if "FCOS.forward" in ours else detected_by_ours
    for rounds, (images, boxes) in zip(ATTEMPTS, pictures(rng), strict=True):
        enough, score, history = attempt(solution, student, rounds, images, boxes)
        if enough:
            return
    raise not_learned(*score, history)


def trained_by_ours(
    solution: Student, student: Student, rounds: Rounds, images: torch.Tensor, boxes: torch.Tensor
) -> Outcome:
    """The solution trains and predicts; the student's `inference` is to find the objects in what it predicts."""
    trained = solution.shallow(*NEW)
    theirs = student.shallow(*NEW)
    theirs.eval()
    history: list[float] = []
    found: tuple[bool, tuple[int, int, int]] = (False, (0, 0, 0))
    for steps, rate in rounds:
        trained.train()
        history += trained.minimise([[images, boxes]], steps=steps, lr=rate)
        if learned_enough(trained, images, boxes)[0]:  # else there is nothing to be found in its predictions
            found = finds_enough(lambda image: _inferred(solution, trained, theirs, image), images, boxes)
            break
    return *found, history


def _inferred(solution: Student, trained: Handle, theirs: Handle, image: torch.Tensor) -> object:
    """What a student's `inference` makes of the predictions for an image `(1, 3, H, W)`."""
    trained.eval()
    maps = trained.call("backbone", image)
    shapes = {level: list(features.shape) for level, features in maps.items()}
    locations = solution.call("get_fpn_location_coords", shapes, trained.get("backbone.fpn_strides"))
    thresholds = dict(zip(("test_score_thresh", "test_nms_thresh"), THRESHOLDS, strict=True))
    return theirs.call("inference", image, locations, *trained.call("pred_net", maps), **thresholds)


def detected_by_ours(
    solution: Student, student: Student, rounds: Rounds, images: torch.Tensor, boxes: torch.Tensor
) -> Outcome:
    """The student's losses train; the solution is to find the objects with the weights that come of it."""
    module = student.shallow(*NEW)
    history: list[float] = []
    found: tuple[bool, tuple[int, int, int]] = (False, (0, 0, 0))
    for steps, rate in rounds:
        module.train()
        history += module.minimise([[images, boxes]], steps=steps, lr=rate)
        found = learned_enough(with_weights_of(solution, module), images, boxes)
        if found[0]:
            break
    return *found, history

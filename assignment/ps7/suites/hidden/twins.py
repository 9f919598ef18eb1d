"""Twins of public checks that compare with stored tensors: the same question, about numbers that nobody has seen.

The stored tensors are in every student's hands, so an answer that equals them may have been typed in. It counts where
the same code gives the right answer to a twin. A twin asks about nothing else than its check does (square maps where
that has square maps, locations inside their boxes where that has those), so that no mistake costs more for it.
"""

from __future__ import annotations

from typing import Any

import torch

from autograder.checks.compare import expect_close, expect_levels, expect_shape, is_close
from autograder.checks.student import Student
from suites.detections import Detections, expect_detections, expect_three
from suites.hidden.elsewhere import quietly, refuse
from suites.hidden.test_7_1i_inference import (
    Parts,
    are_of_locations,
    clear_predictions,
    detect,
    locations_of,
    right_detections,
)
from suites.public.test_7_1d import SHAPES, STRIDES
from suites.public.test_7_1f import STRIDE
from suites.public.test_7_1i_inference import CLASSES, NEW, SIZE, expect_alike
from suites.public.test_7_1i_losses import LOSSES, close, first_losses, losses_of
from suites.scenes import varied_scene

_DELTAS, _BOXES = "fcos_get_deltas_from_locations", "fcos_apply_deltas_to_locations"
_AT_RANDOM = "The answer is another each time it is asked for: nothing here is drawn at random."
_DETECTOR = ("FCOS", 20, 16, [16])
_ALIKE = "The answer is the same whatever is asked: it has to be computed from the arguments."
_UNRELATED = "No box and no score is that of a location: what is found has to come from the predictions."

# 7.1 (d)


def location_rows(solution: Student, student: Student, rng: torch.Generator) -> None:
    """One row a cell, for the maps of a square image of another size."""
    with quietly():
        shapes, got, _right = _locations(solution, student, rng)
        for level, rows in got.items():
            expect_shape(rows, (shapes[level][2] * shapes[level][3], 2), "The locations")


def first_locations(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The first rows are right there: as many as the map has columns, which is more than those of the stored maps."""
    with quietly():
        shapes, got, right = _locations(solution, student, rng)
        for level, rows in got.items():
            head = rows[: shapes[level][3]] if isinstance(rows, torch.Tensor) else rows
            expect_close(head, right[level][: shapes[level][3]], "The locations")


def all_locations(solution: Student, student: Student, rng: torch.Generator) -> None:
    """All rows are right there."""
    with quietly():
        _shapes, got, right = _locations(solution, student, rng)
        for level, rows in got.items():
            expect_close(rows, right[level], "The locations")


def _locations(solution: Student, student: Student, rng: torch.Generator) -> tuple[dict[str, Any], ...]:
    """Shapes of maps, the student's locations for them and the right ones; asked once."""

    def ask() -> tuple[dict[str, Any], ...]:
        cells = int(torch.randint(8, 15, (), generator=rng))  # of the coarsest level; the check has 7
        shapes = {level: (*SHAPES[level][:2], 32 * cells // s, 32 * cells // s) for level, s in STRIDES.items()}
        name = "get_fpn_location_coords"
        got = expect_levels(student.call(name, shapes, STRIDES), shapes, "The result")
        return shapes, {level: got[level] for level in shapes}, solution.call(name, shapes, STRIDES)

    return student.once("other locations", ask)


# 7.1 (f)


def deltas_of_boxes(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The deltas of three other boxes."""
    boxes, locations = _pairs(rng)
    _same_answer(solution, student, _DELTAS, [locations, boxes, STRIDE])


def deltas_with_a_class(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The same where a class comes along."""
    boxes, locations = _pairs(rng)
    classes = torch.randint(0, 20, (len(boxes), 1), generator=rng).float()
    _same_answer(solution, student, _DELTAS, [locations, torch.cat([boxes, classes], dim=1), STRIDE])


def deltas_of_background(_: Student, student: Student, rng: torch.Generator) -> None:
    """Background at other locations; and what is not background gets something else."""
    boxes, locations = _pairs(rng)
    nothing = torch.full((len(locations), 4), -1.0)
    with quietly():
        for background in (nothing, torch.full((len(locations), 5), -1.0)):
            expect_close(student.call(_DELTAS, locations, background, STRIDE), nothing, "The deltas")
    with quietly(_ALIKE):
        got = expect_shape(student.call(_DELTAS, locations, boxes, STRIDE), nothing.shape, "The deltas")
        if not bool(got.isfinite().all()) or is_close(got, nothing):
            raise refuse(_ALIKE)


def boxes_of_deltas(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The boxes of deltas that are not negative, within the image."""
    boxes, locations = _pairs(rng)
    _same_answer(solution, student, _BOXES, [_eighths(boxes, locations), locations, STRIDE])


def boxes_of_negative_deltas(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The boxes of deltas some of which are negative, one in each column."""
    deltas, locations = _pixels(rng, 4, 40, (4, 4)) / 8, _pixels(rng, 40, 180, (4, 2))
    order = torch.randperm(4, generator=rng)
    deltas[torch.arange(4), order] *= -1
    _same_answer(solution, student, _BOXES, [deltas, locations, STRIDE])


def deltas_and_boxes(solution: Student, student: Student, rng: torch.Generator) -> None:
    """Both functions, with objects and background in one call."""
    boxes, locations = _pairs(rng)
    where = torch.cat([locations, _pixels(rng, 4, 200, (2, 2))])
    deltas = torch.cat([_eighths(boxes, locations), torch.full((2, 4), -1.0)])
    _same_answer(solution, student, _DELTAS, [where, torch.cat([boxes, torch.full((2, 4), -1.0)]), STRIDE])
    _same_answer(solution, student, _BOXES, [deltas, where, STRIDE])


def _same_answer(solution: Student, student: Student, name: str, args: list[Any]) -> None:
    with quietly():
        expect_close(student.call(name, *args), solution.call(name, *args), "The answer")


def _pairs(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Three boxes `(3, 4)`, and locations `(3, 2)` inside them, in whole pixels."""
    corner, size = _pixels(rng, 2, 120, (3, 2)), _pixels(rng, 8, 100, (3, 2))
    inside = corner + 1 + ((size - 2) * torch.rand(3, 2, generator=rng)).round()
    return torch.cat([corner, corner + size], dim=1), inside


def _pixels(rng: torch.Generator, low: int, high: int, size: tuple[int, ...]) -> torch.Tensor:
    return torch.randint(low, high, size, generator=rng).float()


def _eighths(boxes: torch.Tensor, locations: torch.Tensor) -> torch.Tensor:
    """Deltas that give boxes back: numbers that float32 holds as they are."""
    return torch.cat([locations - boxes[:, :2], boxes[:, 2:] - locations], dim=1) / STRIDE


# 7.1 (i), training


def losses_differ(solution: Student, student: Student, rng: torch.Generator) -> None:
    """Three numbers, the same when asked again, and not those of the check's own images."""
    with quietly():
        got, _right = _losses(solution, student, rng)
        again = losses_of(student.new(*_DETECTOR), *_scene(student, rng))
    if not all(close(got[name], again[name]) for name in LOSSES):
        raise refuse(_AT_RANDOM)
    before = first_losses(student)
    if all(close(got[name], before[name]) for name in LOSSES):
        raise refuse(_ALIKE)
    images, boxes = _scene(student, rng)
    small = boxes.clone()
    small[..., :4] = torch.where(boxes[..., 4:] >= 0, 0.5 * boxes[..., :4], boxes[..., :4])  # a quarter of their area
    with quietly():
        others = losses_of(student.new(*_DETECTOR), images, small)
    if all(close(got[name], others[name]) for name in LOSSES):
        raise refuse(_ALIKE)


def loss_value(solution: Student, student: Student, rng: torch.Generator, name: str) -> None:
    """One of the losses of two other images."""
    with quietly():
        got, right = _losses(solution, student, rng)
        if not close(got[name], right[name]):
            raise refuse("")


def loss_values(solution: Student, student: Student, rng: torch.Generator) -> None:
    """All three."""
    for name in LOSSES:
        loss_value(solution, student, rng, name)


def _losses(solution: Student, student: Student, rng: torch.Generator) -> tuple[dict[str, float], dict[str, float]]:
    """The student's losses for other images and boxes, and the right ones; asked once."""

    def ask() -> tuple[dict[str, float], dict[str, float]]:
        images, boxes = _scene(student, rng)
        got, right = (losses_of(who.new(*_DETECTOR), images, boxes) for who in (student, solution))
        return got, right

    return student.once("other losses", ask)


def _scene(student: Student, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return student.once("other images", lambda: varied_scene(rng))


# 7.1 (i), inference


def detections_of_others(solution: Student, student: Student, rng: torch.Generator) -> None:
    """The detections in other predictions for the check's image."""
    with quietly():
        got, right, _ = _detections(solution, student, rng)
        expect_detections(got, right)


def detections_in_form(solution: Student, student: Student, rng: torch.Generator) -> None:
    """Three tensors of one length for other predictions, and not always empty ones."""
    with quietly():
        expect_alike(_detections(solution, student, rng)[0])
    something_found(solution, student, rng)


def something_found(solution: Student, student: Student, rng: torch.Generator) -> None:
    """To find nothing counts where something is found at times, and something else in other predictions."""

    def detected(parts: Parts) -> Detections:
        return expect_three(detect(student.new("FCOS", *NEW), torch.zeros(1, 3, *SIZE), parts, 0.5, 0.5))

    with quietly(_ALIKE):
        one, other = (expect_three(_detections(solution, student, rng, which)[0]) for which in ("other", "still other"))
        if not len(one[0]) or (one[0].shape == other[0].shape and torch.allclose(one[0], other[0])):
            raise refuse(_ALIKE)
        for found, which in ((one, "other"), (other, "still other")):
            if not are_of_locations(found, solution, _detections(solution, student, rng, which)[2], SIZE, detected):
                raise refuse(_UNRELATED)


def _detections(
    solution: Student, student: Student, rng: torch.Generator, which: str = "other"
) -> tuple[Any, list[Detections], Parts]:
    """The student's detections in random predictions, what is right, and the predictions; asked once a `which`."""

    def ask() -> tuple[Any, list[Detections], Parts]:
        where = locations_of(*SIZE)
        parts = [where, *clear_predictions(where, SIZE, 0.5, 0.5, rng, CLASSES)]
        got = detect(student.new("FCOS", *NEW), torch.zeros(1, 3, *SIZE), parts, 0.5, 0.5)
        return got, right_detections(solution, parts, SIZE, 0.5, 0.5), parts

    return student.once(f"{which} detections", ask)

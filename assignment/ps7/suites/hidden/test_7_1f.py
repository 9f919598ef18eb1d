"""7.1 (f), the hidden half: random boxes, other strides, locations outside, boxes at the image's edges, nothing at all.

Each check is about one thing. Where its subject is not the values, those may be wrong in a way that has a name.
"""

from typing import Any

import pytest
import torch

from autograder.checks.compare import CheckFailed, Hypothesis, expect_close, expect_gradient, expect_shape, is_close
from autograder.checks.student import Student
from autograder.runtime.errors import StudentError
from suites.hidden.but_for import expect_close_but_for
from suites.hypotheses import background_faults, box_faults, delta_faults

pytestmark = pytest.mark.exercise("7.1f")

_NO_LOCATIONS = "For other locations the boxes are the same."
DELTAS, BOXES = "fcos_get_deltas_from_locations", "fcos_apply_deltas_to_locations"
COUNT = 48


def _random_pairs(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (N, 5) off the diagonal, of unequal width and height, and locations (N, 2), some outside.

    Some boxes begin at the image's left edge, at its top edge or at both, one of these of class 0; some locations lie
    on an edge of their box.
    """
    corner = torch.rand(COUNT, 2, generator=rng) * torch.tensor([300.0, 150.0]) + 0.5
    corner[2:5, 0] = corner[4:8, 1] = 0.0
    size = torch.rand(COUNT, 2, generator=rng) * torch.tensor([80.0, 160.0]) + 4
    classes = torch.randint(0, 20, (COUNT, 1), generator=rng).float()
    classes[4] = 0.0
    inside = corner + size * torch.rand(COUNT, 2, generator=rng)
    inside[10], inside[11] = corner[10], corner[11] + size[11]
    locations = torch.where(torch.arange(COUNT)[:, None] % 3 == 0, inside + 200, inside)
    return torch.cat([corner, corner + size, classes], dim=1), locations


@pytest.mark.points(2)
@pytest.mark.hint("Boxes and strides are random here, some begin at the image's edge, some locations lie outside.")
def test_random_deltas(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The deltas of random boxes are right for other strides, inside and outside the box."""
    for stride in (4, 32):
        boxes, locations = _random_pairs(rng)
        expected = solution.call(DELTAS, locations, boxes, stride)
        got = student.call(DELTAS, locations, boxes, stride)
        faults = delta_faults(expected, stride, torch.zeros(COUNT, dtype=torch.bool))
        expect_close(got, expected, "The deltas", [*faults, *_edge_faults(boxes, expected)])


@pytest.mark.points(2)
@pytest.mark.hint("Here background rows stand between rows of real boxes, some of which begin at the image's edge.")
def test_background_among_objects(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Background gets -1 and the boxes beside it keep their own deltas."""
    boxes, locations = _random_pairs(rng)
    background = torch.arange(COUNT) % 4 == 1
    boxes[background] = -1.0
    expected = solution.call(DELTAS, locations, boxes, 16)
    got = _deltas(student, locations, boxes, 16)
    untreated = background_faults(expected[background], locations[background], 16)
    faults = _edge_faults(boxes, expected)
    for text, wrong in untreated:
        whole = expected.clone()
        whole[background] = wrong
        faults.append((text, whole))
    if not isinstance(got, torch.Tensor) or got.shape != expected.shape:
        expect_close(got, expected, "The deltas", faults)
    if not is_close(got[background], expected[background]):
        expect_close(got, expected, "The deltas", faults)
    front = expected[~background]
    named = delta_faults(front, 16, torch.zeros(len(front), dtype=torch.bool))
    named.append(("The order is top, left, bottom, right.", front[:, [1, 0, 3, 2]]))
    try:
        expect_close_but_for(got[~background], front, "The deltas beside background", named, to_scale=True)
    except CheckFailed:
        expect_close(got, expected, "The deltas", faults)
        raise


def _edge_faults(boxes: torch.Tensor, expected: torch.Tensor) -> list[Hypothesis]:
    """What boxes that begin at 0 get where they are taken for background."""
    text = "A box that begins at the image's left or top edge, at 0, is taken for background."
    starts = boxes[:, :2] <= 0
    rows = (starts[:, 0], starts[:, 1], starts.any(dim=1), starts.all(dim=1))
    return [(text, torch.where(at_edge[:, None], -torch.ones(()), expected)) for at_edge in rows]


def _deltas(student: Student, locations: torch.Tensor, boxes: torch.Tensor, stride: int) -> Any:
    """The student's deltas for boxes (N, 5); where a class is too much, which other checks are about, for (N, 4).

    A class that stays in the result is left out there.
    """
    try:
        got = student.call(DELTAS, locations, boxes, stride)
    except StudentError:
        return student.call(DELTAS, locations, boxes[:, :4], stride)
    is_wide = isinstance(got, torch.Tensor) and got.dim() == 2 and got.shape[1] == 5
    return student.call(DELTAS, locations, boxes[:, :4], stride) if is_wide else got


@pytest.mark.points(2)
@pytest.mark.hint("Deltas and strides are random here; some deltas are negative.")
def test_random_boxes(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The boxes of random deltas are right, negative deltas among them."""
    _, locations = _random_pairs(rng)
    deltas = torch.rand(COUNT, 4, generator=rng) * torch.tensor([3.0, 6.0, 5.0, 2.0]) - 1
    deltas[:4] = torch.diag(torch.full((4,), 1.0)) * 20  # one side alone, and far
    for stride in (4, 32):
        expected = solution.call(BOXES, deltas, locations, stride)
        got = student.call(BOXES, deltas, locations, stride)
        unclipped = _without_clipping(solution, deltas, locations, stride)
        expect_close(got, expected, "The boxes", box_faults(expected, unclipped, locations, stride))


@pytest.mark.points(1)
@pytest.mark.hint("A level may have one location, or none at all: N may be 1 or 0.")
def test_one_row_or_none(student: Student, rng: torch.Generator) -> None:
    """One location gives one row, (1, 4); no locations give no deltas and no boxes, (0, 4)."""
    centre = torch.randint(30, 60, (1, 2), generator=rng).float()
    one = (torch.randperm(24, generator=rng)[None, :4] + 2) / 8.0  # four that differ, as float32 holds them
    box = torch.cat([centre - 8 * one[:, :2], centre + 8 * one[:, 2:], torch.tensor([[2.0]])], dim=1)
    got = _deltas(student, centre, box, 8)
    named = delta_faults(one, 8, torch.zeros(1, dtype=torch.bool))
    expect_close_but_for(got, one, "The deltas of one box", named, to_scale=True)
    got = student.call(BOXES, one, centre, 8)
    named = box_faults(box[:, :4], box[:, :4], centre, 8)
    sides = torch.cat([box[:, :2], box[:, 2:4] - box[:, :2]], dim=1)
    named.append(("Boxes are (x1, y1, width, height).", sides))
    expect_close_but_for(got, box[:, :4], "The box of one row of deltas", named)
    nothing = torch.zeros(0, 2)
    got = _deltas(student, nothing, torch.zeros(0, 5), 8)
    expect_close(got, torch.zeros(0, 4), "The deltas of no boxes")
    got = student.call(BOXES, torch.zeros(0, 4), nothing, 8)
    expect_close(got, torch.zeros(0, 4), "The boxes of no deltas")


@pytest.mark.points(1)
@pytest.mark.hint("The box loss compares boxes: it trains the deltas only if gradients pass through.")
def test_boxes_can_be_differentiated(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Gradients pass from the boxes to the deltas that they are made from."""
    _, locations = _random_pairs(rng)
    deltas = torch.rand(COUNT, 4, generator=rng) + 0.5
    # No box reaches beyond the image: whoever cuts it off there loses that elsewhere.
    locations = locations.remainder(100.0) + 64.0
    asked = {"name": BOXES, "args": [deltas, locations, 8]}
    gradients, expected = student.do("differentiate", **asked), solution.do("differentiate", **asked)
    expect_gradient(gradients[0], "the deltas")
    here, there = (student.call(BOXES, deltas, where, 8) for where in (locations, locations + 16.0))
    for boxes in (here, there):
        expect_shape(boxes, (COUNT, 4), "The boxes")
    if not bool(((there - here).abs() > 1e-3).any()):
        raise CheckFailed(_NO_LOCATIONS, public_text=_NO_LOCATIONS)
    signs = [torch.tensor(row) for row in ([1.0, 1, 1, 1], [-1.0, -1, 1, 1], [-1.0, -1, -1, -1])]
    named = [("Other signs or another stride: a fault of the values.", expected[0] * sign) for sign in signs]
    named.append(("Boxes are (y1, x1, y2, x2).", expected[0][:, [1, 0, 3, 2]]))
    sides = torch.cat([expected[0][:, :2] + expected[0][:, 2:], expected[0][:, 2:]], dim=1)
    named.append(("Boxes are (x1, y1, width, height).", sides))
    expect_close_but_for(gradients[0], expected[0], "The gradient of the deltas", named, to_scale=True)


def _without_clipping(solution: Student, deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    """What the boxes would be without clipping, from the solution's answers to each sign alone."""
    grown = solution.call("fcos_apply_deltas_to_locations", deltas.clamp(min=0), locations, stride)
    shrunk = solution.call("fcos_apply_deltas_to_locations", (-deltas).clamp(min=0), locations, stride)
    centre = torch.cat([locations, locations], dim=1)
    unclipped: torch.Tensor = grown - (shrunk - centre)
    return unclipped

"""7.1 (f), the hidden half: random boxes, other strides, locations outside, nothing at all."""

import pytest
import torch

from autograder.checks.compare import expect_close, expect_gradient
from autograder.checks.student import Student
from suites.hypotheses import background_faults, box_faults, delta_faults

pytestmark = pytest.mark.exercise("7.1f")

COUNT = 48


def _random_pairs(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (N, 5) off the diagonal, of unequal width and height, and locations (N, 2), some outside."""
    corner = torch.rand(COUNT, 2, generator=rng) * torch.tensor([300.0, 150.0])
    size = torch.rand(COUNT, 2, generator=rng) * torch.tensor([80.0, 160.0]) + 4
    classes = torch.randint(0, 20, (COUNT, 1), generator=rng).float()
    inside = corner + size * torch.rand(COUNT, 2, generator=rng)
    locations = torch.where(torch.arange(COUNT)[:, None] % 3 == 0, inside + 200, inside)
    return torch.cat([corner, corner + size, classes], dim=1), locations


@pytest.mark.points(2)
@pytest.mark.hint("Boxes and strides are random here, and some locations lie outside their box.")
def test_random_deltas(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The deltas of random boxes are right for other strides, inside and outside the box."""
    for stride in (4, 32):
        boxes, locations = _random_pairs(rng)
        expected = solution.call("fcos_get_deltas_from_locations", locations, boxes, stride)
        got = student.call("fcos_get_deltas_from_locations", locations, boxes, stride)
        faults = delta_faults(expected, stride, torch.zeros(COUNT, dtype=torch.bool))
        expect_close(got, expected, "The deltas", faults)


@pytest.mark.points(2)
@pytest.mark.hint("Here background rows stand between rows of real boxes.")
def test_background_among_objects(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Background gets -1 and the boxes beside it keep their own deltas."""
    boxes, locations = _random_pairs(rng)
    background = torch.arange(COUNT) % 4 == 1
    boxes[background] = -1.0
    expected = solution.call("fcos_get_deltas_from_locations", locations, boxes, 16)
    got = student.call("fcos_get_deltas_from_locations", locations, boxes, 16)
    untreated = background_faults(expected[background], locations[background], 16)
    faults = delta_faults(expected, 16, background)
    for text, wrong in untreated:
        whole = expected.clone()
        whole[background] = wrong
        faults.append((text, whole))
    expect_close(got, expected, "The deltas", faults)


@pytest.mark.points(2)
@pytest.mark.hint("Deltas and strides are random here; some deltas are negative.")
def test_random_boxes(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The boxes of random deltas are right, negative deltas among them."""
    _, locations = _random_pairs(rng)
    deltas = torch.rand(COUNT, 4, generator=rng) * torch.tensor([3.0, 6.0, 5.0, 2.0]) - 1
    for stride in (4, 32):
        expected = solution.call("fcos_apply_deltas_to_locations", deltas, locations, stride)
        got = student.call("fcos_apply_deltas_to_locations", deltas, locations, stride)
        unclipped = _without_clipping(solution, deltas, locations, stride)
        expect_close(got, expected, "The boxes", box_faults(expected, unclipped, locations, stride))


@pytest.mark.points(1)
@pytest.mark.hint("A level may have one location, or none at all: N may be 1 or 0.")
def test_one_row_or_none(student: Student) -> None:
    """One location gives one row, (1, 4); no locations give no deltas and no boxes, (0, 4)."""
    centre, box = torch.tensor([[20.0, 10.0]]), torch.tensor([[12.0, 6.0, 36.0, 26.0, 2.0]])
    one = torch.tensor([[1.0, 0.5, 2.0, 2.0]])
    got = student.call("fcos_get_deltas_from_locations", centre, box, 8)
    expect_close(got, one, "The deltas of one box")
    got = student.call("fcos_apply_deltas_to_locations", one, centre, 8)
    expect_close(got, box[:, :4], "The box of one row of deltas")
    nothing = torch.zeros(0, 2)
    got = student.call("fcos_get_deltas_from_locations", nothing, torch.zeros(0, 5), 8)
    expect_close(got, torch.zeros(0, 4), "The deltas of no boxes")
    got = student.call("fcos_apply_deltas_to_locations", torch.zeros(0, 4), nothing, 8)
    expect_close(got, torch.zeros(0, 4), "The boxes of no deltas")


@pytest.mark.points(1)
@pytest.mark.hint("The box loss compares boxes: it trains the deltas only if gradients pass through.")
def test_boxes_can_be_differentiated(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Gradients pass from the boxes to the deltas that they are made from."""
    _, locations = _random_pairs(rng)
    deltas = torch.rand(COUNT, 4, generator=rng) + 0.5
    locations = locations + 16.0  # no box reaches beyond the image: whoever cuts it off there loses that elsewhere
    asked = {"name": "fcos_apply_deltas_to_locations", "args": [deltas, locations, 8]}
    gradients, expected = student.do("differentiate", **asked), solution.do("differentiate", **asked)
    expect_gradient(gradients[0], "the deltas")
    expect_close(gradients[0], expected[0], "The gradient of the deltas")  # hostile code may state any


def _without_clipping(solution: Student, deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    """What the boxes would be without clipping, from the solution's answers to each sign alone."""
    grown = solution.call("fcos_apply_deltas_to_locations", deltas.clamp(min=0), locations, stride)
    shrunk = solution.call("fcos_apply_deltas_to_locations", (-deltas).clamp(min=0), locations, stride)
    centre = torch.cat([locations, locations], dim=1)
    unclipped: torch.Tensor = grown - (shrunk - centre)
    return unclipped

"""7.1 (f): from boxes to deltas and back."""

from collections.abc import Callable

import pytest
import torch

from autograder.checks.compare import expect_close, expect_shape, is_close
from autograder.checks.drawings import drawn_boxes, drawn_deltas
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Student
from suites.hypotheses import background_faults, box_faults, delta_faults

pytestmark = pytest.mark.exercise("7.1f")

STRIDE = 8


@pytest.mark.points(2)
def test_deltas_of_three_boxes(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """The deltas of the three boxes of the sanity check are right."""
    expected = stored["worked/deltas"]
    got = student.call("fcos_get_deltas_from_locations", stored["worked/locations"], stored["worked/boxes"], STRIDE)
    faults = delta_faults(expected, STRIDE, torch.zeros(len(expected), dtype=torch.bool))
    what = "The boxes that the deltas stand for"
    draw = drawn_deltas(what, stored["worked/boxes"], stored["worked/locations"], STRIDE)
    expect_close(got, expected, "The deltas", faults, draw=draw)
    confirm("deltas_of_boxes", student, rng)


@pytest.mark.points(1)
def test_boxes_with_a_class(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Boxes that come with a class in a fifth column get the same deltas."""
    boxes = torch.cat([stored["worked/boxes"], torch.tensor([[6.0], [0.0], [19.0]])], dim=1)  # (3, 5)
    got = student.call("fcos_get_deltas_from_locations", stored["worked/locations"], boxes, STRIDE)
    expect_close(got, stored["worked/deltas"], "The deltas of (N, 5) boxes")
    confirm("deltas_with_a_class", student, rng)


@pytest.mark.points(1)
def test_background(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """A background box, all -1, gets deltas of -1."""
    locations = stored["background/locations"]
    expected = torch.full((len(locations), 4), -1.0)
    for columns in (4, 5):
        boxes = torch.full((len(locations), columns), -1.0)
        got = student.call("fcos_get_deltas_from_locations", locations, boxes, STRIDE)
        faults = background_faults(expected, locations, STRIDE)
        expect_close(got, expected, f"The deltas of background, given as (N, {columns}) boxes", faults)
    confirm("deltas_of_background", student, rng)


@pytest.mark.points(1)
def test_boxes_from_deltas(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Deltas turn back into the boxes they came from."""
    expected, locations = stored["worked/boxes"], stored["worked/locations"]
    got = student.call("fcos_apply_deltas_to_locations", stored["worked/deltas"], locations, STRIDE)
    faults = box_faults(expected, expected, locations, STRIDE)
    expect_close(got, expected, "The boxes", faults, draw=drawn_boxes("The boxes", expected))
    confirm("boxes_of_deltas", student, rng)


@pytest.mark.points(1)
def test_negative_deltas_are_clipped(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Negative deltas count as zero: the box never turns inside out."""
    expected, locations = stored["negative/boxes"], stored["negative/locations"]
    got = student.call("fcos_apply_deltas_to_locations", stored["negative/deltas"], locations, STRIDE)
    faults = box_faults(expected, stored["negative/unclipped"], locations, STRIDE)
    what = "The boxes of negative deltas"
    expect_close(got, expected, what, faults, draw=drawn_boxes(what, expected))
    confirm("boxes_of_negative_deltas", student, rng)


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With tensors on a GPU both functions work, and their results are there too (checked without one)."""
    locations = torch.cat([stored["worked/locations"], stored["background/locations"]])
    background = torch.full((len(stored["background/locations"]), 4), -1.0)
    boxes = torch.cat([stored["worked/boxes"], background])
    deltas = torch.cat([stored["worked/deltas"], background])
    nothing = stored["background/locations"].repeat(1, 2)  # -1 counts as zero: a box without extent
    applied = torch.cat([stored["worked/boxes"], nothing])
    for name, inputs, expected, result in (
        ("fcos_get_deltas_from_locations", [locations, boxes, STRIDE], deltas, "The tensor of deltas"),
        ("fcos_apply_deltas_to_locations", [deltas, locations, STRIDE], applied, "The tensor of boxes"),
    ):
        got = expect_shape(student.call(name, *inputs), tuple(boxes.shape), result)
        expect_runs_on_gpu(student, name, inputs, result=result)
        expect_right(is_close(got, expected), "the deltas and the boxes")
    confirm("deltas_and_boxes", student, rng)

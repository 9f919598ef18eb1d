"""7.1 (d): locations of the cells of the feature maps."""

from collections.abc import Callable

import pytest
import torch

from autograder.checks.compare import expect_close, expect_levels, expect_shape, is_close
from autograder.checks.drawings import drawn_points
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Student
from suites.hypotheses import location_faults

pytestmark = pytest.mark.exercise("7.1d")

SHAPES = {"p3": (2, 64, 28, 28), "p4": (2, 64, 14, 14), "p5": (2, 64, 7, 7)}
STRIDES = {"p3": 8, "p4": 16, "p5": 32}


def locations_of(student: Student) -> object:
    """The student's locations for the maps of a 224 x 224 image."""
    return student.once("locations", lambda: student.call("get_fpn_location_coords", SHAPES, STRIDES))


@pytest.mark.points(1)
def test_every_level_has_one_row_a_cell(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """The result is a dict with a tensor of shape (H * W, 2) for each level."""
    got = locations_of(student)
    for level, rows in expect_levels(got, SHAPES, "The result").items():
        if level in SHAPES:
            height, width = SHAPES[level][-2:]
            expect_shape(rows, (height * width, 2), f"The locations of {level}")
    confirm("location_rows", student, rng)


@pytest.mark.points(1)
def test_first_rows(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """The first rows are the ones that the text gives: (4, 4), (12, 4), (20, 4) for stride 8."""
    got = locations_of(student)
    for level, rows in expect_levels(got, SHAPES, "The result").items():
        if level in SHAPES:
            expected = stored[level]
            faults = [(text, wrong[:3]) for text, wrong in location_faults(expected, SHAPES[level], STRIDES[level])]
            head = rows[:3] if isinstance(rows, torch.Tensor) else rows
            expect_close(head, expected[:3], f"The first three locations of {level}", faults)
    confirm("first_locations", student, rng)


@pytest.mark.points(1)
def test_all_locations(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Every location of the feature maps of a 224 x 224 image is right."""
    got = locations_of(student)
    for level, rows in expect_levels(got, SHAPES, "The result").items():
        if level in SHAPES:
            faults = location_faults(stored[level], SHAPES[level], STRIDES[level])
            what = f"The locations of {level}"
            expect_close(rows, stored[level], what, faults, draw=drawn_points(what, stored[level]))
    confirm("all_locations", student, rng)


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With `device="cuda"` the locations are on the GPU (checked without one)."""
    name = "get_fpn_location_coords"
    got = expect_levels(locations_of(student), SHAPES, "The result")
    expect_runs_on_gpu(student, name, [SHAPES, STRIDES], {"device": "cuda"}, result="The tensor of locations")
    expect_right(all(is_close(got[level], stored[level]) for level in SHAPES), "the locations")
    confirm("all_locations", student, rng)

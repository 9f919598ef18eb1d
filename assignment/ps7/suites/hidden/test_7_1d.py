"""7.1 (d), the hidden half: maps that are not square, other strides, the dtype asked for."""

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close, expect_levels
from autograder.checks.student import Student
from suites.hypotheses import location_faults

pytestmark = pytest.mark.exercise("7.1d")

LEVELS = ("p3", "p4", "p5")
Shapes = dict[str, tuple[int, ...]]


def _random_shapes(rng: torch.Generator, batch: int) -> Shapes:
    """Maps at least two cells wider than high or the other way round, one of each kind among the levels."""
    shapes: Shapes = {}
    for index, level in enumerate(LEVELS):
        short = int(torch.randint(2, 9, (), generator=rng))
        long = short + int(torch.randint(2, 9, (), generator=rng))
        size = (short, long) if index % 2 == 0 else (long, short)
        shapes[level] = (batch, int(torch.randint(3, 40, (), generator=rng)), *size)
    return shapes


def _compare(
    student: Student, solution: Student, shapes: Shapes, strides: dict[str, int], **options: object
) -> dict[str, torch.Tensor]:
    expected = solution.call("get_fpn_location_coords", shapes, strides, **options)
    got = expect_levels(student.call("get_fpn_location_coords", shapes, strides, **options), shapes, "The result")
    for level in shapes:
        faults = location_faults(expected[level], shapes[level], strides[level])
        expect_close(got[level], expected[level], f"The locations of {level}", faults)
    return got


@pytest.mark.points(3)
@pytest.mark.hint("The maps here are higher than wide or wider than high: which of H and W is used where?")
def test_maps_that_are_not_square(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The locations are right where the feature maps are not square."""
    _compare(student, solution, _random_shapes(rng, batch=2), {"p3": 8, "p4": 16, "p5": 32})


@pytest.mark.points(1)
@pytest.mark.hint("Strides are given by level and need not be 8, 16 and 32; the batch may be of any size.")
def test_other_strides(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The strides given are used, whatever they are."""
    strides = dict(zip(LEVELS, (4, 12, 20), strict=True))
    _compare(student, solution, _random_shapes(rng, batch=3), strides)


@pytest.mark.points(1)
@pytest.mark.hint("The arguments `dtype` and `device` say what the result is to have.")
def test_dtype(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The result has the dtype asked for."""
    shapes, strides = _random_shapes(rng, batch=1), {"p3": 8, "p4": 16, "p5": 32}
    for dtype in (torch.float64, torch.float16):
        got = _compare(student, solution, shapes, strides, dtype=dtype)
        for level in shapes:
            if got[level].dtype != dtype:
                said = f"The locations of {level} have dtype {got[level].dtype}, but {dtype} was asked for."
                raise CheckFailed(said, "The argument `dtype` is ignored.", said)


@pytest.mark.points(1)
@pytest.mark.hint("Rows first, then columns, and in each row of the result x before y.")
def test_one_row_and_one_column(student: Student, solution: Student) -> None:
    """Maps of a single row, a single column and a single cell work."""
    shapes: Shapes = {"p3": (1, 8, 1, 5), "p4": (1, 8, 4, 1), "p5": (1, 8, 1, 1)}
    _compare(student, solution, shapes, {"p3": 8, "p4": 16, "p5": 32})

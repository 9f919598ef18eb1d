"""7.1 (d), the hidden half: maps that are not square, other strides, the dtype and the device asked for.

Each check is about one thing. Where its subject is not the values, those may be wrong in a way that has a name.
"""

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close, expect_levels, expect_shape, is_close
from autograder.checks.student import Student
from suites.hypotheses import location_faults
from suites.public.test_7_1d import expect_device_used

pytestmark = pytest.mark.exercise("7.1d")

NAME = "get_fpn_location_coords"
LEVELS = ("p3", "p4", "p5")
STRIDES = {"p3": 8, "p4": 16, "p5": 32}
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


def _square_shapes(rng: torch.Generator, batch: int = 1) -> Shapes:
    """Square maps of 2 to 12 cells a side."""
    sides = torch.randint(2, 13, (len(LEVELS),), generator=rng).tolist()
    return {level: (batch, 16, side, side) for level, side in zip(LEVELS, sides, strict=True)}


def _expect_right_but_for(
    got: object, solution: Student, shapes: Shapes, strides: dict[str, int], **options: object
) -> dict[str, torch.Tensor]:
    """Fail unless these are the locations or, on all levels, those of a fault that other checks are about."""
    expected = solution.call(NAME, shapes, strides, **options)
    levels = expect_levels(got, shapes, "The result")
    if all(is_close(levels[level], right) for level, right in expected.items()):
        return levels
    matches = []  # a list a level: whether this is what each fault gives, in one order
    for level, right in expected.items():
        expect_shape(levels[level], right.shape, f"The locations of {level}")
        faults = [wrong for _, wrong in location_faults(right, shapes[level], strides[level])]
        of_p3 = right * strides["p3"] / strides[level]  # its stride used for every level
        matches.append([is_close(levels[level], answer) for answer in (*faults, of_p3)])
    if not any(all(same) for same in zip(*matches, strict=True)):
        for level, right in expected.items():
            expect_close(levels[level], right, f"The locations of {level}")
    return levels


@pytest.mark.points(2)
@pytest.mark.hint("The maps here are higher than wide or wider than high: which of H and W is used where?")
def test_maps_that_are_not_square(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The locations are right where the feature maps are not square."""
    shapes = _random_shapes(rng, batch=2)
    expected = solution.call(NAME, shapes, STRIDES)
    got = expect_levels(student.call(NAME, shapes, STRIDES), shapes, "The result")
    for level in shapes:
        faults = location_faults(expected[level], shapes[level], STRIDES[level])
        expect_close(got[level], expected[level], f"The locations of {level}", faults)


@pytest.mark.points(1)
@pytest.mark.hint("Strides are given by level and need not be 8, 16 and 32, nor even; the batch may be of any size.")
def test_other_strides(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The strides given are used, whatever they are."""
    shapes, strides = _square_shapes(rng, batch=3), dict(zip(LEVELS, (5, 12, 20), strict=True))
    _expect_right_but_for(student.call(NAME, shapes, strides), solution, shapes, strides)


@pytest.mark.points(1)
@pytest.mark.hint("The argument `dtype` says what the result is to have.")
def test_dtype(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The result has the dtype asked for."""
    shapes = _square_shapes(rng)
    for dtype in (torch.float64, torch.float16):
        got = student.call(NAME, shapes, STRIDES, dtype=dtype)
        for level, rows in _expect_right_but_for(got, solution, shapes, STRIDES, dtype=dtype).items():
            if level in shapes and rows.dtype != dtype:
                said = f"The locations of {level} have dtype {rows.dtype}, but {dtype} was asked for."
                raise CheckFailed(said, "The argument `dtype` is ignored.", said)


@pytest.mark.points(0.5)
@pytest.mark.hint("The argument `device` says where the result is to be, not the notebook's `DEVICE`.")
def test_device_is_not_the_notebooks(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The locations are where the argument `device` says, also where the notebook's own is another one."""
    shapes = _square_shapes(rng)
    _expect_right_but_for(student.call(NAME, shapes, STRIDES, device="cpu"), solution, shapes, STRIDES)
    expect_device_used(student, shapes)


@pytest.mark.points(1)
@pytest.mark.hint("Rows first, then columns, and in each row of the result x before y.")
def test_one_row_and_one_column(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Maps of a single row, a single column and a single cell work."""
    wide, high = torch.randint(3, 9, (2,), generator=rng).tolist()
    shapes: Shapes = {"p3": (1, 8, 1, wide), "p4": (1, 8, high, 1), "p5": (1, 8, 1, 1)}
    _expect_right_but_for(student.call(NAME, shapes, STRIDES), solution, shapes, STRIDES)


@pytest.mark.points(0.5)
@pytest.mark.hint("The function is called with other maps and other strides, and earlier results are looked at again.")
def test_each_call_has_its_own_result(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Each call answers its own arguments, and no later call changes its result."""
    shapes, others = _square_shapes(rng), _square_shapes(rng)
    shapes["p3"], others["p3"] = (1, 16, 3, 3), (1, 16, 4, 4)  # not by chance the same
    wider = {level: 2 * stride for level, stride in STRIDES.items()}
    calls = [(shapes, STRIDES), (shapes, wider), (others, STRIDES)]
    results = student.do("in_turn", name=NAME, calls=[list(arguments) for arguments in calls])
    if not isinstance(results, list) or len(results) != len(calls):
        raise CheckFailed("Your code's process gave no result for each call.")
    for got, arguments in zip(results, calls, strict=True):
        _expect_right_but_for(got, solution, *arguments)

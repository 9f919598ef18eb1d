"""7.1 (d): locations of the cells of the feature maps."""

from collections.abc import Callable, Mapping

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close, expect_levels, expect_shape, is_close
from autograder.checks.drawings import drawn_points
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Student
from suites.slips import location_slips, wrong_count

pytestmark = pytest.mark.exercise("7.1d")

SHAPES = {"p3": (2, 64, 28, 28), "p4": (2, 64, 14, 14), "p5": (2, 64, 7, 7)}
STRIDES = {"p3": 8, "p4": 16, "p5": 32}
WHAT = "The result", "The locations of {}"
NAME = "get_fpn_location_coords"


def locations_of(student: Student) -> object:
    """The student's locations for the maps of a 224 x 224 image."""
    return student.once("locations", lambda: student.call(NAME, SHAPES, STRIDES))


@pytest.mark.points(1)
def test_every_level_has_one_row_a_cell(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """The result is a dict with a tensor of shape (H * W, 2) for each level."""
    got = locations_of(student)
    before = 0
    for level, rows in expect_levels(got, SHAPES, *WHAT).items():
        if level in SHAPES:
            expect_rows(rows, SHAPES[level], f"The locations of {level}", before)
            before += SHAPES[level][2] * SHAPES[level][3]
    confirm("location_rows", student, rng)


def expect_rows(rows: object, shape: tuple[int, ...], what: str, before: int = 0) -> None:
    """Fail unless these are as many locations as a map of that shape has cells; finer levels have `before`."""
    cells = shape[-2] * shape[-1]
    if isinstance(rows, torch.Tensor) and rows.dim() == 2 and rows.shape[1] == 2 and len(rows) != cells:
        said = f"{what}: expected {cells} rows, got {len(rows)}."
        raise CheckFailed(said, wrong_count(len(rows), shape, before), public_text=f"{what}: wrong number of rows.")
    expect_shape(rows, (cells, 2), what)


@pytest.mark.points(1)
def test_first_rows(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """The first rows are the ones that the text gives: (4, 4), (12, 4), (20, 4) for stride 8."""
    got = locations_of(student)
    for level, rows in expect_levels(got, SHAPES, *WHAT).items():
        if level in SHAPES:
            expected = stored[level]
            faults = [(text, wrong[:3]) for text, wrong in location_slips(expected, SHAPES[level], STRIDES[level])]
            head = rows[:3] if isinstance(rows, torch.Tensor) else rows
            expect_close(head, expected[:3], f"The first three locations of {level}", faults)
    confirm("first_locations", student, rng)


@pytest.mark.points(1)
def test_all_locations(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Every location of the feature maps of a 224 x 224 image is right."""
    got = locations_of(student)
    for level, rows in expect_levels(got, SHAPES, *WHAT).items():
        if level in SHAPES:
            faults = location_slips(stored[level], SHAPES[level], STRIDES[level])
            what = f"The locations of {level}"
            expect_close(rows, stored[level], what, faults, draw=drawn_points(what, stored[level]))
    confirm("all_locations", student, rng)


@pytest.mark.points(0)  # grading asks again on other maps, see the hidden half
def test_maps_of_other_shapes(student: Student) -> None:
    """The locations are right for maps that are wider than high, higher than wide, or a single cell."""
    got = expect_levels(
        student.call(NAME, {level: shape for level, (shape, _) in SMALL.items()}, STRIDES), SMALL, *WHAT
    )
    for level, (shape, rows) in SMALL.items():
        what = f"The locations of a map of {shape[2]} rows and {shape[3]} columns"
        found = got[level]
        if isinstance(found, torch.Tensor) and len(found) != len(rows) and len(found) in (shape[2] ** 2, shape[3] ** 2):
            said = f"{what}: expected {len(rows)} rows, got {len(found)}."
            raise CheckFailed(said, "This is right for square maps only: the height and the width are two numbers.")
        expect_rows(found, shape, what)
        expected = torch.tensor(rows)
        expect_close(found, expected, what, location_slips(expected, shape, STRIDES[level]))


# Rows written out by hand: small maps, none of them square but the single cell.
SMALL: dict[str, tuple[tuple[int, ...], list[tuple[float, float]]]] = {
    "p3": ((1, 8, 2, 3), [(4.0, 4.0), (12.0, 4.0), (20.0, 4.0), (4.0, 12.0), (12.0, 12.0), (20.0, 12.0)]),
    "p4": ((1, 8, 3, 2), [(8.0, 8.0), (24.0, 8.0), (8.0, 24.0), (24.0, 24.0), (8.0, 40.0), (24.0, 40.0)]),
    "p5": ((1, 8, 1, 1), [(16.0, 16.0)]),
}


@pytest.mark.points(0)
def test_the_arguments_are_used(student: Student) -> None:
    """The strides and the dtype given are used, whatever they are, and the batch may be of any size."""
    strides = {"p3": 5, "p4": 12, "p5": 20}
    shapes = {"p3": (3, 8, 1, 2), "p4": (3, 8, 2, 1), "p5": (3, 8, 1, 1)}
    rows = {"p3": [[2.5, 2.5], [7.5, 2.5]], "p4": [[6.0, 6.0], [6.0, 18.0]], "p5": [[10.0, 10.0]]}
    dtype = torch.float16  # Apple's GPUs have no float64
    got = expect_levels(student.call(NAME, shapes, strides, dtype=dtype), shapes, *WHAT)
    for level in shapes:
        expected = torch.tensor(rows[level], dtype=dtype)
        what = f"The locations for stride {strides[level]}"
        usual = expected / strides[level] * STRIDES[level]
        whole = expected - strides[level] / 2 + strides[level] // 2
        faults = [
            ("The strides are written into the code: use strides_per_fpn_level.", usual),
            ("Half of an odd stride is no whole number: is it cut by `//` or `.long()`, or is 0.5 subtracted?", whole),
        ]
        expect_rows(got[level], shapes[level], what)
        expect_close(got[level], expected, what, faults + location_slips(expected, shapes[level], strides[level]))
        if got[level].dtype != dtype:
            said = f"{what} have dtype {got[level].dtype}, but {dtype} was asked for."
            raise CheckFailed(said, "The argument `dtype` is ignored.")


@pytest.mark.points(0)
def test_results_stay(student: Student) -> None:
    """The locations that a call gave stay what they are when the function is called for other maps."""
    others = dict.fromkeys(SHAPES, (2, 8, 1, 3))
    before = expect_levels(locations_of(student), SHAPES, *WHAT)
    calls = [[shapes, STRIDES] for shapes in (SHAPES, others)]
    after = expect_levels(student.do("in_turn", name=NAME, calls=calls)[0], SHAPES, *WHAT)
    for level in SHAPES:
        if not torch.equal(before[level], after[level]):
            text = "Each call fills and hands out the same dictionary: make a new one in the function."
            raise CheckFailed(f"The locations of {level} are others after a call for other maps.", text)


@pytest.mark.points(0)
def test_the_device_asked_for(student: Student) -> None:
    """Where `device="cpu"` is asked for, the locations are on the CPU, whatever the notebook's own device is."""
    got = expect_levels(student.call(NAME, SHAPES, STRIDES, device="cpu"), SHAPES, *WHAT)
    for level, shape in SHAPES.items():
        expect_rows(got[level], shape, f"The locations of {level}")
    expect_device_used(student, SHAPES)


def expect_device_used(student: Student, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Fail if the locations are on the GPU though the CPU was asked for.

    It is asked for by two names: the notebook's own device may be one of them, and counts as the GPU.
    """
    for device in ("cpu", "cpu:0"):
        asked = {"name": NAME, "new": None, "method": "", "train": False, "args": [shapes, STRIDES]}
        got = student.do("on_gpu", **asked, kwargs={"device": device})
        told = got if isinstance(got, dict) else {}
        if not isinstance(told.get("places"), list) or not isinstance(told.get("broke"), str):
            raise CheckFailed("Your code's process gave no account of devices.")
        if "cuda" not in told["places"]:
            return
    text = "The argument `device` is ignored: a global, or a GPU if there is one, is used."
    said = 'The locations are on the GPU, but `device="cpu"` was asked for.'
    raise CheckFailed(said, text, said)


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With `device="cuda"` the locations are on the GPU (simulated: none is needed)."""
    got = expect_levels(locations_of(student), SHAPES, *WHAT)
    expect_runs_on_gpu(student, NAME, [SHAPES, STRIDES], {"device": "cuda"}, result="The tensor of locations")
    expect_right(all(is_close(got[level], stored[level]) for level in SHAPES), "the locations")
    confirm("all_locations", student, rng)

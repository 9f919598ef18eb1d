"""7.1 (f): from boxes to deltas and back."""

from collections.abc import Callable

import pytest
import torch

from autograder.checks.compare import CheckFailed, Hypothesis, expect_close, expect_gradient, expect_shape, is_close
from autograder.checks.drawings import drawn_boxes, drawn_deltas
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Student
from suites.hypotheses import background_faults, box_faults, delta_faults
from suites.slips import box_slips, delta_slips, taken_for_background

pytestmark = pytest.mark.exercise("7.1f")

STRIDE = 8
DELTAS, BOXES = "fcos_get_deltas_from_locations", "fcos_apply_deltas_to_locations"


@pytest.mark.points(2)
def test_deltas_of_three_boxes(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """The deltas of the three boxes of the sanity check are right."""
    expected = stored["worked/deltas"]
    got = student.call(DELTAS, stored["worked/locations"], stored["worked/boxes"], STRIDE)
    faults = worked_faults(stored)
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
    got = student.call(DELTAS, stored["worked/locations"], boxes, STRIDE)
    expect_close(got, stored["worked/deltas"], "The deltas of (N, 5) boxes", worked_faults(stored))
    confirm("deltas_with_a_class", student, rng)


def worked_faults(stored: dict[str, torch.Tensor]) -> list[Hypothesis]:
    """Faults of the deltas of the three boxes of the sanity check."""
    expected, nowhere = stored["worked/deltas"], torch.zeros(len(stored["worked/deltas"]), dtype=torch.bool)
    slips = delta_slips(expected, stored["worked/locations"], STRIDE, nowhere)
    return delta_faults(expected, STRIDE, nowhere) + slips


@pytest.mark.points(1)
def test_background(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """A background box, all -1, gets deltas of -1."""
    locations = stored["background/locations"]
    expected = torch.full((len(locations), 4), -1.0)
    for columns in (4, 5):
        boxes = torch.full((len(locations), columns), -1.0)
        got = student.call(DELTAS, locations, boxes, STRIDE)
        faults = background_faults(expected, locations, STRIDE)
        expect_close(got, expected, f"The deltas of background, given as (N, {columns}) boxes", faults)
    confirm("deltas_of_background", student, rng)


@pytest.mark.points(1)
def test_boxes_from_deltas(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Deltas turn back into the boxes they came from."""
    expected, locations = stored["worked/boxes"], stored["worked/locations"]
    got = student.call(BOXES, stored["worked/deltas"], locations, STRIDE)
    asked = (expected, expected, locations, STRIDE)
    faults = box_faults(*asked) + box_slips(*asked)
    expect_close(got, expected, "The boxes", faults, draw=drawn_boxes("The boxes", expected))
    confirm("boxes_of_deltas", student, rng)


@pytest.mark.points(1)
def test_negative_deltas_are_clipped(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Negative deltas count as zero: the box never turns inside out."""
    expected, locations = stored["negative/boxes"], stored["negative/locations"]
    got = student.call(BOXES, stored["negative/deltas"], locations, STRIDE)
    asked = (expected, stored["negative/unclipped"], locations, STRIDE)
    faults = box_faults(*asked) + box_slips(*asked)
    what = "The boxes of negative deltas"
    expect_close(got, expected, what, faults, draw=drawn_boxes(what, expected))
    confirm("boxes_of_negative_deltas", student, rng)


@pytest.mark.points(0)  # from here on grading asks again with other numbers, see the hidden half
def test_stride_16(student: Student, graded: bool) -> None:
    """Deltas and boxes are right for stride 16, outside of boxes and images, too; the arguments stay as they are."""
    locations, boxes, deltas = (torch.tensor(rows) for rows in zip(*SCENE, strict=True))
    background = boxes[:, 4] == -1
    fixed = torch.where(background[:, None], deltas, 2 * deltas)
    as_background = torch.where((deltas < 0).any(dim=1)[:, None], torch.full_like(deltas, -1.0), deltas)
    faults = [
        ("The stride is written into the code: use the argument.", fixed),
        (
            "A location outside its box is no background: background is a box of -1s, whatever the deltas.",
            as_background,
        ),
        *delta_faults(deltas, 16, background),
        *delta_slips(deltas, locations, 16, background),
    ]
    for text, wrong in background_faults(deltas[background], locations[background], 16):
        faults.append((text, deltas.masked_scatter(background[:, None], wrong)))
    expect_close(student.call(DELTAS, locations, boxes, 16), deltas, "The deltas", faults)
    asked, where, expected, unclipped = (torch.tensor(rows) for rows in zip(*BACK, strict=True))
    centre = torch.cat([where, where], dim=1)
    faults = [
        ("The stride is written into the code: use the argument.", centre + (expected - centre) / 2),
        ("Boxes are cut off at 0 here: only deltas are clipped. A box may leave the image.", expected.clamp(min=0)),
        ("The boxes are clipped to an image here already: that belongs into inference.", expected.clamp(0, 224)),
        *box_faults(expected, unclipped, where, 16),
        *box_slips(expected, unclipped, where, 16),
    ]
    expect_close(student.call(BOXES, asked, where, 16), expected, "The boxes", faults)
    if not graded:  # nothing is taken off for either, but in the notebook 7.1 (i) uses the same tensors again
        said, advice = taken_for_background(lambda *asked: student.call(DELTAS, *asked))
        if said:
            raise CheckFailed(said, advice)
        expect_arguments_kept(student)


def expect_arguments_kept(student: Student) -> None:
    """Fail if locations, boxes or deltas that are handed in are changed."""
    locations, boxes, deltas = (torch.tensor(rows) for rows in zip(*SCENE, strict=True))
    for name, args, kept in ((DELTAS, [locations, boxes], (0, 1)), (BOXES, [deltas, locations], (0, 1))):
        written = student.do("writes_into", name=name, args=[*args, 16])
        changed = [("first", "second")[k] for k in kept if isinstance(written, list) and k in written]
        if changed:
            said = f"`{name}` changes its {changed[0]} argument: a second call with it would give something else."
            advice = f"The {changed[0]} argument of `{name}` is changed in place (`-=`, `clamp_`, `x[...] = ...`): "
            advice += "make a new tensor, or `.clone()` it first."
            raise CheckFailed(said, advice)


# Location, its box and class, its deltas for stride 16, all by hand: inside, outside, background, inside.
SCENE = [
    ([40.0, 40.0], [8.0, 24.0, 72.0, 104.0, 3.0], [2.0, 1.0, 2.0, 4.0]),
    ([100.0, 20.0], [24.0, 52.0, 84.0, 116.0, 0.0], [4.75, -2.0, -1.0, 6.0]),
    ([60.0, 60.0], [-1.0, -1.0, -1.0, -1.0, -1.0], [-1.0, -1.0, -1.0, -1.0]),
    ([20.0, 12.0], [4.0, 4.0, 24.0, 36.0, 7.0], [1.0, 0.5, 0.25, 1.5]),
]
# Deltas, a location, the box for stride 16, and the box if negative deltas were not clipped.
BACK = [
    ([3.0, 1.0, 20.0, 2.0], [20.0, 12.0], [-28.0, -4.0, 340.0, 44.0], [-28.0, -4.0, 340.0, 44.0]),
    ([1.0, -2.0, 0.5, 3.0], [100.0, 60.0], [84.0, 60.0, 108.0, 108.0], [84.0, 92.0, 108.0, 108.0]),
]


@pytest.mark.points(0)
def test_one_location_or_none(student: Student) -> None:
    """For one location there is one row, (1, 4), and for none there is none: (0, 4)."""
    (place, box, deltas) = (torch.tensor([part]) for part in SCENE[0])
    expect_close(student.call(DELTAS, place, box, 16), deltas, "The deltas of one box")
    expect_close(student.call(BOXES, deltas, place, 16), box[:, :4], "The box of one row of deltas")
    none, nothing = torch.zeros(0, 2), torch.zeros(0, 4)
    expect_close(student.call(DELTAS, none, torch.zeros(0, 5), 8), nothing, "The deltas of no boxes")
    expect_close(student.call(BOXES, nothing, none, 8), nothing, "The boxes of no deltas")


@pytest.mark.points(0)
def test_gradients_reach_the_deltas(student: Student) -> None:
    """The box loss can train the deltas: gradients come through from the boxes to them."""
    deltas, locations = torch.full((3, 4), 0.75), torch.tensor([[40.0, 30.0], [60.0, 50.0], [20.0, 90.0]])
    gradients = student.do("differentiate", name=BOXES, args=[deltas, locations, 8])
    if gradients[0] is None:  # no gradient, for there is no tensor that could have one: that is to be said
        expect_shape(student.call(BOXES, deltas, locations, 8), (3, 4), "The boxes")
    else:
        expect_shape(gradients[0], (3, 4), "The gradient of the deltas")
    expect_gradient(gradients[0], "the deltas")


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With tensors on a GPU both functions work, and their results are there too (simulated: none is needed)."""
    locations = torch.cat([stored["worked/locations"], stored["background/locations"]])
    background = torch.full((len(stored["background/locations"]), 4), -1.0)
    boxes = torch.cat([stored["worked/boxes"], background])
    deltas = torch.cat([stored["worked/deltas"], background])
    nothing = stored["background/locations"].repeat(1, 2)  # -1 counts as zero: a box without extent
    applied = torch.cat([stored["worked/boxes"], nothing])
    for name, inputs, expected, result in (
        (DELTAS, [locations, boxes, STRIDE], deltas, "The tensor of deltas"),
        (BOXES, [deltas, locations, STRIDE], applied, "The tensor of boxes"),
    ):
        got = expect_shape(student.call(name, *inputs), tuple(boxes.shape), result)
        expect_runs_on_gpu(student, name, inputs, result=result)
        expect_right(is_close(got, expected), "the deltas and the boxes")
    confirm("deltas_and_boxes", student, rng)

"""Every fault that can be named is made by a slow loop that has it, and recognised by its name alone."""

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close
from suites.hypotheses import background_faults, box_faults, delta_faults, location_faults

STRIDE = 8
HEIGHT, WIDTH = 3, 5
LOCATIONS = torch.tensor([[20.0, 12.0], [4.0, 28.0], [36.0, 20.0], [12.0, 60.0]])
# The second location lies left of its box, the third above it, the last one belongs to the background.
BOXES = torch.tensor([[3.0, 2.0, 50.0, 31.0], [9.0, 1.0, 70.0, 44.0], [10.0, 25.0, 90.0, 61.0], [-1.0] * 4])
OUTSIDE = torch.tensor([[1.0, 2.0, 3.0, 0.5], [-0.5, 1.5, 2.5, 0.25], [2.0, -1.0, 0.75, 4.0], [-1.0] * 4])


def _diagnosis(got, expected, faults):
    with pytest.raises(CheckFailed) as caught:
        expect_close(got, expected, "The result", faults)
    return caught.value.diagnosis


def _locations(cell=lambda x, y: (x, y), *, by_columns=False, height=HEIGHT, width=WIDTH):
    """Locations cell by cell; `cell` turns the indices x and y into a row."""
    indices = [(x, y) for y in range(height) for x in range(width)]
    if by_columns:
        indices = [(x, y) for x in range(width) for y in range(height)]
    return torch.tensor([[float(value) for value in cell(x, y)] for x, y in indices])


def _right(x, y):
    return (x + 0.5) * STRIDE, (y + 0.5) * STRIDE


LOCATION_FAULTS = {
    "x and y are swapped": _locations(lambda x, y: _right(y, x)),
    "The order of the rows is transposed": _locations(_right, by_columns=True),
    "Height and width are exchanged": _locations(lambda x, y: _right(y, x), by_columns=True),
    "Half a cell is missing": _locations(lambda x, y: (x * STRIDE, y * STRIDE)),
    "Half a cell too much": _locations(lambda x, y: ((x + 1) * STRIDE, (y + 1) * STRIDE)),
    "off by a whole cell": _locations(lambda x, y: _right(x + 1, y + 1)),
    "positions on the feature map": _locations(lambda x, y: (x + 0.5, y + 0.5)),
    "indices of cells": _locations(lambda x, y: (x, y)),
    "Half a pixel": _locations(lambda x, y: (x * STRIDE + 0.5, y * STRIDE + 0.5)),
}


@pytest.mark.parametrize("name", LOCATION_FAULTS)
def test_faults_of_locations(name):
    """A fault of the locations is called by its name."""
    faults = location_faults(_locations(_right), (2, 7, HEIGHT, WIDTH), STRIDE)
    assert name in _diagnosis(LOCATION_FAULTS[name], _locations(_right), faults)
    assert len(faults) == len(LOCATION_FAULTS)


@pytest.mark.parametrize("by_columns", [True, False])
def test_on_a_square_map_two_faults_share_a_name(by_columns):
    """Where swapped and transposed look the same, the sentence says both."""
    wrong = _locations(_right if by_columns else lambda x, y: _right(y, x), by_columns=by_columns, height=4, width=4)
    expected = _locations(_right, height=4, width=4)
    diagnosis = _diagnosis(wrong, expected, location_faults(expected, (1, 1, 4, 4), STRIDE))
    assert "either" in diagnosis and "swapped" in diagnosis


def _deltas(row, boxes=BOXES):
    """Deltas box by box; `row` turns left, top, right, bottom in pixels into a row, background stays -1."""
    rows = []
    for (x, y), (x1, y1, x2, y2) in zip(LOCATIONS.tolist(), boxes.tolist(), strict=True):
        rows.append([-1.0] * 4 if x1 == -1 else list(row(x - x1, y - y1, x2 - x, y2 - y)))
    return torch.tensor(rows)


def _scaled(*values):
    return [value / STRIDE for value in values]


DELTA_FAULTS = {
    "not divided by the stride": lambda *d: d,
    "multiplied by the stride": lambda *d: [v * STRIDE for v in d],
    "x and y are swapped": lambda left, top, right, bottom: _scaled(top, left, bottom, right),
    "it is left, right, top, bottom": lambda left, top, right, bottom: _scaled(left, right, top, bottom),
    "signs of left and top": lambda left, top, right, bottom: _scaled(-left, -top, right, bottom),
    "signs of right and bottom": lambda left, top, right, bottom: _scaled(left, top, -right, -bottom),
    "All signs are wrong": lambda *d: [-v / STRIDE for v in d],
    "Absolute values": lambda *d: [abs(v) / STRIDE for v in d],
    "clipped at zero": lambda *d: [max(v, 0.0) / STRIDE for v in d],
    "Left and top are exchanged": lambda *d: _scaled(d[1], d[0], d[2], d[3]),
    "Left and right are exchanged": lambda *d: _scaled(d[2], d[1], d[0], d[3]),
    "Left and bottom are exchanged": lambda *d: _scaled(d[3], d[1], d[2], d[0]),
    "Top and bottom are exchanged": lambda *d: _scaled(d[0], d[3], d[2], d[1]),
    "Right and bottom are exchanged": lambda *d: _scaled(d[0], d[1], d[3], d[2]),
}


@pytest.mark.parametrize("name", DELTA_FAULTS)
def test_faults_of_deltas(name):
    """A fault of the deltas is called by its name, with background treated rightly beside it."""
    expected = _deltas(_scaled)
    faults = delta_faults(expected, STRIDE, BOXES[:, 0] == -1)
    assert name in _diagnosis(_deltas(DELTA_FAULTS[name]), expected, faults)


@pytest.mark.parametrize("name", DELTA_FAULTS)
def test_faults_of_deltas_without_background(name):
    """The same where no box is background: as many faults as are named here, and one that has two names, no more."""
    boxes = BOXES.clone()
    boxes[3] = torch.tensor([13.0, 30.0, 80.0, 90.0])
    expected = _deltas(_scaled, boxes)
    faults = delta_faults(expected, STRIDE, torch.zeros(4, dtype=torch.bool))
    assert name in _diagnosis(_deltas(DELTA_FAULTS[name], boxes), expected, faults)
    assert len(faults) == len(DELTA_FAULTS) + 1  # top and right exchanged are left, right, top, bottom


@pytest.mark.parametrize(("name", "sign"), [("not divided by the stride", 1), ("All signs are wrong", -1)])
def test_faults_of_deltas_that_reach_the_background(name, sign):
    """A fault that is applied to the background's -1s, too, keeps its name."""
    expected = _deltas(_scaled)
    wrong = expected * STRIDE if sign == 1 else -expected
    assert name in _diagnosis(wrong, expected, delta_faults(expected, STRIDE, BOXES[:, 0] == -1))


BACKGROUND_FAULTS = {
    "Background is not treated": [
        [(x + 1) / STRIDE, (y + 1) / STRIDE, (-1 - x) / STRIDE, (-1 - y) / STRIDE] for x, y in LOCATIONS.tolist()
    ],
    "divided by the stride": [[-1 / STRIDE] * 4] * 4,
    "zeros": [[0.0] * 4] * 4,
}


@pytest.mark.parametrize("name", BACKGROUND_FAULTS)
def test_faults_of_the_background(name):
    """What happened to the deltas of background is called by its name."""
    expected = torch.full((4, 4), -1.0)
    faults = background_faults(expected, LOCATIONS, STRIDE)
    assert name in _diagnosis(torch.tensor(BACKGROUND_FAULTS[name]), expected, faults)
    assert len(faults) == len(BACKGROUND_FAULTS)


def _boxes(corners, change=lambda v: max(v, 0.0) * STRIDE):
    """Boxes delta by delta; `change` makes pixels of a delta, `corners` a row of a location and four of them."""
    rows = zip(LOCATIONS.tolist(), OUTSIDE.tolist(), strict=True)
    return torch.tensor([list(corners(x, y, *map(change, deltas))) for (x, y), deltas in rows])


def _outward(x, y, left, top, right, bottom):
    return x - left, y - top, x + right, y + bottom


BOX_FAULTS = {
    "not clipped": _boxes(_outward, lambda v: v * STRIDE),
    "not multiplied by the stride": _boxes(_outward, lambda v: max(v, 0.0)),
    "divided by the stride": _boxes(_outward, lambda v: max(v, 0.0) / STRIDE),
    "x and y are swapped": _boxes(lambda x, y, left, top, r, b: (y - top, x - left, y + b, x + r)),
    "mirrored": _boxes(lambda x, y, left, top, r, b: (x + left, y + top, x - r, y - b)),
    "added, not subtracted": _boxes(lambda x, y, left, top, r, b: (x + left, y + top, x + r, y + b)),
    "Absolute values": _boxes(_outward, lambda v: abs(v) * STRIDE),
}


@pytest.mark.parametrize("name", BOX_FAULTS)
def test_faults_of_boxes(name):
    """A fault of the boxes is called by its name."""
    expected, unclipped = _boxes(_outward), _boxes(_outward, lambda v: v * STRIDE)
    faults = box_faults(expected, unclipped, LOCATIONS, STRIDE)
    assert name in _diagnosis(BOX_FAULTS[name], expected, faults)
    assert len(faults) == len(BOX_FAULTS)


def test_an_unknown_fault_has_no_name():
    """Noise is not given a name that does not explain it."""
    expected = _locations(_right)
    noise = expected + torch.rand(expected.shape, generator=torch.Generator().manual_seed(0))
    assert _diagnosis(noise, expected, location_faults(expected, (1, 1, HEIGHT, WIDTH), STRIDE)) == ""

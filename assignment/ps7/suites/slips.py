"""Faults that the public checks name beside those of `hypotheses.py`: two slips at once, reshapes, borrowed inputs.

The hidden checks accept some of `hypotheses.py` where a fault is not their subject; they know nothing of these. Like
those they are made from the right output alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from autograder.checks.compare import Hypothesis
from suites.hypotheses import background_faults, location_faults

OF_ROWS = 3  # of the location faults, how many are about the order of rows and columns


def location_slips(expected: torch.Tensor, shape: Sequence[int], stride: float) -> list[Hypothesis]:
    """Faults of locations, the likeliest first.

    Args:
        expected: `(H * W, 2)` right locations.
        shape: `(B, C, H, W)` of the feature map.
        stride: Stride of the level.
    """
    half = stride / 2
    text = "Half a stride is added to the index: add 0.5 before the stride is multiplied, or half a stride after."
    single = [*location_faults(expected, shape, stride), (text, expected - half + half * stride)]
    both = [
        (f"Two things at once. {first} {second}", wrong)
        for second, shifted in single[OF_ROWS:]
        for first, wrong in location_faults(shifted, shape, stride)[:OF_ROWS]
    ]
    text = "All x come first, then all y: after `stack` the 2 has to be the last dimension (`dim=-1`) before `reshape`."
    return [*_told_apart(single, shape), (text, expected.T.reshape(-1, 2)), *_told_apart(both, shape)]


def _told_apart(faults: list[Hypothesis], shape: Sequence[int]) -> list[Hypothesis]:
    """The same; in a map of one row or one column x and y exchanged may be height and width exchanged."""
    if (shape[-2] == 1) == (shape[-1] == 1):
        return faults
    more = "Or are height and width exchanged? The shape is (B, C, H, W)."
    return [(f"{text} {more}" if "x and y are swapped" in text else text, wrong) for text, wrong in faults]


def wrong_count(rows: int, shape: Sequence[int], before: int = 0) -> str:
    """What to say where there are not as many locations as cells in a map of `shape`, (B, C, H, W).

    Args:
        rows: How many there are.
        shape: Of the map.
        before: How many the finer levels have together.
    """
    height, width = shape[-2:]
    if before and rows == before + height * width:
        return "The rows of the finer levels are in it, too: is a list made once, where each level needs a new one?"
    if rows in ((height + 1) * (width + 1), (height - 1) * (width - 1)):
        return "One row and one column of cells too many, or too few: an end is off by one. There are H * W cells."
    pairs = ((1, 2), (0, 1), (0, 2), (1, 3), (0, 3), (2, 2), (3, 3))
    alike = [f"{'BCHW'[one]} * {'BCHW'[other]}" for one, other in pairs if rows == shape[one] * shape[other]]
    is_repeated = rows == shape[0] * shape[2] * shape[3]
    if is_repeated and not alike:
        return "The locations are repeated for each image of the batch: they are the same for all, one row a cell."
    if alike and not is_repeated:
        return f"These are {' or '.join(alike)} rows: the shape is (B, C, H, W), and H and W are its last two."
    return "Do H and W come from the argument `shape_per_fpn_level`? They are the last two of (B, C, H, W)."


def delta_slips(
    expected: torch.Tensor, locations: torch.Tensor, stride: float, background: torch.Tensor
) -> list[Hypothesis]:
    """Faults of deltas.

    Args:
        expected: `(N, 4)` right deltas.
        locations: `(N, 2)`.
        stride: Stride of the level.
        background: `(N,)` bool, True where the box is background.
    """
    (_, untreated), *_ = background_faults(expected, locations, stride)
    whole = torch.where(background[:, None], untreated, expected)  # as computed, before background is treated
    apart = (locations[:, 1] - locations[:, 0]) / stride
    swapped = expected + torch.stack([apart, -apart, -apart, apart], dim=1)
    sides = (expected[:, :2] + expected[:, 2:]).repeat(1, 2)  # width and height, by strides
    nearer = torch.cat([locations, -locations], dim=1) * (1 / stride - 1)
    faults = [
        (RESHAPED, whole.T.reshape(-1, 4)),
        (SWAPPED, swapped),
        ("The deltas are divided by the size of the box: divide by the stride alone.", expected / sides),
        ("The deltas are divided by the size of the box, and by the stride.", expected / sides / stride),
        (
            "The locations are divided by the stride, and the boxes are not: subtract first, divide after.",
            expected * stride + nearer,
        ),
        ("`//` cuts off what is behind the point: divide with `/`.", expected.floor()),
        (
            "Negative deltas become -1: a location outside its box keeps its own. Background is told by the box.",
            torch.where(expected < 0, -1.0, expected),
        ),
    ]
    return [(text, torch.where(background[:, None], expected, wrong)) for text, wrong in faults]


def box_slips(
    expected: torch.Tensor, unclipped: torch.Tensor, locations: torch.Tensor, stride: float
) -> list[Hypothesis]:
    """Faults of boxes made from deltas.

    Args:
        expected: `(N, 4)` right boxes.
        unclipped: The boxes without clipping negative deltas.
        locations: `(N, 2)`.
        stride: Stride of the level.
    """
    apart = locations[:, 1] - locations[:, 0]
    swapped = expected + torch.stack([apart, -apart, apart, -apart], dim=1)
    centre = locations.repeat(1, 2)
    outward = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    reach = (expected - centre) * outward  # pixels to each edge, (N, 4)
    size = reach[:, :2] + reach[:, 2:]
    plain = (unclipped - centre) * outward / stride  # the deltas, as they were given
    return [
        (RESHAPED, expected.T.reshape(-1, 4)),
        (SWAPPED, swapped),
        ("The boxes are clipped at 0, where the deltas are meant.", unclipped.clamp(min=0)),
        ("Deltas are cut off at 1: they have no upper bound.", centre + outward * reach.clamp(max=stride)),
        (
            "Deltas of -1 become a box of -1s again: here they count as zero, like all that are negative.",
            torch.where((plain == -1).all(dim=1, keepdim=True), -1.0, expected),
        ),
        ("The locations are multiplied by the stride: they are pixels already.", expected + centre * (stride - 1)),
        ("The locations are divided by the stride: they are pixels already.", expected + centre * (1 / stride - 1)),
        (
            "The deltas go through exp. They do not here: clip them at zero, and take them as they are.",
            centre + outward * stride * plain.exp(),
        ),
        (_CENTRED, torch.cat([locations, size], dim=1)),
        (_CENTRED, torch.cat([(expected[:, :2] + expected[:, 2:]) / 2, size], dim=1)),
        ("These are x1, y1, width and height: boxes are (x1, y1, x2, y2).", torch.cat([expected[:, :2], size], dim=1)),
    ]


_CENTRED = "These are centre, width and height: boxes are (x1, y1, x2, y2)."


RESHAPED = "The rows are mixed: after `stack` the 4 has to be the last dimension (`dim=-1`, or `dim=1`)."
SWAPPED = "x and y of the locations are swapped: a location is (xc, yc)."

# Boxes of objects that begin left of the image, above it, or at -1, their class, a location, its deltas for stride 8.
ODD = [
    ([-1.0, 20.0, 63.0, 84.0, 2.0], [31.0, 44.0], [4.0, 3.0, 4.0, 5.0]),
    ([20.0, -1.0, 84.0, 63.0, 0.0], [60.0, 31.0], [5.0, 4.0, 3.0, 4.0]),
    ([-24.0, 12.0, 40.0, 76.0, 5.0], [16.0, 36.0], [5.0, 3.0, 3.0, 5.0]),
    ([-40.0, -32.0, 24.0, 16.0, 1.0], [0.0, 0.0], [5.0, 4.0, 3.0, 2.0]),
    ([-64.0, 10.0, -1.0, 74.0, 3.0], [-33.0, 42.0], [3.875, 4.0, 4.0, 4.0]),
    ([10.0, -64.0, 74.0, -1.0, 3.0], [42.0, -33.0], [4.0, 3.875, 4.0, 4.0]),
    ([-40.0, -32.0, -8.0, -16.0, 3.0], [-24.0, -24.0], [2.0, 1.0, 2.0, 1.0]),
]


def taken_for_background(ask: Callable[[torch.Tensor, torch.Tensor, int], object]) -> tuple[str, str]:
    """Which of the boxes above counts as background, and what to do; two empty texts if none does.

    Args:
        ask: The student's function: locations, boxes and stride to deltas.
    """
    boxes, locations, deltas = (torch.tensor(rows) for rows in zip(*ODD, strict=True))
    rows: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for columns in (5, 4):
        got = ask(locations, boxes[:, :columns], 8)
        if isinstance(got, torch.Tensor) and got.shape == deltas.shape:
            rows += zip(boxes, deltas, got, strict=True)
    for box, right, found in rows:
        coordinates = "(" + ", ".join(f"{value:g}" for value in box[:4].tolist()) + ")"
        if bool((found == -1).all()):
            said = f"A box {coordinates} of class {box[4]:g} is an object, and gets deltas of -1 here."
            return said, "Background is a box whose four coordinates are all -1; no single one, and no sum, tells it."
        if bool((found == -1).any()) and not bool((right == -1).any()):
            said = f"A box {coordinates} of class {box[4]:g} is an object, and gets a delta of -1 here."
            return said, "Background is looked for number by number: a box is background if all four are -1."
    return "", ""

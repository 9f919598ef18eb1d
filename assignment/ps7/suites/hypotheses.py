"""What an output would be if the solution had a certain fault, made from the right output alone.

No formula of an exercise stands here: these are handed out with the public checks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from autograder.checks.compare import Hypothesis

_EDGES = ("left", "top", "right", "bottom")


def location_faults(expected: torch.Tensor, shape: Sequence[int], stride: float) -> list[Hypothesis]:
    """Faults of locations.

    Args:
        expected: `(H * W, 2)` right locations.
        shape: `(B, C, H, W)` of the feature map.
        stride: Stride of the level.
    """
    height, width = shape[-2:]
    grid = expected.reshape(height, width, 2)
    by_columns = grid.transpose(0, 1).reshape(-1, 2)
    half = stride / 2
    swapped = "x and y are swapped: a row should be (x, y), the column's coordinate first."
    transposed = (
        "The order of the rows is transposed, it runs down the columns of the map: row i * W + j should be "
        "cell (row i, column j), so the first rows should stay in the top row of the map."
    )
    if height == width:  # on a square map the two cannot be told apart
        swapped = transposed = (
            "The order is transposed: either the rows run down the columns of the map (row i * W + j should be "
            "cell (row i, column j)), or x and y are swapped (a row should be (x, y))."
        )
    return [
        (swapped, expected.flip(-1)),
        (transposed, by_columns),
        (
            "Height and width are exchanged: the shape is (B, C, H, W). Or is both the order of the rows transposed "
            "and x and y swapped? That gives the same.",
            by_columns.flip(-1),
        ),
        (
            "Half a cell is missing: a location is the centre of its cell, not its top left corner.",
            expected - half,
        ),
        ("Half a cell too much: these are the bottom right corners of the cells.", expected + half),
        ("The locations are off by a whole cell: counting starts at 0.", expected + stride),
        (
            "The stride is missing: these are positions on the feature map, not in the image.",
            expected / stride,
        ),
        (
            "The stride is missing: these are indices of cells, not pixels of the image.",
            (expected - half) / stride,
        ),
        ("Half a pixel was added where half a cell is meant.", expected - half + 0.5),
    ]


def delta_faults(expected: torch.Tensor, stride: float, background: torch.Tensor) -> list[Hypothesis]:
    """Faults of deltas.

    Args:
        expected: `(N, 4)` right deltas.
        stride: Stride of the level.
        background: `(N,)` bool, True where the box is background.
    """
    front = ~background[:, None]

    def only_front(wrong: torch.Tensor) -> torch.Tensor:
        return torch.where(front, wrong, expected)

    faults = [
        ("The deltas are not divided by the stride.", expected * stride),
        ("The deltas are multiplied by the stride instead of divided by it.", expected * stride * stride),
        ("x and y are swapped: the order is left, top, right, bottom.", expected[:, [1, 0, 3, 2]]),
        (
            "The order is not left, top, right, bottom (it is left, right, top, bottom).",
            expected[:, [0, 2, 1, 3]],
        ),
        (
            "The signs of left and top are wrong: inside its box a location has positive deltas.",
            _signs(expected, -1, 1),
        ),
        ("The signs of right and bottom are wrong.", _signs(expected, 1, -1)),
        ("All signs are wrong: inside its box a location has positive deltas.", -expected),
        (
            "Absolute values hide that a location lies outside its box: such a delta has to stay negative.",
            expected.abs(),
        ),
        (
            "Deltas are clipped at zero here already: a location outside its box has to keep its negative delta. "
            "Clipping belongs into fcos_apply_deltas_to_locations.",
            expected.clamp(min=0),
        ),
    ]
    for one, other in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        order = list(range(4))
        order[one], order[other] = other, one
        said = f"{_EDGES[one]} and {_EDGES[other]} are exchanged: the order is left, top, right, bottom."
        faults.append((said.capitalize(), expected[:, order]))
    if not bool(background.any()):
        return faults
    kept = [(text, only_front(wrong)) for text, wrong in faults]
    return kept + faults


def background_faults(expected: torch.Tensor, locations: torch.Tensor, stride: float) -> list[Hypothesis]:
    """Faults of the deltas of background: `expected` is all -1, `locations` is (N, 2)."""
    untreated = torch.cat([locations + 1, -1 - locations], dim=1) / stride
    return [
        (
            "Background is not treated: a box of -1s should get deltas of -1. If you do treat it: do you look for it "
            "in the boxes, not the deltas; row by row, `.all(dim=1)`; before anything is written into the boxes? And "
            "is the -1 assigned, with one `=`?",
            untreated,
        ),
        ("The -1s of background are divided by the stride.", expected / stride),
        ("Background gets zeros, not -1.", torch.zeros_like(expected)),
    ]


def box_faults(
    expected: torch.Tensor, unclipped: torch.Tensor, locations: torch.Tensor, stride: float
) -> list[Hypothesis]:
    """Faults of boxes made from deltas.

    Args:
        expected: `(N, 4)` right boxes.
        unclipped: The boxes without clipping negative deltas.
        locations: `(N, 2)`.
        stride: Stride of the level.
    """
    centre = torch.cat([locations, locations], dim=1)
    offset = expected - centre
    return [
        ("Negative deltas are not clipped to zero.", unclipped),
        ("The deltas are not multiplied by the stride.", centre + offset / stride),
        ("The deltas are divided by the stride instead of multiplied by it.", centre + offset / stride**2),
        ("x and y are swapped: boxes are (x1, y1, x2, y2).", expected[:, [1, 0, 3, 2]]),
        (
            "The boxes are mirrored: left and top are to be subtracted, right and bottom added.",
            centre - offset,
        ),
        (
            "Left and top are added, not subtracted.",
            torch.cat([centre[:, :2] - offset[:, :2], expected[:, 2:]], dim=1),
        ),
        (
            "Absolute values of negative deltas are taken: they are to be clipped to zero.",
            centre + _outward(unclipped - centre),
        ),
    ]


def _signs(deltas: torch.Tensor, left_top: int, right_bottom: int) -> torch.Tensor:
    return deltas * torch.tensor([left_top, left_top, right_bottom, right_bottom], dtype=deltas.dtype)


def _outward(offset: torch.Tensor) -> torch.Tensor:
    return torch.cat([-offset[:, :2].abs(), offset[:, 2:].abs()], dim=1)

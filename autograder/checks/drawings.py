"""Pictures of what a public check compared: each function gives one that draws what student code gave."""

from __future__ import annotations

import torch

from autograder.checks.compare import Draw
from autograder.checks.result import Picture

MAX_ROWS = 256


def drawn_points(what: str, expected: torch.Tensor) -> Draw:
    """Draw rows `(x, y)` in their order.

    Args:
        what: Names them, such as "The locations of p3".
        expected: `(N, 2)`, in pixels.
    """
    return lambda got: _picture("points", what, expected, got)


def drawn_boxes(what: str, expected: torch.Tensor, size: tuple[int, int] | None = None) -> Draw:
    """Draw rows `(x1, y1, x2, y2)`.

    Args:
        what: Names them, such as "The boxes".
        expected: `(N, 4)`, in pixels.
        size: Height and width of the image that they lie in.
    """
    return lambda got: _picture("boxes", what, expected, got, size)


def drawn_deltas(what: str, boxes: torch.Tensor, locations: torch.Tensor, stride: float) -> Draw:
    """Draw deltas as the boxes that they stand for.

    Args:
        what: Names them, such as "The boxes that the deltas stand for".
        boxes: `(N, 4)`, those that right deltas stand for.
        locations: `(N, 2)`, centres `(x, y)`.
        stride: Pixels a cell.
    """

    def draw(got: torch.Tensor) -> Picture:
        distances = got.detach().double() * stride
        corners = torch.cat([locations - distances[:, :2], locations + distances[:, 2:]], dim=1)
        return _picture("boxes", what, boxes, corners)

    return draw


def _picture(
    kind: str, what: str, expected: torch.Tensor, got: torch.Tensor, size: tuple[int, int] | None = None
) -> Picture:
    got = got.detach().double()[:MAX_ROWS]
    fine = got.isfinite().all(dim=1)
    height, width = size or (0, 0)
    return Picture(kind, what, _rows(expected[:MAX_ROWS]), _rows(got[fine]), width, height, int((~fine).sum()))


def _rows(tensor: torch.Tensor) -> list[list[float]]:
    return [[round(value, 1) for value in row] for row in tensor.detach().double().clamp(-1e6, 1e6).tolist()]

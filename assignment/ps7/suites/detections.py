"""Comparing two sets of detections, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from autograder.checks.bounded import numbers_text, shape_text
from autograder.checks.compare import CheckFailed, expect_shape, expect_tensor
from autograder.checks.drawings import drawn_boxes
from autograder.checks.result import Picture

_MOST = 10_000  # detections; no image of ours has so many locations
Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def expect_detections(
    got: Any,
    accepted: Sequence[Detections],
    faults: Sequence[tuple[str, Detections]] = (),
    tolerance: float = 2e-3,
    size: tuple[int, int] | None = None,
    otherwise: Callable[[Detections], str] = lambda got: "",
) -> None:
    """Fail unless `got` is, in any order, one of the accepted sets of detections.

    Args:
        got: What student code gave: boxes `(N, 4)`, classes `(N,)` and scores `(N,)`.
        accepted: Right answers.
        faults: Sentences, and what a solution with that fault would give.
        tolerance: Absolute, on boxes in pixels and on scores.
        size: Height and width of the image; if given, a failure comes with a picture.
        otherwise: Says what is wrong where none of the faults is found.
    """
    boxes, classes, scores = expect_three(got)
    expected = accepted[0]
    count = len(boxes)
    expect_shape(boxes, (count, 4), "The boxes")
    for tensor, what in ((classes, "The classes"), (scores, "The scores")):
        if tensor.dim() != 1 or len(tensor) != count:
            text = f"{what} have shape {shape_text(tensor)}, where there are {count} boxes: expected ({count},)."
            raise CheckFailed(
                text, "Boxes, classes and scores have to be filtered alike.", f"{what} have the wrong shape."
            )
    if any(_same((boxes, classes, scores), right, tolerance) for right in accepted):
        return
    diagnosis = next((text for text, wrong in faults if _same((boxes, classes, scores), wrong, tolerance)), "")
    diagnosis = diagnosis or otherwise((boxes, classes, scores))
    have, want = _rows((boxes, classes, scores)), _rows(expected)
    first = _first_difference(have, want, tolerance)
    picture = _picture(have, want, first, size) if size and first is not None else None
    raise CheckFailed(_difference(have, want, first), diagnosis, "The detections are wrong.", picture)


def are_detections(got: Detections, accepted: Sequence[Detections], tolerance: float = 2e-3) -> bool:
    """Whether three tensors are one of the accepted sets of detections; their shapes may be anything."""
    boxes, classes, scores = got
    fit = boxes.dim() == 2 and boxes.shape[1] == 4 and classes.shape == scores.shape == boxes.shape[:1]
    return fit and any(_same(got, right, tolerance) for right in accepted)


def expect_three(got: Any) -> Detections:
    """Fail unless `got` is boxes, classes and scores."""
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        text = "`inference` should return boxes, classes and scores, three tensors."
        raise CheckFailed(text, public_text=text)
    names = ("The boxes", "The classes", "The scores")
    boxes, classes, scores = (expect_tensor(part, what) for part, what in zip(got, names, strict=True))
    if max(boxes.numel(), classes.numel(), scores.numel()) > 4 * _MOST:
        text = f"More than {_MOST} detections: are the scores filtered by the threshold?"
        raise CheckFailed(text, public_text=text)
    return boxes, classes, scores


def _unsorted(found: Detections) -> torch.Tensor:
    """One row a detection, (score, class, box)."""
    boxes, classes, scores = (part.double() for part in found)
    return torch.cat([scores[:, None], classes[:, None], boxes], dim=1)  # (N, 6)


def _rows(found: Detections) -> torch.Tensor:
    """The same, sorted."""
    rows = _unsorted(found)
    keys = [[round(v, 2) for v in row] for row in rows.tolist()]
    return rows[sorted(range(len(rows)), key=keys.__getitem__, reverse=True)]


def _same(one: Detections, other: Detections, tolerance: float) -> bool:
    if len(one[0]) != len(other[0]):
        return False
    if bool(((_unsorted(one) - _unsorted(other)).abs() <= tolerance).all()):
        return True  # in the same order, as mostly
    left, right = _rows(one), _rows(other)
    near = ((left[:, None] - right[None, :]).abs().amax(dim=2) <= tolerance).tolist()  # (N, N)
    free = set(range(len(right)))
    for row in near:  # sorting alone could part near-equal rows differently
        match = next((index for index in sorted(free) if row[index]), None)
        if match is None:
            return False
        free.remove(match)
    return True


def _first_difference(have: torch.Tensor, want: torch.Tensor, tolerance: float) -> int | None:
    for index in range(min(len(have), len(want))):
        if float((have[index] - want[index]).abs().max()) > tolerance:
            return index
    return None


def _difference(have: torch.Tensor, want: torch.Tensor, first: int | None) -> str:
    lines = [f"Expected {len(want)} detections, got {len(have)}."]
    if first is not None:
        lines.append(f"The first that differs: expected {_show(want[first])}, got {_show(have[first])}.")
    return "\n".join(lines)


def _picture(have: torch.Tensor, want: torch.Tensor, first: int, size: tuple[int, int]) -> Picture:
    """The first detection that differs, as the message has it: no more than it says."""
    return drawn_boxes("The first detection that differs", want[first : first + 1, 2:], size)(
        have[first : first + 1, 2:]
    )


def _show(row: torch.Tensor) -> str:
    score, label, *box = row.tolist()
    return f"class {label:g}, score {score:.4g}, box {numbers_text(box, '.5g')}"

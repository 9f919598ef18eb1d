"""Comparing two sets of detections, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from autograder.suites.compare import CheckFailed, expect_shape, expect_tensor

Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def expect_detections(
    got: Any, accepted: Sequence[Detections], faults: Sequence[tuple[str, Detections]] = (), tolerance: float = 2e-3
) -> None:
    """Fail unless `got` is, in any order, one of the accepted sets of detections.

    Args:
        got: What student code gave: boxes `(N, 4)`, classes `(N,)` and scores `(N,)`.
        accepted: Right answers.
        faults: Sentences, and what a solution with that fault would give.
        tolerance: Absolute, on boxes in pixels and on scores.
    """
    boxes, classes, scores = expect_three(got)
    expected = accepted[0]
    count = len(boxes)
    expect_shape(boxes, (count, 4), "The boxes")
    for tensor, what in ((classes, "The classes"), (scores, "The scores")):
        if tensor.dim() != 1 or len(tensor) != count:
            text = f"{what} have shape {tuple(tensor.shape)}, where there are {count} boxes: expected ({count},)."
            raise CheckFailed(
                text, "Boxes, classes and scores have to be filtered alike.", f"{what} have the wrong shape."
            )
    if any(_same((boxes, classes, scores), right, tolerance) for right in accepted):
        return
    diagnosis = next((text for text, wrong in faults if _same((boxes, classes, scores), wrong, tolerance)), "")
    raise CheckFailed(
        _difference((boxes, classes, scores), expected, tolerance), diagnosis, "The detections are wrong."
    )


def expect_three(got: Any) -> Detections:
    """Fail unless `got` is boxes, classes and scores."""
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        text = "`inference` should return boxes, classes and scores, three tensors."
        raise CheckFailed(text, public_text=text)
    names = ("The boxes", "The classes", "The scores")
    boxes, classes, scores = (expect_tensor(part, what) for part, what in zip(got, names, strict=True))
    return boxes, classes, scores


def _rows(found: Detections) -> torch.Tensor:
    """One row a detection, (score, class, box), sorted."""
    boxes, classes, scores = (part.double() for part in found)
    rows = torch.cat([scores[:, None], classes[:, None], boxes], dim=1)  # (N, 6)
    order = sorted(range(len(rows)), key=lambda i: [round(v, 2) for v in rows[i].tolist()], reverse=True)
    return rows[order]


def _same(one: Detections, other: Detections, tolerance: float) -> bool:
    if len(one[0]) != len(other[0]):
        return False
    left, right = _rows(one), _rows(other)
    used = torch.zeros(len(right), dtype=torch.bool)
    for row in left:  # sorting alone could part near-equal rows differently
        near = ((right - row).abs().amax(dim=1) <= tolerance) & ~used if len(right) else used
        if not bool(near.any()):
            return False
        used[int(near.nonzero()[0])] = True
    return True


def _difference(got: Detections, expected: Detections, tolerance: float) -> str:
    have, want = _rows(got), _rows(expected)
    lines = [f"Expected {len(want)} detections, got {len(have)}."]
    for index in range(min(len(have), len(want))):
        if float((have[index] - want[index]).abs().max()) > tolerance:
            lines.append(f"The first that differs: expected {_show(want[index])}, got {_show(have[index])}.")
            break
    return "\n".join(lines)


def _show(row: torch.Tensor) -> str:
    score, label, *box = row.tolist()
    return f"class {int(label)}, score {score:.3f}, box ({', '.join(f'{v:.1f}' for v in box)})"

"""Answers that are right but for a fault that other checks are about.

A check that asks for one thing (the dtype, an empty map, one row) does not charge again for values that are wrong in a
way that has a name. Whoever gives such values has done all of the work but for that fault, so nothing is earned by
answers that are empty, constant or typed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from autograder.checks.compare import Hypothesis, expect_close, expect_shape, is_close


def expect_close_but_for(
    got: Any, expected: torch.Tensor, what: str, faults: Iterable[Hypothesis], *, to_scale: bool = False
) -> None:
    """Fail unless `got` is what is expected, or what one of some faults gives.

    Args:
        got: What student code gave.
        expected: What it should be.
        what: Names it in the message.
        faults: Sentences, and what a solution with that fault gives; those that other checks are about.
        to_scale: Whether a common factor, another stride say, is a fault of that kind, too.
    """
    expect_shape(got, expected.shape, what)
    for answer in (expected, *(wrong for _, wrong in faults)):
        if is_close(got, answer) or (to_scale and _is_close_to_scale(got, answer)):
            return
    expect_close(got, expected, what)


def _is_close_to_scale(got: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two tensors are the same but for a positive factor, and not all zero."""
    if got.shape != expected.shape or not got.numel():
        return False
    sizes = [float(tensor.double().abs().max()) for tensor in (got, expected)]
    if not all(0.0 < size < float("inf") for size in sizes):
        return False
    return is_close(got.double() / sizes[0], expected.double() / sizes[1])

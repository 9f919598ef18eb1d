"""How much work some code does, counted and not timed: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, Python's own included, while some code runs."""
    count = 0

    def seen(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def growth(make: Callable[[int], Callable[[], object]], size: int, times: int = 4) -> float:
    """How many times the work grows when what it is about grows `times`: as many where it is linear.

    Args:
        make: Gives the work for a size; what it does to prepare is not counted.
        size: The smaller one.
        times: The larger one is so many times as large.
    """
    make(size)()  # what is remembered from the first time on
    small, large = calls_of(make(size)), calls_of(make(times * size))
    return large / max(small, 1)

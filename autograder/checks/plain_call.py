"""A check called as the function that it is: pytest's report on it takes longer than most checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest


def call_plainly(item: pytest.Item, known: Mapping[str, Callable[[], Any]]) -> bool:
    """Call a check with what it asks for.

    Args:
        item: The check.
        known: What gives each fixture that it may ask for.

    Returns:
        Whether it was called; not where it asks for fixtures of its suite's own, which are pytest's.

    Raises:
        BaseException: Whatever the check raises.
    """
    call = getattr(item, "callspec", None)
    given = call.params if call is not None else {}
    if not isinstance(item, pytest.Function) or not set(item.fixturenames) <= {*known, *given, "request"}:
        return False
    wanted = inspect.signature(item.obj).parameters
    item.obj(**{name: given[name] if name in given else known[name]() for name in wanted})
    return True

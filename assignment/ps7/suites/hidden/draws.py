"""What is drawn for a check, and what the solution makes of it, kept for a while.

Known faults are asked for the same inputs as a student's code, one fault after the other: to draw them and to ask the
solution takes longer than to ask the fault.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import torch

Drawn = TypeVar("Drawn")
_KEPT = 16
_known: OrderedDict[tuple[str, bytes], tuple[Any, torch.Tensor]] = OrderedDict()


def drawn_once(key: str, rng: torch.Generator, make: Callable[[], Drawn]) -> Drawn:
    """What `make` gives with these random numbers; `rng` goes on from where that leaves it. Nobody may change it.

    Args:
        key: Says what is made; with the state of `rng` it has to determine it.
        rng: What `make` draws from.
        make: Draws, and asks the solution, but no student.
    """
    at = (key, rng.get_state().numpy().tobytes())
    if at not in _known:
        made = make()
        _known[at] = (made, rng.get_state())
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    made, after = _known[at]
    rng.set_state(after)
    return made

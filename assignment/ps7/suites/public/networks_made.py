"""The networks that a detector has made, where canned ones stand in: what they were given, however they are held."""

from __future__ import annotations

from typing import Any

from autograder.checks.student import Handle
from autograder.runtime.errors import StudentError

MARKS = {"backbone": "scale", "pred_net": "cls_offset"}  # a parameter of each that no other network has


def given_to_network(module: Handle, part: str) -> list[Any] | None:
    """What a canned network was made with; None if `self.<part>` is none.

    It may be wrapped there (`nn.Sequential`, `DataParallel`), or be held elsewhere and given by a property.

    Args:
        module: The detector.
        part: "backbone" or "pred_net".
    """
    holders = [name.rpartition(".")[0] for name in module.found() if name.endswith(f".{MARKS[part]}")]
    inside = [holder for holder in holders if holder == part or holder.startswith(f"{part}.")]
    try:
        made: Any = module.get(f"{(inside or [part])[0]}.made_with")
    except StudentError:
        return None
    return made if isinstance(made, list) else None

"""The `[late]` table of an `assignment.toml`: what lateness costs. Without it, nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from autograder.course.toml_values import refuse_unknown


@dataclass(frozen=True)
class LateSettings:
    """What each late day costs.

    Attributes:
        per_cent: Of the points earned, for each late day that was begun and is not free.
        free_days: Days that cost nothing.
        most_days: Who is later than so many days gets no points; 0 for no such end.
        unless_known: So many days count where a platform says "late" and not how late.
        due: When it had to be there; for platforms that say when it was handed in. None if that is not asked.
    """

    per_cent: float
    free_days: float = 0.0
    most_days: float = 0.0
    unless_known: float = 1.0
    due: datetime | None = None

    def per_cent_off(self, days: float) -> float:
        """What so many late days cost, per cent of the points, from 0 to 100."""
        if days <= 0:
            return 0.0
        if self.most_days and days > self.most_days:
            return 100.0
        return min(100.0, self.per_cent * math.ceil(max(0.0, days - self.free_days) - 1e-9))


def read_late_settings(table: dict[str, Any]) -> LateSettings:
    """Build `LateSettings` from a parsed table.

    Raises:
        KeyError, ValueError: The table is not as it should be.
    """
    refuse_unknown(table, [entry.name for entry in fields(LateSettings)])
    due = table.get("due")
    if due is not None and not (isinstance(due, datetime) and due.tzinfo):
        raise ValueError("due in [late] has to be a date and a time with its zone (2026-03-10T23:59:00+01:00)")
    numbers = {name: value for name, value in table.items() if name != "due"}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{name} in [late] has to be a number, 0 or more, not {value!r}")
    made = LateSettings(
        per_cent=float(table["per_cent"]), due=due, **{k: float(v) for k, v in numbers.items() if k != "per_cent"}
    )
    if made.per_cent > 100:
        raise ValueError("per_cent in [late] has to be 100 at most")
    return made

"""What an exercise lost, as a person who grades by a rubric writes it down: a line a fault, points before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autograder.checks.result import CheckResult, ExerciseResult

_EXACT = 1e-9
_RAISED = re.compile(r"Your code raised \w{1,60}(?: in code cell \d+, line \d+)?")
_UNREAD = re.compile(r"Python cannot read |Your code raised SyntaxError\b")


@dataclass(frozen=True)
class Line:
    """Points off, and why.

    Attributes:
        points: Off, more than 0.
        says: Why.
        checks: In how many checks it shows.
        fault: Its name in the rubric; "" for what no known fault explains.
    """

    points: float
    says: str
    checks: int
    fault: str = ""

    @property
    def where(self) -> str:
        """How many checks, in words."""
        return f"in {self.checks} {'check' if self.checks == 1 else 'checks'}"


def bill(exercise: ExerciseResult) -> list[Line]:
    """All that an exercise lost, line by line; the lines add up to it. Faults of the rubric come first.

    Checks that failed alike for a reason of one kind (all left as given, all stopped at one line) share a line. None
    for points that staff set by hand, and none while a check of ours is broken.
    """
    if exercise.by_hand is not None or exercise.status == "grader_error":
        return []
    lines = []
    for charge, cost in zip(exercise.charges, exercise.costs, strict=True):
        shown = sum(any(name in check.faults for name in charge.mutants) for check in exercise.checks)
        lines.append(Line(cost, charge.says, shown, charge.fault))
    groups: dict[str, list[CheckResult]] = {}
    for check in exercise.to_mend_first:
        if check.lost > _EXACT and not (check.faults and exercise.charges):
            groups.setdefault(_reason(check), []).append(check)
    lines += [Line(sum(check.lost for check in checks), _says(checks[0]), len(checks)) for checks in groups.values()]
    return [line for line in lines if line.points > _EXACT]


def without(exercise: ExerciseResult, lines: list[Line]) -> str:
    """What the exercise would have got without the first of the lines, in a sentence; "" where there are none."""
    if not lines:
        return ""
    what = "this" if len(lines) == 1 else "the first of these"
    got = exercise.points + lines[0].points
    return f"Without {what} the exercise would have got {got:g} of {exercise.max_points:g} points."


def _reason(check: CheckResult) -> str:
    """What checks have in common that share a line."""
    if check.status in ("missing", "timeout", "memory"):
        return check.status
    if check.cell and _UNREAD.match(check.message):
        return f"unread {check.cell} {check.line}"  # said in other words where the check is hidden
    return _says(check)


def _says(check: CheckResult) -> str:
    """Why a check that no known fault explains failed."""
    if check.status == "failed":
        return check.diagnosis or f"Not right yet: {check.sentence}"
    if raised := _RAISED.match(check.message):
        return f"{raised.group()}."
    return check.message.partition("\n")[0] or check.sentence

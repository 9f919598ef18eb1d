"""`fcoskit validate`, the prices: does every fault of the proof cost what the rubric says, and none too much?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from autograder.course.rubric import FILE, Rubric

_EXACT = 1e-9


@dataclass(frozen=True)
class Cost:
    """What one wrong solution lost in the exercise that its fault is in.

    Attributes:
        mutant: Its name.
        exercise: Its id.
        points: Lost.
        most: Points of the exercise.
    """

    mutant: str
    exercise: str
    points: float
    most: float

    @property
    def share(self) -> float:
        """Of the exercise."""
        return self.points / self.most if self.most else 0.0


def price_problems(costs: Sequence[Cost], rubric: Rubric, known: frozenset[str]) -> list[str]:
    """Where proof and rubric differ.

    Args:
        costs: Of the mutants that were graded.
        rubric: The prices.
        known: Names of all mutants there are.
    """
    found = [f"{FILE} prices {name}: there is no such mutant" for name in _strangers(rubric, known)]
    met = set[str]()
    for cost in costs:
        fault = rubric.faults.get(cost.mutant)
        half = cost.most / 2
        if cost.mutant in rubric.in_full:
            continue
        if fault is None:
            if cost.points > half + _EXACT:
                found.append(f"{cost.mutant} costs {cost.points:g} of {cost.most:g}, and {FILE} does not say why")
            continue
        if abs(cost.points - fault.price) <= _EXACT:
            met.add(fault.name)
        else:
            found.append(f"{cost.mutant} costs {cost.points:g} of {cost.most:g}; its price is {fault.price:g}")
        if fault.price > half + _EXACT and not fault.half:
            found.append(f"{fault.name} has a price of {fault.price:g} of {cost.most:g}, and `half` does not say why")
    graded = {cost.mutant for cost in costs}
    unmet = {f.name: f.price for f in rubric.faults.values() if f.name not in met and graded >= set(f.mutants)}
    return found + [f"no mutant costs the price of {name}, {price:g}" for name, price in unmet.items()]


def _strangers(rubric: Rubric, known: frozenset[str]) -> list[str]:
    return [name for name in (*rubric.faults, *rubric.in_full) if name not in known]


def price_lines(costs: Sequence[Cost], rubric: Rubric) -> list[str]:
    """Median, the largest, and what each fault costs, for people."""
    if not costs:
        return []
    shares = [cost.share for cost in costs]
    dear = [cost for cost in costs if cost.points > cost.most / 2 + _EXACT]
    unsaid = [cost for cost in dear if not _said(cost, rubric)]
    named = [cost.share for cost in costs if cost.mutant not in rubric.in_full]
    lines = [
        f"A fault costs {statistics.median(shares):.0%} of its exercise in the median, {max(shares):.0%} at most; "
        f"{len(dear)} of {len(costs)} cost more than half, {len(unsaid)} of them without a word in {FILE}.",
    ]
    if named:
        lines.append(f"Of those that do not cost in full all that they fail, the dearest costs {max(named):.0%}.")
    exercises = dict.fromkeys((cost.exercise, cost.most) for cost in costs)
    for exercise, most in exercises:
        prices: dict[float, list[str]] = {}
        for cost in costs:
            if cost.exercise == exercise:
                prices.setdefault(cost.points, []).append(cost.mutant)
        told = "; ".join(f"{points:g}: {', '.join(names)}" for points, names in sorted(prices.items()))
        lines.append(f"{exercise}, of {most:g}: {told}")
    return lines


def _said(cost: Cost, rubric: Rubric) -> bool:
    fault = rubric.faults.get(cost.mutant)
    return cost.mutant in rubric.in_full or bool(fault and fault.half)

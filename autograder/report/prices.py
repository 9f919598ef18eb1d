"""What the faults of an exercise cost, by the rubric as it is now: no code runs again for another price."""

from __future__ import annotations

from autograder.checks.result import Charge, ExerciseResult
from autograder.course.rubric import Rubric
from autograder.report.model import Report


def apply_rubric(result: ExerciseResult, rubric: Rubric) -> bool:
    """Price the faults that explain checks of an exercise; says whether that changed anything.

    Args:
        result: Its checks hold the faults' names; `dearest` what each costs where the rubric has no price.
        rubric: The prices.
    """
    names = dict.fromkeys(name for check in result.checks for name in check.faults)
    found: dict[str, Charge] = {}
    for name in names:
        fault = rubric.faults.get(name)
        if name in rubric.in_full:
            worth = sum(check.lost for check in result.checks if name in check.faults)
            found[name] = Charge(name, _said(result, name), worth, [name])
        elif fault is not None:
            found[fault.name] = Charge(fault.name, fault.says, fault.price, list(fault.mutants))
        else:
            found[name] = Charge(name, _said(result, name), result.dearest.get(name, result.max_points), [name])
    charges = list(found.values())
    changed, result.charges = charges != result.charges, charges
    return changed


def apply_rubric_to(report: Report, rubric: Rubric) -> bool:
    """The same for each exercise of a report."""
    changed = [apply_rubric(exercise, rubric) for exercise in report.exercises]
    return any(changed)


def _said(result: ExerciseResult, name: str) -> str:
    """A sentence for a fault that the rubric has none for: what a check says of it, or asks."""
    explained = [check for check in result.checks if name in check.faults]
    diagnosis = next((check.diagnosis for check in explained if check.diagnosis), "")
    return diagnosis or f"Not right yet: {explained[0].sentence}"

"""Item analysis: how hard each check was, and whether those who do well elsewhere pass it.

*Difficulty* is the share of students that passed (so a low number is a hard check): L. Crocker and J. Algina,
Introduction to Classical and Modern Test Theory, 1986, chapter 14. *Discrimination* is the point-biserial
correlation between passing the check and the points earned in all other checks. The check's own points are
left out, since they would correlate with themselves: S. Henrysson, Correction of item-total correlations in
item analysis, Psychometrika 28, 1963.

A check that is worth nothing explains what others found: only those who lost points are asked it. Of them it says who
passed, and neither of the two numbers, which would be about other students than those of its neighbours.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass

from autograder.checks.result import CheckResult
from autograder.report.model import Report

FEWEST = 5  # with fewer students a correlation says nothing
Key = tuple[str, str, bool]


@dataclass(frozen=True)
class Item:
    """One check over a class.

    Attributes:
        exercise: Its id.
        name: The check's.
        sentence: What is checked.
        public: Whether students have it too.
        points: What it is worth.
        counts: Students by status, `grader_error` included.
        difficulty: Share of the students with a verdict that passed, 0 to 1; None where there is no verdict, and of a
            check that is worth nothing.
        discrimination: Correlation, -1 to 1; None where all or none passed, where all others scored the same, with
            fewer than `FEWEST` students, and of a check that is worth nothing.
        seconds: Median wall clock; None where nothing ran.
    """

    exercise: str
    name: str
    sentence: str
    public: bool
    points: float
    counts: dict[str, int]
    difficulty: float | None
    discrimination: float | None
    seconds: float | None

    @property
    def verdicts(self) -> int:
        """Students of whom it is known whether they passed."""
        return sum(self.counts.values()) - self.counts.get("grader_error", 0)

    @property
    def passed(self) -> int:
        """Students that passed."""
        return self.counts.get("passed", 0)


def analyse(reports: list[Report]) -> list[Item]:
    """Every check of the submissions that could be graded, in the order of the suites.

    Args:
        reports: A class; those that were not graded at all are left out.
    """
    graded = [report for report in reports if report.outcome == "graded"]
    found: dict[Key, list[tuple[Report, CheckResult]]] = {}
    for report in sorted(graded, key=lambda r: -sum(len(e.checks) for e in r.exercises)):  # fullest first: its order
        for exercise in report.exercises:
            for check in exercise.checks:
                found.setdefault((exercise.id, check.name, check.public), []).append((report, check))
    order = {key: number for number, key in enumerate(found)}
    exercises = list(dict.fromkeys(key[0] for key in found))
    keys = sorted(found, key=lambda key: (exercises.index(key[0]), order[key]))
    return [_item(key, found[key]) for key in keys]


def _item(key: Key, answers: list[tuple[Report, CheckResult]]) -> Item:
    check = answers[0][1]
    counts = Counter(answer.status for _, answer in answers)
    verdicts = [answer for _, answer in answers if answer.status != "grader_error"]
    took = [answer.seconds for answer in verdicts if answer.seconds > 0]
    return Item(
        exercise=key[0],
        name=key[1],
        sentence=check.sentence,
        public=key[2],
        points=check.points,
        counts=dict(counts),
        difficulty=counts["passed"] / len(verdicts) if verdicts and check.points else None,
        discrimination=_discrimination(answers) if check.points else None,
        seconds=statistics.median(took) if took else None,
    )


def _discrimination(answers: list[tuple[Report, CheckResult]]) -> float | None:
    pairs = [
        (float(check.status == "passed"), rest)
        for report, check in answers
        if (rest := _rest(report, check)) is not None
    ]
    if len(pairs) < FEWEST:
        return None
    try:
        return statistics.correlation([passed for passed, _ in pairs], [rest for _, rest in pairs])
    except statistics.StatisticsError:  # one of the two is the same for all
        return None


def _rest(report: Report, check: CheckResult) -> float | None:
    """Share of the points of all other checks; None where one of ours broke, so that it is not known."""
    checks = [other for exercise in report.exercises for other in exercise.checks]
    if any(other.status == "grader_error" for other in checks):
        return None
    most = sum(other.points for other in checks) - check.points
    if most <= 0:
        return None
    return round((sum(other.earned for other in checks) - check.earned) / most, 12)  # equal is equal, to the last bit

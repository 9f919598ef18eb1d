"""A class in numbers: scores, exercises, diagnoses, time and memory. Plain data, for every form it is shown in."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass, replace

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.report.attention import Attention, who_needs_a_human
from autograder.report.bill import bill
from autograder.report.items import Item, analyse
from autograder.report.model import UNREAD, Report

BINS = 10
_BLANK = "left as given, or its name is not defined"
_SYNTAX = f"{UNREAD} the cell that defines it"
_ENDS = {
    "failed": "wrong by no known fault",
    "error": "stops with an error",
    "timeout": "takes too long",
    "memory": "needs too much memory",
    "missing": "in part left as given",
}


@dataclass(frozen=True)
class Bin:
    """Scores from `low` up to, but without, `high`; the last bin holds `high` too."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Scores:
    """The distribution of all scores.

    Attributes:
        count: Students with a score.
        without: Students without one: a human has to act first.
        unreadable: Those among `count` whose file could not be read, a zero.
        most: Points of the whole assignment.
        mean, median: Of the scores; None without any.
        deviation: Standard deviation of the sample; None with fewer than two.
        low, high: The extremes.
        bins: Equal in width, over 0 to `most`.
    """

    count: int
    without: int
    unreadable: int
    most: float
    mean: float | None
    median: float | None
    deviation: float | None
    low: float | None
    high: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class ExerciseSummary:
    """One exercise over the class; points set by hand count as they do in the grades.

    Attributes:
        id, title, points: As in the reports.
        count: Students that have a verdict for it.
        mean: Points, on average; None without any.
        full, part, none: How many got all, some and no points.
        seconds: Wall clock of all its checks, by student.
        megabytes: Peak memory, by student, where it is known.
    """

    id: str
    title: str
    points: float
    count: int
    mean: float | None
    full: int
    part: int
    none: int
    seconds: tuple[float, ...]
    megabytes: tuple[float, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong in an exercise, and for how many students.

    Attributes:
        exercise: Its id.
        text: What.
        count: Students.
        named: Whether a check could say it by name.
        blank: Whether nothing went wrong, for nothing was done.
    """

    exercise: str
    text: str
    count: int
    named: bool
    blank: bool = False


@dataclass(frozen=True)
class Lost:
    """A fault of the rubric over the class.

    Attributes:
        exercise: Its id.
        fault: Its name in the rubric.
        says: The sentence that students read.
        students: How many have it.
        points: What it cost all of them together.
    """

    exercise: str
    fault: str
    says: str
    students: int
    points: float


@dataclass(frozen=True)
class ClassSummary:
    """A class.

    Attributes:
        title: Of the assignment.
        students: All of whom there is a report.
        first, last: When the first and the last submission was graded, ISO 8601.
        scores, exercises, items, diagnoses, attention: See there.
        suites: How many reports each digest of the suites has, the commonest first.
        seconds: Wall clock of whole submissions.
        warnings: What a reader must know before the numbers.
        lost: Students and points by fault, the commonest first.
    """

    title: str
    students: int
    first: str
    last: str
    scores: Scores
    exercises: tuple[ExerciseSummary, ...]
    items: tuple[Item, ...]
    diagnoses: tuple[Diagnosis, ...]
    attention: tuple[Attention, ...]
    suites: tuple[tuple[str, int], ...]
    seconds: tuple[float, ...]
    warnings: tuple[str, ...] = ()
    lost: tuple[Lost, ...] = ()


def summarise(reports: list[Report]) -> ClassSummary:
    """The numbers of a class of one assignment, at least one report."""
    times = sorted(report.started for report in reports if report.started)
    suites = Counter(report.suites for report in reports).most_common()
    return ClassSummary(
        title=Counter(report.title for report in reports).most_common(1)[0][0],
        students=len(reports),
        first=times[0] if times else "",
        last=times[-1] if times else "",
        scores=distribution(reports),
        exercises=tuple(_exercise(name, pairs) for name, pairs in _by_exercise(reports).items()),
        items=tuple(analyse(reports)),
        diagnoses=tuple(diagnoses(reports)),
        lost=tuple(by_fault(reports)),
        attention=tuple(who_needs_a_human(reports)),
        suites=tuple(suites),
        seconds=tuple(report.seconds for report in reports if report.seconds > 0),
    )


def with_warnings(summary: ClassSummary, lines: list[str]) -> ClassSummary:
    """The same with more for a reader to know first."""
    return replace(summary, warnings=(*summary.warnings, *lines))


def distribution(reports: list[Report]) -> Scores:
    """How the scores lie."""
    scores = [score for report in reports if (score := report.score) is not None]
    most = max((report.max_score for report in reports), default=0.0)
    unreadable = sum(report.status == "unreadable" for report in reports)
    return Scores(
        count=len(scores),
        without=len(reports) - len(scores),
        unreadable=unreadable,
        most=most,
        mean=statistics.fmean(scores) if scores else None,
        median=statistics.median(scores) if scores else None,
        deviation=statistics.stdev(scores) if len(scores) > 1 else None,
        low=min(scores, default=None),
        high=max(scores, default=None),
        bins=tuple(_bins(scores, most)),
    )


def _bins(scores: list[float], most: float) -> list[Bin]:
    if most <= 0:
        return []
    counts = Counter(min(max(int(BINS * score / most + 1e-9), 0), BINS - 1) for score in scores)
    return [Bin(most * n / BINS, most * (n + 1) / BINS, counts[n]) for n in range(BINS)]


def _by_exercise(reports: list[Report]) -> dict[str, list[tuple[Report, ExerciseResult]]]:
    """What the reports have of each exercise, in the order of the notebook."""
    found: dict[str, list[tuple[Report, ExerciseResult]]] = {}
    for report in sorted(reports, key=lambda report: -len(report.exercises)):  # the fullest first: its order counts
        for exercise in report.exercises:
            found.setdefault(exercise.id, []).append((report, exercise))
    return found


def _exercise(name: str, pairs: list[tuple[Report, ExerciseResult]]) -> ExerciseSummary:
    counted = [e for r, e in pairs if r.outcome in ("graded", "unreadable") and _has_verdict(e)]
    most = max(exercise.max_points for _, exercise in pairs)
    full = sum(exercise.points >= exercise.max_points - 1e-9 for exercise in counted)
    none = sum(exercise.points <= 1e-9 < exercise.max_points - 1e-9 for exercise in counted)
    took = [sum(check.seconds for check in exercise.checks) for _, exercise in pairs]
    return ExerciseSummary(
        id=name,
        title=pairs[0][1].title,
        points=most,
        count=len(counted),
        mean=statistics.fmean(exercise.points for exercise in counted) if counted else None,
        full=full,
        part=len(counted) - full - none,
        none=none,
        seconds=tuple(seconds for seconds in took if seconds > 0),
        megabytes=tuple(exercise.peak_megabytes for _, exercise in pairs if exercise.peak_megabytes > 0),
    )


def _has_verdict(exercise: ExerciseResult) -> bool:
    return exercise.by_hand is not None or exercise.status != "grader_error"


def by_fault(reports: list[Report]) -> list[Lost]:
    """What each fault of the rubric cost the class, the commonest first; points set by hand have settled theirs."""
    students, points = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    says: dict[tuple[str, str], str] = {}
    for report in reports:
        for exercise in report.exercises if report.outcome == "graded" else []:
            for line in bill(exercise):
                if line.fault:
                    key = (exercise.id, line.fault)
                    students[key] += 1
                    points[key] += line.points  # type: ignore[assignment]
                    says.setdefault(key, line.says)
    found = [Lost(*key, says[key], count, points[key]) for key, count in students.items()]
    return sorted(found, key=lambda lost: (-lost.students, -lost.points, lost.exercise, lost.fault))


def diagnoses(reports: list[Report]) -> list[Diagnosis]:
    """What went wrong, by exercise, the commonest first, what was left as given last. A student counts once a line.

    Equals come in the order of the notebook.
    """
    order = list(_by_exercise(reports))
    counts: Counter[tuple[str, str, bool]] = Counter()
    for report in reports:
        if report.outcome == "graded":
            for exercise in report.exercises:
                counts.update({(exercise.id, text, named) for text, named in _faults(exercise)})
    found = [Diagnosis(name, text, count, named, text == _BLANK) for (name, text, named), count in counts.items()]
    return sorted(found, key=lambda d: (d.blank, -d.count, order.index(d.exercise), not d.named, d.text))


def _faults(exercise: ExerciseResult) -> set[tuple[str, bool]]:
    """The diagnoses of an exercise; without any, how the first check that did not pass ended."""
    named = {(charge.says, True) for charge in exercise.charges}
    named |= {(_without_place(c.diagnosis), True) for c in exercise.checks if _told(exercise, c)}
    if named:
        return named
    if exercise.status == "missing":
        return {(_BLANK, True)}
    for check in exercise.checks:
        if check.status not in ("passed", "grader_error"):
            if check.message.startswith(UNREAD):
                return {(_SYNTAX, True)}
            raised = re.search(r"Your code raised (\w{1,40})", check.message)
            how = f"stops with {raised.group(1)}" if raised else _ENDS[check.status]
            return {(f"{how}, first in: {check.sentence}", False)}
    return set()


def _told(exercise: ExerciseResult, check: CheckResult) -> bool:
    """Whether a check's diagnosis is told for itself, and not by a fault of the rubric."""
    return check.status == "failed" and bool(check.diagnosis) and not (check.faults and exercise.charges)


def _without_place(text: str) -> str:
    """A diagnosis without cell and line, which differ from student to student."""
    return re.sub(r" in code cell \d+, line \d+", "", text)

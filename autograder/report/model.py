"""The one verdict that every front end shows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from autograder.checks.result import FIGURE_STATUSES, STATUSES, ExerciseResult, Figure
from autograder.course.origin import Origin

FORMAT = 1
UNREAD = "Python cannot read"  # begins the note about a cell
OUTCOMES = ("graded", "unreadable", "undecided", "grader_error")


@dataclass
class Report:
    """What grading one submission came to.

    Attributes:
        assignment: Its id.
        title: Its title.
        student: Whose submission.
        file: The notebook's file name.
        sha256: Of the notebook's bytes, "" where there are none.
        suites: Digest of everything that decides a verdict.
        seed: What the random inputs were drawn from; for staff alone.
        max_score: Points of the whole assignment.
        exercises: One result each.
        notes: What a student should know besides: cells that Python cannot read, say.
        outcome: "graded"; "unreadable": the file is no notebook, which is a zero; "undecided": a human has to
            choose between files; "grader_error": ours.
        problem: For all but "graded": why.
        started: When, UTC, ISO 8601.
        seconds: Wall clock.
        versions: Of what graded it.
        path: The file that it was read from; for staff alone.
        member: Its name within that file, if it is a zip.
        figures: What was measured besides the points.
        origin: What the platform that the hand-in comes from says of it; None where no platform named it.
        late_days: How late it came, as far as that is known and costs something.
        late_per_cent: What that costs, of the points.
    """

    assignment: str
    title: str
    student: str
    file: str
    sha256: str
    suites: str
    seed: int
    max_score: float
    exercises: list[ExerciseResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: str = "graded"
    problem: str = ""
    started: str = ""
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    path: str = ""
    member: str = ""
    figures: list[Figure] = field(default_factory=list)
    origin: Origin | None = None
    late_days: float = 0.0
    late_per_cent: float = 0.0

    @property
    def status(self) -> str:
        """The outcome, or `grader_error` if any check of ours broke; points set by hand settle that."""
        broke = any(exercise.status == "grader_error" and exercise.by_hand is None for exercise in self.exercises)
        settled = bool(self.exercises) and all(exercise.by_hand is not None for exercise in self.exercises)
        return "grader_error" if broke else "graded" if settled and self.outcome == "grader_error" else self.outcome

    @property
    def trouble(self) -> str:
        """Why there is no verdict on the whole; "" also where points set by hand have settled it."""
        return "" if self.status == "graded" else self.problem

    @property
    def score(self) -> float | None:
        """Points, or None where there is no verdict: our own error neither gives points nor costs any."""
        if self.status in ("grader_error", "undecided"):
            return None
        return sum(exercise.points for exercise in self.exercises)

    @property
    def deducted(self) -> float:
        """Points that lateness costs."""
        return round((self.score or 0.0) * self.late_per_cent / 100, 6)

    @property
    def final(self) -> float | None:
        """Points that count, after lateness; None where there is no verdict."""
        return None if self.score is None else self.score - self.deducted

    def to_json(self) -> dict[str, Any]:
        """For `report.json`: staff's copy, everything in it."""
        plain = {key: value for key, value in vars(self).items() if key not in ("exercises", "figures", "origin")}
        exercises = [exercise.to_json() for exercise in self.exercises]
        figures = [asdict(figure) for figure in self.figures]
        head = {"format": FORMAT, "score": self.score, "status": self.status}
        origin = {"origin": self.origin.to_json()} if self.origin else {}
        return {**head, **plain, "exercises": exercises, "figures": figures, **origin}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Report:
        """Rebuild from `to_json`.

        Raises:
            ValueError, KeyError, TypeError: It is of another format, or no report at all.
        """
        if not isinstance(content, dict):
            raise ValueError("not a report: its JSON is no object")
        if content.get("format") != FORMAT:
            raise ValueError(f"a report of format {content.get('format')!r}, this kit reads {FORMAT}")
        nested = ("format", "score", "status", "exercises", "figures", "origin")
        plain = {k: v for k, v in content.items() if k not in nested}
        try:
            report = cls(**plain, exercises=[ExerciseResult.from_json(entry) for entry in content["exercises"]])
            report.figures = [Figure(**entry) for entry in content.get("figures", [])]
            report.origin = Origin.from_json(content.get("origin"))
        except AttributeError as error:
            raise ValueError("not a report: an exercise or check in it is no object") from error
        _hold_to_types(report)
        return report


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a report: what should be a list is none")
    return value


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError("not a report: what should be a table is none")
    return value


def _hold_to_types(report: Report) -> None:
    """Refuse what would break whoever adds points up; a damaged file must cost its own report alone."""
    checks = [check for exercise in report.exercises for check in exercise.checks]
    numbers: list[Any] = [report.max_score, report.seconds, report.late_days, report.late_per_cent]
    numbers += [
        n for e in report.exercises for n in (e.max_points, e.peak_megabytes, 0 if e.by_hand is None else e.by_hand)
    ]
    numbers += [n for c in checks for n in (c.points, c.seconds, c.cell, c.line)]
    numbers += [n for e in report.exercises for n in (*_dict(e.dearest).values(), *(c.price for c in e.charges))]
    numbers += [n for f in report.figures for n in (f.images, f.seconds, f.seed, 0 if f.value is None else f.value)]
    if not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
        raise ValueError("not a report: what should be a number is none")
    texts: list[Any] = [report.student, report.file, report.title, report.sha256, report.suites, report.started]
    texts += [report.outcome, report.problem, *report.notes]
    texts += [text for e in report.exercises for text in (e.id, e.title, e.printed, e.reason, e.reading, e.readings)]
    texts += [text for e in report.exercises for text in _list(e.unloaded)]
    texts += [text for e in report.exercises for c in e.charges for text in (c.fault, c.says, *_list(c.mutants))]
    texts += [text for e in report.exercises for text in e.dearest]
    texts += [text for c in checks for text in _list(c.faults)]
    texts += [text for c in checks for text in (c.exercise, c.name, c.sentence, c.message, c.diagnosis, c.details)]
    texts += [part.source for e in report.exercises for part in e.code]
    texts += [t for f in report.figures for t in (f.id, f.name, f.message, f.details, f.file, f.sha256)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("not a report: what should be a text is none")
    known = {check.status for check in checks} <= set(STATUSES) and report.outcome in OUTCOMES
    if not known or not {figure.status for figure in report.figures} <= set(FIGURE_STATUSES):
        raise ValueError("not a report: a status that this kit does not know")

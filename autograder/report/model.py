"""The one verdict that every front end shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autograder.result import ExerciseResult

FORMAT = 1


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

    @property
    def status(self) -> str:
        """The outcome, or `grader_error` if any check of ours broke."""
        broke = any(exercise.status == "grader_error" and exercise.by_hand is None for exercise in self.exercises)
        return "grader_error" if broke else self.outcome

    @property
    def score(self) -> float | None:
        """Points, or None where there is no verdict: our own error neither gives points nor costs any."""
        if self.status in ("grader_error", "undecided"):
            return None
        return sum(exercise.points for exercise in self.exercises)

    def to_json(self) -> dict[str, Any]:
        """For `report.json`: staff's copy, everything in it."""
        plain = {key: value for key, value in vars(self).items() if key != "exercises"}
        exercises = [exercise.to_json() for exercise in self.exercises]
        return {"format": FORMAT, "score": self.score, "status": self.status, **plain, "exercises": exercises}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Report:
        """Rebuild from `to_json`.

        Raises:
            ValueError: It is of another format.
        """
        if content.get("format") != FORMAT:
            raise ValueError(f"a report of format {content.get('format')!r}, this kit reads {FORMAT}")
        plain = {k: v for k, v in content.items() if k not in ("format", "score", "status", "exercises")}
        return cls(**plain, exercises=[ExerciseResult.from_json(exercise) for exercise in content["exercises"]])

"""What a check and an exercise come to. Plain data, the same in a notebook, a report and on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

STATUSES = ("passed", "failed", "error", "timeout", "memory", "missing", "grader_error")


@dataclass
class CheckResult:
    """The outcome of one check.

    Attributes:
        exercise: "7.1d".
        name: The test function's name, without "test_".
        sentence: What is checked, as a student could read it.
        points: What it is worth.
        status: One of `STATUSES`; only "passed" earns the points.
        public: Whether the student has this check too.
        message: What a student may read about a failure.
        diagnosis: The fault by name, where one hypothesis explains the output; also for the student.
        details: For staff alone: numbers of hidden checks, tracebacks of ours, what student code printed.
        seconds: Wall clock.
    """

    exercise: str
    name: str
    sentence: str
    points: float
    status: str
    public: bool
    message: str = ""
    diagnosis: str = ""
    details: str = ""
    seconds: float = 0.0

    @property
    def earned(self) -> float:
        """Points that it gives."""
        return self.points if self.status == "passed" else 0.0


@dataclass
class ExerciseResult:
    """The outcome of one exercise.

    Attributes:
        id: "7.1d".
        title: For people.
        max_points: Points of all its checks.
        checks: In the order of the suites, public ones first.
        printed: What student code printed while it was graded, cut off; for staff alone.
        by_hand: Points that staff set, which count in place of the checks'; None where they did not.
        reason: Why, for the student.
    """

    id: str
    title: str
    max_points: float
    checks: list[CheckResult] = field(default_factory=list)
    printed: str = ""
    by_hand: float | None = None
    reason: str = ""

    @property
    def points(self) -> float:
        """Points earned, or those that staff set by hand."""
        return self.earned if self.by_hand is None else self.by_hand

    @property
    def earned(self) -> float:
        """Points that the checks give."""
        return sum(check.earned for check in self.checks)

    @property
    def status(self) -> str:
        """One status for the whole: the gravest there is, "passed" only if every check is."""
        found = {check.status for check in self.checks}
        if not self.checks or "grader_error" in found:
            return "grader_error"
        if found == {"missing"}:
            return "missing"
        for status in ("timeout", "memory", "error", "failed", "missing"):
            if status in found:
                return status
        return "passed"

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        return {"points": self.points, "status": self.status, **asdict(self)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ExerciseResult:
        """Rebuild from `to_json`."""
        plain = {key: value for key, value in content.items() if key not in ("points", "status", "checks")}
        return cls(**plain, checks=[CheckResult(**check) for check in content["checks"]])

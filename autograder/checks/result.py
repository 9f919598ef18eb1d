"""What a check and an exercise come to. Plain data, the same in a notebook, a report and on disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

STATUSES = ("passed", "failed", "error", "timeout", "memory", "missing", "grader_error")
FIGURE_STATUSES = ("measured", "absent", "refused", *STATUSES[2:])
_CASE = re.compile(r"(?P<whole>.+) \((?P<name>`[^`]+`)\)\.")


@dataclass(frozen=True)
class Code:
    """A piece of a student's notebook.

    Attributes:
        cell: Number of the code cell, from 1.
        line: Line within the cell where it begins, from 1.
        source: Its text, cut off where it is very long.
    """

    cell: int
    line: int
    source: str


@dataclass(frozen=True)
class Picture:
    """What a public check compared, for drawing: its own numbers and those that student code gave.

    Attributes:
        kind: "points", rows `(x, y)` whose order matters, or "boxes", rows `(x1, y1, x2, y2)`; in pixels.
        what: Names the rows, such as "The locations of p3".
        expected: The check's rows, at most `MAX_ROWS`.
        got: The student's, at most as many; no NaN, no infinity.
        width: Of the image that they lie in; 0 where there is none.
        height: The same.
        dropped: Rows of `got` that cannot be drawn, being NaN or infinite.
    """

    kind: str
    what: str
    expected: list[list[float]]
    got: list[list[float]]
    width: float = 0.0
    height: float = 0.0
    dropped: int = 0


@dataclass(frozen=True)
class Charge:
    """A fault that explains failing checks, and what it costs.

    Attributes:
        fault: Its name in the rubric.
        says: The sentence that the student reads.
        price: Points, before the exercise's failing checks set a limit.
        mutants: Names by which its checks know it.
    """

    fault: str
    says: str
    price: float
    mutants: list[str] = field(default_factory=list)


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
        cell: The code cell in which student code stopped, from 1; 0 where it did not or that is not known.
        line: The line within that cell, from 1, or 0.
        picture: What to draw of a failure; of public checks alone.
        faults: The known faults that explain a failure, by the names of their mutants; empty where none does.
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
    cell: int = 0
    line: int = 0
    picture: Picture | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def earned(self) -> float:
        """Points that it gives by itself."""
        return self.points if self.status == "passed" else 0.0

    @property
    def lost(self) -> float:
        """Points that it does not give."""
        return self.points - self.earned


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
        code: The student's own code for it, what defines the names asked for first; bounded in size, and kept
            only where a check did not pass.
        peak_megabytes: Most memory that its process held, the libraries included; 0 where that is not known.
        reading: "whole" where the results come from the notebook run as a whole; else "", the definitions alone.
        readings: For staff: why it was read twice, and what either reading gave; "" where once was enough.
        unloaded: What of the notebook did not load, or is not here, as far as a student may read it.
        dearest: For each of its checks' faults the points of the dearest check that the fault alone fails: its price
            where the rubric has none.
        charges: What its faults cost, by the rubric; empty where no check is explained by one.
    """

    id: str
    title: str
    max_points: float
    checks: list[CheckResult] = field(default_factory=list)
    printed: str = ""
    by_hand: float | None = None
    reason: str = ""
    code: list[Code] = field(default_factory=list)
    peak_megabytes: float = 0.0
    reading: str = ""
    readings: str = ""
    unloaded: list[str] = field(default_factory=list)
    dearest: dict[str, float] = field(default_factory=dict)
    charges: list[Charge] = field(default_factory=list)

    @property
    def points(self) -> float:
        """Points earned, or those that staff set by hand."""
        return self.earned if self.by_hand is None else self.by_hand

    @property
    def earned(self) -> float:
        """Points that the checks give, each fault charged once."""
        return sum(check.earned for check in self.checks) + self.explained - sum(self.costs)

    @property
    def explained(self) -> float:
        """Points of the failing checks that are charged to faults, in place of one by one."""
        return sum(check.lost for check in self.checks if check.faults) if self.charges else 0.0

    @property
    def costs(self) -> list[float]:
        """What each of the charges takes, in their order: its price, together no more than those checks are worth."""
        left, taken = self.explained, list[float]()
        for charge in self.charges:
            taken.append(min(charge.price, left))
            left -= taken[-1]
        return taken

    @property
    def to_mend_first(self) -> list[CheckResult]:
        """The checks as a person reads them: a fault that has a name, then other faults, then what passed."""
        return sorted(self.checks, key=lambda check: (check.status == "passed", not check.diagnosis))

    @property
    def told(self) -> list[tuple[CheckResult, str]]:
        """The same, each with its sentence as it reads below the others."""
        checks = self.to_mend_first
        return list(zip(checks, shown_sentences([check.sentence for check in checks]), strict=True))

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
        nested = ("points", "status", "checks", "code", "charges")
        plain = {key: value for key, value in content.items() if key not in nested}
        code = [Code(**part) for part in content.get("code", [])]
        charges = [Charge(**entry) for entry in content.get("charges", [])]
        checks = [_check_from_json(check) for check in content["checks"]]
        return cls(**plain, code=code, charges=charges, checks=checks)


def shown_sentences(sentences: Sequence[str]) -> list[str]:
    """Sentences as they are read one below the other: one that repeats another for a case of its own is short.

    Args:
        sentences: Of checks; those of one check with several cases differ by their end, "(`loss_cls`)."
    """
    shown, above = [], ""
    for sentence in sentences:
        case = _CASE.fullmatch(sentence)
        whole = case["whole"] if case else ""
        shown.append(f"The same for {case['name']}." if case and whole == above else sentence)
        above = whole
    return shown


def _check_from_json(content: dict[str, Any]) -> CheckResult:
    picture = content.get("picture")
    return CheckResult(**{**content, "picture": Picture(**picture) if picture else None})


@dataclass
class Figure:
    """A number that grading measures besides the points.

    Attributes:
        id: Of the part of the assignment that asks for it, "7.1l".
        name: What is measured, "mAP".
        status: "measured"; "absent": nothing was handed in to measure it by; "refused": what was handed in cannot be
            used; or one of "error", "timeout", "memory", "missing", "grader_error", as for checks.
        value: The number, from 0 to 1; None unless it was measured.
        message: What it is, or why there is none, for the student.
        details: For staff alone.
        images: How many it is over.
        seconds: Wall clock.
        seed: What picked the images; for staff alone.
        file: Name of the file that was handed in, "" if none.
        sha256: Of its bytes, "" if there are none.
    """

    id: str
    name: str
    status: str
    value: float | None = None
    message: str = ""
    details: str = ""
    images: int = 0
    seconds: float = 0.0
    seed: int = 0
    file: str = ""
    sha256: str = ""

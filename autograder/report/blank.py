"""A report before anything is in it. Nothing here imports torch: a run that has nothing to grade is over at once."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform

from autograder import __version__
from autograder.course.assignment import Assignment
from autograder.report.model import Report


def blank_report(assignment: Assignment, student: str, file: str, suites: str, seed: int) -> Report:
    """A report with nothing in it yet."""
    return Report(
        assignment=assignment.id,
        title=assignment.title,
        student=student,
        file=file,
        sha256="",
        suites=suites,
        seed=seed,
        max_score=assignment.max_score,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions={
            "fcoskit": __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("torch", "torchvision")},
        },
    )

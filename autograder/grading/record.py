"""What the last `fcoskit validate` found, kept so that a release can be refused while the suites do not hold."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.course.digests import deciding_files
from autograder.grading.samples import solved_code
from autograder.report.files import write_whole
from autograder.runtime.errors import KitError


def write_record(assignment: Assignment, problems: list[str]) -> None:
    """Keep what a validation found; no problems means that the suites hold."""
    record = {"digest": digest(assignment), "problems": problems}
    write_whole(record_path(assignment), json.dumps(record, indent=1) + "\n")


def record_path(assignment: Assignment) -> Path:
    """Where the outcome of the last validation is kept."""
    return assignment.root / ".fcoskit" / f"validated-{assignment.id}.json"


def last_problems(assignment: Assignment) -> list[str] | None:
    """What the last validation of just these suites and this solution found; None if there was none."""
    try:
        record = json.loads(record_path(assignment).read_text(encoding="utf-8"))
        return [str(line) for line in record["problems"]] if record["digest"] == digest(assignment) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest(assignment: Assignment) -> str:
    """A digest of what a validation depends on: engine, suites, helpers, settings, cases, and the solution's code.

    Raises:
        KitError: The source cannot be read.
    """
    cases = {path for path in assignment.proof.rglob("*") if path.suffix in (".py", ".toml")}
    files = {*deciding_files(assignment), *cases, assignment.folder / "assignment.toml"}
    parts = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    text = "\n".join([*sorted(parts.elements()), *solved_code(assignment)])
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_failing(assignment: Assignment) -> str:
    """Hold a release to the last validation.

    Returns:
        A word of warning where there is none of just these suites, or "".

    Raises:
        KitError: It found that the suites do not hold.
    """
    problems = last_problems(assignment)
    if problems:
        shown = "\n  ".join(problems[:5])
        raise KitError(
            "Release refused, the old one is untouched. `fcoskit validate` found that the suites do not hold:\n"
            f"  {shown}\nMend them, then validate again."
        )
    if problems is not None:
        return ""
    return "Not proven here: `fcoskit validate` (some minutes) has not run on just these suites and this solution yet."

"""What `run_autograder` starts in Gradescope's container: one submission in, `results.json` out."""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.course.assignment import PACKAGE, Assignment, load_assignment
from autograder.gradescope.bundle import MAP_SEED
from autograder.gradescope.results import not_graded, results
from autograder.intake.submissions import Submission, submission_in
from autograder.report.files import write_whole
from autograder.report.model import Report
from autograder.runs.grade import grade_submissions, secret_seed
from autograder.runtime.errors import KitError

BASE = Path("/autograder")
STUDENT = "submission"  # whose it is, Gradescope knows: names are of no use to grading
_LOG_BYTES = 20_000


def main(base: Path = BASE) -> int:
    """Grade what lies in `base/submission` into `base/results/results.json`.

    Returns:
        0, or 1 where it has no score and staff have to look.
    """
    started = time.monotonic()
    report, content = None, not_graded()
    try:
        report = grade_folder(load_assignment(None, PACKAGE.parent), base / "submission", base / "source" / MAP_SEED)
        content = results(report)
    except KitError as error:
        print(error, file=sys.stderr)  # Gradescope shows it to staff alone: see `stdout_visibility`
    except Exception:
        traceback.print_exc()
    content["execution_time"] = round(time.monotonic() - started, 1)
    write_results(base / "results" / "results.json", content)
    return 0 if report is not None and report.score is not None else 1


def grade_folder(assignment: Assignment, folder: Path, seed: Path, sandbox: str = "auto") -> Report:
    """Grade the one submission that a folder holds.

    Args:
        assignment: What is graded.
        folder: All files of one student.
        seed: The file whose number picks the images that weights are measured by.
        sandbox: One of `probe.KINDS`.

    Raises:
        KitError: It cannot be graded, and not by the student's fault.
    """
    found = _for_the_student(submission_in(folder, STUDENT, assignment.notebook, assignment.weights))
    figure_seed = secret_seed(seed) if assignment.map is not None else None
    with tempfile.TemporaryDirectory(prefix="fcoskit-", ignore_cleanup_errors=True) as name:
        out = Path(name) / "graded"
        try:
            run = grade_submissions(assignment, [found], out, sandbox=sandbox, figure_seed=figure_seed)
        finally:
            _show(out / "grade.log")
        return run.reports[found.key]


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Write `results.json`, whole or not at all."""
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=True) + "\n", 0o600)


def _for_the_student(found: Submission) -> Submission:
    """Which file counts is the student's to say here, who can hand in again: no human has to choose."""
    if found.candidates:
        problem = f"{found.problem.partition(':')[0]}: hand in again, with the notebook that counts and no other."
        return replace(found, problem=problem, candidates=())
    return found


def _show(log: Path) -> None:
    """The end of the grader's log, for staff."""
    if log.is_file():
        print(log.read_bytes()[-_LOG_BYTES:].decode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())

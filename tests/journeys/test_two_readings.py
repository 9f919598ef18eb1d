"""The two readings of a notebook come to the same verdict, or it is known here why they do not.

A dozen notebooks in `make test`. All that are at hand, variants, samples, mutants and collected habits, take the better
part of an hour and are run by hand, before a change of either reading is released:

    FCOSKIT_READINGS=all .venv/bin/python -m pytest -s tests/journeys/test_two_readings.py

`right` in place of `all` leaves the mutants out, which is half of it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder.checks.collecting import collect
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.cases import load_proof, write_case
from autograder.grading.engine import slice_of
from autograder.grading.readings import check_exercise
from autograder.grading.samples import load_samples, write_sample
from autograder.grading.substitutes import StandIns, load_solution
from autograder.intake.submissions import Submission, find_submissions
from autograder.parsing.cells import SUFFIXES, parsed, sources_of
from autograder.parsing.slicing import Slice
from autograder.report.blank import blank_report
from autograder.runtime.errors import SubmissionError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.whole import WholeNotebook
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("sandbox_once")]

ASKED = os.environ.get("FCOSKIT_READINGS", "")
ALL = ASKED in ("all", "right")
HABITS = ROOT.parent / "shared" / "habits"
# What the readings differ in, and why that is right; each leaves a doubt in the first reading, so both are tried.
DIFFER = {
    "writefile": "what a cell writes and another imports is there in the second reading alone",
    "file_magic": "likewise",
    "env_magic": "the environment that a line sets is there in the second alone",
    "logging_and_display": "`display` is IPython's own",
    "new-pythons": "a cell that this Python cannot read binds nothing in either",
}


@pytest.fixture(scope="module", name="assignment")
def _assignment() -> Assignment:
    """The real one."""
    return load_assignment("ps7", ROOT)


def submissions(assignment: Assignment, folder: Path) -> Iterator[Submission]:
    """Every notebook at hand, or a dozen of them."""
    cases = load_proof(assignment)
    left_out = ("mutant", "unseen") if ASKED == "right" else ()
    chosen = [c for c in cases if c.kind not in left_out and (ALL or c.whole or c.kind in ("solution", "blank"))]
    chosen += [] if ALL else [case for case in cases if case.kind == "variant" and not case.whole][::12]
    for case in chosen:
        yield write_case(assignment, case, folder)
    for sample in load_samples(assignment) if ALL else []:
        write_sample(assignment, sample, folder / "samples", assignment.release)
    if ALL:
        habits = [path for path in sorted(HABITS.glob("*")) if path.suffix in SUFFIXES and path.stem != "README"]
        yield from find_submissions([folder / "samples", *habits], assignment.notebook, assignment.id)[0]


def both(
    assignment: Assignment, plugin: SuitePlugin, host: Host, submission: Submission
) -> Iterator[tuple[str, set[str], set[str], str]]:
    """For each exercise that does not train: what passes in either reading, and the first one's doubt."""
    data = submission.read(assignment.limits.notebook_megabytes)
    sources = sources_of(data, Path(submission.name).suffix.lower())
    cells = parsed(sources)
    whole = WholeNotebook(assignment, list(enumerate(sources, start=1)), host)
    report = blank_report(assignment, submission.student, submission.name, "", 0)
    exercises = [exercise for exercise in assignment.exercises if not exercise.slow]
    slices = {exercise.id: slice_of(assignment, exercise, cells) for exercise in exercises}

    def passing(make: Callable[[Slice, StandIns], SandboxedStudent]) -> list[set[str]]:
        host.next_submission()
        results = [
            check_exercise(assignment, e, plugin, report, functools.partial(make, slices[e.id])) for e in exercises
        ]
        return [{check.name for check in result.checks if check.status == "passed"} for result in results]

    first = passing(lambda piece, bound: SandboxedStudent(assignment, piece, host, bound.sent, bound.asked))
    try:  # one worker is in the sandbox at a time
        second = passing(lambda piece, bound: whole.student(piece, bound.sent, bound.asked))
    finally:
        whole.close()
    for exercise, one, other in zip(exercises, first, second, strict=True):
        yield exercise.id, one, other, slices[exercise.id].doubt


def test_both_come_to_the_same(assignment, tmp_path):
    """Where the first reading is certain, the second says the same; where it is not, the difference is known."""
    found: list[str] = []
    seen = 0

    def serve(plugin: SuitePlugin) -> None:
        nonlocal seen
        host = Host(assignment)
        try:
            for submission in submissions(assignment, tmp_path):
                try:
                    results = list(both(assignment, plugin, host, submission))
                except SubmissionError:  # no notebook: there is nothing to read twice
                    continue
                seen += 1
                for exercise, first, second, doubt in results:
                    known = any(submission.student.startswith(name) for name in DIFFER)
                    if first != second and not (doubt and known):
                        more, less = sorted(second - first), sorted(first - second)
                        line = f"{submission.student} {exercise}: the second has {more}, lacks {less}; doubt: {doubt!r}"
                        found.append(line)
                        print(line, flush=True)
        finally:
            host.close()

    plugin = SuitePlugin(
        assignment.reference, serve, lambda exercise: load_solution(assignment, assignment.exercise(exercise))
    )
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    assert seen >= 8 and not found, "\n".join(found)

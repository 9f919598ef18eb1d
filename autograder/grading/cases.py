"""The material that proves the suites: wrong solutions that must be caught, right ones that must lose nothing.

`<proof>/mutants/*.toml`         small named changes of the solution, each with the exercise that must lose points
`<proof>/variants/*.toml`        small changes that keep it right
`<proof>/variants/whole/*.py`    right solutions written from the assignment alone, whole notebooks
`<proof>/unseen/*.toml`          wrong solutions by a hand that has not read the suites: what they show is only counted
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.grading.proof_files import read_entries
from autograder.grading.samples import Sample, read_sample, touched_names, write_sample
from autograder.grading.unaffected import nothing_new
from autograder.intake.submissions import Submission, safe_key
from autograder.report.files import write_whole
from autograder.runtime.errors import KitError

SOLUTION, BLANK = "solution", "blank"


@dataclass(frozen=True)
class Case:
    """One submission of the proof.

    Attributes:
        kind: "solution", "blank", "mutant", "variant" or "unseen".
        sample: What is changed, and what must come of it.
        whole: A notebook of its own, in place of changes.
    """

    kind: str
    sample: Sample
    whole: Path | None = None


def load_proof(assignment: Assignment) -> list[Case]:
    """All cases, the solution and the blank release among them.

    Raises:
        KitError: A file is not as it should be, or two cases have one name.
    """
    cases = [
        Case(SOLUTION, Sample("the-solution", "the instructor's solution")),
        Case(BLANK, Sample("as-released", "nothing filled in", form="release")),
    ]
    for kind, folder in (("mutant", "mutants"), ("variant", "variants"), ("unseen", "unseen")):
        for path in sorted((assignment.proof / folder).glob("*.toml")):
            cases += [Case(kind, sample) for sample in _read(assignment, path)]
    for path in sorted((assignment.proof / "variants" / "whole").glob("*.py")):
        cases.append(Case("variant", Sample(path.stem.replace("_", "-"), "a whole notebook"), path))
    names = [case.sample.student for case in cases]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise KitError(f"{assignment.proof}: two cases are called {twice!r}. A TA has to rename one.")
    return cases


def concerns(assignment: Assignment, case: Case, exercise_id: str) -> bool:
    """Whether a case has something to say of an exercise: a wrong solution of it, a right one that differs there."""
    if case.kind in (SOLUTION, BLANK) or case.whole is not None:
        return True
    if case.kind != "variant":
        return exercise_id in case.sample.loses
    touched = {name.partition(".")[0] for name in touched_names(assignment, case.sample)}
    return not touched or bool(touched & set(assignment.exercise(exercise_id).names))


def _read(assignment: Assignment, path: Path) -> list[Sample]:
    entries = read_entries(path, [exercise.id for exercise in assignment.exercises])
    try:
        return [read_sample(assignment, {"student": entry["name"], **entry}) for entry in entries]
    except (KeyError, TypeError, ValueError) as error:
        raise KitError(f"{path} cannot be used: {error}. A TA has to mend that file.") from error


def write_case(assignment: Assignment, case: Case, folder: Path) -> Submission:
    """Write a case as a student would hand it in.

    Raises:
        KitError: The source has moved on from what a change names.
    """
    if case.whole is not None:
        path = folder / f"{case.sample.student}.py"
        write_whole(path, case.whole.read_bytes())
    else:
        path = write_sample(assignment, case.sample, folder, assignment.release)
    submission = Submission(case.sample.student, safe_key(case.sample.student), path)
    if case.kind == SOLUTION:
        return submission
    return replace(submission, skip=nothing_new(assignment, case.sample, path))

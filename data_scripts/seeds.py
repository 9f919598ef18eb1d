"""Verdicts must not hang on the random inputs: a class graded with many seeds comes to the same each time.

The class is the sample submissions and the right solutions that differ of the proof; with `--wrong` it is the proof's
wrong solutions, each graded in its own exercise: what a wrong solution loses must not be a matter of luck, either.
Twenty seeds take half an hour of two cores with 7.1 (j), a third of it without (`--quick`):

    python data_scripts/seeds.py --seeds 20 [--quick] [--wrong]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from autograder.commands.front import progress_bar
from autograder.course.assignment import load_assignment
from autograder.grading.cases import load_proof, write_case
from autograder.grading.samples import load_samples, write_sample
from autograder.intake.submissions import Submission, find_submissions
from autograder.report.model import Report
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import open_slots

ROOT = Path(__file__).resolve().parents[1]
Verdict = tuple[str, str, str, float]


def verdicts(report: Report) -> list[Verdict]:
    """What each check came to."""
    return [(c.exercise, c.name, c.status, c.earned) for exercise in report.exercises for c in exercise.checks]


def handed_in(folder: Path, quick: bool, wrong: bool) -> list[Submission]:
    """The class."""
    assignment = load_assignment("ps7", ROOT)
    slow = {exercise.id for exercise in assignment.exercises if exercise.slow} if quick else set()
    if wrong:
        every = {exercise.id for exercise in assignment.exercises}
        cases = [case for case in load_proof(assignment) if case.kind in ("mutant", "unseen")]
        written = [write_case(assignment, case, folder) for case in cases]
        return [
            replace(one, skip=tuple(slow | every - case.sample.loses)) for one, case in zip(written, cases, strict=True)
        ]
    for sample in load_samples(assignment):
        write_sample(assignment, sample, folder, assignment.release)
    found, _ = find_submissions([folder], assignment.notebook, assignment.id)
    cases = [case for case in load_proof(assignment) if case.kind == "variant"]
    found += [write_case(assignment, case, folder / "variants") for case in cases]
    return [replace(one, skip=tuple({*one.skip, *slow})) for one in found]


def main() -> None:
    """Grade again and again, and name what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="leave out what trains")
    parser.add_argument("--wrong", action="store_true", help="the wrong solutions of the proof, in their own exercise")
    options = parser.parse_args()
    assignment, console = load_assignment("ps7", ROOT), Console()
    seeds = range(options.first, options.first + options.seeds)  # each is hashed with the check's name
    known: dict[str, list[Verdict]] = {}
    differ: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name, progress_bar(console) as bar:
        folder = Path(name)
        todo = handed_in(folder / "class", options.quick, options.wrong)
        task = bar.add_task("seeds", total=len(seeds) * len(todo))
        with open_slots(assignment, "auto", folder / "grade.log", options.jobs) as slots:
            for number, seed in enumerate(seeds):
                out = folder / f"seed{number}"
                step = {"progress": lambda *_: bar.advance(task), "slots": slots}
                run = grade_submissions(assignment, todo, out, seed=seed, figure_seed=seed, **step)
                for key, report in run.reports.items():
                    found = verdicts(report)
                    for one, other in zip(known.setdefault(key, found), found, strict=True):
                        if one != other:
                            differ[(key, one[0], one[1])] += 1
                            console.print(f"{key}, seed {seed}: {one} became {other}", markup=False, soft_wrap=True)
    checks = sum(map(len, known.values()))
    console.print(
        f"{len(known)} submissions, {checks} checks, {len(seeds)} seeds: {len(differ)} checks hang on the seed."
    )
    sys.exit(int(bool(differ)))


if __name__ == "__main__":
    main()

"""A class of hundreds, its run killed three times: what it comes to is what an undisturbed run comes to.

It takes a quarter of an hour of two cores and more, so it is run by hand, before a release say, and the number is how
many hand in (200 is what the kit promises):

    FCOSKIT_LONG=200 .venv/bin/python -m pytest -s tests/journeys/test_runs_long.py

Who hands in: sample submissions, attacks, and right and wrong solutions of the proof. Graded is all but 7.1 (j).
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.cases import Case, load_proof, write_case
from autograder.grading.samples import Sample, load_samples, write_sample
from autograder.intake.submissions import Submission, find_submissions
from autograder.report.files import PART, read_report
from autograder.report.model import Report
from autograder.runs.grade import grade_submissions
from tests.attacks.cases import Attack, load_attacks, write_notebook
from tests.conftest import ROOT, copy_course

COUNT = int(os.environ.get("FCOSKIT_LONG", "0"))
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(COUNT < 10, reason="takes a quarter of an hour: FCOSKIT_LONG=200 runs it"),
    pytest.mark.usefixtures("sandbox"),
]

KILLS = 3
SHARES = {"samples": 0.1, "attacks": 0.3}  # the rest is of the proof
SKIP = ("7.1j",)
SETTLE_SECONDS = 60
# Turned down, so that attacks which hang or swell are over soon; a right solution is far from each.
LIMITS = {
    "load_seconds": 10,
    "call_seconds": 3,
    "exercise_seconds": 12,
    "submission_seconds": 60,
    "restarts": 0,
    "memory_megabytes": 1024,
    "tmpfs_megabytes": 16,
    "message_megabytes": 32,
}
RUN = "import sys; from tests.journeys.test_runs_long import grade_folder; grade_folder(*sys.argv[1:])"
Thing = TypeVar("Thing")
Verdict = list[Any]


@dataclass(frozen=True)
class Class:
    """What was handed in.

    Attributes:
        root: A copy of the course, with the limits above.
        folder: The submissions.
        loose: Keys of the submissions which may come to one status or another, never to other points.
    """

    root: Path
    folder: Path
    loose: frozenset[str]


def grade_folder(root: str, folder: str, out: str) -> None:
    """Grade with two slots and print a line for each report; run in a process of its own, which can be killed."""
    assignment = load_assignment("ps7", Path(root))

    def show(report: Report, known: bool) -> None:
        print(report.student, report.score, "known" if known else "graded", flush=True)

    grade_submissions(assignment, submissions_in(assignment, Path(folder)), Path(out), jobs=2, progress=show)


def submissions_in(assignment: Assignment, folder: Path) -> list[Submission]:
    """What lies in a folder, without the slow exercise."""
    found, _ = find_submissions([folder], assignment.notebook, assignment.id)
    return [replace(submission, skip=SKIP) for submission in found]


def spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """So many, at even distances; all if there are no more."""
    count = min(count, len(things))
    return [things[number * len(things) // count] for number in range(count)]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> Class:
    """The class."""
    top = tmp_path_factory.mktemp("long")
    course = copy_course(top / "course")
    path = course.folder / "assignment.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in LIMITS.items():
        text, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", text)
        assert count == 1, f"assignment.toml does not set {name} once"
    path.write_text(text, encoding="utf-8")
    course = load_assignment(course.id, course.root)
    samples: list[Sample] = spread(load_samples(course), int(SHARES["samples"] * COUNT))
    attacks: list[Attack] = spread([a for a in load_attacks() if not a.slow], int(SHARES["attacks"] * COUNT))
    cases: list[Case] = spread(load_proof(load_assignment(course.id, ROOT)), COUNT - len(samples) - len(attacks))
    folder = top / "submitted"
    for sample in samples:
        write_sample(course, replace(sample, student=f"sample-{sample.student}"), folder, course.release)
    for attack in attacks:
        write_notebook(course, f"attack-{attack.name}", folder, "", attack.base.code, attack.cell)
    for case in cases:
        write_case(course, replace(case, sample=replace(case.sample, student=f"case-{case.sample.student}")), folder)
    found = submissions_in(course, folder)
    assert len(found) == COUNT and not [s.problem for s in found if s.problem]
    named = {submission.student: submission.key for submission in found}
    print(f"\n{COUNT} submissions: {len(samples)} samples, {len(attacks)} attacks, {len(cases)} cases of the proof")
    return Class(course.root, folder, frozenset(named[f"attack-{a.name}"] for a in attacks if len(a.status) > 1))


def start(handed_in: Class, out: Path) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    command = [sys.executable, "-c", RUN, *map(str, (handed_in.root, handed_in.folder, out))]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'helpers'}", "PATH": "/usr/bin:/bin", "HOME": str(out.parent)}
    environment |= {"FCOSKIT_LONG": str(COUNT), "TMPDIR": str(out.parent)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def finish(handed_in: Class, out: Path) -> list[str]:
    """Let a run come to its end; the lines it printed."""
    process = start(handed_in, out)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said.splitlines()


def kill_at(handed_in: Class, out: Path, count: int, moment: float) -> None:
    """Start or continue a run, and kill it so many seconds after so many submissions have a report."""
    process = start(handed_in, out)
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline(), "it ended before it was killed"
    try:
        process.wait(moment)
        pytest.fail("it ended before it was killed")
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    process.stdout.close()
    left = psutil.wait_procs(family, timeout=SETTLE_SECONDS)[1]
    assert left == [], f"outlive the run: {left}"


def written(out: Path) -> dict[str, int]:
    """When each report was written, by key. All of them are whole."""
    whole = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/report.json")}
    for key in whole:
        assert read_report(out / key).score is not None
        assert (out / key / "feedback.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    return whole


def verdicts(handed_in: Class, out: Path) -> dict[str, Verdict]:
    """Score, statuses and what each check earned, by key; for those that may end in several ways what they earned."""
    found: dict[str, Verdict] = {}
    for path in out.glob("*/report.json"):
        report, key = read_report(path.parent), path.parent.name
        found[key] = [report.outcome, report.score]
        for exercise in report.exercises:
            for check in exercise.checks:
                said = [] if key in handed_in.loose else [exercise.status, check.status]
                found[key].append([exercise.id, check.name, check.earned, *said])
    return found


def test_killed_three_times_it_comes_to_the_same(handed_in: Class, tmp_path: Path) -> None:
    """Scores, statuses and checks are an undisturbed run's; nothing graded is lost, and nothing is graded twice."""
    started = time.monotonic()
    finish(handed_in, tmp_path / "undisturbed")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    print(f"undisturbed: {time.monotonic() - started:.0f} s by the clock, {cpu:.0f} s of CPU")

    out, seed = tmp_path / "disturbed", secrets.randbits(32)
    rng = random.Random(seed)
    counts = sorted(rng.sample(range(COUNT - 4), KILLS))
    before: dict[str, int] = {}
    for count in counts:
        moment = rng.uniform(0, 3)
        kill_at(handed_in, out, count, moment)
        after = written(out)
        assert before.items() <= after.items(), "what was graded is lost or was graded again"
        print(f"killed {moment:.2f} s after {count} reports: {len(after)} are there (seed {seed})")
        before = after
    lines = finish(handed_in, out)
    after = written(out)
    assert before.items() <= after.items(), "what was graded is lost or was graded again"
    assert sum(line.endswith("known") for line in lines) == len(before) and len(lines) == COUNT
    assert not [path for path in out.rglob("*") if path.name.startswith(PART)]
    assert len((out / "grades.csv").read_text(encoding="utf-8").splitlines()) == 1 + COUNT

    plain, disturbed = (verdicts(handed_in, tmp_path / name) for name in ("undisturbed", "disturbed"))
    assert plain.keys() == disturbed.keys() and len(plain) == COUNT
    unlike = {key: _differences(plain[key], disturbed[key]) for key in plain if plain[key] != disturbed[key]}
    scores = sorted(float(verdict[1]) for verdict in plain.values())
    checks = sum(len(verdict) - 2 for verdict in plain.values())
    print(f"{COUNT} submissions, {checks} checks, scores {scores[0]:g} to {scores[-1]:g}, {len(unlike)} differ")
    assert unlike == {}, json.dumps(unlike, indent=1)


def _differences(plain: Verdict, disturbed: Verdict) -> list[Any]:
    return [[one, other] for one, other in zip(plain, disturbed, strict=True) if one != other]

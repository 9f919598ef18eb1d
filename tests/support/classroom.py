"""A class of thirty made of real reports: for tests of the class report, and to look at its pages.

`reports/class.json` holds what the checks said of some of the sample submissions, graded once, each distinct
outcome once. To make it again from folders that `fcoskit grade` wrote, or to write the thirty into a folder:

    python -m tests.support.classroom record DIR...
    python -m tests.support.classroom write DIR
"""

from __future__ import annotations

import copy
import functools
import json
import random
import sys
from pathlib import Path
from typing import Any

from autograder.checks.result import ExerciseResult
from autograder.report import Report
from autograder.report.files import read_reports, write_report

STORED = Path(__file__).with_name("class.json")
NAMES = """
    aisha bao carla dmitri elif farid greta hana ines jonas kofi lena mateo nadia oskar priya quentin rosa sven tariq
    uma viktor wanda ximena yusuf zoe amir bea chen dora
"""


def record(folders: list[Path]) -> None:
    """Store the distinct outcomes of each exercise of some runs, without what differs from machine to machine."""
    outcomes: dict[str, list[dict[str, Any]]] = {}
    reports = [report for folder in folders for report in read_reports(folder) if report.outcome == "graded"]
    for report in reports:
        for exercise in report.exercises:
            exercise.printed = ""
            for check in exercise.checks:
                check.details, check.seconds = "", round(check.seconds, 2)
            kept = outcomes.setdefault(exercise.id, [])
            if all(_gist(exercise) != _gist(ExerciseResult.from_json(other)) for other in kept):
                kept.append(exercise.to_json())
    first = reports[0]
    head = {"assignment": first.assignment, "title": first.title, "max_score": first.max_score}
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps({"head": head, "outcomes": outcomes}, separators=(",", ":")) + "\n", encoding="utf-8")


def thirty(seed: int = 7) -> list[Report]:
    """Thirty reports: most graded, abler and less able students, and one of each that needs a human."""
    rng = random.Random(seed)
    reports = [_student(name, rng) for name in NAMES.split()]
    _special(reports)
    return reports


def write(folder: Path, reports: list[Report]) -> None:
    """Write reports as a run leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".fcoskit").touch()
    lines = ["student,exercise,points,reason"]
    for report in reports:
        write_report(folder / report.student, report)
        hand = [exercise for exercise in report.exercises if exercise.by_hand is not None]
        lines += [f'{report.student},{e.id},{e.by_hand:g},"{e.reason}"' for e in hand]
    (folder / "by-hand.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@functools.cache
def _stored() -> tuple[dict[str, Any], list[list[ExerciseResult]]]:
    """What all reports have in common, and the outcomes of each exercise, the best first; not to be changed."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    outcomes = [list(map(ExerciseResult.from_json, of_one)) for of_one in stored["outcomes"].values()]
    return stored["head"], [sorted(of_one, key=lambda exercise: -exercise.points) for of_one in outcomes]


def _student(name: str, rng: random.Random) -> Report:
    general, outcomes = _stored()
    able = rng.betavariate(3, 1.8)
    head = {"file": f"{name}.ipynb", "sha256": rng.randbytes(32).hex(), "suites": "0123456789abcdef"}
    exercises = []
    for ranked in outcomes:
        weights = [{"failed": 4.0, "missing": 1.5}.get(exercise.status, 0.5) for exercise in ranked]
        place = 0 if rng.random() < able else rng.choices(range(len(ranked)), weights)[0]
        exercise = copy.deepcopy(ranked[place])
        for check in exercise.checks:
            check.seconds = round(check.seconds * rng.uniform(0.8, 1.6), 4)
        if exercise.peak_megabytes:
            exercise.peak_megabytes = round(exercise.peak_megabytes * rng.uniform(0.97, 1.1), 1)
        exercises.append(exercise)
    report = Report(student=name, seed=rng.getrandbits(48), exercises=exercises, **head, **general)
    report.started = f"2026-03-{rng.randint(10, 12)}T12:00:00+00:00"
    report.seconds = round(sum(check.seconds for e in exercises for check in e.checks) + 0.5, 2)
    return report


def _special(reports: list[Report]) -> None:
    """Some who need a human, by name."""
    by_name = {report.student: report for report in reports}
    broken = by_name["oskar"].exercises[1].checks[-1]
    broken.status, broken.message = "grader_error", "The check itself broke. That is our fault and costs you nothing."
    lost = by_name["quentin"]
    lost.outcome, lost.exercises, lost.seconds, lost.sha256 = "undecided", [], 0.0, ""
    lost.problem = "2 submissions (fcos.ipynb, fcos (1).ipynb): keep the one that counts and grade again."
    bad = by_name["viktor"]
    bad.outcome, bad.problem, bad.seconds = "unreadable", "The file is not valid JSON, so it is no notebook.", 0.0
    for exercise in bad.exercises:
        exercise.peak_megabytes, exercise.charges = 0.0, []
        for check in exercise.checks:
            check.status, check.message, check.diagnosis, check.seconds = "missing", bad.problem, "", 0.0
            check.faults = []
    exercises = by_name["mateo"].exercises
    hand = next((exercise for exercise in exercises if exercise.points < exercise.max_points), exercises[2])
    hand.by_hand, hand.reason = hand.max_points, "right in spirit: the handout was not clear"
    heavy = by_name["kofi"].exercises[0].checks[-1]
    heavy.status, heavy.message, heavy.diagnosis = "memory", "Your code ran out of memory.", ""
    by_name["wanda"].sha256 = by_name["ximena"].sha256
    by_name["uma"].notes = ["Python cannot read code cell 4, line 2: for i in (invalid syntax)."]


def _gist(exercise: ExerciseResult) -> list[tuple[str, str, str]]:
    return [(check.name, check.status, check.diagnosis) for check in exercise.checks]


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record([Path(name) for name in sys.argv[2:]])
    else:
        write(Path(sys.argv[2]), thirty())

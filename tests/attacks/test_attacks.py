"""Hostile submissions: none gains a point, harms the next one, changes anything outside, or breaks the grader.

With bubblewrap, unless the environment says otherwise: `FCOSKIT_ATTACK_SANDBOX=uid` (root only) takes the other kind,
in a private root where this Python lies below a closed home.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import socket
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autograder.checks.bounded import MAX_TEXT
from autograder.course.assignment import Assignment, load_assignment
from autograder.intake.submissions import Submission
from autograder.report.files import write_report
from autograder.report.html import MAX_PAGE, feedback_page
from autograder.report.model import Report
from autograder.runs.slots import Slot
from autograder.runtime.errors import KitError
from autograder.sandbox import probe
from tests.attacks.cases import Attack, Base, expected_with, load_bases, write_notebook
from tests.conftest import ROOT, copy_course

KIND = os.environ.get("FCOSKIT_ATTACK_SANDBOX", "bwrap")
ATTACKS = expected_with(KIND)
pytestmark = [pytest.mark.open_python] if KIND == "uid" else []
SEED = 7 + 2**40  # beyond those that an attack tries
# The honest submission after each attack prints all that one submission could leave to the next. Where it sees the
# whole machine it counts what is its user's, and the abstract socket that an attack opens.
LOOK_AROUND = f"""
def looked(honest):
    import glob, os, resource
    import sys
    alone, here, me = {KIND == "bwrap"}, os.getcwd(), os.getuid()
    def say(*seen):
        print(*(str(one).replace(str(me), "me") for one in seen))
    def ours(path):
        try:
            return alone or os.lstat(path).st_uid == me
        except OSError:
            return False
    for folder in dict.fromkeys((here, "/tmp", "/dev/shm", "/var/tmp", "/run/lock")):
        try:
            inside = sorted(name for name in os.listdir(folder) if ours(os.path.join(folder, name)))
            say(folder, inside, oct(os.stat(folder).st_mode))
        except OSError as error:
            say(folder, type(error).__name__)
    for kind in ("shm", "sem", "msg"):
        say(kind, sum(alone or str(me) in line.split() for line in open("/proc/sysvipc/" + kind)))
    say(open("/proc/self/oom_score_adj").read(), open("/proc/self/autogroup").read().split()[-1:])
    say(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)))
    say([resource.getrlimit(kind) for kind in range(16)], os.umask(0), os.uname().nodename, sorted(os.environ))
    say(sum(map(ours, glob.glob("/proc/[0-9]*"))), len(os.listdir("/proc/self/fd")))
    say(open("/proc/net/unix").read().count("@" if alone else "@hostile"))
    say(sys.path, sys.meta_path, [name for name in sys.modules if "hostile" in name], sys.gettrace())
    return honest
get_fpn_location_coords = looked(get_fpn_location_coords)
"""
# Where a machine is so busy that a call is stopped by the clock before it has used its processor time, what the attack
# comes to and what the next one says are asked for again. That nothing is gained or changed has to hold each time.
BY_THE_CLOCK, TRIES = "Does it wait for something", 3
ACTIVE = re.compile(r"<script>alert|<img src=x")  # what an attack's words would be if they were not escaped
TELLS = "the solution:"  # what attacks say, but do not have in their code, when they have found some of it
# Turned down, so that an attack which hangs or swells is over soon.
LIMITS = {
    "load_seconds": 4,
    "call_seconds": 0.5,
    "train_seconds": 20,
    "exercise_seconds": 5,
    "restarts": 0,
    "memory_megabytes": 512,
    "tmpfs_megabytes": 16,
    "message_megabytes": 32,
}


@dataclass
class Range:
    """One slot in which attacks are graded one after the other, and what lies around it.

    Attributes:
        course: A copy of the course, with the limits above.
        slot: Grades.
        folder: Submissions, reports and the canary lie here.
        honest: Reports of honest notebooks by name.
        next: The honest submission that is graded after each attack.
    """

    course: Assignment
    slot: Slot
    folder: Path
    honest: dict[str, Report] = field(default_factory=dict)
    next: Submission | None = None

    def grade(self, name: str, exercise: str, *cells: str) -> Report:
        """Write a notebook, grade it and write its report."""
        submission = write_notebook(self.course, name, self.folder / "submitted", exercise, *cells)
        return self.grade_submission(submission)

    def grade_submission(self, submission: Submission) -> Report:
        """Grade a submission and write its report."""
        report = self.slot.grade(submission, SEED)
        write_report(self.folder / "graded" / submission.key, report)
        return report

    def of_base(self, base: Base) -> Report:
        """What a base earns."""
        if base.name not in self.honest:
            self.honest[base.name] = self.grade(f"base-{base.name}", base.exercise, base.code)
        return self.honest[base.name]


@pytest.fixture(scope="module", name="neighbour")
def _neighbour() -> Iterator[None]:
    """An abstract socket of this machine's that somebody listens on: nothing for an attack to reach."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0fcoskit-attacks-{os.getpid()}")
        listening.listen()
        yield


@pytest.fixture(scope="module", name="place")
def _place(neighbour: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    if "FCOSKIT_ATTACK_SANDBOX" not in os.environ:
        try:
            probe.choose(KIND)
        except KitError as error:
            pytest.skip(f"no sandbox on this machine: {error}")
    folder = tmp_path_factory.mktemp("attacks")
    course = copy_course(folder / "course")
    path = course.folder / "assignment.toml"
    text = path.read_text(encoding="utf-8")
    for name, value in LIMITS.items():
        text, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", text)
        assert count == 1, f"assignment.toml does not set {name} once"
    path.write_text(text, encoding="utf-8")
    canary = folder / "canary"
    canary.mkdir()
    (canary / "gradebook.db").write_text("alice,7.1d,10\n", encoding="utf-8")
    course = load_assignment(course.id, course.root)
    slot = Slot(course, KIND, folder / "grade.log")
    slot.start()
    place = Range(course, slot, folder)
    place.next = write_notebook(course, "honest", folder / "submitted", "7.1d", LOOK_AROUND)
    place.honest["next"] = slot.grade(place.next, SEED)
    yield place
    slot.close()


def outside(place: Range, skip: str) -> dict[str, object]:
    """All that an attack could have changed outside of its sandbox.

    Args:
        place: Where it was graded.
        skip: A student whose report is left out: that of the attack itself.
    """
    files = {}
    for folder in (place.folder, ROOT / "autograder", ROOT / "assignment", ROOT / "helpers"):
        for path in folder.rglob("*"):
            known = path.suffix in (".pyc", ".log") or skip in path.parts or path.stem == skip
            if path.is_file() and not known:
                files[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    pids = (os.getpid(), place.slot.pid)
    processes = [
        (
            os.getpriority(os.PRIO_PROCESS, pid),
            sorted(os.sched_getaffinity(pid)),
            [resource.prlimit(pid, kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS)],
        )
        for pid in pids
    ]
    return {"files": files, "processes": processes, "pids": pids, "temporary": _ours_in_tmp()}


def _ours_in_tmp() -> list[str]:
    shared = [Path(folder) for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock") if Path(folder).is_dir()]
    return sorted(str(path) for folder in shared for path in folder.iterdir() if path.name.startswith("hostile"))


def outcome(report: Report) -> list[tuple[object, ...]]:
    """All of a report that may not depend on who was graded before."""
    return [
        (check.exercise, check.name, check.status, check.message, check.diagnosis, check.details, exercise.printed)
        for exercise in report.exercises
        for check in exercise.checks
    ]


@pytest.mark.parametrize(
    "attack", [pytest.param(a, id=a.name, marks=[pytest.mark.slow] if a.slow else []) for a in ATTACKS]
)
def test_attack(place: Range, attack: Attack) -> None:
    """It earns no more than it would honestly, and neither the next submission nor anything outside is changed."""
    honest = place.of_base(attack.base)
    name = f"attack-{attack.name}"
    before = outside(place, name)
    for left in reversed(range(TRIES)):
        report = place.grade(name, attack.base.exercise, attack.base.code, attack.cell)
        after = place.slot.grade(place.next, SEED)
        (exercise,) = report.exercises
        assert report.score is not None, f"no verdict: {report.problem} {[c.details[-300:] for c in exercise.checks]}"
        assert report.score <= (honest.score or 0.0)
        for check, plain in zip(exercise.checks, honest.exercises[0].checks, strict=True):
            assert check.earned <= plain.earned, f"{check.name} is earned"
        assert outside(place, name) == before
        said = " ".join(f"{check.diagnosis} {check.message}" for check in exercise.checks if check.status != "passed")
        as_expected = exercise.status in attack.status and attack.says in said
        if not left or not (BY_THE_CLOCK in str(outcome(after)) or (BY_THE_CLOCK in said and not as_expected)):
            break
    assert outcome(after) == outcome(place.honest["next"])
    assert exercise.status in attack.status, f"{exercise.status}: {said[:600]}"
    busy = attack.says == "computing" and BY_THE_CLOCK in said  # it loops, and did not get its processor time
    assert attack.says in said or busy, said[:600]
    assert all(check.message for check in exercise.checks if check.status != "passed")
    assert all(len(check.message) <= 2 * MAX_TEXT and len(check.diagnosis) <= MAX_TEXT for check in exercise.checks)
    page = feedback_page(report)
    assert len(page.encode()) <= MAX_PAGE
    assert not {c for c in page if unicodedata.category(c)[0] == "C"} - {"\n", "\t"}
    assert TELLS not in page
    assert not ACTIVE.search(page)


WORTHLESS = ("no-pyramid", "no-network", "no-locations", "no-deltas", "no-losses", "nothing-detected")


@pytest.mark.parametrize("name", WORTHLESS)
def test_an_empty_answer_of_the_right_form_is_worth_nothing(place: Range, name: str) -> None:
    """Zeros, ones and empty tensors earn no point: what tables of stored answers are held to earns nothing itself."""
    assert place.of_base(load_bases()[name]).score == 0


FORGED_ACCOUNT = """
def attack(honest):
    import sys
    frame = sys._getframe()
    while "Workbench" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["Workbench"]._on_gpu = lambda self, **asked: {
        "places": [asked["kwargs"]["device"]], "broke": ""}
    return honest
get_fpn_location_coords = attack(get_fpn_location_coords)
"""


def test_what_stays_forgeable(place: Range) -> None:
    """With right values, a forged account of devices is worth the one point of that check."""
    base = load_bases()["right-but-on-the-cpu"]
    honest = place.of_base(base)
    report = place.grade("forged-account", base.exercise, base.code, FORGED_ACCOUNT)
    plain = {check.name: check.earned for check in honest.exercises[0].checks}
    gained = [check.name for check in report.exercises[0].checks if check.earned > plain[check.name]]
    assert gained == ["runs_on_a_gpu"] and report.score == (honest.score or 0.0) + 1

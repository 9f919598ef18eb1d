"""A run survives what happens to it: killed at any moment, continued, started twice, stopped by hand."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil
import pytest

from autograder.course.assignment import load_assignment
from autograder.grading.samples import load_samples, write_sample
from autograder.intake.submissions import Submission, find_submissions
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.report.files import PART, read_report
from autograder.report.model import Report
from autograder.runs.grade import grade_submissions
from autograder.runs.run_folder import alone_in, claim
from autograder.runs.slot_pool import SlotPool, grade_in, open_slots
from autograder.runs.slots import failed_report
from autograder.runtime.errors import KitError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.launch import SandboxFailed
from tests.conftest import ROOT
from tests.support.fork_servers import fork_servers

ASSIGNMENT = load_assignment("ps7", ROOT)
KINDS = ("ada-solution", "eva-transposed-locations", "gwen-syntax-error", "kira-writes-files")
COPIES = 3
EXPECTED = {"ada-solution": 10, "eva-transposed-locations": 7, "gwen-syntax-error": 0, "kira-writes-files": 0}
OTHERS = tuple(exercise.id for exercise in ASSIGNMENT.exercises if exercise.id != "7.1d")

# Grades a folder, one exercise only, in a process of its own that can be killed.
RUN = """
import signal
import sys
from dataclasses import replace
from pathlib import Path
from autograder.course.assignment import load_assignment
from autograder.runs.grade import grade_submissions
from autograder.intake.submissions import find_submissions

def show(report, known):
    print(report.student, report.score, known, flush=True)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell are deaf to it
    course, folder, out, *others = sys.argv[1:]
    assignment = load_assignment("ps7", Path(course))
    found, _ = find_submissions([Path(folder)], assignment.notebook, assignment.id)
    todo = [replace(submission, skip=tuple(others)) for submission in found]
    grade_submissions(assignment, todo, Path(out), jobs=2, progress=show)
"""


def small_class(folder: Path) -> list[Submission]:
    """What lies in a folder, with all exercises but a quick one left out."""
    found, _ = find_submissions([folder], ASSIGNMENT.notebook, ASSIGNMENT.id)
    return [replace(submission, skip=OTHERS) for submission in found]


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen submissions of four kinds."""
    return write_class(tmp_path_factory.mktemp("class"), COPIES)


def write_class(folder: Path, copies: int) -> Path:
    """So many submissions of each kind."""
    for sample in load_samples(ASSIGNMENT):
        for copy in range(copies if sample.student in KINDS else 0):
            write_sample(ASSIGNMENT, replace(sample, student=f"{sample.student}-{copy}"), folder, ASSIGNMENT.release)
    return folder


def expected(folder: Path) -> dict[str, float]:
    """What each of them must get."""
    return {s.key: EXPECTED[s.student.rpartition("-")[0]] for s in small_class(folder)}


def started(handed_in: Path, out: Path, script: Path) -> subprocess.Popen[str]:
    """A run in a process of its own."""
    script.write_text(RUN, encoding="utf-8")
    command = [sys.executable, str(script), str(ROOT), str(handed_in), str(out), *OTHERS]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'helpers'}", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def slots_now() -> list[multiprocessing.process.BaseProcess]:
    """The processes of the pair; others of this process's have another parent or none that is forked."""
    return [child for child in multiprocessing.active_children() if isinstance(child, ForkServerProcess)]


@pytest.fixture(scope="module")
def pair(sandbox_once: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlotPool]:
    """Two slots, forked as those of a run with `jobs=2` are; one that a test kills is replaced when it is needed."""
    with open_slots(ASSIGNMENT, "auto", tmp_path_factory.mktemp("pair") / "grade.log", 2) as made:
        yield made


def read_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines that it prints."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
# Comes first: the slots of `pair` would be among those that must be gone at the end.
def test_the_process_that_slots_are_forked_from_is_killed(handed_in, tmp_path):
    """Slots that are there are not harmed, one that is needed anew is forked from another, and no process stays."""
    killed = []

    def kill_it(*_: object) -> None:
        if not killed:
            (forks,) = fork_servers()
            killed.extend([forks, *forks.children(recursive=True)])
            forks.kill()
            slots_now()[0].kill()

    run = grade_submissions(ASSIGNMENT, small_class(handed_in), tmp_path / "out", jobs=2, progress=kill_it)
    assert {key: report.score for key, report in run.reports.items()} == expected(handed_in)
    assert fork_servers() and killed[0] not in fork_servers()
    assert psutil.wait_procs(killed, timeout=60)[1] == []


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("after", [1, 5])
def test_a_run_killed_in_the_middle_is_continued(handed_in, tmp_path, pair, after):
    """Kill -9 leaves whole reports only and no process; the same command grades the rest and comes to the same."""
    out = tmp_path / "out"
    process = started(handed_in, out, tmp_path / "run.py")
    read_lines(process, after)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(family, timeout=60)[1] == []
    before = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("*/report.json")}
    assert len(before) >= after
    assert {key: read_report(out / key).score for key in before}.items() <= expected(handed_in).items()
    known = []
    run = grade_submissions(
        ASSIGNMENT,
        small_class(handed_in),
        out,
        slots=pair,
        progress=lambda r, k: known.append(r.student) if k else None,
    )
    assert {key: report.score for key, report in run.reports.items()} == expected(handed_in)
    assert sorted(known) == sorted(before)
    assert {key: (out / key / "report.json").stat().st_mtime_ns for key in before} == before
    assert len((out / "grades.csv").read_text().splitlines()) == 1 + len(expected(handed_in))


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_grading_process_that_is_killed_is_replaced(handed_in, tmp_path, pair):
    """The submission at hand is graded again in a new one; nobody is without a score."""
    slots, killed = [], []

    def kill_one(*_: object) -> None:
        slots.extend([] if slots else slots_now())  # not their successors: nobody's second try
        if slots[len(killed) :]:
            slots[len(killed)].kill()
            killed.append(slots[len(killed)].pid)

    run = grade_submissions(ASSIGNMENT, small_class(handed_in), tmp_path / "out", slots=pair, progress=kill_one)
    assert len(set(killed)) == 2
    assert {key: report.score for key, report in run.reports.items()} == expected(handed_in)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_that_is_killed_costs_nobody_points(handed_in, tmp_path, pair):
    """Whatever ends a sandbox from outside, the exercise at hand is checked again in a new one."""
    killed, reported = [], []

    def kill_sandboxes(report: Report, _: bool) -> None:
        reported.append(report.student)
        for slot in slots_now()[len(killed) :][:1] if len(reported) in (1, 5) else []:  # of one, later of the other
            for process in psutil.Process(slot.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):  # one that only looked, and has ended
                    if process.name() == "bwrap":  # what reads a cell for a newer Python is no sandbox
                        process.kill()
                        killed.append(process.pid)

    run = grade_submissions(ASSIGNMENT, small_class(handed_in), tmp_path / "out", slots=pair, progress=kill_sandboxes)
    assert len(set(killed)) == 2
    assert {key: report.score for key, report in run.reports.items()} == expected(handed_in)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_killed_during_a_call_is_nobody_s_fault(assignment):
    """Code that was at work when its sandbox died is not told that it crashed; code that chokes it is no such case."""
    host = Host(assignment)
    source = "# %%\nimport time\ndef f(seconds):\n    time.sleep(seconds)\n    return seconds"
    piece = make_slice(read_notebook(source.encode(), ".py"), ("f",), assignment.not_run)
    student = SandboxedStudent(assignment, piece, host)
    assert student.call("f", 0) == 0
    sandbox = psutil.Process(host.pid)
    timer = threading.Timer(0.5, sandbox.kill)
    timer.start()
    with pytest.raises(SandboxFailed, match="ended from outside"):
        student.call("f", 5)
    timer.join()
    assert student.lost
    student.close()
    again = SandboxedStudent(assignment, piece, host)
    assert again.call("f", 0) == 0 and not again.lost
    again.close()
    host.close()


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_ctrl_c_stops_and_keeps(tmp_path):
    """An interrupt ends the run and all its processes; what was graded is there, with its grades.csv."""
    handed_in = write_class(tmp_path / "class", 12 * COPIES)  # nobody is through with those before we look round
    out = tmp_path / "out"
    process = started(handed_in, out, tmp_path / "run.py")
    read_lines(process, 2)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.wait()
    assert psutil.wait_procs(family, timeout=60)[1] == []
    done = {path.parent.name for path in out.glob("*/report.json")}
    assert 2 <= len(done) < len(expected(handed_in))
    rows = (out / "grades.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == done


class StubSlot:
    """A slot whose grading ends when it is stopped, or at once.

    Args:
        loops: Whether the code that it grades never ends.
    """

    def __init__(self, loops: bool) -> None:
        self._stopped = threading.Event()
        self._loops = loops

    def grade(self, submission: Submission, seed: int, figure_seed: int | None) -> Report:
        """A report; of one that was stopped without a score."""
        if self._loops:
            self._stopped.wait()
            return failed_report(ASSIGNMENT, submission, seed, "it died")
        return Report(ASSIGNMENT.id, "", submission.key, "", "", "", seed, 100.0)

    def stop(self) -> None:
        """End it."""
        self._stopped.set()


def test_ctrl_c_does_not_wait_for_code_that_never_ends(tmp_path):
    """Busy slots are stopped as well; what was graded is kept, what the stop ended is not taken for our failure."""
    made = [StubSlot(loops=True), StubSlot(loops=False)]
    pool = SlotPool(made)
    for slot in made:
        pool.put(slot)
    todo = [Submission(name, name, tmp_path / name) for name in ("one", "two", "three")]
    kept = []

    def keep(submission: Submission, report: Report) -> None:
        kept.append((submission.key, report.score))
        if len(kept) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_in(pool, todo, (1, 1), keep)
    assert kept and all(score is not None for _, score in kept)


def test_a_second_run_in_the_same_folder_stops(tmp_path):
    """It says which process is at work, and touches nothing."""
    claim(tmp_path / "out")
    code = "import sys; from pathlib import Path; from autograder.runs.run_folder import alone_in\n"
    code += "with alone_in(Path(sys.argv[1])):\n    print('in', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert read_lines(other, 1) == ["in\n"]
        with (
            pytest.raises(KitError, match=f"Another run is grading into .*out, process {other.pid}"),
            alone_in(tmp_path / "out"),
        ):
            raise AssertionError("let in")
        other.kill()
    with alone_in(tmp_path / "out"):  # a dead run holds nothing
        assert (tmp_path / "out" / ".fcoskit").is_file()


def test_half_written_files_of_a_killed_run_are_removed(tmp_path):
    """What was being written when a run died is not left lying about; everything else is."""
    claim(tmp_path)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / f"{PART}abc").write_text("{")
    (tmp_path / "ann" / "report.json").write_text("{}")
    with alone_in(tmp_path):
        assert [path.name for path in (tmp_path / "ann").iterdir()] == ["report.json"]

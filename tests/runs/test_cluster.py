"""Grading on a Dask cluster: real schedulers and workers, in processes and network namespaces of their own.

Workers are killed, stopped and cut off while they grade. Where `distributed` is not installed, what needs it is
skipped.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autograder.commands import cli
from autograder.course.assignment import load_assignment
from autograder.grading.samples import load_samples, write_sample
from autograder.intake.parcel import pack
from autograder.intake.submissions import Submission, find_submissions
from autograder.intake.weights import Weights
from autograder.report.files import read_report
from autograder.runs.cluster import connection
from autograder.runs.cluster.account import Worker, summary
from autograder.runs.cluster.worker import Workplace
from autograder.runs.grade import Run, grade_submissions
from autograder.runtime.errors import KitError, SubmissionError
from tests.conftest import ROOT

ASSIGNMENT = load_assignment("ps7", ROOT)
SCORES = {"ada-solution": 10, "eva-transposed-locations": 7, "gwen-syntax-error": 0, "kira-writes-files": 0}
OTHERS = tuple(exercise.id for exercise in ASSIGNMENT.exercises if exercise.id != "7.1d")
POINTS = ASSIGNMENT.exercises[0].points  # what a stand-in gives
STAND_INS = ROOT / "tests" / "support" / "cluster_stand_ins.py"
TTL = "10s"  # after which a silent worker counts as lost: longer than a busy machine is silent


def test_what_grades_is_counted_in_words():
    """One worker is no "1 workers"."""
    far = [Worker(f"tcp://10.0.0.{n}:1", "", n, place=Workplace("", sandbox="bwrap")) for n in (1, 2)]
    assert summary("tcp://h:1", far[:1]) == "Cluster tcp://h:1: 1 slot, 1 worker, 1 machine; sandbox: bwrap."
    assert summary("tcp://h:1", far) == "Cluster tcp://h:1: 3 slots, 2 workers, 2 machines; sandbox: bwrap."


class Cluster:
    """A scheduler and what workers a test asks for, each a process of its own; all end with it."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", ttl: str = TTL) -> None:
        self.folder, self._ttl = folder, ttl
        self._processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self.start(
            "scheduler", "--host", host, "--port", "0", "--no-dashboard", "--scheduler-file", str(file)
        )
        self.address = self._told(r"Scheduler at:\s+(tcp://\S+)")

    def worker(self, *options: str, prefix: tuple[str, ...] = (), **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, and wait until it is registered."""
        before = len(re.findall("Registered to", self._log("worker")))
        arguments = (self.address, "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder), *options)
        process = self.start("worker", *arguments, prefix=prefix, **settings)
        wait_until(lambda: len(re.findall("Registered to", self._log("worker"))) > before, process)
        return process

    def start(
        self, what: str, *arguments: str, prefix: tuple[str, ...] = (), **settings: str
    ) -> subprocess.Popen[bytes]:
        """Start `dask scheduler` or `dask worker`."""
        environment = os.environ | {"FCOSKIT_TEST_FOLDER": str(self.folder)} | settings
        environment["DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL"] = self._ttl
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(ROOT), str(ROOT / "helpers"), os.environ.get("PYTHONPATH", "")]
        )
        command = [*prefix, sys.executable, "-m", "dask", what, *arguments]
        with (self.folder / f"{what}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
        self._processes.append(process)
        return process

    def _log(self, what: str) -> str:
        path = self.folder / f"{what}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _told(self, pattern: str) -> str:
        wait_until(lambda: re.search(pattern, self._log("scheduler")), self.scheduler)
        found = re.search(pattern, self._log("scheduler"))
        assert found
        return found[1]

    def close(self) -> None:
        """End all of them, those that are stopped too."""
        family = [child for p in self._processes if p.poll() is None for child in psutil.Process(p.pid).children(True)]
        for process in [*family, *self._processes]:
            process.kill()
        for started in self._processes:
            started.wait()
        psutil.wait_procs(family, timeout=60)


def wait_until(there: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for something that another process does; fail if that has ended."""
    last = time.monotonic() + 120
    while not there():
        assert time.monotonic() < last, "it did not come"
        assert process is None or process.poll() is None, "its process has ended"
        time.sleep(0.05)


def write_class(folder: Path, wishes: dict[str, str]) -> list[Submission]:
    """Submissions that tell a stand-in what to do."""
    folder.mkdir()
    for student, wish in wishes.items():
        (folder / f"{student}.py").write_text(f"# {wish}\n", encoding="utf-8")
    return find_submissions([folder], ASSIGNMENT.notebook, ASSIGNMENT.id)[0]


def graded(submissions: list[Submission], out: Path, address: str, said: list[str]) -> Run:
    """Grade on a cluster."""
    return grade_submissions(ASSIGNMENT, submissions, out, scheduler=address, sandbox="none", say=said.append)


@pytest.fixture(scope="module")
def distributed() -> None:
    """Skip where it is not installed."""
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("distributed is not installed: pip install 'fcoskit[cluster]'")


@pytest.fixture(scope="module")
def dask(distributed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler without workers."""
    started = Cluster(tmp_path_factory.mktemp("dask"))
    yield started
    started.close()


# Without a cluster


def test_a_parcel_reads_as_the_submission_does(tmp_path):
    """Notebook and weights travel as bytes, without a path."""
    (tmp_path / "ann.py").write_bytes(b"x = 1")
    (tmp_path / "w.safetensors").write_bytes(b"1234")
    weights = Weights("w.safetensors", tmp_path / "w.safetensors")
    parcel = pack(Submission("ann", "ann", tmp_path / "ann.py", skip=("7.1j",), weights=weights), ASSIGNMENT)
    assert (parcel.student, parcel.name, parcel.skip, parcel.read(1)) == ("ann", "ann.py", ("7.1j",), b"x = 1")
    assert parcel.weights is not None and parcel.weights.read(1) == b"1234"
    assert str(tmp_path) not in repr(parcel)


def test_a_parcel_says_what_could_not_be_read(tmp_path):
    """A notebook or weights that are refused here are refused there, in the same words."""
    (tmp_path / "ann.py").symlink_to("/etc/hostname")
    weights = Weights("w.pt", tmp_path / "w.pt", problem="w.pt is a link or no regular file.")
    submission = Submission("ann", "ann", tmp_path / "ann.py", weights=weights)
    parcel = pack(submission, ASSIGNMENT)
    for ours, theirs in ((submission, parcel), (weights, parcel.weights)):
        with pytest.raises(SubmissionError) as expected:
            ours.read(1)
        with pytest.raises(SubmissionError, match=f"^{re.escape(str(expected.value))}$"):
            theirs.read(1)


def test_without_distributed_it_says_what_to_install(tmp_path, monkeypatch):
    """The command that it gives asks for the version that the project asks for."""
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(KitError, match="not installed here: " + re.escape(connection.INSTALL)):
        graded(write_class(tmp_path / "class", {"ann": ""}), tmp_path / "out", "tcp://127.0.0.1:1", [])
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert table["optional-dependencies"]["cluster"][0] in connection.INSTALL


@pytest.mark.usefixtures("distributed")
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://127.0.0.1:9", "No scheduler answers at tcp://127.0.0.1:9"),
        ("nonsense", "nonsense is not the address of a scheduler"),
        ("tcp://host:port", "tcp://host:port is not the address"),
        ("tls://127.0.0.1:9", "asks for certificates"),
    ],
)
def test_no_scheduler_is_a_sentence(address, why, tmp_path, monkeypatch, capsys):
    """A scheduler that is not there, or an address that is none: a sentence, exit code 2, no traceback."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.1)
    write_class(tmp_path / "class", {"ann": ""})
    arguments = ["grade", str(tmp_path / "class"), "--out", str(tmp_path / "out"), "--scheduler", address]
    monkeypatch.setattr(sys, "argv", ["fcoskit", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr().err
    assert left.value.code == 2 and why in said and "Traceback" not in said


# With stand-ins for the slots; the order of these tests matters to nobody but the workers are started once


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(dask, tmp_path):
    """It says that there are none, waits as long as it is told, and says how to start some."""
    import dask as settings

    said: list[str] = []
    submissions = write_class(tmp_path / "class", {"ann": ""})
    with (
        settings.config.set({"fcoskit.wait-for-workers": 0.2}),
        pytest.raises(KitError, match=r"has no workers, for 0\.2 s now. Start some with `dask worker tcp://127"),
    ):
        graded(submissions, tmp_path / "out", dask.address, said)
    assert any("has no workers: waiting for some, at most 0.2 s" in line for line in said)


@pytest.fixture(scope="module")
def workers(dask: Cluster) -> Cluster:
    """Two workers with stand-ins, each watched by a nanny that starts another when it dies."""
    dask.worker("--nworkers", "2", "--preload", str(STAND_INS))
    return dask


@pytest.mark.slow
def test_lost_workers(workers, tmp_path):
    """What a lost worker had goes to others; what ends two of them is set aside; nobody else pays for it."""
    wishes = {f"student{number}": "is graded" for number in range(6)}
    wishes |= {"killer": "ends every worker", "clumsy": "ends its first worker", "deaf": "stops its first worker"}
    said: list[str] = []
    out = tmp_path / "out"
    run = graded(write_class(tmp_path / "class", wishes), out, workers.address, said)
    assert {key: report.score for key, report in run.reports.items()} == dict.fromkeys(wishes, POINTS) | {
        "killer": None
    }
    killer = read_report(out / "killer")
    assert killer.status == "grader_error" and killer.problem.startswith("Our fault, and it costs nothing: the machine")
    assert run.exit_code == 1 and "killer: set aside after 2 tries" in (out / "grade.log").read_text()
    lost = [line.partition("which was grading ")[2].rstrip(".") for line in said if line.startswith("Lost worker")]
    assert lost.count("killer") == 2 and {"clumsy", "deaf"} <= set(lost)
    journal = (workers.folder / "journal").read_text().split("\n")
    starts = [line.split()[1] for line in journal if line.startswith("start")]
    assert starts.count("killer") == 2 and starts.count("clumsy") > 1 and starts.count("deaf") > 1
    for suspect in ("killer", "clumsy", "deaf"):  # a second try stands alone
        again = max(place for place, line in enumerate(journal) if line.startswith(f"start {suspect} "))
        open_ = {line.split()[1] for line in journal[:again] if line.startswith("start")}
        open_ -= {line.split()[1] for line in journal[:again] if line.startswith("end")}
        assert open_ <= {"killer", "clumsy", "deaf"}
    assert read_report(out / "student0").path == str(tmp_path / "class" / "student0.py")


@pytest.mark.slow
def test_a_worker_that_would_grade_differently_is_refused(workers, tmp_path):
    """Among the first, it stops the run before any work is sent; one that comes later is left out. Both by name."""
    (workers.folder / "go").unlink(missing_ok=True)
    submissions = write_class(tmp_path / "class", {"ann": "waits", "bob": "is graded"})
    said: list[str] = []

    def listen(line: str) -> None:
        said.append(line)
        if line.startswith("Left out: "):
            (workers.folder / "go").touch()

    odd = []

    def another(report: object, known: bool) -> None:
        options = ("--no-nanny", "--name", "odd", "--preload", str(STAND_INS))
        odd.append(workers.worker(*options, FCOSKIT_TEST_TORCH="1.0"))

    there = {"scheduler": workers.address, "sandbox": "none"}
    run = grade_submissions(ASSIGNMENT, submissions, tmp_path / "out", **there, progress=once(another), say=listen)
    assert {report.score for report in run.reports.values()} == {POINTS}
    assert any(
        re.match(r"Left out: Worker odd \(tcp://.*\) would not .*: torch is 1\.0, here 2", line) for line in said
    )
    with pytest.raises(KitError, match=r"^Worker odd \(tcp.*torch is 1\.0, here .*Nothing was sent"):
        graded(submissions, tmp_path / "out2", workers.address, [])
    assert not list((tmp_path / "out2").glob("*/report.json"))
    odd[0].kill()


def test_a_lost_scheduler_ends_the_run(workers, tmp_path):
    """What was graded is there, with grades.csv; the sentence says so. No test after this one has a cluster."""
    (workers.folder / "go").unlink(missing_ok=True)
    submissions = write_class(tmp_path / "class", {"cem": "is graded", "dora": "waits"})
    there = {"scheduler": workers.address, "sandbox": "none"}
    with pytest.raises(KitError, match=r"The scheduler tcp://.* is lost\. What was graded is kept"):
        grade_submissions(
            ASSIGNMENT, submissions, tmp_path / "out", **there, progress=lambda report, known: workers.scheduler.kill()
        )
    assert [path.parent.name for path in (tmp_path / "out").glob("*/report.json")] == ["cem"]
    assert (tmp_path / "out" / "grades.csv").read_text().count("\n") == 2


def once(call: Callable[[object, bool], None]) -> Callable[[object, bool], None]:
    """The same for the first time; nothing afterwards."""
    left = [call]
    return lambda *arguments: left.pop()(*arguments) if left else None


# In network namespaces: pulls the cable of a worker that is at work

CUT = """
import subprocess, sys
from pathlib import Path
from tests.runs.test_cluster import Cluster, STAND_INS, graded, wait_until, write_class

folder = Path(sys.argv[1])
def run(*words): subprocess.run(words, check=True)
run("ip", "link", "set", "lo", "up")
held = ["unshare", "-n", "sh", "-c", "echo in; read line"]
other = subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert other.stdout.readline() == b"in\\n"
there = ("nsenter", "-t", str(other.pid), "-n")
run("ip", "link", "add", "here0", "type", "veth", "peer", "name", "there0")
run("ip", "link", "set", "there0", "netns", str(other.pid))
for words, device, address in (((), "here0", "10.83.0.1/24"), (there, "there0", "10.83.0.2/24")):
    run(*words, "ip", "addr", "add", address, "dev", device)
    run(*words, "ip", "link", "set", device, "up")
dask = Cluster(folder, host="10.83.0.1")
try:
    dask.worker("--no-nanny", "--name", "far", "--preload", str(STAND_INS), prefix=there)
    dask.worker("--name", "near", "--preload", str(STAND_INS))
    submissions = write_class(folder / "class", {"ann": "waits", "bob": "waits", "cem": "is graded"})
    def say(line):
        print(line, flush=True)
        if line.startswith("Cluster "):
            def cut():
                wait_until(lambda: (folder / "ann.seen").exists() and (folder / "bob.seen").exists())
                run("ip", "link", "set", "here0", "down")
            import threading
            threading.Thread(target=cut, daemon=True).start()
        if line.startswith("Lost worker far"):
            (folder / "go").touch()
    said = type("Said", (), {"append": staticmethod(say)})
    for key, report in graded(submissions, folder / "out", dask.address, said).reports.items():
        print(key, report.score, flush=True)
finally:
    dask.close()
    other.kill()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("distributed")
def test_a_worker_that_is_cut_off(tmp_path):
    """The cable of a worker's machine is pulled while it grades: its submission is graded by the other one."""
    tools = all(shutil.which(name) for name in ("unshare", "nsenter", "ip"))
    if not tools or subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces on this machine (root and iproute2 are needed)")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'helpers'}:{os.environ.get('PYTHONPATH', '')}"}
    command = ["unshare", "-n", sys.executable, "-c", CUT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 slots, 2 workers, 2 machines" in done.stdout
    assert re.search(r"Lost worker far \(tcp://10\.83\.0\.2:\d+\), which was grading (ann|bob)\.", done.stdout)
    assert {f"{key} {POINTS:g}" for key in ("ann", "bob", "cem")} <= set(done.stdout.replace(".0\n", "\n").split("\n"))


# With real slots


@pytest.mark.slow
@pytest.mark.usefixtures("distributed", "sandbox")
def test_a_run_on_a_cluster_is_a_run_like_any_other(tmp_path, slots):
    """The same scores; stopped with Ctrl-C and continued here, and the reverse; a killed worker leaves no process."""
    for sample in load_samples(ASSIGNMENT):
        if sample.student in SCORES:
            write_sample(ASSIGNMENT, sample, tmp_path, ASSIGNMENT.release)
    found, _ = find_submissions([tmp_path], ASSIGNMENT.notebook, ASSIGNMENT.id)
    found = [replace(submission, skip=OTHERS) for submission in found]
    (tmp_path / "dask").mkdir()
    out, known = tmp_path / "out", []

    def note(report, was_known):
        known.extend([report.student] if was_known else [])

    def interrupt(report, was_known):
        raise KeyboardInterrupt

    dask = Cluster(tmp_path / "dask", ttl="5m")  # Dask's own
    try:
        worker = dask.worker("--no-nanny")
        with pytest.raises(KeyboardInterrupt):
            grade_submissions(ASSIGNMENT, found, out, scheduler=dask.address, progress=interrupt)
        (first,) = out.glob("*/report.json")
        assert (out / "grades.csv").read_text().count("\n") == 2
        run = grade_submissions(ASSIGNMENT, found, out, progress=note, slots=slots)
        assert {key: report.score for key, report in run.reports.items()} == SCORES
        assert known == [first.parent.name]
        shutil.rmtree(out / "ada-solution")
        known.clear()
        run = grade_submissions(ASSIGNMENT, found, out, scheduler=dask.address, progress=note)
        assert {key: report.score for key, report in run.reports.items()} == SCORES
        assert sorted(known) == sorted(set(SCORES) - {"ada-solution"})
        here, there = read_report(out / "eva-transposed-locations"), read_report(out / "ada-solution")
        assert here.versions == there.versions and Path(there.path).parent == Path(here.path).parent == tmp_path
        family = psutil.Process(worker.pid).children(recursive=True)
        assert family
        worker.kill()
        worker.wait()
        assert psutil.wait_procs(family, timeout=60)[1] == []
    finally:
        dask.close()

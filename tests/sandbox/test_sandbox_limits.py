"""Each limit, turned down: what hits it gets its status and the limit's name, and the next code runs as ever."""

import dataclasses
import resource
import select
import time
from types import SimpleNamespace

import pytest
import torch

from autograder.course.assignment import Limits, load_assignment
from autograder.runtime.errors import KitError, StudentError
from autograder.sandbox.inside import limit_messages as words
from autograder.sandbox.inside import watch
from tests.support.sandboxes import Sandbox

LIMITS = {
    "memory_megabytes": 300,
    "processes": 24,
    "descriptors": 40,
    "file_megabytes": 1,
    "tmpfs_megabytes": 4,
    "message_megabytes": 1,
    "call_seconds": 20,
}
FORKS = (
    "import os, time\ndef f():\n    for _ in range(60):\n        if os.fork() == 0:\n"
    "            {}\n            time.sleep(60)\n            os._exit(0)\n    time.sleep(60)"
)
# name: code, status, what the message says
HITS = {
    "memory of one process": (
        "def f():\n    kept = []\n    while True:\n        kept.append(bytearray(2**22))",
        "memory",
        "300 MB",
    ),
    "memory of several processes": (
        FORKS.replace("range(60)", "range(8)").format("kept = bytearray(70 * 2**20)"),
        "memory",
        "more than 300 MB of memory",
    ),
    "memory that is hidden": (
        "import ctypes, time\ndef f():\n    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n"
        "    kept = bytearray(400 * 2**20)\n    time.sleep(60)",
        "memory",
        "more than 300 MB of memory",
    ),
    "an absurd array": ("import torch\ndef f():\n    return torch.ones(2**34)", "memory", "The limit is 300 MB"),
    "processes": (FORKS.format("pass"), "error", "24 processes and threads"),
    "threads": (
        "import threading, time\ndef f():\n    for _ in range(60):\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n    time.sleep(60)",
        "error",
        "24 processes and threads",
    ),
    "descriptors": ("def f():\n    return [open('/dev/null') for _ in range(60)]", "error", "At most 40 files"),
    "one file": ("def f():\n    open('/tmp/x', 'wb').write(bytes(2**21))", "error", "at most 1 MB"),
    "all files": (
        "def f():\n    for i in range(6):\n        open(f'/tmp/{i}', 'wb').write(bytes(2**20))",
        "error",
        "together may have at most 4 MB",
    ),
    "shared memory": (
        "def f():\n    for i in range(6):\n        open(f'/dev/shm/{i}', 'wb').write(bytes(2**20))",
        "error",
        "together may have at most 4 MB",
    ),
    "number of files": (
        "import time\ndef f():\n    for i in range(15000):\n        open(f'/tmp/{i}', 'w').close()\n    time.sleep(60)",
        "error",
        "more files in its scratch folder",
    ),
    "an answer": ("import torch\ndef f():\n    return torch.zeros(2**19)", "error", "at most 1 MB"),
}


@pytest.fixture(scope="module")
def sandbox_with_limits(sandbox_once):
    """One sandbox for the whole module, as in a slot."""
    made = Sandbox(**LIMITS)
    yield made
    made.close()


@pytest.mark.parametrize("name", HITS)
def test_a_limit_is_named_and_the_next_code_runs(sandbox_with_limits, name):
    """The status and the limit are right, and the same slot's next student is graded as if nothing had been."""
    source, status, said = HITS[name]
    with pytest.raises(StudentError) as caught:
        sandbox_with_limits.run(source)
    assert (caught.value.status, said in caught.value.message) == (status, True), caught.value.message
    assert sandbox_with_limits.run("def f():\n    return 7") == 7


def test_many_processes_go_on_after_they_were_looked_at(sandbox_with_limits):
    """They stand still meanwhile, or the preloader would have to wait for its turn among them; then they work on."""
    source = (
        "import os, time\ndef f():\n    read, write = os.pipe()\n    for _ in range(20):\n        if os.fork() == 0:\n"
        "            while time.process_time() < 0.05:\n                pass\n"
        "            os.write(write, b'x')\n            os._exit(0)\n"
        "    got = b''\n    while len(got) < 20:\n        got += os.read(read, 20)\n"
        "    return [os.wait()[1] for _ in got]"
    )
    assert sandbox_with_limits.run(source) == [0] * 20


def test_memory_that_is_shared_with_the_preloader_is_not_charged(sandbox_with_limits):
    """Twenty forks of a process with torch in it weigh little: their pages are the same ones."""
    source = (
        "import os, time\ndef f():\n    for _ in range(15):\n        if os.fork() == 0:\n            time.sleep(60)\n"
        "    time.sleep(1)\n    return 1"
    )
    assert sandbox_with_limits.run(source) == 1


def test_seconds_of_the_whole_submission(sandbox):
    """Once a submission's seconds are used up no more of its code runs, and the next submission begins at zero."""
    made = Sandbox(submission_seconds=0.5, call_seconds=5)
    burn = (
        "import time\ndef f():\n    end = time.process_time() + 0.7\n    while time.process_time() < end:\n        pass"
    )
    try:
        assert made.run(burn) is None
        with pytest.raises(StudentError, match=r"0\.5 s of computing for the whole submission") as caught:
            made.run("def f():\n    return 1")
        assert caught.value.status == "timeout"
        made.host.next_submission()
        assert made.run("def f():\n    return 1") == 1
    finally:
        made.close()


def test_time_in_which_the_grader_itself_is_stopped_does_not_count(sandbox_with_limits, monkeypatch):
    """Ctrl-Z, or a machine that sleeps, in the middle of a call: an hour later the answer counts as it would have."""
    asleep, clock, look = [0.0], time.monotonic, select.select

    def stopped_at_first(*arguments):
        asleep[0] = 3600.0
        return look(*arguments)

    student = sandbox_with_limits.student("import time\ndef f(seconds):\n    time.sleep(seconds)\n    return 1")
    assert student.call("f", 0) == 1
    monkeypatch.setattr(time, "monotonic", lambda: clock() + asleep[0])
    monkeypatch.setattr("autograder.sandbox.meter.select.select", stopped_at_first)
    assert student.call("f", 0.6) == 1


def test_who_does_not_even_read_the_request_is_charged(sandbox):
    """A worker that stops itself before a large request: the wait for it to read is its own time."""
    source = """
import os, signal, threading
def f(tensor):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSTOP)).start()
"""
    made = Sandbox(call_seconds=0.5)
    try:
        student = made.student(source)
        student.call("f", torch.ones(1))
        before = made.host.charged
        with pytest.raises(StudentError) as told:
            while True:  # until the timer is up
                student.call("f", torch.ones(2**18))
        assert told.value.status == "timeout"
        assert made.host.charged - before >= 0.5
    finally:
        made.close()


def test_limits_of_a_process_cannot_be_raised(sandbox_with_limits):
    """Soft and hard limits are what the assignment says."""
    source = "import resource\ndef f(kind):\n    return resource.getrlimit(kind)"
    made = sandbox_with_limits.student(source)
    assert made.call("f", int(resource.RLIMIT_NOFILE)) == (40, 40)
    assert made.call("f", int(resource.RLIMIT_FSIZE)) == (2**20, 2**20)
    assert made.call("f", int(resource.RLIMIT_CORE)) == (0, 0)


@pytest.mark.parametrize(
    ("now", "exact", "passed"),
    [
        ((5, 10), 10, ""),
        ((6, 10), 10, "processes"),
        ((5, 101), 100, ""),
        ((5, 101), 101, "memory"),
    ],
)
def test_what_the_watch_decides(monkeypatch, now, exact, passed):
    """At a limit nothing happens, above it the worker is ended; pages are counted only where sizes leave a doubt."""
    monkeypatch.setattr(watch, "used", lambda *_: watch.Used(0.0, *now))
    monkeypatch.setattr(watch, "resident_bytes", lambda *_: exact)
    assert watch.over_limit([1], watch.Caps(memory=100, tasks=5), []) == passed


def test_a_companion_is_no_process_of_the_student_s(monkeypatch):
    """It is one more than the limit says; of its pages those count that it did not have at the fork."""
    monkeypatch.setattr(watch, "used", lambda *_: watch.Used(0.0, 6, 0))
    caps = watch.Caps(memory=100, tasks=5)
    assert watch.over_limit([1, 2], caps, [], companion=2) == ""
    assert watch.over_limit([1, 2], caps, []) == "processes"


def test_a_scratch_folder_is_weighed(tmp_path):
    """Without a tmpfs of its own, a folder's files are added up, those in its folders too."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_bytes(b"x" * 5000)
    caps = watch.Caps(memory=2**40, tasks=10**6, scratch=8192)
    assert watch.over_limit([], caps, [str(tmp_path)]) == ""
    (tmp_path / "more").write_bytes(b"x" * 5000)
    assert watch.over_limit([], caps, [str(tmp_path)]) == "scratch"


def test_every_limit_of_the_watch_has_its_words():
    """What the preloader may say is known to the side that tells the student; nothing else is believed."""
    limits = Limits()
    for passed in ("memory", "processes", "files", "scratch"):
        assert words.ended_by(words.ENDED + passed, limits)
    assert words.ended_by("signal 9", limits) is None
    assert words.ended_by(words.ENDED + "luck", limits) is None


def test_an_ordinary_message_stays_as_it_is():
    """Only words that the kernel or torch use for a limit get one added."""
    limits = SimpleNamespace(**dataclasses.asdict(Limits()))
    assert words.name_limit("Your code raised ValueError: no.", limits) == "Your code raised ValueError: no."
    assert words.name_limit("[Errno 24] Too many open files", limits).endswith(
        "At most 256 files may be open at a time."
    )


@pytest.mark.parametrize("line", ["processes = 0", "call_seconds = -1", "memory_megabytes = 1.5", 'restarts = "2"'])
def test_a_limit_that_is_none_is_a_slip_of_the_ta(course, edit, line):
    """Zero, negative and non-numbers are refused with the setting's name."""
    path = course.folder / "assignment.toml"
    name = line.split()[0]
    old = next(text for text in path.read_text(encoding="utf-8").splitlines() if text.startswith(f"{name} ="))
    edit(path, old, line)
    with pytest.raises(KitError, match=name):
        load_assignment("ps7", course.root)

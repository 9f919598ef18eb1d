"""What a test comes to in the private root is what it comes to here, and nothing of that root outlives the tests."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support import in_private_root
from tests.support.in_private_root import EndedEarly, FailedThere, SecondPytest, Told
from tests.support.private_root import why_not

FILE = "test_there.py"
THERE = """
import os, signal, subprocess, sys
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("not set up")

@pytest.fixture
def left():
    yield
    raise RuntimeError("not torn down")

def test_passes():
    print("said there")

def test_fails():
    assert [1, 2] == [1, 3]

def test_skips():
    pytest.skip("no such thing")

def test_is_not_set_up(broken):
    pass

def test_is_not_torn_down(left):
    pass

def test_the_sandbox_s_user_runs_this_python():
    subprocess.run([sys.executable, "-c", "import pytest"], user=60600, group=60600, extra_groups=[], check=True)

def test_ends_it():
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def test_waits():
    with open("/autograder/fifo", "w") as told:
        told.write("here")
        told.flush()
        signal.pause()
"""
# In a process of its own: begins a second pytest, whose test waits for ever.
WAITS = f"""
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell are deaf to it
from tests.support.in_private_root import SecondPytest
SecondPytest(["/autograder/{FILE}::test_waits"], {{options}}, Path(sys.argv[1])).phases("{FILE}::test_waits")
"""
OPTIONS = ("--rootdir", "/autograder", "-c", "/dev/null", "-s")
needs_root = pytest.mark.skipif(bool(why_not()), reason=f"no private root on this machine: {why_not()}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds the file of tests."""
    made = tmp_path_factory.mktemp("there")
    (made / FILE).write_text(THERE, encoding="utf-8")
    return made


def begin(folder, *names, options=OPTIONS):
    """A second pytest of some of those tests, ended with the block."""
    tests = [f"/autograder/{FILE}::{name}" for name in names]
    return contextlib.closing(SecondPytest(tests, options, folder))


@pytest.fixture(scope="module")
def second(folder):
    """One that has run those that come to an end."""
    names = ["passes", "fails", "skips", "is_not_set_up", "is_not_torn_down", "the_sandbox_s_user_runs_this_python"]
    with begin(folder, *(f"test_{name}" for name in names), options=OPTIONS[:-1]) as made:
        yield made


def told(request, second, name):
    """The test here that stands for one there; its node id is that one's."""
    more = {"name": name, "nodeid": f"{FILE}::{name}", "original": request.node, "second": second}
    return Told.from_parent(request.node.parent, **more)


@needs_root
@pytest.mark.parametrize("name", ["test_passes", "test_the_sandbox_s_user_runs_this_python"])
def test_what_passes_there_passes_here(request, second, name):
    """Also what needs a user who can run this Python."""
    told(request, second, name).runtest()


@needs_root
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_fails", "assert [1, 2] == [1, 3]"),
        ("test_is_not_set_up", "not set up"),
        ("test_is_not_torn_down", "not torn down"),
    ],
)
def test_what_fails_there_fails_here(request, second, name, said):
    """In its own words, whichever part of the test it was."""
    made = told(request, second, name)
    with pytest.raises(FailedThere) as caught:
        made.runtest()
    assert said in made.repr_failure(caught)


@needs_root
def test_what_is_skipped_there_is_skipped_here(request, second):
    """For the same reason."""
    with pytest.raises(pytest.skip.Exception, match=r"^no such thing$"):
        told(request, second, "test_skips").runtest()


@needs_root
def test_what_it_printed_is_kept(request, second):
    """As a section of the report."""
    made = told(request, second, "test_passes")
    made.runtest()
    assert [content for _, _, content in made._report_sections] == ["said there\n"]


@needs_root
def test_one_that_ends_early_is_a_failure(request, folder):
    """A test whose end was not told has not passed; the last words are shown."""
    with begin(folder, "test_ends_it", "test_passes") as second, pytest.raises(EndedEarly, match="last words"):
        told(request, second, "test_ends_it").runtest()


@needs_root
def test_one_that_says_nothing_of_a_test_is_a_failure(request, folder):
    """It ends, and was never asked for that test: nothing is taken for a pass."""
    with begin(folder, "test_passes") as second, pytest.raises(EndedEarly, match="test_fails"):
        told(request, second, "test_fails").runtest()


@needs_root
@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_after_the_first_pytest(folder, ended):
    """However that ends: no process (who holds the pipe's other end would keep it open) and no mount."""
    (folder / "fifo").unlink(missing_ok=True)
    os.mkfifo(folder / "fifo")
    mounts = Path("/proc/self/mounts").read_text()
    script = WAITS.replace("{options}", repr(OPTIONS))
    first = subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT)
    with os.fdopen(os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)) as fifo:
        while not select.select([fifo], [], [], 0.1)[0]:
            assert first.poll() is None, "it ended before its test began"
        os.set_blocking(fifo.fileno(), True)
        assert fifo.read(4) == "here"
        first.send_signal(ended)
        assert fifo.read() == ""
    assert first.wait() != 0
    assert Path("/proc/self/mounts").read_text() == mounts


@pytest.mark.parametrize(
    ("closed", "reason", "stands"), [(True, "", True), (True, "no namespaces", False), (False, "", False)]
)
def test_which_tests_run_there(request, monkeypatch, closed, reason, stands):
    """Marked ones, where this Python is closed to others and a root can be had; else they run as they are."""
    marked, plain = (
        type(request.node).from_parent(request.node.parent, name=request.node.name, callobj=lambda: None)
        for _ in range(2)
    )
    marked.add_marker(in_private_root.MARK)
    monkeypatch.delenv("FCOSKIT_TEST_REPORTS", raising=False)
    monkeypatch.setattr(in_private_root, "python_is_closed", lambda: closed)
    monkeypatch.setattr(in_private_root, "why_not", lambda: reason)
    items = [plain, marked]
    in_private_root.pytest_collection_modifyitems(request.config, items)
    assert items[0] is plain and items[1].nodeid == marked.nodeid
    assert isinstance(items[1], Told) == stands and items[1].get_closest_marker(in_private_root.MARK)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_when_a_python_is_closed(monkeypatch, tmp_path):
    """Below a folder that others may not pass; not where everybody may run it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to("/bin/true")
    for program, answer in ((closed / "python", True), ("/bin/true", False)):
        in_private_root.python_is_closed.cache_clear()
        monkeypatch.setattr(sys, "executable", str(program))
        assert in_private_root.python_is_closed() == answer
    in_private_root.python_is_closed.cache_clear()

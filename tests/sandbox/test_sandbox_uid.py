"""Student code as a user that nobody else is: what it may, what it may not, and what is left of it. For root alone.

Where this Python lies below a closed home, all of them run in a private root: see `tests/support/in_private_root.py`.
"""

import os
import pwd
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import psutil
import pytest

from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import KitError, StudentError
from autograder.sandbox import probe, uid
from autograder.sandbox.inside import home, landlock, sweep
from autograder.sandbox.whole import WholeNotebook
from tests.conftest import ROOT
from tests.support.sandboxes import Sandbox, limited

pytestmark = pytest.mark.open_python
LIMITS = {"processes": 24, "memory_megabytes": 300, "tmpfs_megabytes": 4, "call_seconds": 20}


@pytest.fixture(scope="module")
def user_once():
    """Skip where this process cannot become another user, or where that user could not run Python."""
    try:
        uid.check_possible()
        uid.check_secrets([])
    except KitError as error:
        pytest.skip(f"no user of its own on this machine: {error}")


@pytest.fixture(scope="module")
def box(user_once):
    """One sandbox for the whole module, as in a slot."""
    made = Sandbox("uid", **LIMITS)
    yield made
    made.close()


@pytest.fixture
def kept(box):
    """The sandbox, which has to be the same one afterwards and as clean as before."""
    box.run("def f():\n    return 1")
    before = box.host.pid
    yield box
    assert box.run("import os\ndef f():\n    return os.listdir('.')") == []
    assert box.host.pid == before


def processes_of(number):
    """Processes with that user among their own, read apart from the kit; the dead do not count."""
    every = psutil.process_iter(["uids", "status"])
    return [p.pid for p in every if number in (p.info["uids"] or ()) and p.info["status"] != psutil.STATUS_ZOMBIE]


def failure(box, source, *arguments):
    """The error that calling f raises."""
    with pytest.raises(StudentError) as caught:
        box.run(source, *arguments)
    return caught.value


def test_a_notebook_is_run_whole(kept):
    """What a cell writes another imports, each exercise has a process of its own, and nothing is left of it."""
    cells = [
        "%%writefile mine.py\ndef g():\n    return 5",
        "import os\nfrom mine import g\ndef f():\n    return [g(), os.getpid()]",
    ]
    kept.leave()
    whole = WholeNotebook(kept.assignment, list(enumerate(cells, start=1)), kept.host)
    piece = make_slice([parse_cell(number, text) for number, text in enumerate(cells, start=1)], ("f",), frozenset())
    answers = []
    for _ in range(2):
        student = whole.student(piece, [])
        answers.append(student.call("f"))
        student.close()
    whole.close()
    assert [five for five, _ in answers] == [5, 5] and answers[0][1] != answers[1][1] and whole.runs == 1


def test_it_is_nobody_with_nothing(kept):
    """User and group of its own, no other groups, no capabilities, no way to new ones, the filter on."""
    source = (
        "import os\ndef f():\n    lines = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "    return [*os.getresuid(), *os.getresgid(), *os.getgroups(),\n"
        "            *(lines[n].strip() for n in ('CapPrm', 'CapEff', 'CapInh', 'NoNewPrivs', 'Seccomp'))]"
    )
    number = kept.host.lease.uid
    assert kept.run(source) == [number] * 6 + ["0" * 16] * 3 + ["1", "2"]


def test_torch_works_in_there(kept):
    """Also what is imported late."""
    source = "import torch\ndef f(x):\n    import torchvision.ops\n    return torchvision.ops.box_area(x).sum().item()"
    import torch

    assert kept.run(source, torch.tensor([[0.0, 0.0, 2.0, 3.0]])) == 6.0


@pytest.mark.parametrize("path", ["autograder/suites", "assignment/ps7/reference", "assignment", "tests"])
def test_the_course_is_out_of_reach(kept, path):
    """Suites, reference, the instructor's source and the tests cannot be read or listed."""
    if not landlock.version() and (ROOT / path).stat().st_mode & 0o005:
        pytest.skip("without Landlock modes decide, and here they are open: a run is refused, see below")
    source = (
        "import os\ndef f(path):\n    seen = []\n    for folder, _, names in os.walk(path):\n        seen += names\n"
        "    return seen"
    )
    assert kept.run(source, str(ROOT / path)) == []


def test_where_it_may_write(kept):
    """Its own folder, and no other."""
    source = (
        "def f(paths):\n    done = []\n    for path in paths:\n        try:\n            open(path, 'w').write('x')\n"
        "            done.append(path)\n        except OSError:\n            pass\n    return done"
    )
    scratch = str(kept.host.lease.folder / "scratch" / "x")
    closed = ["/etc/x", "/usr/x", f"{kept.host.lease.folder}/x", f"{kept.host.lease.folder}/kit/x", f"{uid.BASE}/x"]
    shared = [f"{folder}/fcoskit-uid-test" for folder in home.SHARED_FOLDERS if Path(folder).is_dir()]
    assert set(kept.run(source, [scratch, *closed, *shared])) <= {scratch, *([] if landlock.version() else shared)}
    kept.leave()
    assert not [path for path in shared if Path(path).exists()]


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"])
def test_there_is_no_network(kept, family):
    """No socket of a family that leaves the machine, or that asks its kernel."""
    source = f"import socket\ndef f():\n    socket.socket(socket.{family}, socket.SOCK_DGRAM)"
    assert "unreachable" in failure(kept, source).message


def test_nobody_else_is_in_reach(kept):
    """No signal to the preloader, the slot, PID 1 or all; no look into their memory."""
    source = (
        "import os\ndef f(pids):\n    done = []\n    for pid in pids:\n"
        "        for act in (lambda: os.kill(pid, 0), lambda: open(f'/proc/{pid}/mem', 'rb'),\n"
        "                    lambda: os.listdir(f'/proc/{pid}/fd'), lambda: open(f'/proc/{pid}/environ').read()):\n"
        "            try:\n                act()\n                done.append(pid)\n            except OSError:\n"
        "                pass\n    return done"
    )
    assert kept.run(source, [1, os.getpid(), kept.host.pid]) == []


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock knows no scopes")
def test_abstract_sockets_of_others_are_out_of_reach(kept):
    """Their names can be read, and nothing more."""
    name = f"fcoskit-uid-test-{os.getpid()}"
    source = (
        "import socket\ndef f(name):\n    seen = name in open('/proc/net/unix').read()\n"
        "    try:\n        socket.socket(socket.AF_UNIX).connect(chr(0) + name)\n"
        "    except OSError as error:\n        return [seen, type(error).__name__]"
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        assert kept.run(source, name) == [True, "PermissionError"]


def test_daemons_are_ended(kept):
    """A process that has left its session and its parent does not outlive the worker."""
    source = (
        "import os, time\ndef f():\n    for _ in range(3):\n        if os.fork() == 0:\n            os.setsid()\n"
        "            if os.fork() == 0:\n                time.sleep(600)\n            os._exit(0)\n    return 1"
    )
    assert kept.run(source) == 1
    kept.leave()
    assert not processes_of(kept.host.lease.uid)


@pytest.mark.slow
def test_a_preloader_that_is_killed_leaves_nothing_running(user_once):
    """Nobody is there to end the worker's processes: giving the user back does."""
    made = Sandbox("uid")
    source = (
        "import ctypes, os\ndef f():\n    for number in range(4):\n        if os.fork() == 0:\n"
        "            os.setsid()\n            ctypes.CDLL(None).prctl(4, number % 2, 0, 0, 0)\n"
        "            while True:\n                pass\n    return 1"
    )
    assert made.run(source) == 1
    number, folder = made.host.lease.uid, made.host.lease.folder
    assert processes_of(number)
    os.kill(made.host.pid, signal.SIGKILL)
    made.host.close()
    assert not processes_of(number) and not folder.exists()


def test_a_worker_is_no_nicer_than_the_grader_and_the_preloader_is_not_starved_by_it(kept):
    """It runs as the grader does; who has to end it comes first."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert kept.run("import os\ndef f():\n    return os.getpriority(os.PRIO_PROCESS, 0)") == mine
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    may = int(status["CapEff"], 16) >> 23 & 1  # CAP_SYS_NICE, which some containers take from root
    assert os.getpriority(os.PRIO_PROCESS, kept.host.pid) == (max(-20, mine - 10) if may else mine)


def test_what_it_leaves_is_removed(kept):
    """Folders without permissions, links to elsewhere, many levels; and what the links point to stays."""
    precious = Path(tempfile.mkdtemp(prefix="fcoskit-uid-test-"))
    (precious / "file").write_text("kept")
    try:
        source = (
            "import os\ndef f(path):\n    os.makedirs('a/b/c')\n    open('a/b/c/file', 'w').close()\n"
            "    os.symlink(path, 'a/link')\n    os.symlink('/', 'root')\n"
            "    os.chmod('a/b/c', 0)\n    os.chmod('a', 0)\n"
            "    os.makedirs('/'.join(['d'] * 500))\n    os.chmod('.', 0)\n    return 1"
        )
        assert kept.run(source, str(precious)) == 1
        kept.leave()
        assert (precious / "file").read_text() == "kept"
    finally:
        shutil.rmtree(precious)


HITS = {
    "processes": (
        "import os, time\ndef f():\n    for _ in range(60):\n        if os.fork() == 0:\n            time.sleep(60)\n"
        "    time.sleep(60)",
        "error",
        "24 processes and threads",
    ),
    "memory": ("def f():\n    kept = []\n    while True:\n        kept.append(bytearray(2**22))", "memory", "300 MB"),
    "memory of several": (
        "import os, time\ndef f():\n    for _ in range(8):\n        if os.fork() == 0:\n"
        "            kept = bytearray(70 * 2**20)\n            time.sleep(60)\n    time.sleep(60)",
        "memory",
        "more than 300 MB",
    ),
    "scratch": (
        "import time\ndef f():\n    for i in range(6):\n        open(str(i), 'wb').write(bytes(2**20))\n"
        "    time.sleep(60)",
        "error",
        "more than 4 MB into its scratch folder",
    ),
}


@pytest.mark.parametrize("name", HITS)
def test_a_limit_is_named_and_the_next_code_runs(box, name):
    """No tmpfs and no namespace bound these here: the watch does."""
    source, status, said = HITS[name]
    error = failure(box, source)
    assert (error.status, said in error.message) == (status, True), error.message
    assert box.run("import os\ndef f():\n    return os.listdir('.')") == []


@pytest.mark.slow
def test_two_slots_are_two_users(box):
    """Neither can touch the other; a closed one leaves no folder, and its user is free again."""
    box.run("def f():\n    return 1")
    other = Sandbox("uid")
    try:
        mine = str(box.host.lease.folder / "scratch")
        assert "PermissionError" in failure(other, "import os\ndef f(path):\n    os.listdir(path)", mine).message
        number, folder = other.host.lease.uid, other.host.lease.folder
        assert number != box.host.lease.uid
    finally:
        other.close()
    assert not folder.exists()
    lease = uid.Lease()
    lease.close()
    assert lease.uid == number


def test_a_secret_that_it_could_read_is_a_refusal(user_once):
    """What lies among the system's own files is hidden by nothing: the run does not start, and says what to do."""
    with pytest.raises(KitError, match="chmod -R go-rwx") as caught:
        uid.check_secrets([Path(os.__file__).resolve()])
    assert os.path.realpath(os.__file__) in str(caught.value)


def test_the_course_itself_passes_the_look(user_once):
    """Where there is Landlock nobody has to close anything."""
    if not landlock.version():
        pytest.skip("without Landlock modes decide")
    probe.check("uid", limited())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_only_that_users_files_go_from_shared_folders(monkeypatch):
    """With that user's rights, from folders of everybody's: root's stay, a third one's stay, also in folders of his."""
    top = Path(tempfile.mkdtemp(prefix="fcoskit-uid-test-"))
    try:
        top.chmod(0o711)
        for name, mode in (("scratch", 0o700), ("shared", 0o1777)):
            (top / name).mkdir()
            (top / name).chmod(mode)
        os.chown(top / "scratch", 60998, 60998)
        for owner in (0, 60997, 60998):
            (top / "shared" / str(owner)).write_text("x")
            (top / "shared" / f"in-{owner}").mkdir(mode=0o777)
            for inner in (0, 60998):
                (top / "shared" / f"in-{owner}" / str(inner)).write_text("x")
                os.chown(top / "shared" / f"in-{owner}" / str(inner), inner, inner)
            os.chown(top / "shared" / str(owner), owner, owner)
            os.chown(top / "shared" / f"in-{owner}", owner, owner)
        (top / "scratch" / "roots").write_text("x")
        monkeypatch.setattr(home, "SHARED_FOLDERS", (str(top / "shared"),))
        monkeypatch.setattr(landlock, "version", lambda: 0)
        made = home.Apart(60998, 60999, str(top / "scratch"), "", [])
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                made.empty()
                code = os.getresuid() != (0, 0, 0) or os.getresgid() != (0, 0, 0)
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        found = sorted(str(path.relative_to(top / "shared")) for path in (top / "shared").rglob("*"))
        stay = ["0", "60997", "in-0", "in-0/0", "in-0/60998", "in-60997", "in-60997/0", "in-60997/60998"]
        assert found == [*stay, "in-60998", "in-60998/0"]
        assert sweep.left(str(top / "scratch"), 0) == ["roots"]
    finally:
        shutil.rmtree(top)


@pytest.mark.parametrize("value", ["0", "999", "root", "-5", "99999999999"])
def test_a_user_that_cannot_be_meant(monkeypatch, value):
    """The variable takes numbers that no account of the system has."""
    monkeypatch.setenv("FCOSKIT_SANDBOX_UID", value)
    with pytest.raises(KitError, match="FCOSKIT_SANDBOX_UID"):
        uid.Lease()


def test_an_account_is_never_taken(monkeypatch, tmp_path):
    """A number that is somebody's is passed over, and a held one, too, until it is given back."""
    accounts = {61234, 61235 + uid.SLOTS}  # the second as the keeper of 61235

    def getpwuid(number):
        if number not in accounts:
            raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    monkeypatch.setattr(uid, "BASE", tmp_path)
    monkeypatch.setenv("FCOSKIT_SANDBOX_UID", "61234")
    first, second = uid.Lease(), uid.Lease()
    assert (first.uid, second.uid) == (61236, 61237)
    first.close()
    again = uid.Lease()
    assert again.uid == 61236
    for lease in (again, second):
        lease.close()


def test_an_ordinary_user_is_told_why_not(monkeypatch):
    """Only root can become another."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(KitError, match="only root"):
        uid.check_possible()


def test_a_python_that_others_cannot_run(monkeypatch):
    """The refusal says where it lies and which folders to open."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    closed = Path(tempfile.mkdtemp(prefix="fcoskit-uid-test-"))
    try:
        monkeypatch.setattr("sys.executable", str(closed / "python"))
        monkeypatch.setattr("sys.base_prefix", str(closed))
        with pytest.raises(KitError, match="cannot run this Python") as caught:
            uid.check_secrets([])
        assert str(closed) in str(caught.value) and "chmod o+x" in str(caught.value)
    finally:
        closed.rmdir()

"""Student code in the sandbox: what it cannot reach, and what becomes of it when it misbehaves."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision

from autograder import PACKAGE
from autograder.course.assignment import load_assignment
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import StudentError
from autograder.sandbox import meter
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from tests.conftest import ROOT

pytestmark = [pytest.mark.usefixtures("sandbox")]

LIMITS = {"call_seconds": 5, "memory_megabytes": 2048, "message_megabytes": 8, "tmpfs_megabytes": 16}


@pytest.fixture(scope="module")
def assignment():
    """The assignment with limits that are soon met."""
    loaded = load_assignment("ps7", ROOT)
    return dataclasses.replace(loaded, limits=dataclasses.replace(loaded.limits, **LIMITS))


@pytest.fixture(scope="module")
def host(assignment) -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    made = Host(assignment)
    yield made
    made.close()


@pytest.fixture
def student(assignment, host):
    """Make a student whose notebook is one cell that defines f; limits may differ from the module's."""
    made = []

    def make(source: str, **limits: float) -> SandboxedStudent:
        changed = dataclasses.replace(assignment, limits=dataclasses.replace(assignment.limits, **limits))
        cells = read_notebook(f"# %%\n{source}".encode(), ".py")
        piece = make_slice(cells, ("f",), assignment.not_run, assignment.globals)
        made.append(SandboxedStudent(changed, piece, host))
        return made[-1]

    yield make
    for each in made:
        each.close()


def failure(made: SandboxedStudent, *args: object) -> StudentError:
    """The error that calling f raises."""
    with pytest.raises(StudentError) as caught:
        made.call("f", *args)
    return caught.value


def test_a_call_returns_what_the_code_computes(student):
    """A tensor goes in, is used, and a plain tensor comes back."""
    made = student("import torch\ndef f(x):\n    return {'double': 2 * x}")
    got = made.call("f", torch.arange(3.0))
    assert torch.equal(got["double"], torch.tensor([0.0, 2.0, 4.0]))


THREADS = """
import threading
import torch
from concurrent.futures import ThreadPoolExecutor

def f(n):
    start = threading.Barrier(n)

    def one(k):
        start.wait()
        return (torch.full((900, 1, 4), k) - torch.ones(1, 60, 4)).sum(1).max()

    with ThreadPoolExecutor(n) as pool:
        return torch.stack(list(pool.map(one, range(n))))
"""


def test_threads_of_a_student_s_may_compute(student):
    """Several that come to torch at once, in a process that was forked just before, all find what they need."""
    for _ in range(12):
        assert student(THREADS).call("f", 8).tolist() == [60.0 * (k - 1) for k in range(8)]


def test_no_network(student):
    """A connection to anywhere is refused by the kernel."""
    made = student("import socket\ndef f():\n    socket.create_connection(('192.0.2.1', 80), timeout=1)")
    assert "Network is unreachable" in failure(made).message


def test_no_network_on_loopback_services(student):
    """The only network device is a loopback of its own, on which nothing listens."""
    made = student("def f():\n    return [l.split(':')[0].strip() for l in open('/proc/net/dev').readlines()[2:]]")
    assert made.call("f") == ["lo"]


@pytest.mark.parametrize("path", ["/f", "/usr/f", "/kit/f", "/dev/f", "/proc/f", "/etc/f"])
def test_nothing_outside_the_tmpfs_can_be_written(student, path):
    """Writing anywhere but in /tmp fails."""
    error = failure(student("def f(path):\n    open(path, 'w').write('here')"), path)
    assert error.kind in ("OSError", "PermissionError", "FileNotFoundError")


def test_the_tmpfs_can_be_written_and_is_emptied(student):
    """A file in /tmp works, and the next worker does not find it."""
    source = (
        "import os\ndef f():\n    before = os.listdir('/tmp')\n    open('/tmp/mine', 'w').write('x')\n    return before"
    )
    first = student(source)
    assert first.call("f") == []
    first.close()
    assert student(source).call("f") == []


def test_suites_and_reference_are_absent(student):
    """No file of the suites, the reference or the instructor's source is anywhere in sight."""
    source = (
        "import os\ndef f():\n    found = []\n    for folder, inner, names in os.walk('/'):\n"
        "        inner[:] = [d for d in inner if d not in ('proc', 'usr', 'torch', 'torchvision', 'nvidia', 'sympy')]\n"
        "        found += [n for n in names if n.startswith(('test_7_1', '7.1', 'fcos.', 'assignment.toml'))]\n"
        "    return found"
    )
    assert student(source).call("f") == []


def test_only_the_named_rooms_of_ours_are_there(student):
    """Of the kit's package the sandbox holds two rooms that the worker needs, no engine, no suites."""
    made = student("import os\ndef f(path):\n    return sorted(os.listdir(path))")
    assert made.call("f", "/kit/autograder") == ["__init__.py", "runtime", "sandbox"]
    assert made.call("f", "/kit/autograder/sandbox") == ["__init__.py", "inside"]
    for room in ("runtime", "sandbox/inside"):
        here = {path.name for path in (PACKAGE / room).glob("*.py")}
        assert here and set(made.call("f", f"/kit/autograder/{room}")) - {"__pycache__"} == here


def test_the_preloader_cannot_be_read(student):
    """The environment and the memory of PID 1 are shut."""
    made = student("def f(name):\n    return open(f'/proc/1/{name}', 'rb').read(8) and None")
    assert failure(made, "environ").kind == "PermissionError"
    assert failure(made, "mem").kind in ("PermissionError", "OSError")


def test_killing_the_preloader_does_nothing(student):
    """PID 1 is deaf to the signals of its own namespace, SIGKILL and SIGINT too."""
    made = student("import os\ndef f():\n    os.kill(1, 9)\n    os.kill(1, 2)\n    return True")
    assert made.call("f") is True
    made.close()
    assert student("def f():\n    return 1").call("f") == 1


def test_exit_is_an_error_not_a_pass(student):
    """`os._exit(0)` costs the check and says so; the next check gets a new process."""
    made = student("import os\ndef f(x):\n    if x:\n        os._exit(0)\n    return 7")
    error = failure(made, 1)
    assert error.status == "error"
    assert "ended by itself (exit 0)" in error.message
    assert made.call("f", 0) == 7


def test_a_crash_names_the_signal(student):
    """A segmentation fault is told from an exit."""
    made = student("import ctypes\ndef f():\n    ctypes.string_at(0)")
    assert "signal 11" in failure(made).message


def test_system_exit_is_an_error(student):
    """`exit()` in a graded function ends the worker, not the grader."""
    assert failure(student("import sys\ndef f():\n    sys.exit(0)")).status == "error"


def test_an_endless_loop_times_out(student):
    """A call that does not return is stopped, with the limit in the message."""
    error = failure(student("def f():\n    while True:\n        pass"))
    assert error.status == "timeout"
    assert "Stopped after 5 s" in error.message


def test_after_too_many_deaths_no_new_process_is_started(student, host, monkeypatch):
    """Once the restarts are used up, the last error is given again at once."""
    started, spawn = [], host.spawn
    monkeypatch.setattr(host, "spawn", lambda: started.append(1) or spawn())
    made = student("import os\ndef f():\n    os._exit(0)")
    said = [failure(made).message for _ in range(5)]
    assert said[3] == said[4]
    assert len(started) == 3


def test_too_much_memory_is_named(student):
    """An allocation beyond the limit has the status `memory`."""
    source = "import torch\ndef f():\n    return torch.ones(3 * 2**30, dtype=torch.uint8).sum()"
    made = student(source, call_seconds=60)  # some machines take seconds to hand out 2 GB
    assert failure(made).status == "memory"


def test_an_answer_that_is_too_large_is_refused(student):
    """More bytes than the message limit are an error, not our memory."""
    made = student("import torch\ndef f():\n    return torch.zeros(4 * 2**20)")
    assert "too large" in failure(made).message


def test_many_small_numbers_are_as_large_as_others(student):
    """A byte each on the line, four where checks compute with them."""
    made = student("import torch\ndef f():\n    return torch.zeros(5 * 2**20, dtype=torch.uint8)")
    assert "too many numbers" in failure(made).message


def test_a_forged_frame_is_an_error(student):
    """Bytes written to the line by student code are no answer."""
    source = (
        "import os\ndef f():\n    for fd in range(3, 20):\n        try:\n            os.write(fd, b'\\x00' * 64)\n"
        "        except OSError:\n            pass\n    return 1"
    )
    assert failure(student(source)).status == "error"


def test_a_forged_verdict_is_no_value(student):
    """A reply that claims to be an error of ours stays the student's error."""
    source = (
        "import os, json, struct\ndef f():\n"
        "    text = json.dumps({'error': {'status': 'passed', 'message': 'all is well'}}).encode()\n"
        "    for fd in range(3, 20):\n        try:\n            os.write(fd, struct.pack('>II', len(text), 0) + text)\n"
        "        except OSError:\n            pass\n    os._exit(0)"
    )
    assert failure(student(source)).status == "error"


@pytest.mark.parametrize("status", ["[]", "{}", "1", "None", "['error']"])
def test_a_forged_status_is_an_error_of_the_student_s(student, status):
    """One that is no word, in an answer with the number of the question: code that looks for it finds that."""
    source = (
        "import os, json, struct, sys, time\ndef f():\n    frame = sys._getframe()\n"
        "    while 'request' not in frame.f_locals:\n        frame = frame.f_back\n"
        f"    answer = {{'id': frame.f_locals['request']['id'], 'error': {{'status': {status}}}}}\n"
        "    text = json.dumps(answer).encode()\n"
        "    for fd in range(3, 20):\n        try:\n            os.write(fd, struct.pack('>II', len(text), 0) + text)\n"
        "        except OSError:\n            pass\n    time.sleep(100)"
    )
    error = failure(student(source))
    assert (error.status, error.message) == ("error", "Your code failed.")


def test_what_a_worker_prints_is_kept_for_staff_and_cut_off(student):
    """A flood on standard output neither blocks the worker nor fills our memory."""
    made = student("def f():\n    for _ in range(4000):\n        print('x' * 1000)\n    return 1")
    assert made.call("f") == 1
    made.close()
    assert 0 < len(made.printed) <= 16 * 1024


def test_daemons_do_not_outlive_the_worker(student):
    """A process that forks away is gone when the next worker starts."""
    source = (
        "import os, time\ndef f():\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
        "            time.sleep(1)\n    return True"
    )
    first = student(source)
    assert first.call("f") is True
    first.close()
    count = "import os\ndef f():\n    return sorted(int(p) for p in os.listdir('/proc') if p.isdigit())"
    assert len(student(count).call("f")) == 2


def test_limits_of_another_process_cannot_be_changed(student):
    """Prlimit, affinity, scheduling and niceness of PID 1 are refused; a process may change its own."""
    source = (
        "import os, resource\ndef f(which):\n"
        "    act = [lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (9, 9)),\n"
        "           lambda: os.sched_setaffinity(1, {0}),\n"
        "           lambda: os.setpriority(os.PRIO_PROCESS, 1, 5), lambda: os.setpriority(os.PRIO_USER, 0, 5),\n"
        "           lambda: os.sched_setscheduler(1, os.SCHED_BATCH, os.sched_param(0)),\n"
        "           lambda: os.setpriority(os.PRIO_PROCESS, 0, 19)]\n    act[which]()\n    return True"
    )
    made = student(source)
    assert [failure(made, which).kind for which in range(5)] == ["PermissionError"] * 5
    assert made.call("f", 5) is True


def lower_limit(pid):
    """Lower a limit of another process."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (500, 500))


def raise_niceness(pid):
    """Make it give way."""
    os.setpriority(os.PRIO_PROCESS, pid, 19)


def pin(pid):
    """Confine it to one processor."""
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})


def schedule_as_batch(pid):
    """Have it scheduled otherwise."""
    os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))


@pytest.mark.slow
@pytest.mark.parametrize("change", [lower_limit, raise_niceness, pin, schedule_as_batch])
def test_a_sandbox_that_is_not_as_it_was_is_replaced(student, host, change):
    """However it came about: limits, niceness, affinity or scheduling changed, and the next worker is elsewhere."""
    made = student("def f():\n    return 1")
    made.call("f")
    if change is pin and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is only one processor to be pinned to")
    before = host.pid
    change(preloader_of(host))
    made.close()
    assert host.pid != before
    assert student("def f():\n    return 2").call("f") == 2


def test_a_sandbox_that_does_not_answer_is_replaced(student, host, monkeypatch):
    """One that was stopped in its tracks costs nobody's grade: the next worker is in another."""
    made = student("def f():\n    return 1")
    made.call("f")
    made.close()
    before = host.pid
    monkeypatch.setattr("autograder.sandbox.host.ANSWER_SECONDS", 2.0)
    os.kill(preloader_of(host), signal.SIGSTOP)
    assert student("def f():\n    return 2").call("f") == 2
    assert host.pid not in (None, before)


def preloader_of(host):
    """Process id of PID 1 in a sandbox, as seen from here."""
    names = [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return next(int(name) for name in names if parent(name) == host.pid)


def parent(pid):
    """Parent of a process; 0 if it has just ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_sandbox_that_did_nothing_wrong_is_kept(student, host):
    """Ordinary workers do not cost a new sandbox, whatever they leave in their scratch folder."""
    student("def f():\n    return 1").call("f")
    before = host.pid
    source = (
        "import os\ndef f():\n    os.makedirs('/tmp/a/b')\n    open('/tmp/a/b/c', 'w').write('x')\n"
        "    os.symlink('/', '/tmp/a/root')\n    os.chmod('/tmp/a/b', 0)\n    os.chmod('/tmp', 0o500)\n    return 1"
    )
    made = student(source)
    made.call("f")
    made.close()
    assert student("import os\ndef f():\n    return os.listdir('/tmp')").call("f") == []
    assert host.pid == before


def test_torch_threads_fork_and_pipes_work(student):
    """The filter refuses nothing that honest code needs."""
    source = (
        "import multiprocessing, subprocess, threading, torch\ndef f():\n    got = []\n"
        "    thread = threading.Thread(target=lambda: got.append(torch.ones(3, requires_grad=True).sum().item()))\n"
        "    thread.start()\n    thread.join()\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n        got += pool.map(abs, [-1, -2])\n"
        "    loader = torch.utils.data.DataLoader(torch.arange(4), batch_size=2, num_workers=1)\n"
        "    got += [batch.sum().item() for batch in loader]\n"
        "    got.append(subprocess.run(['true']).returncode)\n    return got"
    )
    assert student(source).call("f") == [3.0, 1, 2, 1, 5, 0]


def test_weights_asked_for_by_name_come_from_a_seed(student):
    """A notebook that asks torchvision for ImageNet weights loads without a network."""
    source = (
        "import torchvision\ndef f():\n"
        "    net = torchvision.models.regnet_x_400mf(weights='IMAGENET1K_V2')\n    return net.fc.weight[:2, :2]"
    )
    assert torch.equal(student(source).call("f"), student(source).call("f"))


def test_weights_asked_for_can_be_looked_at(student):
    """Weights that a notebook takes from torchvision and reads itself are there, the same each time."""
    source = (
        "import torchvision\ndef f():\n"
        "    weights = torchvision.models.RegNet_X_400MF_Weights.IMAGENET1K_V2.get_state_dict()\n"
        "    return len(weights), 'fc.weight' in weights, weights['fc.weight'][:2, :2]"
    )
    one, other = student(source).call("f"), student(source).call("f")
    assert one[:2] == (len(torchvision.models.regnet_x_400mf(weights=None).state_dict()), True)
    assert torch.equal(one[2], other[2])


def test_a_wish_for_cuda_in_a_constant_is_overruled(student):
    """DEVICE is what grading says, whatever the notebook set it to."""
    source = "import torch\nDEVICE = torch.device('cuda')\ndef f():\n    return str(DEVICE)"
    assert student(source).call("f") == "cpu"


@pytest.fixture
def hurried(assignment, host):
    """Make a student whose calls may take half a second."""
    made = []

    def make(source: str) -> SandboxedStudent:
        limits = dataclasses.replace(assignment.limits, call_seconds=0.5, restarts=0)
        cells = read_notebook(f"# %%\n{source}".encode(), ".py")
        piece = make_slice(cells, ("f",), assignment.not_run)
        made.append(SandboxedStudent(dataclasses.replace(assignment, limits=limits), piece, host))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_call_that_a_busy_machine_holds_up_is_not_stopped(hurried):
    """Limits are CPU time: a call that takes longer by the clock, but does not compute, is answered."""
    assert hurried("import time\ndef f():\n    time.sleep(1)\n    return 1").call("f") == 1


def test_a_call_that_waits_for_ever_is_stopped_by_the_clock(hurried):
    """A call that never computes is stopped after four times its limit."""
    error = failure(hurried("import threading\ndef f():\n    threading.Event().wait()"))
    assert error.status == "timeout"
    assert "Stopped after 2 s" in error.message and "wait for something" in error.message


def test_computing_in_other_processes_counts(hurried, monkeypatch):
    """A loop in a process that the call started is charged as the call's own, however busy the machine."""
    monkeypatch.setattr(meter, "PATIENCE", 100.0)
    source = "import subprocess, sys\ndef f():\n    subprocess.run([sys.executable, '-c', 'while True: pass'])"
    error = failure(hurried(source))
    assert error.status == "timeout" and "0.5 s of computing" in error.message


@pytest.mark.parametrize("kind", ["auto", "", "Bwrap"])
def test_a_kind_that_does_not_exist_is_no_way_out_of_the_sandbox(assignment, kind):
    """What is asked for wrongly is refused: it must not come to running the code without a sandbox."""
    with pytest.raises(ValueError, match="there is no sandbox"):
        Host(assignment, kind)


@pytest.mark.parametrize(("line", "known"), [(3, True), (5, False), (3011, False)])
def test_a_place_that_is_none_of_the_code_is_not_told(student, line, known):
    """Code may run other code under its cell's name: the number of a line could tell whatever it likes."""
    made = student(
        "import sys\ndef f():\n    name = sys._getframe().f_code.co_filename\n"
        f"    exec(compile('\\n' * ({line} - 1) + 'raise ValueError', name, 'exec'), {{}})"
    )
    error = failure(made)
    assert (error.place.line if error.place else None) == (line if known else None)
    assert (f"line {line}" in error.public_text) == known


def test_what_outlives_the_worker_holds_nothing_up(student):
    """A child of its own keeps the line open and never answers: the call is over when the worker is."""
    made = student(
        "import os, time\ndef f():\n    if os.fork() == 0:\n"
        "        os.setsid()\n        time.sleep(600)\n    os._exit(3)"
    )
    assert "ended by itself (exit 3)" in failure(made).message

"""What a worker could leave for the next to read, and what the kernel would tell of it: nothing, or a few bits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autograder.sandbox.inside import traces, watch
from autograder.sandbox.inside.preloader import MOST
from tests.support.sandboxes import Sandbox

pytestmark = [pytest.mark.usefixtures("sandbox")]


@pytest.fixture(scope="module", name="sandbox_of_module")
def _sandbox_of_module():
    made = Sandbox(call_seconds=60)
    yield made
    made.close()


READS = """
import os
def f():
    found = []
    for folder in ("/tmp", "/dev/shm"):
        it = os.stat(folder)
        found.append([it.st_atime_ns, it.st_mtime_ns, it.st_nlink, it.st_size, it.st_mode, it.st_uid])
        found.append(os.listdir(folder))
    return found
"""
LEAVES = {
    "times of the folders": "os.utime(folder, ns=(1234567890, 987654321))",
    "files, and their times": "open(folder + '/note', 'w').write('7.1d'); os.utime(folder + '/note', ns=(1, 2))",
    "a mode": "os.chmod(folder, 0o1755)",
    "many names": "[open(f'{folder}/{n}', 'w').close() for n in range(50)]",
    "a folder in it": "os.makedirs(folder + '/a/b/c')",
}


@pytest.mark.parametrize("how", LEAVES)
def test_nothing_of_a_folder_is_left(sandbox_of_module, how):
    """Each attribute that the next worker can read is what it was before, in the same sandbox or another."""
    before = sandbox_of_module.run(READS)
    sandbox_of_module.run(f"import os\ndef f():\n    for folder in ('/tmp', '/dev/shm'):\n        {LEAVES[how]}")
    assert sandbox_of_module.run(READS) == before


def numbers(sandbox: Sandbox) -> list[int]:
    """Process and file numbers that a worker is given, and its sandbox."""
    source = """
import os, tempfile
def f():
    return [os.getpid(), *(os.fstat(tempfile.mkstemp(dir=folder)[0]).st_ino for folder in ("/tmp", "/dev/shm"))]
"""
    return [*sandbox.run(source), sandbox.host.pid or 0]


COUNTS = {
    "files in /tmp": "[os.close(tempfile.mkstemp(dir='/tmp')[0]) for _ in range({most})]",
    "files in /dev/shm": "[os.unlink(tempfile.mkstemp(dir='/dev/shm')[1]) for _ in range({most})]",
    "threads": "[(t := threading.Thread(target=len, args=[[]]), t.start(), t.join()) for _ in range({most})] and None",
}


@pytest.mark.parametrize(("what", "place"), [("threads", 0), ("files in /tmp", 1), ("files in /dev/shm", 2)])
def test_counters_that_rise_far_end_the_sandbox(sandbox_of_module, what, place):
    """A few are anybody's; so many that their number could say something, and the next worker is in a new sandbox."""
    first = numbers(sandbox_of_module)
    if place and "inode64" not in Path("/proc/self/mounts").read_text() and not counts_its_own(sandbox_of_module):
        pytest.skip("this kernel numbers the files of all such folders together")
    few, many = (COUNTS[what].format(most=most) for most in (3, MOST[place] + 100))
    top = "import os, tempfile, threading\ndef f():\n    "
    sandbox_of_module.run(top + few)
    second = numbers(sandbox_of_module)
    assert second[-1] == first[-1] and second[place] - first[place] < MOST[place]
    sandbox_of_module.run(top + many)
    third = numbers(sandbox_of_module)
    assert third[-1] != second[-1] and third[place] < second[place] + MOST[place]


def counts_its_own(sandbox: Sandbox) -> bool:
    """Whether the sandbox's folders in memory count their own files."""
    return "inode64" in sandbox.run("def f():\n    return open('/proc/self/mounts').read()")


@pytest.mark.parametrize(
    "name", ["kpagecount", "kpageflags", "slabinfo", "vmallocinfo", "kallsyms", "loadavg", "vmstat"]
)
def test_files_of_the_kernel_are_covered(sandbox_of_module, name):
    """Nothing of the whole machine's memory and load is read there."""
    source = f"""
def f():
    try:
        return len(open("/proc/{name}", "rb").read(4096))
    except OSError:
        return 0
"""
    assert sandbox_of_module.run(source) == 0


@pytest.mark.parametrize("folder", ["pressure", "fs", "irq"])
def test_folders_of_the_kernel_are_covered(sandbox_of_module, folder):
    """Nor in folders: they are empty, or not there."""
    source = f"import os\ndef f():\n    return os.listdir('/proc/{folder}') if os.path.isdir('/proc/{folder}') else []"
    assert sandbox_of_module.run(source) == []


def test_the_times_of_a_folder_say_nothing(tmp_path):
    """The look itself leaves no time behind; a name, a mode and a size are seen."""
    before = traces.left_in((str(tmp_path),))
    os.utime(tmp_path, ns=(5, 6))
    assert traces.left_in((str(tmp_path),)) == before
    (tmp_path / "note").touch()
    assert traces.left_in((str(tmp_path),)) != before


def test_time_of_children_that_nobody_waited_for_counts(sandbox_of_module):
    """With SIGCHLD ignored the kernel forgets what children have used: it is known from having looked."""
    source = """
import os, signal, time
def f(seconds):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = os.fork()
    if not child:
        while time.process_time() < seconds:
            pass
        os._exit(0)
    while os.path.exists(f"/proc/{child}"):
        time.sleep(0.01)
"""
    student = sandbox_of_module.student(source)
    student.call("f", 0.0)
    before = sandbox_of_module.host.cpu_seconds()
    student.call("f", 1.5)
    assert sandbox_of_module.host.cpu_seconds() - before >= 1.2


def test_an_account_of_processes_that_come_and_go():
    """Each process by its number and start: one that takes another's number is another one."""
    account = watch.Account()
    assert account.total({(1, 100): 5, (2, 100): 7}) == 12
    assert account.total({(1, 100): 6}) == 13
    assert account.total({(1, 100): 6, (2, 300): 1}) == 14
    assert account.total({}) == 14

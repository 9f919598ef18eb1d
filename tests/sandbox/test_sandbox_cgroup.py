"""Control groups: which is found, what is written into it, and nothing taken for granted.

On a fake tree; and on the machine's own, where that is version 2 and hands out memory and pids to this user.
"""

import os
import signal
import subprocess
import sys

import pytest

from autograder.sandbox.cgroup import Cgroup, find_parent


@pytest.fixture
def tree(tmp_path):
    """A tree of groups: `top` hands memory and pids out, `top/inner`, where this process is, does not."""
    for folder, given in (("", "cpu memory pids"), ("top", "memory pids"), ("top/inner", "cpu")):
        (tmp_path / "fs" / folder).mkdir()
        (tmp_path / "fs" / folder / "cgroup.subtree_control").write_text(given)
        (tmp_path / "fs" / folder / "cgroup.procs").write_text("")
    (tmp_path / "own").write_text("12:cpuset:/old\n0::/top/inner\n")
    return tmp_path / "fs", tmp_path / "own"


@pytest.fixture
def group(tmp_path):
    """A group with what the kernel would put into it."""
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "memory.stat").write_text("anon 100\nfile 7\nkernel 10\nshmem 20\n")
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    (folder / "pids.current").write_text("3\n")
    return Cgroup(folder), folder


def test_the_nearest_that_hands_out_both(tree):
    """Its own group hands out no memory, so the one above is used, and not the root."""
    mount, own = tree
    assert find_parent(mount, own) == mount / "top"


@pytest.mark.parametrize("own", ["12:memory:/old\n", "0::/nowhere/at/all\n", ""])
def test_none_to_be_had(tree, own):
    """Version 1, a group that is out of sight and nothing that hands out: no group, and no error."""
    mount, file = tree
    file.write_text(own)
    (mount / "cgroup.subtree_control").write_text("cpu")
    assert find_parent(mount, file) is None
    assert Cgroup.make(mount, file) is None


def test_no_such_file(tmp_path):
    """Where /proc says nothing of groups there is none."""
    assert find_parent(tmp_path, tmp_path / "missing") is None


def test_a_folder_that_is_no_group_is_left_as_it_was(tree):
    """A new folder in which the kernel puts nothing is no group and is removed again."""
    mount, own = tree
    assert Cgroup.make(mount, own) is None
    assert sorted(path.name for path in (mount / "top").iterdir()) == [
        "cgroup.procs",
        "cgroup.subtree_control",
        "inner",
    ]


def test_limits_come_on_top_of_what_the_preloader_has(group):
    """Memory of its own and of the kernel for it, not of files; processes likewise; no swap."""
    made, folder = group
    made.limit(1000, 5)
    assert (folder / "memory.max").read_text() == "1130"
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "pids.max").read_text() == "8"


def test_a_kill_is_told_once(group):
    """What the kernel has ended for its memory since the last question."""
    made, folder = group
    assert made.killed() is False
    (folder / "memory.events").write_text("oom_kill 2\n")
    assert [made.killed(), made.killed()] == [True, False]
    (folder / "memory.events").unlink()
    assert made.killed() is False


def test_the_command_joins_and_runs_whatever_the_kernel_says(group):
    """The process itself is written into the group before the command; where that is refused it runs all the same."""
    made, folder = group
    print_pid = ["/bin/sh", "-c", 'echo "$$ $1"', "sh", "an argument"]
    done = subprocess.run([*made.wrapper, *print_pid], capture_output=True, text=True, check=True)
    pid, _, rest = done.stdout.strip().partition(" ")
    assert ((folder / "cgroup.procs").read_text().strip(), rest) == (pid, "an argument")
    (folder / "cgroup.procs").unlink()
    (folder / "cgroup.procs").mkdir()
    done = subprocess.run([*made.wrapper, *print_pid], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("an argument\n") and done.stderr == ""


def test_closing_removes_it(tmp_path):
    """An empty group goes; one that is gone already is no error."""
    (tmp_path / "group").mkdir()
    made = Cgroup(tmp_path / "group")
    made.close()
    made.close()
    assert not (tmp_path / "group").exists()


@pytest.mark.skipif(find_parent() is None, reason="no control group of version 2 that this user may divide")
def test_a_real_one_ends_what_outgrows_it():
    """The kernel ends a process that takes more than the limit, and only that; the group can be removed then."""
    made = Cgroup.make()
    if made is None:
        pytest.skip("the control group that is there cannot be divided after all")
    grow = "print(1, flush=True); input(); kept = b'x' * (400 * 2**20)"
    try:
        with subprocess.Popen(
            [*made.wrapper, sys.executable, "-c", grow], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stdin is not None
            process.stdout.readline()
            if str(process.pid) not in (made.folder / "cgroup.procs").read_text().split():
                process.kill()
                pytest.skip("the kernel does not let a process of this part of the tree move there")
            made.limit(100 * 2**20, 50)
            assert not made.killed()
            process.communicate(b"\n")
        assert process.returncode == -signal.SIGKILL and made.killed()
    finally:
        made.close()
    assert not made.folder.exists()


def test_what_killed_processes_left_is_removed(tree):
    """An empty group of a process that is no more goes, one of a living process and one with something in it stay."""
    mount, own = tree
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    for name in (f"fcoskit-{gone.pid}-1", f"fcoskit-{gone.pid}-2/inside", f"fcoskit-{os.getpid()}-1", "fcoskit-x"):
        (mount / "top" / name).mkdir(parents=True)
    Cgroup.make(mount, own)
    left = {folder.name for folder in (mount / "top").glob("fcoskit-*")}
    assert left == {f"fcoskit-{gone.pid}-2", f"fcoskit-{os.getpid()}-1", "fcoskit-x"}

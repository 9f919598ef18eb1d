"""Slots and their sandboxes start as soon as they can, and import no more than they have to."""

import multiprocessing
import os
import stat
import subprocess
import sys
import types
from multiprocessing import forkserver
from pathlib import Path

import pytest

from autograder.course.assignment import load_assignment
from autograder.grading.samples import Sample, write_sample
from autograder.intake.submissions import Submission
from autograder.runs import slots
from autograder.runs.slots import Slot, process_context, take_environment
from autograder.sandbox import bwrap
from autograder.sandbox.host import Host
from autograder.sandbox.launch import SandboxFailed
from tests.conftest import ROOT
from tests.support.fork_servers import fork_servers

ASSIGNMENT = load_assignment("ps7", ROOT)
TOLD = {"FCOSKIT_TEST": "told", "TMPDIR": "/nowhere"}


def test_a_grading_command_does_not_import_torch():
    """It leaves that to the slots: `fcoskit report` and the like are there at once."""
    code = "import sys; from autograder.commands import cli, demo, front; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_process_to_fork_from_has_imported_all_that_a_slot_does():
    """What a slot imports before it collects is there already, torch among it."""
    code = (
        "import ast, inspect, sys; from autograder.runs import slot_imports, slots; before = set(sys.modules)\n"
        "tree, imports = ast.parse(inspect.getsource(slots)), (ast.Import, ast.ImportFrom)\n"
        "functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]\n"
        "late = [one for each in functions for one in ast.walk(each) if isinstance(one, imports)]\n"
        "assert any(isinstance(one, ast.Import) and one.names[0].name == 'torch' for one in late), late\n"
        "assert any(isinstance(one, ast.ImportFrom) and one.module == 'autograder.grading' for one in late), late\n"
        "exec(compile(ast.Module(late, []), 'late', 'exec'))\n"
        "sys.exit(' '.join(set(sys.modules) - before) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_slot_does_without_torchs_compiler():
    """It imports torchvision alone; what torchvision wants to ask of the compiler is answered by it, and not before."""
    code = (
        "import sys; from autograder.runs import slot_imports\n"
        "assert 'torchvision.ops.roi_align' in sys.modules and 'torch._dynamo' not in sys.modules\n"
        "from torchvision.ops.roi_align import is_compile_supported as asked\n"
        "answers = [asked('cpu'), asked('meta')]\n"
        "from torch._dynamo.utils import is_compile_supported as compiler\n"
        "assert asked is not compiler and answers == [compiler('cpu'), compiler('meta')]\n"
        "import torch; torch.optim.Adam([torch.nn.Parameter(torch.ones(1))]).step()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_that_was_begun_is_the_one_that_is_used():
    """`spawn` waits for it, and does not start a second one."""
    host = Host(ASSIGNMENT)
    try:
        host.begin()
        begun = host.pid
        assert begun is not None
        host.clean(host.spawn())
        assert host.pid == begun
    finally:
        host.close()


def test_a_sandbox_that_cannot_begin_says_so_when_it_is_needed(monkeypatch):
    """`begin` keeps quiet; `spawn` tries again, and tells."""
    tried = []

    def launch(*_):
        tried.append(1)
        raise OSError("no namespaces today")

    monkeypatch.setattr(bwrap, "launch", launch)
    host = Host(ASSIGNMENT)
    host.begin()
    with pytest.raises(SandboxFailed, match="no namespaces today"):
        host.spawn()
    assert len(tried) == 2


def _tell(connection):
    """In a process as a slot has it: what it was told to take for its environment."""
    take_environment(TOLD)
    import tempfile

    connection.send((dict(os.environ), tempfile.tempdir))


def test_a_forked_slot_has_the_environment_of_now():
    """Not that of the process it was forked from, which may be of long ago."""
    context = process_context(forked=True)
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell, args=(theirs,))
    process.start()
    assert ours.recv() == (TOLD, None)
    process.join()


def test_nobody_else_can_ask_for_a_fork():
    """Whoever reaches that socket has code run outside of any sandbox: it is a file, closed to every other user."""
    process_context(forked=True)
    forkserver.ensure_running()
    (server,) = fork_servers()
    (path,) = (Path(one.laddr) for one in server.net_connections("unix") if one.laddr)
    assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_uid == path.parent.stat().st_uid == os.getuid()


def test_a_python_whose_forks_anybody_can_ask_for(monkeypatch, tmp_path):
    """Before 3.11.1 that socket had no file, and no owner: slots are started anew there."""
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    assert not Slot(ASSIGNMENT, "none", tmp_path / "log", forked=True).forked


def test_no_process_to_fork_from(monkeypatch, tmp_path):
    """Where it is just being killed, a slot starts from nothing, and slower."""
    asked = []

    class Process:
        def __init__(self, target, args, daemon):
            self.connection = args[0]

        def start(self):
            if asked[-1]:
                raise EOFError("unexpected EOF")
            self.connection.send(("ready", ["a check"]))

    def context(forked):
        asked.append(forked)
        return types.SimpleNamespace(Pipe=multiprocessing.Pipe, Process=Process)

    monkeypatch.setattr(slots, "process_context", context)
    slot = Slot(ASSIGNMENT, "none", tmp_path / "log", forked=True)
    slot.start()
    assert asked == [True, False] and slot.checks == ["a check"]


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_after_a_check_that_was_stopped_the_next_submission_has_another_process(tmp_path, monkeypatch):
    """Wherever it was stopped, something may be half done there. Both submissions have a report."""
    starts = "from autograder.grading import engine\nengine.CHECK_SECONDS = 0.02\n"
    (tmp_path / "sitecustomize.py").write_text(starts, encoding="utf-8")  # Python runs it in each new process
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "helpers"))))
    path = write_sample(ASSIGNMENT, Sample("ada", "the solution"), tmp_path, ASSIGNMENT.release)
    others = tuple(exercise.id for exercise in ASSIGNMENT.exercises if exercise.id != "7.1b")
    slot, seen = Slot(ASSIGNMENT, "bwrap", tmp_path / "grade.log"), []
    try:
        slot.start()
        for _ in range(2):
            report = slot.grade(Submission("ada", "ada", path, skip=others), 3)
            seen.append((slot.pid, report.outcome, report.exercises[0].status))
    finally:
        slot.close()
    (first, *one), (second, *other) = seen
    assert one == other == ["graded", "timeout"] and first != second

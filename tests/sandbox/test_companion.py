"""The instructor's functions beside student code: asked, never seen; whoever harms them harms nobody else."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pytest
import torch

from autograder.course.assignment import Assignment
from autograder.parsing.cells import parse_cell, read_notebook
from autograder.parsing.slicing import Slice, make_slice
from autograder.runtime.errors import StudentError
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.launch import SandboxFailed
from autograder.sandbox.whole import WholeNotebook
from tests.support.sandboxes import limited

pytestmark = [pytest.mark.usefixtures("sandbox")]

MARK = "the answer of answers"
OURS = f"""
import torch
def helper(values, times=1):
    "{MARK}"
    for _ in range(times):
        values = values * 2
    return values
def large(megabytes):
    return torch.ones(megabytes * 2**18)
"""
LIMITS = {"call_seconds": 4, "exercise_seconds": 30, "memory_megabytes": 1024, "restarts": 1}
LOOKS = """
import gc, os, sys
def everywhere(backwards):
    what, found = backwards[::-1], []
    for thing in gc.get_objects():
        try:
            if what in repr(getattr(thing, "__doc__", "")) or what in repr(getattr(thing, "__code__", "")):
                found.append(type(thing).__name__)
        except BaseException:
            pass
    frame = sys._getframe()
    while frame:
        found += [name for name, value in frame.f_locals.items() if name != "what" and what in repr(value)]
        frame = frame.f_back
    return found
"""
OTHERS = """
import os
def others():
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) not in (1, os.getpid())]
"""


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    """The assignment with limits that are soon met."""
    return limited(**LIMITS)


@pytest.fixture(scope="module")
def host(assignment) -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    made = Host(assignment)
    yield made
    made.close()


def asked() -> Slice:
    """The instructor's functions."""
    return make_slice(read_notebook(f"# %%\n{OURS}".encode(), ".py"), ("helper", "large"), frozenset())


STAND_INS = [{"names": ["helper", "large"], "code": ""}]


class Beside:
    """Students of one cell each, with a companion.

    Args:
        assignment: Limits.
        host: The sandbox.
    """

    def __init__(self, assignment: Assignment, host: Host) -> None:
        self._assignment, self.host = assignment, host
        self.made: list[SandboxedStudent] = []

    def student(self, source: str) -> SandboxedStudent:
        """One whose notebook defines f."""
        self.close()
        self.host.next_submission()
        piece = make_slice(read_notebook(f"# %%\n{textwrap.dedent(source)}".encode(), ".py"), ("f",), frozenset())
        self.made.append(SandboxedStudent(self._assignment, piece, self.host, STAND_INS, asked()))
        return self.made[-1]

    def run(self, source: str, *args: object) -> object:
        """Call f of a new student."""
        return self.student(source).call("f", *args)

    def close(self) -> None:
        """End the present student."""
        while self.made:
            self.made.pop().close()


@pytest.fixture
def beside(assignment, host) -> Iterator[Beside]:
    """What each test has."""
    made = Beside(assignment, host)
    yield made
    made.close()


def test_it_answers(beside):
    """Student code calls what stands in as it would its own function."""
    got = beside.run("def f(x):\n    return helper(helper(x), times=2)", torch.ones(2))
    assert got.tolist() == [8.0, 8.0]


def test_it_takes_the_place_of_the_student_s_own(beside):
    """Also where the notebook has defined it, wrongly, under that name or another."""
    source = "def helper(values, times=1):\n    return 0\nother = helper\ndef f(x):\n    return other(x) + helper(x)"
    assert beside.run(source, torch.ones(1)).tolist() == [4.0]


def test_training_goes_through_it(beside):
    """A module that asks on its way learns: gradients come back over the line."""
    source = """
        import torch
        class f(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.ones(1))
            def forward(self, x):
                return {"loss": (helper(self.weight * x) - 6).square()}
    """
    history = beside.student(source).new("f").minimise([[torch.ones(1)]], steps=5, lr=0.5)
    assert history[0] == 16.0 and history[-1] < 5.0


def test_nothing_of_it_is_in_the_student_s_process(beside):
    """No object, no frame and no code of the function; what is searched for so is found in the student's own."""
    student = beside.student(f"{LOOKS}\ndef f(backwards, x):\n    helper(x)\n    return everywhere(backwards)")
    assert student.call("f", MARK[::-1], torch.ones(1)) == []
    own = f'{LOOKS}\ndef mine():\n    "{MARK}"\ndef f(backwards, x):\n    return (mine, everywhere(backwards))[1]'
    assert beside.run(own, MARK[::-1], torch.ones(1)) != []


@pytest.mark.parametrize(
    "file", ["mem", "fd/0", "fd/3", "maps", "environ", "smaps_rollup", "pagemap", "auxv", "stack", "cwd"]
)
def test_it_cannot_be_looked_into(beside, file):
    """Its memory, its files, where they are: the kernel refuses, before it is asked and after."""
    source = f"""
        {textwrap.indent(OTHERS, " " * 8).strip()}
        def f(x):
            found = []
            for _ in range(2):
                for pid in others():
                    path = f"/proc/{{pid}}/{file}"
                    try:
                        with open(path, "rb") as stream:
                            found.append(len(stream.read(64)))
                    except OSError as error:
                        found.append(type(error).__name__)
                helper(x)
            return found
    """
    got = beside.run(source, torch.ones(1))
    assert got and set(got) == {"PermissionError"}


def test_it_cannot_be_traced(beside):
    """No ptrace, no reading of its memory by the call for it, no descriptor taken from it."""
    source = f"""
        import ctypes
        {textwrap.indent(OTHERS, " " * 8).strip()}
        def f(x):
            libc = ctypes.CDLL(None, use_errno=True)
            [pid] = others()
            descriptor = libc.syscall(434, pid, 0)
            asked = [libc.ptrace(16, pid, 0, 0), libc.syscall(310, pid, 0, 0, 0, 0, 0)]
            asked.append(libc.syscall(438, descriptor, 3, 0))
            return asked + helper(x).tolist()
    """
    assert beside.run(source, torch.ones(1)) == [-1, -1, -1, 2.0]


@pytest.mark.parametrize(("signal", "status"), [("SIGKILL", "error"), ("SIGSTOP", "timeout")])
def test_who_ends_it_has_nobody_to_ask(beside, signal, status):
    """It is the student's own loss: an error of that check; the next one's companion answers."""
    source = f"""
        import signal
        {textwrap.indent(OTHERS, " " * 8).strip()}
        def f(x):
            for pid in others():
                os.kill(pid, signal.{signal})
            return helper(x)
    """
    plain = "def f(x):\n    return helper(x)"
    beside.run(plain, torch.ones(1))
    before = beside.host.pid
    with pytest.raises(StudentError) as told:
        beside.run(source, torch.ones(1))
    assert told.value.status == status, told.value.message
    assert beside.run(plain, torch.ones(1)).tolist() == [2.0]
    assert beside.host.pid == before


def test_what_it_is_asked_for_is_within_the_student_s_limits(beside):
    """Time and memory that it uses are those of who asks."""
    with pytest.raises(StudentError) as told:
        beside.run("def f(x):\n    return helper(x, times=10**9)", torch.ones(1))
    assert told.value.status == "timeout"
    with pytest.raises(StudentError) as told:
        beside.run("def f():\n    return len(large(1500))")
    assert told.value.status == "memory", told.value.message
    assert beside.run("def f(x):\n    return helper(x)", torch.ones(1)).tolist() == [2.0]


def test_an_error_of_its_own_tells_no_line(beside):
    """What the function raises is raised here; where, is the solution's text and stays there."""
    source = """
        import traceback
        def f(x):
            try:
                helper(x, times="many")
            except TypeError:
                return traceback.format_exc()
    """
    said = beside.run(source, torch.ones(1))
    assert "TypeError: the course's own function, which stands in for yours, stopped" in said
    assert (
        "interpreted as an integer" not in said
        and "values * 2" not in said
        and "range(times)" not in said
        and MARK not in said
    )


def test_forged_questions(beside):
    """A name that is no function of ours, and a question that is none: errors; no other name is answered for."""
    source = """
        import gc
        def f(name, x):
            ask = next(o for o in gc.get_objects() if type(o).__name__ == "_Line").ask
            return ask({"name": name, "args": [x], "kwargs": {}, "places": None, "grad": []})
    """
    student = beside.student(source)
    assert student.call("f", "helper", torch.ones(1))["value"].tolist() == [2.0]
    for name in ("torch", "exec", "__builtins__", ""):
        assert set(student.call("f", name, torch.ones(1))) == {"raised"}
    nonsense = 'ask({"name": 3})' + "\n"
    forged = source.replace('ask({"name": name, "args": [x], "kwargs": {}, "places": None, "grad": []})', nonsense)
    assert set(beside.run(forged, "", torch.ones(1))) == {"raised"}


def test_who_has_no_companion_asks_nobody(assignment, host):
    """A question where none stands in is no answer."""
    source = """# %%
import gc
def f(x):
    line = next(o for o in gc.get_objects() if type(o).__name__ == "_Line")
    return line.ask({"name": "helper", "args": [x], "kwargs": {}, "places": None, "grad": []})
"""
    host.next_submission()
    student = SandboxedStudent(assignment, make_slice(read_notebook(source.encode(), ".py"), ("f",), frozenset()), host)
    with pytest.raises(StudentError, match="not of the agreed form"):
        student.call("f", torch.ones(1))
    student.close()


def test_beside_a_whole_notebook(assignment, host):
    """Each exercise of a notebook that is run whole has a companion of its own, and none stays."""
    host.next_submission()
    cells = ["def helper(x):\n    return 0\ndef f(x):\n    return helper(x)\ndef g(x):\n    return helper(x) + 1"]
    whole = WholeNotebook(assignment, [(1, cells[0])], host)
    try:
        for name, expected in (("f", 2.0), ("g", 3.0), ("f", 2.0)):
            piece = make_slice([parse_cell(1, cells[0])], (name,), frozenset())
            student = whole.student(piece, STAND_INS, asked())
            assert student.call(name, torch.ones(1)).tolist() == [expected]
            student.close()
        assert whole.runs == 1
        student = whole.student(make_slice([parse_cell(1, cells[0])], ("f",), frozenset()), [])
        assert student.call("f", torch.ones(1)) == 0
        student.close()
    finally:
        whole.close()


def test_functions_that_do_not_load_are_ours(assignment, host):
    """A TA's slip in what is to answer costs the student nothing: it is told as our fault."""
    broken = make_slice(
        read_notebook(b"# %%\nimport nowhere_at_all\ndef helper(x):\n    return nowhere_at_all", ".py"),
        ("helper",),
        frozenset(),
    )
    host.next_submission()
    piece = make_slice(read_notebook(b"# %%\ndef f(x):\n    return helper(x)", ".py"), ("f",), frozenset())
    student = SandboxedStudent(assignment, piece, host, [{"names": ["helper"], "code": ""}], broken)
    with pytest.raises(SandboxFailed, match="instructor's functions do not load"):
        student.call("f", torch.ones(1))
    student.close()


DEEP = """
import os, socket, stat, struct
def exactly(line, count):
    got = b""
    while len(got) < count:
        got += line.recv(count - len(got))
    return got
def f():
    found = [n for n in range(3, 64) if os.path.exists(f"/proc/self/fd/{n}") and stat.S_ISSOCK(os.fstat(n).st_mode)]
    line = socket.socket(fileno=os.dup(found[0]))
    for depth in range(600, 30000):
        text = b'{"id": "", "ask": ' + b"[" * depth + b"]" * depth + b"}"
        line.sendall(struct.pack(">II", len(text), 0) + text)
        exactly(line, sum(struct.unpack(">II", exactly(line, 8))))
"""


def test_a_question_of_any_depth_is_no_fault_of_ours(beside):
    """Deeper and deeper, until it can be read and just not be handed on: what ends is the student's process."""
    with pytest.raises(StudentError) as caught:
        beside.run(DEEP)
    assert caught.value.status in ("error", "timeout")
    assert beside.run("def f(x):\n    return helper(x)", torch.ones(1)).tolist() == [2.0]

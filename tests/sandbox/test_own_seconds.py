"""What a submission makes the grader's own process do is the submission's: its seconds, its requests, its words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import LocalStudent
from autograder.course.assignment import Assignment
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import Slice, make_slice
from autograder.runtime import values
from autograder.runtime.errors import StudentError
from autograder.sandbox import client
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.inside import wire
from autograder.sandbox.whole import WholeNotebook


def cut(source: str) -> Slice:
    """What of a one-cell notebook defines `f`."""
    return make_slice(read_notebook(f"# %%\n{source}".encode(), ".py"), ("f",), frozenset())


def no_host() -> Host:
    """Stands for a sandbox: whoever starts something in it has not looked first."""
    host: Host = SimpleNamespace(charged=0.0, spawn=lambda: pytest.fail("a worker was started"))  # type: ignore[assignment]
    return host


def failure(student: SandboxedStudent, *args: object) -> StudentError:
    """The error that calling f raises."""
    with pytest.raises(StudentError) as caught:
        student.call("f", *args)
    return caught.value


def test_a_slice_too_large_to_send_is_the_students(assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found before a worker is started, told in a sentence, and no error of ours."""
    monkeypatch.setattr(values, "MAX_NODES", 50)
    student = SandboxedStudent(assignment, cut("f = " + " = ".join(f"a{n}" for n in range(60)) + " = 1"), no_host())
    error = failure(student)
    assert error.status == "error" and "your notebook hold thousands of parts" in error.message and not student.lost


def test_arguments_too_large_to_send_are_the_students(assignment: Assignment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check hands back of what the code gave before may be more than can be asked for."""
    monkeypatch.setattr(values, "MAX_NODES", 50)
    error = failure(SandboxedStudent(assignment, cut("def f(x): pass"), no_host()), list(range(60)))
    assert error.status == "error" and "what your code gave" in error.message


@pytest.fixture(scope="module")
def host(sandbox_once: None) -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    from autograder.course.assignment import load_assignment
    from tests.conftest import ROOT

    made = Host(load_assignment("ps7", ROOT))
    yield made
    made.close()


def test_a_request_too_large_for_a_frame_is_the_students(
    assignment: Assignment, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is ended, the next request gets a new one, and nothing of it is ours."""
    student = SandboxedStudent(assignment, cut("def f(x): return x"), host)
    with monkeypatch.context() as patch:
        patch.setattr(wire, "MAX_JSON", 100)
        error = failure(student, 1)
        assert error.status == "error" and "your notebook hold thousands" in error.message and not student.lost
    assert student.call("f", 3) == 3
    student.close()


def test_reading_an_answer_is_charged(assignment: Assignment, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds in which this process makes sense of an answer are the exercise's, and end with them."""
    student = SandboxedStudent(assignment, cut("def f(): return 1"), host)
    assert student.call("f") == 1
    before, ticks = host.charged, itertools.count(0, assignment.limits.exercise_seconds)
    monkeypatch.setattr(client.time, "thread_time", lambda: float(next(ticks)))
    assert student.call("f") == 1
    assert host.charged - before >= assignment.limits.exercise_seconds
    assert failure(student).status == "timeout"
    host.next_submission()
    student.close()


SUITE = """
import pytest
pytestmark = pytest.mark.exercise("q")

@pytest.mark.points(1)
def test_endless(student):
    \"\"\"It works on and on.\"\"\"
    while student.call("f"):
        try:
            pass
        except Exception:
            pass

@pytest.mark.points(1)
def test_after(student):
    \"\"\"It comes after.\"\"\"
    while student.call("f"):
        pass
"""


@pytest.mark.parametrize("guarded", [True, False])
def test_checks_have_an_end(tmp_path: Path, guarded: bool) -> None:
    """A check that what code gave keeps busy is stopped, so are those after it; the next student's are as ever."""
    suites = tmp_path / "suites"
    (suites / "public").mkdir(parents=True)
    (suites / "public" / "test_q.py").write_text(SUITE, encoding="utf-8")
    found: list[CheckResult] = []

    def serve(plugin: SuitePlugin) -> None:
        for answer in (1.0, 0.0):  # of two students
            student = LocalStudent({"f": lambda answer=answer: torch.tensor(answer)})
            found.extend(plugin.run("q", student, 1, guarded=guarded))

    collect([suites / "public"], SuitePlugin(tmp_path, serve, seconds=0.2))
    assert [check.status for check in found] == ["timeout", "timeout", "passed", "passed"]
    assert all("stood in" in check.message if guarded else "takes too long" in check.message for check in found[:2])


STOPPED_WITHIN = """
import pytest
import torch

pytestmark = pytest.mark.exercise("q")

@pytest.mark.points(1)
def test_without_gradients(student):
    "It is stopped where gradients are off, and has no time to put them on."
    torch.set_grad_enabled(False)
    while True:
        student.call("f")
"""


@pytest.mark.parametrize("plainly", [True, False])
def test_a_check_that_is_stopped_leaves_gradients_on(tmp_path: Path, plainly: bool) -> None:
    """The next check, and the next student's, computes with them; and the process is known to be no longer whole."""
    (tmp_path / "suites" / "public").mkdir(parents=True)
    (tmp_path / "suites" / "public" / "test_q.py").write_text(STOPPED_WITHIN, encoding="utf-8")
    seen: list[object] = []

    def serve(plugin: SuitePlugin) -> None:
        before = plugin.stopped
        found = plugin.run("q", LocalStudent({"f": lambda: 1}), 1, plainly=plainly)
        seen.extend([before, [check.status for check in found], torch.is_grad_enabled(), plugin.stopped])

    collect([tmp_path / "suites" / "public"], SuitePlugin(tmp_path, serve, seconds=0.1))
    assert seen == [False, ["timeout"], True, True]


def test_what_comes_after_a_guarded_exercise_is_guarded(assignment: Assignment) -> None:
    """Whatever a whole notebook has started may have looked on, and speak in a later exercise."""
    whole, piece = WholeNotebook(assignment, [], no_host()), cut("def f(): pass")
    said = [whole.student(piece, []).guard(guarded) for guarded in (False, True, False)]
    assert said == [False, True, True]
    assert [SandboxedStudent(assignment, piece, no_host()).guard(guarded) for guarded in (True, False)] == [True, False]

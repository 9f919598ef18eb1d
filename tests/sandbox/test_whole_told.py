"""A notebook that is run whole in the sandbox: what is told of it, what its exercises share, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from autograder.sandbox.whole import WholeNotebook
from tests.support.sandboxes import limited

pytestmark = [pytest.mark.usefixtures("sandbox"), pytest.mark.slow]

CELLS = [
    "!pip install wandb\nimport wandb\nwandb.init(project='fcos')\ncount = 0",
    "raise ValueError('boom')",
    "import os, subprocess, sys, time\n"
    "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid\n"
    "def f(what):\n    global count\n    count += 1\n    if what == 'count': return count\n"
    "    if what == 'left': return sum('sleep(600)' in open(f'/proc/{p}/cmdline').read()\n"
    "                                  for p in os.listdir('/proc') if p.isdigit())\n"
    "    os._exit(3)",
]


@pytest.fixture(name="host", scope="module")
def _host() -> Iterator[Host]:
    """One sandbox."""
    made = Host(limited())
    yield made
    made.close()


def whole_of(host: Host, sources: list[str]) -> tuple[WholeNotebook, object]:
    """A notebook of some cells, and the slice of f."""
    assignment = limited()
    numbered = list(enumerate(sources, start=1))
    cells = [parse_cell(number, source) for number, source in numbered]
    return WholeNotebook(assignment, numbered, host), make_slice(cells, ("f",), assignment.not_run)


def test_what_is_told_and_what_stays(host):
    """Packages, cells that stopped and what did nothing are told; no exercise sees what another has changed."""
    whole, piece = whole_of(host, CELLS)
    try:
        counts = []
        for _ in range(2):
            student = whole.student(piece, [])
            counts += [student.call("f", "count"), student.call("f", "count")]
            problems = student.problems
            student.close()
        assert counts == [1, 2, 1, 2] and whole.runs == 1
        assert sorted(problems) == [
            "Code cell 1: `!pip install wandb` does nothing here.",
            "Code cell 1: `wandb.init` is used, but the package wandb is not here, where the code is graded.",
            "Code cell 2 stopped: Your code raised ValueError: boom (code cell 2, line 1: raise ValueError('boom')).",
            "The notebook imports wandb, which is not here.",
        ]
        student = whole.student(piece, [])
        assert student.call("f", "left") == 1  # what the notebook has started lives as long as its worker
        student.close()
    finally:
        whole.close()
    seen = SandboxedStudent(limited(), piece, host)
    assert seen.call("f", "left") == 0
    seen.close()


def test_an_exercise_that_ends_its_process_costs_a_run_and_no_other_exercise(host):
    """The worker goes with it; the notebook is run anew, until all runs together have had the time of one."""
    whole, piece = whole_of(host, CELLS)
    try:
        for runs in (1, 2, 3):
            student = whole.student(piece, [])
            with pytest.raises(Exception, match="ended by itself"):
                student.call("f", "end")
            student.close()
            assert whole.runs == runs
        whole.spent = limited().limits.notebook_seconds
        with pytest.raises(Exception, match="its process ended"):
            whole.student(piece, []).call("f", "count")
        assert whole.runs == 3
    finally:
        whole.close()

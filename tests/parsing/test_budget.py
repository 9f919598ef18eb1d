"""What reading a submission may take of our own process: bounds before work, and an end where they do not help."""

from __future__ import annotations

import json
import resource
import time
import zipfile
from collections.abc import Callable

import pytest

from autograder.checks.result import CheckResult
from autograder.course.assignment import Assignment
from autograder.grading import engine
from autograder.intake.found import found_in_zip
from autograder.parsing import budget, cells
from autograder.parsing.budget import SubmissionBudget, memory_limit, reading_budget
from autograder.parsing.cells import KNOWN_LENGTH, MAX_CELLS, MAX_STATEMENTS, all_cells, read_notebook
from autograder.parsing.excerpt import MAX_CHARACTERS, shown_code
from autograder.parsing.exported_script import without_odd_head
from autograder.parsing.slicing import forget, make_slice
from autograder.report.blank import blank_report
from autograder.report.model import Report
from autograder.runtime.cpu_limit import Stopped
from autograder.runtime.errors import SubmissionError
from tests.support.counted import growth

LIMIT = resource.getrlimit(resource.RLIMIT_AS)


def script(*sources: str) -> bytes:
    """A percent script of some cells."""
    return "".join(f"# %%\n{source}\n" for source in sources).encode()


def notebook(*sources: str) -> bytes:
    """A notebook of some code cells."""
    return json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]}).encode()


@pytest.mark.parametrize(
    "source",
    [
        "FCOS=1\n" * (MAX_STATEMENTS + 1),
        "if True:\n" + "    FCOS=1\n" * MAX_STATEMENTS,
        "try:\n  pass\nexcept OSError:\n" + "    FCOS=1\n" * MAX_STATEMENTS,
        "for i in x:\n    match i:\n        case 1:\n" + "            FCOS=1;" * MAX_STATEMENTS + "\n",
        "FCOS=1;" * (MAX_STATEMENTS + 1),
        "class FCOS:\n" + "    def a(self): pass\n" * MAX_STATEMENTS,
    ],
    ids=["one below the other", "in an if", "in a handler", "in a case", "in a line", "in a class"],
)
def test_thousands_of_statements_are_the_students(source):
    """They are counted before anything is made of them, and refused in a sentence that says what to do."""
    with pytest.raises(SubmissionError, match=r"at most 5000 are read\. Keep what the exercises need"):
        read_notebook(script(source), ".py")


def test_what_a_large_notebook_has_is_read():
    """As many statements as are read, and any number within functions."""
    inside = "def f():\n" + "    x = 1\n" * (2 * MAX_STATEMENTS)
    assert len(read_notebook(script("FCOS=1\n" * (MAX_STATEMENTS - 1), inside), ".py")) == 2


def test_thousands_of_cells_are_the_students():
    """Code cells are counted, and in nbgrader's process all cells."""
    with pytest.raises(SubmissionError, match="3001 code cells; at most 3000"):
        read_notebook(notebook(*["1"] * (MAX_CELLS + 1)), ".ipynb")
    with pytest.raises(SubmissionError, match="6001 marks of cells; at most 6000"):
        read_notebook(script(*["1"] * (2 * MAX_CELLS + 1)), ".py")
    with pytest.raises(SubmissionError, match="6001 cells; at most 6000"):
        all_cells(notebook(*["1"] * (2 * MAX_CELLS + 1)), ".ipynb")


HEADS = {
    "that refers to itself": "# ---\n# jupyter:\n#   a: &a [x, x]\n#   b: [*a, *a]\n# ---\n",
    "with a tag": "# ---\n# jupyter: !!python/object/apply:os.system [ls]\n# ---\n",
    "that is long": "# ---\n# jupyter:\n" + "#   a: [1]\n" * 1000 + "# ---\n",
    "below a first line": "#!/usr/bin/env python\n# ---\n# jupyter: &a\n#   a: 1\n# ---\n",
    "between other ends of lines": "# ---\x0b# jupyter:\x0b#   a: &a [x]\x0b# ---\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_an_odd_head_is_left_out(name):
    """Jupytext gives YAML at a script's top to a reader that a few lines can fill gigabytes with: it sees none."""
    text = HEADS[name] + "\n# %%\nFCOS = 1\n"
    kept = without_odd_head(text)
    assert "jupyter" not in kept and [cell.source for cell in read_notebook(text.encode(), ".py")] == ["FCOS = 1"]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "# a comment\n",
        "# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n",
    ],
)
def test_an_ordinary_head_stays(head):
    """What jupytext itself writes is left to it."""
    text = head + "\n# %%\nFCOS = 1\n"
    assert without_odd_head(text) == text and read_notebook(text.encode(), ".py")[-1].source == "FCOS = 1"


def test_memory_has_an_end_which_is_the_students():
    """What asks for more than there is gets a sentence; afterwards the process may have what it could have before."""
    with pytest.raises(SubmissionError, match="more than 64 MB of memory"), reading_budget(megabytes=64):
        bytearray(2**28)
    assert resource.getrlimit(resource.RLIMIT_AS) == LIMIT and len(bytearray(2**28)) == 2**28
    with memory_limit(512):
        assert len(bytearray(2**27)) == 2**27


def test_the_stack_has_an_end_which_is_the_students():
    """What is nested more deeply than Python's stack is no error of ours."""
    with pytest.raises(SubmissionError, match="nested too deeply"), reading_budget():
        raise RecursionError


def test_all_that_is_read_of_a_submission_has_one_end():
    """However often it is looked at: what one look has used the next one lacks."""
    budget = SubmissionBudget(seconds=0.3)

    def burn(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    with budget.reading():
        burn(0.2)
    with pytest.raises(SubmissionError, match="to find out what this notebook defines"), budget.reading():
        burn(5.0)
    with pytest.raises(SubmissionError), budget.reading():
        burn(5.0)


NAMES = "def FCOS(): return a0\n"
CODE: dict[str, Callable[[int], str]] = {
    "one name": lambda n: "FCOS=1\n" * n,
    "many names": lambda n: NAMES + "".join(f"a{i}={i}\n" for i in range(n)),
    "a chain": lambda n: NAMES + "".join(f"a{i}=a{i + 1}\n" for i in range(n)),
    "functions": lambda n: NAMES + "".join(f"def a{i}(): return a{i + 1}()\n" for i in range(n)),
    "changes": lambda n: "FCOS=[]\n" + "FCOS.append(1)\n" * n,
    "imports": lambda n: NAMES + "".join(f"import os as a{i}\n" for i in range(n)),
    "attributes": lambda n: "class FCOS: pass\n" + "".join(f"FCOS.a{i} = {i}\n" for i in range(n)),
    "loops": lambda n: "FCOS=1\n" + "for i in range(3): FCOS = i\n" * n,
    "blocks": lambda n: "".join(f"if True:\n    a{i} = a{i + 1}\n" for i in range(n)) + NAMES,
}


@pytest.mark.parametrize("name", CODE)
def test_reading_takes_work_by_the_statement(name):
    """Reading, slicing and showing four times the statements takes some four times the calls, not sixteen times."""

    def make(size: int) -> Callable[[], object]:
        data = script("#" * KNOWN_LENGTH + "\n" + CODE[name](size))  # so long that nothing is remembered of it

        def work() -> object:
            forget()
            found = read_notebook(data, ".py")
            piece = make_slice(found, ("FCOS",), frozenset())
            return shown_code(piece, found, frozenset(), {(1, 1)})

        return work

    assert growth(make, 100) < 6
    assert sum(len(part.source) for part in make(400)()) <= 2 * MAX_CHARACTERS


class NoSuites:
    """Stands for the suites: nothing is run.

    Args:
        exercises: Ids; each has one check.
    """

    def __init__(self, exercises: list[str]) -> None:
        self._exercises = exercises

    def checks(self) -> list[CheckResult]:
        """One for each exercise."""
        return [CheckResult(exercise, "a", "A check.", 1.0, "", True) for exercise in self._exercises]


class NoHost:
    """Stands for a sandbox: nothing is started."""

    def next_submission(self) -> None:
        """Nothing to do."""


def graded(assignment: Assignment, data: bytes, suffix: str = ".py") -> Report:
    """What the engine makes of a notebook that it cannot read."""
    report = blank_report(assignment, "ada", f"fcos{suffix}", "", 1)
    return engine.grade_notebook(
        assignment, NoSuites([e.id for e in assignment.exercises]), report, data, suffix, NoHost()
    )


@pytest.mark.parametrize("count", [12_000, 34_000])
def test_a_notebook_of_thousands_of_statements_has_a_score(assignment, count):
    """None, with the reason, and no human needed: it is not our fault."""
    report = graded(assignment, script("FCOS=1\n" * count))
    assert (report.outcome, report.status, report.score) == ("unreadable", "unreadable", 0.0)
    assert f"{count} statements" in report.problem and "hand it in again" in report.problem


def test_a_notebook_that_takes_too_much_memory_has_a_score(assignment, monkeypatch):
    """The same where memory is what it takes."""
    monkeypatch.setattr(budget, "READ_MEGABYTES", 32)
    report = graded(assignment, script(f"x = '{'y' * 10**6}'") + b"#" * 2**27)
    assert report.outcome == "unreadable" and report.score == 0.0 and "MB of memory" in report.problem


def test_notes_are_few(assignment, monkeypatch):
    """Of a thousand cells that Python cannot read the first ones are named, and how many more there are."""
    monkeypatch.setattr(cells, "MAX_STATEMENTS", 0)
    monkeypatch.setattr(engine, "parsed", lambda sources: [cells.parse_cell(n, s) for n, s in enumerate(sources, 1)])
    monkeypatch.setattr(engine, "slice_of", refuse)
    report = graded(assignment, notebook(*["def"] * 1000), ".ipynb")
    assert len(report.notes) == 13 and "988 more" in report.notes[-1]


def refuse(*_: object) -> None:
    """Stands for slicing."""
    raise SubmissionError("not asked for")


def test_what_stops_us_is_nobodys_exception():
    """A library that catches every `Exception` does not swallow the end of the time."""
    assert not issubclass(Stopped, Exception)


def test_a_zip_of_deep_names_is_looked_through(tmp_path):
    """A name of thirty thousand folders would take the square of them: what lies so deep is no submission."""
    path = tmp_path / "deep.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/" * 200 + "fcos.ipynb", "x" * 600 + ".ipynb", "b/fcos.ipynb"):
            archive.writestr(name, b"{}")
    assert [found.parts for found in found_in_zip(path)] == [("b", "fcos.ipynb")]

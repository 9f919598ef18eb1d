"""What statements do to names, at any size: fast ways beside slow, obvious ones."""

from __future__ import annotations

import ast
import contextlib
import random
import re
import signal
import warnings
from types import SimpleNamespace

import pytest

from autograder.grading import engine
from autograder.parsing import budget, cells
from autograder.parsing.cells import parse_cell
from autograder.parsing.statements import Statement, collect_uses, statements_of
from autograder.parsing.work import heavy_statements
from autograder.report.blank import blank_report
from autograder.runtime.cpu_limit import OutOfTimeError, cpu_limit

NOT_RUN = frozenset({"train", "load"})
NAMES = ("a", "b", "c", "d", "e", "train", "load")


def obvious_heavy(statements: list[Statement], not_run: frozenset[str], graded: frozenset[str]) -> set[int]:
    """The definition of a heavy statement, applied again and again until nothing changes."""
    classes = {name for statement in statements if statement.is_class for name in statement.binds}
    spared = classes | graded
    heavy: set[int] = set()
    working: set[str] = set()
    while True:
        light = {name for index, statement in enumerate(statements) if index not in heavy for name in statement.binds}
        tainted = {name for index in heavy for name in statements[index].binds} - light
        does_work = set(working)
        more = set(heavy)
        for index, statement in enumerate(statements):
            is_work = (
                statement.trains
                or statement.calls & (not_run | working)
                or (statement.calls and statement.now & tainted)
            )
            if not statement.defines and is_work and not statement.binds & graded:
                more.add(index)
            leans = statement.later & (tainted | not_run | working) or (statement.defines and statement.trains)
            makes = not statement.defines and statement.now & working
            if leans or makes:
                does_work |= statement.binds - spared
        if (more, does_work) == (heavy, working):
            return heavy
        heavy, working = more, does_work


def some(rng: random.Random, most: int) -> frozenset[str]:
    """A few names."""
    return frozenset(rng.sample(NAMES, rng.randint(0, most)))


def a_statement(rng: random.Random) -> Statement:
    """A statement that does anything to the names."""
    defines = rng.random() < 0.4
    calls = frozenset() if defines or rng.random() < 0.4 else some(rng, 2) | {"other"}
    is_class = defines and rng.random() < 0.3
    names = (some(rng, 2), frozenset(), some(rng, 2), some(rng, 2), calls)
    return Statement(1, 1, "", *names, defines, is_class, trains=rng.random() < 0.05)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_is_what_the_definition_says(seed):
    """Following names from one to the next finds just the statements that the definition does."""
    rng = random.Random(seed)
    for count in range(12):
        statements = [a_statement(rng) for _ in range(count)]
        graded = some(rng, 1)
        assert heavy_statements(statements, NOT_RUN, graded) == obvious_heavy(statements, NOT_RUN, graded)


def test_the_text_of_each_statement_is_pythons():
    """Several on a line, characters of several bytes, strings over lines, form feeds, odd line ends: as ast cuts it."""
    source = 'x = "é"; y = "日本"; z = (1,\n 2)\nt = """a\n\n\x0cb"""\r\nif x:\r    q = "ü"; r = 1\nw = f(x)  # é\n'
    cell = parse_cell(1, source)
    texts = [ast.get_source_segment(source, node) or "" for node in cell.tree.body]
    assert [s.source for s in statements_of(cell)] == ["\n".join(re.split("\r\n?|\n", text)) for text in texts]


ANNOTATED = """
from dataclasses import dataclass

@dataclass
class Found:
    boxes: Boxes
    def take(self, other: Other = given) -> Taken:
        return kept

images: Images = {}

def run(a: List[int] = default, *more: More) -> Result:
    return inner
"""


def test_names_in_annotations_are_used_at_once():
    """On Python 3.14, too, which puts them into scopes of their own: a slice is the same on each Python."""
    _, found, images, run = statements_of(parse_cell(1, ANNOTATED))
    assert found.now == {"dataclass", "Boxes", "Other", "given", "Taken"} and found.later == {"kept"}
    assert images.now == {"Images"} and images.binds == {"images"} and not images.later
    assert run.now == {"List", "int", "default", "More", "Result"} and run.later == {"inner"}


class _Scope(SimpleNamespace):
    """A scope as symtable describes it."""

    def __init__(self, kind: str, uses: str = "", *children: _Scope) -> None:
        used = [SimpleNamespace(is_referenced=lambda: True, is_global=lambda: True, get_name=lambda: uses)] * bool(uses)
        super().__init__(get_type=lambda: kind, get_name=lambda: "", get_symbols=lambda: used)
        self.get_children = lambda: children


def test_scopes_of_annotations_run_where_what_they_are_in_runs():
    """What symtable of Python 3.14 gives, made by hand for the others: not at once below a function."""
    now: set[str] = set()
    later: set[str] = set()
    method = _Scope("function", "body", _Scope("annotation", "inner"))
    collect_uses(_Scope("class", "base", _Scope("annotation", "outer"), method), now, later, runs=True)
    assert (now, later) == ({"base", "outer"}, {"body", "inner"})


def test_a_students_string_makes_no_warning():
    """Since Python 3.12, a backslash that means nothing is a warning on the screen of whoever parses the cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cell = parse_cell(1, "@given\ndef f():\n    return [x for x in '\\d']\n")
        assert [statement.binds for statement in statements_of(cell)] == [{"f"}]


def test_shell_lines_without_end_cost_their_cell():
    """IPython gives up on a cell of five hundred shell lines: that is a problem of the cell, not an error of ours."""
    cell = parse_cell(1, "\n".join(["!ls"] * 520))
    assert cell.problem is not None and "IPython gives up" in cell.problem[1]


def test_computing_is_stopped():
    """A loop of ours over something hostile ends, whoever catches exceptions on the way."""
    with pytest.raises(OutOfTimeError), cpu_limit(0.05):
        while True:
            try:
                sum(range(100))
            except Exception:
                raise AssertionError("nobody on the way may take it for an error of its own") from None


def test_a_quick_one_is_not():
    """What ends in time is not touched, and nothing stops us later."""
    with cpu_limit(0.05):
        pass
    end = sum(i for i in range(2_000_000))
    assert end > 0


def test_nothing_is_left_of_a_limit():
    """Whenever the seconds end, within or just as the code does, the timer is off and the handler is as it was."""
    before = signal.getsignal(signal.SIGPROF)
    for count in range(300):
        with contextlib.suppress(OutOfTimeError), cpu_limit(0.0005):
            sum(range(100 * count))
        assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGPROF) is before


def test_a_notebook_that_takes_too_long_to_read_is_the_students(assignment, monkeypatch):
    """It is graded as one that cannot be read, with a word on why; the slot goes on."""
    monkeypatch.setattr(budget, "READ_SECONDS", 0.05)
    monkeypatch.setattr(cells, "MAX_STATEMENTS", 10**6)
    report = blank_report(assignment, "ada", "fcos.py", "", 1)
    endless = "\n".join(f"a{n} = g(a{n - 1})" for n in range(40_000)).encode()
    engine.grade_notebook(assignment, _NoSuites(), report, b"# %%\n" + endless, ".py", _NoHost())
    assert report.outcome == "unreadable" and "thousands of statements" in report.problem


class _NoSuites:
    """Stands for the suites: nothing is run."""

    def checks(self) -> list[object]:
        """None."""
        return []


class _NoHost:
    """Stands for a sandbox: nothing is started."""

    def next_submission(self) -> None:
        """Nothing to do."""

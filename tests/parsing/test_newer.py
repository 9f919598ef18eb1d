"""Cells and names of a newer Python than this one: found, named by version, and not taken for mistakes."""

from __future__ import annotations

import ast
import sys

import pytest

from autograder.parsing import newer_grammar, newer_python
from autograder.parsing.cells import read_notebook
from autograder.parsing.newer_grammar import needs_of, this_python
from autograder.parsing.newer_python import bound_in, library_needs, needed_by
from autograder.parsing.slicing import make_slice
from autograder.parsing.statements import statements_of
from tests.support.cut_notebooks import parsed

GRAMMAR = {
    "def f[T](x: T) -> T:\n    return x\n": "3.12",
    "type Levels = dict[str, int]\n": "3.12",
    "class Box[T: int]:\n    pass\n": "3.12",
    'x = f"{d["a"]}"\n': "3.12",
    'x = f"{f"{f"{1}"}"}"\n': "3.12",
    "x = f\"{'\\n'.join(a)}\"\n": "3.12",
    'x = f"""{\n  a  # why\n}"""\n': "3.12",
    "class Box[T = int]:\n    pass\n": "3.13",
    "try:\n    f()\nexcept ValueError, TypeError:\n    pass\n": "3.14",
    'x = t"{a}"\n': "3.14",
}
NEVER = [
    "x = = 1\n",
    "def f(:\n    pass\n",
    'print "a"\n',
    'x = f"{a b}"\n',
    "def f[T](x\n",
    "type X\n",
    'x = f"{d["a"}"\n',
    "f(a=1, 2)\n",
    "x = (1,\n",
    "if True\n    pass\n",
    "except A, B:\n    pass\n",
    "def f():\npass\n",
    "a b\n",
    "x = “a”\n",
    "try:\n    pass\nexcept A, B as e:\n    pass\n",
    "  x = 1\n",
    "0777\n",
    "x = 5\u00a0+ 3\n",
    "x <> y\n",
]


def _key(version):
    return tuple(map(int, version.split(".")))


def _reads(source):
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def test_the_version_is_told_of_each_piece():
    """What this Python reads needs nothing, what a newer one reads names the oldest, what none reads names none."""
    sources = [*GRAMMAR, *NEVER]
    here = sys.version_info[:2]
    expected = [version if _key(version) > here else "" for version in GRAMMAR.values()] + [""] * len(NEVER)
    assert needs_of(sources) == expected
    assert [_reads(source) for source in GRAMMAR] == [_key(version) <= here for version in GRAMMAR.values()]
    assert not any(_reads(source) for source in NEVER)


# What stands in the cases below for syntax that this Python cannot read, and the oldest version that can.
HERE = sys.version_info[:2]
SINCE = "3.12" if HERE < (3, 12) else "3.14"
F_NEW = "def f[T](x: T): return x" if SINCE == "3.12" else 'def f(x): return t"{x}"'
G_NEW, G_USES_F = F_NEW.replace("def f", "def g"), F_NEW.replace("def f", "def g").replace("return", "return f(),")
X_NEW = "type X = int" if SINCE == "3.12" else 'X = t"{int}"'
unread = pytest.mark.skipif(HERE >= (3, 14), reason="this Python reads what the test needs it not to read")


def _read(*cells):
    return read_notebook("".join(f"# %%\n{cell}\n" for cell in cells).encode(), ".py")


@unread
def test_magics_are_no_hindrance():
    """Shell lines and magics in such a cell are not what makes it unreadable."""
    cells = _read(f"%%time\n!ls\n%cd ..\nfiles = !ls\n{F_NEW}")
    assert [cell.needs for cell in cells] == [SINCE]


@unread
@pytest.mark.parametrize(
    ("cells", "newer"),
    [
        ([F_NEW], SINCE),
        (["def f(): return g(1)", G_NEW], SINCE),
        (["def f(): return K", f"{X_NEW}\nK: int = 3"], SINCE),
        (["def f(): return 1", f"{X_NEW}\ndef f(): return 2"], SINCE),
        (["class C: pass\ndef f(): return C()", f"{X_NEW}\nC.g = 3"], SINCE),
        (["def f(): return 1", f"{X_NEW}\nprint(f())\ny = f()"], ""),
        (["def f(): return 1", G_USES_F], ""),
        (["def f(): return g(1)", "def g(: pass"], ""),
    ],
)
def test_what_leans_on_such_a_cell_knows(cells, newer):
    """A demo in it, or a function that nothing wanted uses, makes no difference to the wanted names."""
    assert make_slice(_read(*cells), ("f",), frozenset()).newer == newer


LIBRARY = {
    "from typing import override": "3.12",
    "import itertools\nitertools.batched([1], 2)": "3.12",
    "from warnings import deprecated": "3.13",
    "import copy\ncopy.replace(a, b=1)": "3.13",
    "from annotationlib import Format": "3.14",
    "from dataclasses import replace": "",
    "import torch\ntorch.compile(f)": "",
    "x.replace('a', 'b'); copy = 3": "",
    "def f(x: int | None): pass": "",
    "x = (": "",
}


@pytest.mark.parametrize("source", LIBRARY)
def test_names_of_the_standard_library_have_their_version(source):
    """What came with a newer Python is known; a word that only looks like it is not."""
    version = LIBRARY[source]
    assert library_needs(source) == (version if version and _key(version) > sys.version_info[:2] else "")


def test_what_has_a_substitute_needs_nothing():
    """An import in a `try` with another one below is right on every Python."""
    text = "try:\n    from annotationlib import Format\nexcept ImportError:\n    Format = None"
    assert needed_by(statements_of(parsed(text)[0])) == ""


def test_names_in_a_cell_that_cannot_be_parsed():
    """Definitions, assignments, methods set from outside, decorators and imports count; uses do not."""
    text = "def f[T](x):\n    y = 1\nclass C[T]: pass\nA = B = 1\nK: int = 3\nC.g = f\n@add(D)\nsetattr(E, 'a', 1)"
    text += "\nprint(z)\nz == 1"
    assert {"f", "C", "A", "K", "D", "E"} <= bound_in(text) and not {"print", "z", "y"} & bound_in(text)
    assert bound_in("from a import b\nimport c as d\ntype X = int") == {"b", "d", "X"}


def test_without_ruff_nothing_is_known(monkeypatch):
    """On a student's machine, say: then such a cell is one that Python cannot read, as before."""
    monkeypatch.setattr(newer_grammar, "find_ruff", lambda: "")
    assert needs_of(list(GRAMMAR)) == [""] * len(GRAMMAR)


def test_ruff_has_one_time_for_all_versions(monkeypatch):
    """Where the first look uses the time up there is no other one, and nothing is known of the cells."""
    calls = []

    def run(command, *, timeout, **_):
        calls.append(timeout)
        raise newer_grammar.subprocess.TimeoutExpired(command, timeout)

    clock = iter((0.0, 1.0, *[newer_grammar.SECONDS + 1.0] * 10))
    monkeypatch.setattr(newer_grammar.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(newer_grammar.subprocess, "run", run)
    monkeypatch.setattr(newer_grammar, "NEWER", ("3.97", "3.98", "3.99"))
    assert needs_of(["lambda: " * 10]) == [""]
    assert calls == [newer_grammar.SECONDS - 1.0]


def test_many_cells_are_asked_for_at_once(monkeypatch):
    """However many cells cannot be read, ruff runs once for each version."""
    calls = []
    real = newer_grammar.subprocess.run
    monkeypatch.setattr(newer_grammar.subprocess, "run", lambda *a, **k: calls.append(a) or real(*a, **k))
    needs_of(["x = = 1\n"] * 500)
    assert len(calls) <= 4 and this_python() in ("3.11", "3.12", "3.13", "3.14")
    assert newer_python.needed_for([], {"f"}) == ""

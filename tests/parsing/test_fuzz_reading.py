"""Fuzzing what reads notebooks: any bytes become cells, a slice and an excerpt, or a sentence for the student."""

from __future__ import annotations

import json
import warnings

from hypothesis import given
from hypothesis import strategies as st

from autograder.parsing.cells import SUFFIXES, all_cells, handed_in_with, read_notebook
from autograder.parsing.excerpt import MAX_CHARACTERS, shown_code
from autograder.parsing.slicing import forget, make_slice
from autograder.runtime.errors import SubmissionError
from tests.support.fuzz import QUICK

WANTED = ("FCOS", "f")
WORDS = st.sampled_from(
    [
        *("FCOS", "f", "g", "x", "torch", "get_ipython()", "globals()", "self", "_", "match", "type", "é", "\ud800"),
        *("def f(x):", "class FCOS(g):", "if x:", "try:", "except:", "with x as f:", "for f in x:", "lambda:", "@g"),
        *("import torch", "from torch import *", "from . import f", "del f, max", "global f", "nonlocal x", "return f"),
        *("%time x", "%%time", "%%bash", "%%timeit", "!ls", "?f", "x?", "%cd ..", "f = !ls", "%load_ext x", "%%"),
        *("# %%", "# In[1]:", "# ---", "# +", "# -", "```python", "```", '"""', "'''", "---", ":tags: [x]", "&a *a"),
        *("=", "+=", ".", ",", ":", ";", "(", ")", "[", "]", "{", "}", "\\", "0", "1_0", "0777", "\t", "\x0c", "\0"),
        *("[i for i in x]", "{k: v for k, v in x}", "(f := 1)", "*f, x = g", "f.x = 1", "x[f] = 1", "f'{x!r}'", "..."),
    ]
)
LINE = st.builds(
    lambda indent, words: " " * indent + " ".join(words),
    st.sampled_from([0, 0, 0, 4, 8, 3]),
    st.lists(WORDS, max_size=5),
)
CODE = st.lists(LINE, max_size=12).map("\n".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CELL = st.fixed_dictionaries(
    {
        "cell_type": st.sampled_from(["code", "markdown", "raw"]) | JSON,
        "source": CODE | st.lists(CODE | JSON, max_size=3),
    }
)
NOTEBOOK = st.fixed_dictionaries(
    {"cells": st.lists(CELL | JSON, max_size=5) | JSON, "metadata": JSON},
    optional={"worksheets": JSON, "nbformat": JSON, "nbformat_minor": JSON},
).map(lambda made: json.dumps(made).encode())


def followed(data: bytes, suffix: str) -> str:
    """Read, cut and show a file; says what became of it."""
    forget()
    try:
        cells = read_notebook(data, suffix)
    except SubmissionError as error:
        return str(error)
    piece = make_slice(cells, WANTED, frozenset({"train"}), ("DEVICE",), ("FCOS",))
    shown = shown_code(piece, cells, frozenset({"g"}), {(1, 1), (2, 3)})
    assert sum(len(part.source) for part in shown) <= 2 * MAX_CHARACTERS
    json.dumps(piece.to_json({}))
    all_cells(data, suffix)
    return ""


@QUICK
@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_any_bytes(data: bytes, suffix: str) -> None:
    """Whatever a file holds, reading it comes to cells or to a sentence."""
    said = followed(data, suffix)
    assert said == "" or said.endswith((".", "?")) or "(" in said
    handed_in_with(data, suffix)


@QUICK
@given(NOTEBOOK)
def test_any_notebook(data: bytes) -> None:
    """JSON that looks more or less like a notebook, of code that looks more or less like Python."""
    assert isinstance(followed(data, ".ipynb"), str)
    handed_in_with(data, ".ipynb")


@QUICK
@given(
    CODE,
    st.sampled_from([".py", ".md"]),
    st.sampled_from(["", "# %%\n", "# In[1]:\n", "```python\n", "# ---\n# a: 1\n"]),
)
def test_any_script(code: str, suffix: str, head: str) -> None:
    """Scripts and Markdown of what readers look for: heads, marks of cells, magics, fences, halves of statements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strings that mean nothing, as where notebooks are read
        assert isinstance(followed((head + code).encode("utf-8", "surrogatepass"), suffix), str)

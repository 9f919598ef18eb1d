"""`check()` says where it judges an older definition, because Python could not read the cell."""

import sys
import types

import pytest

from autograder.notebook_kit.unread import unread_cells


@pytest.fixture
def session(monkeypatch):
    """What a kernel remembers of the cells that were run."""
    cells = ["import torch"]
    shell = types.SimpleNamespace(
        history_manager=types.SimpleNamespace(input_hist_raw=cells), transform_cell=lambda cell: cell
    )
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    return cells


def test_a_cell_that_python_cannot_read_is_named(session):
    """The name, the line and what Python says of it."""
    session += ["def f(x):\n    return x\n", "def f(x)\n    return 2 * x\n"]
    (said,) = unread_cells(["f", "g"])
    assert "`f`" in said and "line 1" in said and "def f(x)" in said and "before" in said


def test_a_cell_that_was_mended_is_not(session):
    """The latest cell counts."""
    session += ["def f(x)\n    return x\n", "def f(x):\n    return x\n"]
    assert unread_cells(["f"]) == []


def test_outside_of_a_notebook_nothing_is_said(monkeypatch):
    """Without IPython, or where it runs no session, there is no such cell."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert unread_cells(["f"]) == []
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert unread_cells(["f"]) == []

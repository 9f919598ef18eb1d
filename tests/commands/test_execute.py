"""The notebook executed as a student would: what it prints, and what is said where it stops."""

from __future__ import annotations

import nbformat
import pytest

from autograder.commands.execute import execute_notebook, printed, write_page
from autograder.runtime.errors import KitError


def _notebook(*sources: str):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def test_runs_in_its_own_folder(tmp_path, monkeypatch):
    """A kernel whose working folder is another than ours is reached; outputs are kept, and nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    folder, steps = tmp_path / "out" / "notebook", []
    notebook = _notebook("import os", "print('cwd', os.getcwd())")
    execute_notebook(notebook, folder, lambda done, cells: steps.append((done, cells)))
    assert printed(notebook, "cwd") == [f"cwd {folder}"]
    assert steps == [(1, 2), (2, 2)] and list(folder.iterdir()) == []
    write_page(notebook, folder / "solved", "A title")
    assert f"cwd {folder}" in (folder / "solved.html").read_text() and (folder / "solved.ipynb").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [("1 / 0", "does not run: ZeroDivisionError: division by zero"), ("import os; os._exit(3)", "kernel does not run")],
)
def test_says_why_it_stopped(tmp_path, source, message):
    """A cell that raises is named by its error; a kernel that dies is an error of the same kind, not a traceback."""
    with pytest.raises(KitError, match=message):
        execute_notebook(_notebook(source), tmp_path)


def test_what_cells_print_is_heard_as_it_comes(tmp_path):
    """Who watches a long cell hears it before it is through, and the notebook keeps it all the same."""
    notebook = _notebook("import os\nprint('[Iter 0]', flush=True)\nwhile not os.path.exists('heard'):\n    pass")
    execute_notebook(notebook, tmp_path, timeout=60, hear=lambda text: (tmp_path / "heard").write_text(text))
    assert (tmp_path / "heard").read_text() == "[Iter 0]\n" and printed(notebook, "[Iter ") == ["[Iter 0]"]

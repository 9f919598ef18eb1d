"""`fcoskit grade --python PATH` becomes the same command under another Python, or says why it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autograder import __version__
from autograder.commands.other_python import run_with, without_option
from autograder.runtime.errors import KitError


def python_that_says(folder: Path, line: str, code: int = 0) -> str:
    """A stand-in for a Python: it prints a line whatever it is asked."""
    path = folder / "python3.99"
    path.write_text(f"#!/bin/sh\necho '{line}'\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "arguments", [["grade", "a", "--python", "p", "--out", "o"], ["grade", "a", "--python=p", "--out", "o"]]
)
def test_the_rest_of_the_command_stays(arguments):
    """Both spellings of the option go, nothing else."""
    assert without_option(arguments) == ["grade", "a", "--out", "o"]


def test_it_becomes_that_python(tmp_path):
    """With the module of the command line, and without the option, or it would never end."""
    path = python_that_says(tmp_path, f"{__version__} 3 99 0")
    became = []
    run_with(path, ["grade", "a", "--python", path, "--out", "o"], lambda *what: became.append(what))
    assert became == [(path, [path, "-m", "autograder.commands.cli", "grade", "a", "--out", "o"])]


def test_this_python_goes_on():
    """Named itself, there is nothing to become."""
    run_with(sys.executable, [], lambda *_: pytest.fail("it runs already"))


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("Traceback", 1, "lacks the kit"),
        ("", 0, "lacks the kit"),
        ("0.0.0 3 99 0", 0, "version 0.0.0 of the kit, and this is"),
    ],
)
def test_one_that_lacks_the_kit_is_refused(tmp_path, line, code, says):
    """Before anything is graded, in a sentence."""
    path = python_that_says(tmp_path, line, code)
    with pytest.raises(KitError, match=says):
        run_with(path, ["grade"], lambda *_: pytest.fail("it must not run"))


def test_one_that_is_not_there_is_refused(tmp_path):
    """A path that is none."""
    with pytest.raises(KitError, match="there is no such program"):
        run_with(str(tmp_path / "no-python"), [])


def test_a_real_python_without_the_kit_is_refused(tmp_path):
    """Python itself, with nothing to import from."""
    path = tmp_path / "bare"
    path.write_text(f'#!/bin/sh\ncd / && exec "{sys.executable}" -I -S "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    with pytest.raises(KitError, match="No module named"):
        run_with(str(path), ["grade"], lambda *_: pytest.fail("it must not run"))

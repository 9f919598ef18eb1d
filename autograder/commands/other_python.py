"""`fcoskit grade --python PATH`: the same command, run by another Python that has the kit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from autograder import __version__
from autograder.runtime.errors import KitError

OPTION = "--python"
_MODULE = "autograder.commands.cli"
_ASK = f"import sys, torch, {_MODULE}; from autograder import __version__; print(__version__, *sys.version_info[:3])"
_SECONDS = 120


def run_with(python: str, arguments: list[str], execute: Callable[[str, list[str]], object] = os.execv) -> None:
    """Become the same command under another Python; returns where it is this one.

    Args:
        python: Its path, or a name on the path.
        arguments: What follows `fcoskit` on the command line, `--python` among it.
        execute: What replaces this process.

    Raises:
        KitError: It is not there, does not run, or lacks the kit or has another version of it.
    """
    found = shutil.which(python)
    if found is None:
        raise KitError(
            f"{OPTION} {python}: there is no such program. Name a Python that has the kit, .venv/bin/python."
        )
    if Path(found).absolute() == Path(sys.executable).absolute():
        return
    _expect_kit(found)
    execute(found, [found, "-m", _MODULE, *without_option(arguments)])


def without_option(arguments: list[str]) -> list[str]:
    """A command line without `--python PATH` and `--python=PATH`."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == OPTION:
            skip = True
        elif not argument.startswith(f"{OPTION}="):
            kept.append(argument)
    return kept


def _expect_kit(python: str) -> None:
    try:
        done = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise KitError(f"{OPTION} {python}: it does not run ({error}).") from error
    said = done.stdout.split()
    if done.returncode or len(said) != 4:
        why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise KitError(
            f"{OPTION} {python}: this Python lacks the kit ({why}). `make PYTHON=... VENV=...` makes an environment "
            "that has it, see CONTRIBUTING.md."
        )
    if said[0] != __version__:
        raise KitError(
            f"{OPTION} {python} has version {said[0]} of the kit, and this is {__version__}: install the same."
        )

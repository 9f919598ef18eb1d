"""Collecting the suites with pytest, and nothing else that a machine has of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder.checks.runner import SuitePlugin
from autograder.checks.suite_imports import importable

# Plugins of pytest's own that would take time at each check, or write where nobody reads.
_NOT_NEEDED = ("cacheprovider", "logging", "terminal", "warnings", "unraisableexception", "threadexception")


def collect(folders: list[Path], plugin: SuitePlugin) -> None:
    """Collect the suites in some folders or files and hand over to the plugin's `serve`.

    Raises:
        RuntimeError: A suite could not be collected; the text says why.
        KeyboardInterrupt: Somebody stopped it while a check ran: pytest swallows that.
    """
    for folder in folders:
        if not folder.exists():
            raise RuntimeError(f"there is no {folder}: the checks of this assignment belong there")
    ini = Path(__file__).parent / "pytest.ini"
    options = ["-c", str(ini), "--rootdir", str(ini.parent), "--capture=no"]
    options += [option for name in _NOT_NEEDED for option in ("-p", f"no:{name}")]
    with _no_other_plugins(), importable(_suites_of(folders[0])):
        code = pytest.main([*options, *map(str, folders)], plugins=[plugin])
    fine = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    if code == pytest.ExitCode.INTERRUPTED and not plugin.problems:
        raise KeyboardInterrupt
    if plugin.problems or code not in fine:
        raise RuntimeError("\n".join(plugin.problems) or f"pytest ended with {code!r}")


def _suites_of(path: Path) -> Path:
    """The folder of suites that a path lies in: the one that holds `public/` or `hidden/`."""
    return next((folder.parent for folder in (path, *path.parents) if folder.name in ("public", "hidden")), path)


@contextlib.contextmanager
def _no_other_plugins() -> Iterator[None]:
    """Whatever pytest plugins a machine has installed stay out of the suites."""
    name = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})

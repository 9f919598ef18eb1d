"""What a suite may import while it is collected and runs: files of its own assignment, and the kit's by either name.

Suites lie in `assignment/<id>/suites`, in no place that Python looks for packages. Within `importable` that folder is
the package `suites`, so that `from suites.scenes import fixed_boxes` finds the file beside `public/`. Two assignments
have a package of that name each: one never meets the other's.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_PACKAGE = "suites"
# What suites of earlier terms call modules that have moved since.
FORMER = {
    "autograder.errors": "autograder.runtime.errors",
    "autograder.result": "autograder.checks.result",
    "autograder.student": "autograder.checks.student",
    "autograder.suites.compare": "autograder.checks.compare",
    "autograder.suites.drawings": "autograder.checks.drawings",
    "autograder.suites.gpu": "autograder.checks.gpu",
}


@contextlib.contextmanager
def importable(suites: Path) -> Iterator[None]:
    """Within it, a folder is the package `suites`; a package of that name from elsewhere is put aside meanwhile.

    Args:
        suites: The folder that holds `public/`, perhaps `hidden/`, and files that both import.
    """
    kept = _taken_out()
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(suites)]
    sys.modules[_PACKAGE] = package
    sys.modules.update(_former_modules())
    try:
        yield
    finally:
        _taken_out()
        sys.modules.update(kept)


def _taken_out() -> dict[str, ModuleType]:
    """Take what is imported of any `suites` out of Python's table, and the former names."""
    first = f"{_PACKAGE}."
    names = [n for n in sys.modules if n == _PACKAGE or n.startswith(first) or n in FORMER or n == "autograder.suites"]
    return {name: sys.modules.pop(name) for name in names}


def _former_modules() -> dict[str, ModuleType]:
    modules = {old: importlib.import_module(new) for old, new in FORMER.items()}
    package = ModuleType("autograder.suites")
    for old, module in modules.items():
        if old.startswith("autograder.suites."):
            setattr(package, old.rpartition(".")[2], module)
    return {**modules, package.__name__: package}


@functools.cache
def module_at(path: Path) -> ModuleType:
    """A module of some suites' own, loaded by its file: suites lie wherever their assignment's settings say."""
    spec = importlib.util.spec_from_file_location(f"fcoskit_{path}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module

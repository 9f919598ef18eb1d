"""Which packages an import finds where student code runs: the environment of the kit itself."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from pathlib import Path

_IMPORT = re.compile(r"(?:from|import)\s+(\w+)")


@functools.lru_cache(maxsize=8)
def named_packages(texts: frozenset[str]) -> frozenset[str]:
    """The packages that statements given as texts import."""
    return frozenset(found[1] for text in texts if (found := _IMPORT.match(text)))


def installed(package: str, known: frozenset[str]) -> bool:
    """Whether a package is Python's own or installed, and not a file that happens to lie about.

    Args:
        package: Its top-level name.
        known: Names of packages that are there in any case: those of the released notebook.
    """
    return package in known or package in sys.stdlib_module_names or _in_environment(package)


@functools.lru_cache(maxsize=512)
def _in_environment(package: str) -> bool:
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError, AttributeError):
        return False
    places = [spec.origin or "", *(spec.submodule_search_locations or [])] if spec else []
    return any({"site-packages", "dist-packages"} & set(Path(place).parts) for place in places)

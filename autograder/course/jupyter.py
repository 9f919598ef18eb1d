"""jupytext and nbformat, imported without what takes longest and neither needs.

nbformat imports jsonschema, which can also check international addresses (IRIs) where a package for that is installed.
That package compiles its grammars as it is imported, and takes three times as long as all the rest of nbformat. No
schema of a notebook has such an address.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["jupytext", "nbformat"]


@contextlib.contextmanager
def _as_if_missing(name: str) -> Iterator[None]:
    """As long as it is open, importing a module raises ImportError, unless it is imported already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # documented: the import then fails
    try:
        yield
    finally:
        del sys.modules[name]


with _as_if_missing("rfc3987_syntax"):
    import jupytext
    import nbformat

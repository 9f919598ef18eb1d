"""The front end for `nbgrader autograde`: our engine in place of nbgrader's kernel, the same points in its gradebook.

The highest room but the command line: only `commands` and `release` import it, and nbgrader's configuration.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`configure`, which `nbgrader_config.py` imports: looked up when asked for, since nbgrader takes a second."""
    if name != "configure":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from autograder.nbgrader.plugin import configure

    return configure

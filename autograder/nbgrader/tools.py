"""The command-line tools that were installed beside this Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def own_tools_first() -> None:
    """Put this Python's `bin` folder first on PATH, as activating its environment would.

    nbgrader calls `alembic` by name when it makes a gradebook, and fails where the environment was never
    activated.
    """
    folder = str(Path(sys.executable).parent)
    parts = os.environ.get("PATH", "").split(os.pathsep)
    if parts[0] != folder:
        os.environ["PATH"] = os.pathsep.join([folder, *(part for part in parts if part != folder)])

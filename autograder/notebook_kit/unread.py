"""Cells that Python could not read: what they would have defined is still what an older cell defined."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from typing import Any


def unread_cells(names: Iterable[str]) -> list[str]:
    """What to say of names whose latest cell did not run for a syntax error; nothing outside of a notebook.

    Args:
        names: Functions and classes of the assignment.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return []
    try:
        cells = [str(cell) for cell in shell.history_manager.input_hist_raw]
    except AttributeError:
        return []
    said: dict[str, list[str]] = {}
    for name in names:
        latest = next((cell for cell in reversed(cells) if _defines(cell, name)), "")
        if latest and (why := _unreadable(latest, shell)):
            said.setdefault(why, []).append(name)
    return [
        f"The cell with {' and '.join(f'`{name}`' for name in several)} did not run: {why} Checked here is what "
        "you defined before, if anything. Mend that line and run the cell again."
        for why, several in said.items()
    ]


def _defines(cell: str, name: str) -> bool:
    return re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b", cell, re.MULTILINE) is not None


def _unreadable(cell: str, shell: Any) -> str:
    """Why Python cannot read a cell; "" if it can."""
    try:
        ast.parse(shell.transform_cell(cell))
    except SyntaxError as error:
        line = (error.text or "").strip()[:80]
        return f"Python cannot read its line {error.lineno} ({error.msg})" + (f": `{line}`." if line else ".")
    except Exception:  # a magic of the student's own may raise anything: then IPython has said it
        return ""
    return ""

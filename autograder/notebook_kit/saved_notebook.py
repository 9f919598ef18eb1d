"""The student's notebook as it is saved, found from inside its own kernel; and whether the code that ran is in it.

On Colab the page itself hands its notebook over. Elsewhere it is a file, whose name the server tells its kernels
(`JPY_SESSION_NAME`; VS Code has a variable of its own), or that is looked for in the working folder.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import linecache
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from autograder.runtime.errors import KitError

COLAB = "google.colab"
_VS_CODE = "__vsc_ipynb_file__"
_ASK_COLAB_SECONDS = 60


@dataclass(frozen=True)
class Saved:
    """A notebook as it is saved.

    Attributes:
        name: Its file name, as the student knows it.
        content: Its JSON.
        folder: Where it lies; the working folder on Colab.
        seconds: How long ago it was saved; None where it comes from the open page itself.
    """

    name: str
    content: dict[str, Any]
    folder: Path
    seconds: float | None = None

    @property
    def code(self) -> list[str]:
        """The sources of its code cells."""
        cells = [cell for cell in self.content["cells"] if isinstance(cell, dict)]
        return [_joined(cell.get("source", "")) for cell in cells if cell.get("cell_type") == "code"]


def on_colab() -> bool:
    """Whether this kernel is one of Colab's."""
    return COLAB in sys.modules


def find_saved(notebook: str | None, namespace: dict[str, Any], call: str) -> Saved:
    """Find the notebook that this kernel belongs to.

    Args:
        notebook: Its path where the student gave one, relative to the working folder.
        namespace: The notebook's globals.
        call: Stands in the notebook, for telling it from others in the folder.

    Raises:
        KitError: There is none, or several could be it; says what to do.
    """
    if notebook is None and on_colab() and (content := _from_colab()) is not None:
        name = str(content.get("metadata", {}).get("colab", {}).get("name") or "the notebook of this page")
        return Saved(name, content, Path.cwd())
    path = Path(notebook) if notebook is not None else _told(namespace) or _looked_for(call)
    try:
        content, changed = _read(path), path.stat().st_mtime
    except OSError as error:
        raise KitError(f"{path} cannot be read ({error.strerror}). Is the name right?") from error
    return Saved(path.name, content, path.resolve().parent, max(0.0, time.time() - changed))


def is_saved(names: Iterable[str], namespace: dict[str, Any], code: list[str]) -> bool:
    """Whether what ran under some names stands in a saved notebook as it ran; True where that cannot be known."""
    ran = (_definition(name, namespace[name]) for name in names if name in namespace)
    cells = [_plain(cell) for cell in code]
    return all(any(_plain(text) in cell for cell in cells) for text in ran if text)


def _from_colab() -> dict[str, Any] | None:
    """The notebook of the open page; None if it does not answer."""
    try:
        message = importlib.import_module(f"{COLAB}._message")
        answer = message.blocking_request("get_ipynb", request="", timeout_sec=_ASK_COLAB_SECONDS)
        return _checked(answer["ipynb"])
    except Exception:  # a private interface of Colab's: whatever it raises, there is another way
        return None


def _told(namespace: dict[str, Any]) -> Path | None:
    """What the server or the editor says that the file is, if it is there."""
    for told in (namespace.get(_VS_CODE), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            for path in (Path(told), Path.cwd() / Path(told).name):
                if path.is_file():
                    return path
    return None


def _looked_for(call: str) -> Path:
    """The one notebook in the working folder that holds a call."""
    found = []
    for path in sorted(Path.cwd().glob("*.ipynb")):
        try:
            if any(call in cell for cell in Saved(path.name, _read(path), path.parent).code):
                found.append(path)
        except (OSError, KitError):
            continue
    if len(found) == 1:
        return found[0]
    name = found[0].name if found else "name.ipynb"
    if found:
        why = f"Several notebooks in {Path.cwd()} could be this one: {', '.join(path.name for path in found)}."
        raise KitError(f'{why} Say which: make_submission("{name}").')
    if on_colab():
        raise KitError(
            "Colab did not hand over the notebook. Take File > Download > Download .ipynb, drag the file into the "
            f'Files pane on the left, and run make_submission("{name}") with its name.'
        )
    raise KitError(
        f"This notebook was not found in {Path.cwd()}. Save it (Ctrl+S); if it lies elsewhere, say where: "
        f'make_submission("folder/{name}").'
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise KitError(f"{path.name} is no notebook, or it is damaged: save it again, and run this again.") from error


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise ValueError("no notebook")
    return content


def _joined(source: Any) -> str:
    return "".join(source) if isinstance(source, list) else str(source)


def _definition(name: str, value: Any) -> str:
    """The text that defined a function or class in a cell; "" if that is not known."""
    for code in _codes(value):
        text = "".join(linecache.getlines(code.co_filename))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python said it when the cell ran
                body = ast.parse(text).body
            for node in body:
                if getattr(node, "name", "") == name:
                    return ast.get_source_segment(text, node) or ""
        except (SyntaxError, ValueError):
            continue
    return ""


def _codes(value: Any) -> Iterator[CodeType]:
    """Code objects of a function, or of the methods that a class itself defines."""
    members = vars(value).values() if inspect.isclass(value) else [value]
    for member in members:
        function = getattr(member, "__func__", getattr(member, "fget", member))  # static, class method; property
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _plain(text: str) -> str:
    """A text without what editors change at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines())

"""Runs a notebook of ours from top to bottom, as a student would, and shows it as a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert.exporters import HTMLExporter
from traitlets import Callable as CallableTrait
from traitlets.config import Config

from autograder.nbgrader.tools import own_tools_first
from autograder.report.files import write_whole
from autograder.runtime.errors import KitError

Step = Callable[[int, int], None]
Hear = Callable[[str], None]


def execute_notebook(
    notebook: Any, folder: Path, step: Step | None = None, timeout: int = 1800, hear: Hear | None = None
) -> Any:
    """Execute a notebook in a kernel of this Python. Only for notebooks of ours: there is no sandbox here.

    Args:
        notebook: The node; its outputs are filled in.
        folder: Working folder of the kernel.
        step: Called after each cell with its number and how many there are.
        timeout: Seconds for one cell.
        hear: Called with what a cell prints, as it comes: parts of lines, or several.

    Raises:
        KitError: A cell raised; the message ends with its error. Or the kernel does not start, or dies.
    """
    own_tools_first()
    folder.mkdir(parents=True, exist_ok=True)
    cells = len(notebook.cells)

    def done(cell: Any, cell_index: int, **_: Any) -> None:
        if step:
            step(cell_index + 1, cells)

    before = os.environ.get("PYDEVD_DISABLE_FILE_VALIDATION")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # a debugger's warning has no place in the page
    try:
        with TemporaryDirectory(prefix="fcoskit-") as sockets:
            _Client(
                notebook,
                timeout=timeout,
                startup_timeout=600,  # of a busy machine; a kernel that dies is noticed at once
                kernel_name="python3",
                config=_own_sockets(Path(sockets)),
                resources={"metadata": {"path": str(folder)}},
                on_cell_complete=done,
                hear=hear or (lambda text: None),
            ).execute()
    except CellExecutionError as error:
        raise KitError(f"The notebook does not run: {error.ename}: {error.evalue}") from error
    except (RuntimeError, DeadKernelError) as error:
        raise KitError(
            f"The notebook's kernel does not run: {error} That is not the notebook's fault. Is the machine out of "
            "memory? Does `python -m ipykernel --version` work?"
        ) from error
    finally:
        if before is None:
            os.environ.pop("PYDEVD_DISABLE_FILE_VALIDATION", None)
    return notebook


class _Client(NotebookClient):  # type: ignore[misc]
    """One that passes on what cells print before they are through."""

    hear = CallableTrait()

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """See `NotebookClient.output`."""
        if msg["msg_type"] == "stream":
            self.hear(msg["content"]["text"])
        return super().output(outs, msg, display_id, cell_index)


def _own_sockets(folder: Path) -> Config:
    """Kernel and client talk through sockets in a folder of this user's, not through ports.

    The path has to be absolute: left to itself, jupyter_client names it relative to the working folder, and kernel and
    client have two of these. It has to be short, too: a socket's path has room for some hundred characters.
    """
    return Config({"KernelManager": {"transport": "ipc", "ip": str(folder / "kernel")}})


def write_page(notebook: Any, path: Path, title: str) -> None:
    """Write an executed notebook beside itself as one HTML page, pictures and all."""
    exporter = HTMLExporter(embed_images=True, require_js_url="", jquery_url="")
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    write_whole(path.with_suffix(".ipynb"), nbformat.writes(notebook))
    write_whole(path.with_suffix(".html"), page)


def printed(notebook: Any, start: str) -> list[str]:
    """Lines that cells printed and that begin with a text."""
    texts = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    return [line for text in texts for line in text.splitlines() if line.startswith(start)]

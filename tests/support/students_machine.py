"""A machine like a student's: the released notebook and wheel in a folder, a Python with libraries and no kit.

It has no network, and pip no index. With `colab`, `google.colab` is imported before the notebook begins and cells have
the file names that they have on Colab.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.course.assignment import Assignment
from autograder.course.notebook import solved_notebook
from autograder.release.build import make_files

STAND_IN = Path(__file__).parent / "colab_stand_in"
# Run as the interpreter starts: an address elsewhere than on this machine is refused as where no network is.
OFFLINE = """\
import socket
_connect, _look_up = socket.socket.connect, socket.getaddrinfo
_HERE = ("localhost", "127.0.0.1", "::1", None)
def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _HERE:
        raise OSError("there is no network here")
    return _connect(self, address)
def getaddrinfo(host, *rest, **more):
    if host not in _HERE:
        raise socket.gaierror("there is no network here")
    return _look_up(host, *rest, **more)
socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
"""
# Run by IPython as a kernel starts: what Colab calls the file of a cell.
CELL_NAMES = """\
import binascii
import ipykernel.compiler
ipykernel.compiler.get_file_name = lambda code: f"/tmp/ipython-input-{binascii.crc32(code.encode())}.py"
"""


@dataclass(frozen=True)
class Machine:
    """Where things lie.

    Attributes:
        folder: The notebook's, with the wheel beside it.
        python: The interpreter of its kernels.
        environment: Variables for whatever starts kernels: Jupyter finds the machine's own by them.
        page: What the notebook page on Colab holds.
        downloads: What the browser downloaded, a line each.
    """

    folder: Path
    python: Path
    environment: dict[str, str]
    page: Path
    downloads: Path


def make_machine(root: Path, release: Path, *, colab: bool, python: Path | None = None) -> Machine:
    """Set one up in an empty folder with the files of a release.

    Args:
        root: The folder.
        release: Of the release.
        colab: Whether it is one of Colab's.
        python: The interpreter of an environment whose libraries it sees; that of the tests if None.
    """
    made = Machine(root / "content", root / "venv" / "bin" / "python", {}, root / "page.json", root / "downloads")
    made.folder.mkdir(parents=True)
    for path in release.iterdir():
        if path.suffix in (".whl", ".ipynb"):
            (made.folder / path.name).write_bytes(path.read_bytes())
    _make_python(root / "venv", python)
    start = root / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(OFFLINE + ("import google.colab\n" if colab else ""), encoding="utf-8")
    own = {
        "PYTHONPATH": os.pathsep.join([str(start), str(STAND_IN)] if colab else [str(start)]),
        "HOME": str(root),
        "TORCH_HOME": str(root / "torch"),
        "OMP_NUM_THREADS": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_NO_INDEX": "1",
        "IPYTHONDIR": str(root / "ipython"),
        "STAND_IN_PAGE": str(made.page),
        "STAND_IN_DOWNLOADS": str(made.downloads),
    }
    if colab:
        startup = root / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "cell_names.py").write_text(CELL_NAMES, encoding="utf-8")
    command = [str(made.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python", "env": own}
    kernel = root / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    made.environment["JUPYTER_PATH"] = str(root / "jupyter")
    return made


def _make_python(folder: Path, python: Path | None) -> None:
    """A virtual environment that sees another one's libraries, but none of what is installed for development here."""
    if python is not None:
        (there,) = (python.parents[1] / "lib").glob("python*/site-packages")
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        (own,) = (folder / "lib").glob("python*/site-packages")
        (own / "libraries.pth").write_text(f"{there}\n", encoding="utf-8")
        return
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    if any((Path(path) / "ps7_helpers").exists() for path in libraries):
        pytest.skip("the kit itself lies among the libraries of this Python")
    venv.create(folder, symlinks=True, with_pip=False)
    own = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (own / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n", encoding="utf-8")


def make_release(assignment: Assignment, root: Path) -> Path:
    """The files of the release as the source gives them now."""
    make_files(assignment, root / "release", root / "work")
    return root / "release"


def filled_in(assignment: Assignment, release: Path) -> Any:
    """The released notebook with every solution written into its own cell."""
    notebook = nbformat.read(release / f"{assignment.notebook}.ipynb", as_version=4)
    for cell, solution in zip(notebook.cells, solved_notebook(assignment).cells, strict=True):
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = solution.source
        assert cell.source == solution.source
    return notebook

"""Commands such as `nbgrader autograde`, run by a process that has imported what they need: 3 CPU seconds less each.

Started as `python -m tests.support.warm_commands MODULE ...`, it imports the modules and forks a child for each
command that it reads. The child is what `python -m nbgrader ...` would be: its own arguments, folder and environment,
its output and exit code.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_NBGRADER = ("nbgrader.apps.nbgraderapp", "autograder.nbgrader.plugin")


def nbgrader(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real nbgrader in a course folder."""
    return _server(_NBGRADER).run("nbgrader", arguments, folder)


class Server:
    """The process that commands are forked from.

    Args:
        modules: What it imports.
    """

    def __init__(self, modules: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", __name__, *modules]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
        )

    def run(self, module: str, arguments: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
        """What `python -m module arguments` comes to in a folder."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.TemporaryDirectory() as name:
            out, err = Path(name, "out"), Path(name, "err")
            told = {"module": module, "arguments": arguments, "folder": str(folder), "environment": dict(os.environ)}
            print(json.dumps(told | {"out": str(out), "err": str(err)}), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
            assert answer, "the process that commands are forked from has ended"
            texts = [path.read_text(encoding="utf-8") for path in (out, err)]
        return subprocess.CompletedProcess([module, *arguments], int(answer), *texts)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@functools.cache
def _server(modules: tuple[str, ...]) -> Server:
    """One for all tests of this process."""
    made = Server(modules)
    atexit.register(made.close)
    return made


def _serve() -> None:
    """Fork a child for each line that comes, and answer with its exit code; returns in a child alone, or at the end."""
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(told)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(told: dict[str, Any]) -> None:
    """The rest of a child's life: it ends as Python ends, by what the module raises or at the end of this file."""
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    places = (os.devnull, os.O_RDONLY), (told["out"], os.O_WRONLY | os.O_CREAT), (told["err"], os.O_WRONLY | os.O_CREAT)
    for number, place in enumerate(places):
        os.dup2(os.open(*place), number)
    sys.path[0] = told["folder"]  # as `python -m` has it
    sys.argv = [told["module"], *told["arguments"]]
    runpy.run_module(told["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    from autograder.course import jupyter  # noqa: F401 (before anything else imports nbformat)

    for each in sys.argv[1:]:
        __import__(each)
    _serve()

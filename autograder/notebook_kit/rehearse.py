"""Reads a saved notebook as grading will, in this process, which is started for it: `python -m ... FOLDER`.

Nothing outside the folder may be written: the notebook runs a second time on its author's own machine, and what it
saved the first time, a trained network say, must not be overwritten by what it saves here.

The answer, JSON in the folder's `answer.json`: for each exercise whether all public checks pass, and if not what the
first says that does not; and the names that no statement of the notebook binds.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ANSWER, NOTEBOOK = "answer.json", "saved.ipynb"
_NOBODY = 65534
# Events of `sys.addaudithook` that change a file, by the position of the paths in their arguments.
_CHANGES = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
    "shutil.copyfile": (1,),
    "shutil.copytree": (1,),
}
# And those that reach further: a grader has no network, and what a cell would install is installed already.
_REFUSED = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}


def main(folder: Path) -> None:
    """Rehearse what lies in a folder, which is this process's to write to: the notebook, and `request.json`."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    os.chdir(folder)
    _write_nowhere_else(folder, Path(request["suites"]))
    (folder / ANSWER).write_text(json.dumps(_rehearsed(request, folder)), encoding="utf-8")


def _rehearsed(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    import torch

    from autograder.notebook_kit.handout import Handout
    from autograder.parsing.cells import parse_cell, sources_of
    from autograder.parsing.slicing import make_slice
    from autograder.parsing.statements import statements_of
    from autograder.runtime.offline_weights import answer_weight_downloads
    from autograder.runtime.whole_notebook import run_notebook

    torch.set_num_threads(1)  # a forked process would wait for ever for threads that it does not have
    answer_weight_downloads()
    given = Handout.from_json(request["handout"], Path(request["suites"]), Path(request["reference"]))
    sources = sources_of((folder / NOTEBOOK).read_bytes(), ".ipynb")
    cells = [parse_cell(number, source) for number, source in enumerate(sources, start=1)]
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    still = given.suites / "public" / "standing_still.py"
    whole = {
        "cells": [[number, source] for number, source in enumerate(sources, start=1)],
        "given": given.globals,
        "wanted": list(given.names),
        "still": still.read_text(encoding="utf-8") if still.is_file() else "",
        "packages": list(given.packages),
        "run_seconds": given.notebook_seconds,
        "cell_seconds": given.cell_seconds,
    }
    with _quiet():
        run_notebook(whole, module)
        from autograder.notebook_kit import run_public  # noqa: F401 (once, and not in each of the processes below)
    found: dict[str, Any] = {}
    for exercise in request["exercises"]:
        names, not_run = given.tasks[exercise].names, frozenset(given.not_run)
        piece = make_slice(cells, names, not_run, given.globals, given.names)  # as grading cuts it
        alone = functools.partial(_alone, piece.to_json(given.globals))
        found[exercise] = _in_a_fork(functools.partial(_best, given, exercise, [lambda: vars(module), alone]))
    bound = {name for cell in cells for statement in statements_of(cell) for name in statement.binds}
    return {"exercises": found, "bound": sorted(bound)}


def _alone(slice_: dict[str, Any]) -> dict[str, Any]:
    """What an exercise's definitions alone give."""
    from autograder.runtime.loading import load

    module = types.ModuleType("__main__")
    load(slice_, module)
    return vars(module)


def _best(given: Any, exercise: str, readings: list[Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """What the public checks say of the first reading that passes them all; else of the first one."""
    from autograder.notebook_kit.run_public import run_public

    told: list[dict[str, Any]] = []
    for reading in readings:
        with _quiet():
            canned = list(given.tasks[exercise].canned)
            results = run_public(exercise, reading(), canned, given.suites, given.reference)
        failed = [result for result in results if result.status != "passed"]
        if not failed:
            return {"passed": True, "said": ""}
        told.append({"passed": False, "said": failed[0].message or failed[0].sentence})
    return told[0]


def _in_a_fork(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An answer from a process of its own, where there can be one: exercises do not meet."""
    if sys.platform != "linux":
        return ask()
    import torch

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            torch.set_num_threads(1)  # its pool of threads is made anew, before two of a student's come to it at once
            os.write(write, json.dumps(ask()).encode()[:60_000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return dict(json.loads(said)) if said else {"passed": False, "said": "Your code's process ended."}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _write_nowhere_else(folder: Path, suites: Path) -> None:
    """Refuse to change any file outside of the folder, from here on.

    Root becomes nobody, whom the machine itself keeps from it; Python's own audit sees to the rest. Libraries that
    write by themselves, as torch does, are asked for their path first.
    """
    import torch

    home = folder.resolve()
    needed = (Path(os.__file__), Path(torch.__file__), Path(__file__), suites)
    if hasattr(os, "geteuid") and os.geteuid() == 0 and _all_may_read(*needed):
        for path in [home, *home.rglob("*")]:
            os.chown(path, _NOBODY, _NOBODY)
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)

    def refuse(path: Any) -> None:
        if isinstance(path, (str, bytes, os.PathLike)):
            place = Path(os.fsdecode(path)).resolve()
            if not place.is_relative_to(home) and place != Path(os.devnull):
                raise PermissionError(13, "The notebook is being rehearsed: nothing outside is written", str(place))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else "r" not in (mode or "r")
            if writes and not isinstance(path, int):
                refuse(path)
        elif event in _REFUSED:
            raise PermissionError(13, "The notebook is being rehearsed: nothing outside is reached", event)
        elif event in _CHANGES:
            for position in _CHANGES[event]:
                refuse(arguments[position])

    sys.addaudithook(watch)
    _ask_first(refuse)


def _all_may_read(*places: Path) -> bool:
    """Whether nobody in particular may come to these places: a Python below a closed home is root's alone."""
    return all(part.stat().st_mode & 0o001 for place in places for part in place.resolve().parents)


def _ask_first(refuse: Callable[[Any], None]) -> None:
    import safetensors.torch
    import torch

    for module, name, position in ((torch, "save", 1), (safetensors.torch, "save_file", 1)):
        own = getattr(module, name)

        def asked(*args: Any, _own: Any = own, _position: int = position, **kwargs: Any) -> Any:
            for path in [*args[_position : _position + 1], kwargs.get("f"), kwargs.get("filename")]:
                refuse(path)
            return _own(*args, **kwargs)

        setattr(module, name, asked)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

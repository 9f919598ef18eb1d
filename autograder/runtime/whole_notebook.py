"""Runs a notebook whole, from top to bottom, as a student would: the second reading, which guesses nothing.

Errors are passed over, as by somebody who runs cell after cell; a cell that computes for long is cut off, and what
it had bound by then stays. The course's slow names stand still.
"""

from __future__ import annotations

import builtins
import contextlib
import getpass
import os
import re
import signal
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

from autograder.runtime.absent import MOST_STUBS, AbsentFinder, missing_module
from autograder.runtime.errors import Place, StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.loading import bind_given, wants_a_gpu
from autograder.runtime.notebook_shell import NotebookShell
from autograder.runtime.workbench import Workbench

_SOON = 1.0  # seconds: what a cell gets at the least, and how soon it is asked again to stop


class CellCut(BaseException):
    """A cell has computed for long enough."""


def run_notebook(request: dict[str, Any], module: types.ModuleType) -> tuple[Workbench, list[str]]:
    """Run every cell in a fresh module.

    Args:
        request: "cells", each `[number, source]`; "given" and "wanted" as for `loading.load`; "still", the source of a
            module whose public names take the place of slow ones of the same name in "packages"; "run_seconds", CPU
            time for all cells; "cell_seconds", for one.
        module: Its namespace is where the student's names will live.

    Returns:
        The workbench over the namespace, and a line for each cell that stopped and for what did nothing here.
    """
    module.__dict__["__builtins__"] = builtins
    sys.path.insert(0, "")  # as in any notebook: what a cell has written is there to be imported
    stand_still(request["still"], request["packages"])
    shell = NotebookShell(module)
    runner = _Runner(shell, request["run_seconds"], request["cell_seconds"])
    stopped: dict[int, StudentError] = {}
    for number, source in request["cells"]:
        with nobody_there():
            error = runner.run(number, source)
        if error is not None:
            stopped[number] = explain(error) if not isinstance(error, CellCut) else _cut(number, runner.last_seconds)
        bind_given(module.__dict__, request["given"])
    namespace = module.__dict__
    broken: dict[str, StudentError] = {}
    for name in request["wanted"]:
        if name not in namespace:
            at = [n for n, source in request["cells"] if n in stopped and _defines(source, name)]
            broken |= {name: stopped[at[-1]]} if at else {}
    lines = [f"The notebook imports {name}, which is not here." for name in sorted(runner.absent.packages)]
    lines += [f"Code cell {number} stopped: {error.message}" for number, error in stopped.items()]
    lines += [f"Code cell {n} goes on below what needs a GPU: {error.message}" for n, error in shell.wanted_gpu]
    lines += [f"Code cell {number}: {text}." for number, text in shell.unused]
    lines += [f"Code cell {number}: `{text}` does nothing here." for number, text in shell.skipped]
    told = list(dict.fromkeys(lines))  # a cell may run more than once
    wants_gpu = wants_a_gpu([*stopped.values(), *(error for _, error in shell.wanted_gpu)])
    return Workbench(namespace, broken=broken, wants_gpu=wants_gpu), told


class _Runner:
    """Runs cells, each within its time.

    A cell gets at most half of what is left for all of them: then there is always something left for the next.

    Attributes:
        last_seconds: What the last cell was allowed.
        absent: Stands for packages that are not here.
    """

    def __init__(self, shell: NotebookShell, run_seconds: float, cell_seconds: float) -> None:
        self._shell, self._left, self._most = shell, run_seconds, cell_seconds
        self.last_seconds = 0.0
        self.absent = AbsentFinder()

    def run(self, number: int, source: str) -> BaseException | None:
        """Run a cell; once more for each package that it imports in vain, which is then stood for.

        An import that the notebook itself catches is none in vain: it does then what its author wanted.
        """
        for _ in range(MOST_STUBS):
            error = self._once(number, source)
            absent = missing_module(error)
            if not absent:
                break
            self.absent.stand_for(absent)
        return error

    def _once(self, number: int, source: str) -> BaseException | None:
        before = time.process_time()
        self.last_seconds = max(_SOON, min(self._most, self._left / 2))
        error: BaseException | None
        try:
            with cut_off_after(self.last_seconds):
                error = self._shell.run(number, source)
        except BaseException as cut:  # it came between two of the shell's own lines
            error = cut
        self._left -= time.process_time() - before
        return error


@contextlib.contextmanager
def cut_off_after(seconds: float) -> Iterator[None]:
    """Raise `CellCut` in whatever runs here after so much CPU time, or four times as long by the clock.

    It is raised again and again: code that catches everything is met once more a second later.
    """
    if not hasattr(signal, "setitimer"):  # Windows, where a student rehearses: the whole has a limit there
        yield
        return

    def cut(*_: Any) -> None:
        raise CellCut

    timers = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, 4 * seconds)}
    before = {number: signal.signal(number, cut) for number, _ in timers.values()}
    try:
        for timer, (_, after) in timers.items():
            signal.setitimer(timer, after, _SOON)
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def nobody_there() -> Iterator[None]:
    """As long as it is open, questions get an empty answer, and a process that ends itself to restart does not."""
    own = os.getpid()

    def leave(code: int) -> None:
        if os.getpid() != own:  # a process of the notebook's own, a loader's worker, say
            before[os, "_exit"](code)
        raise SystemExit

    def kill(process: int, number: int) -> None:
        if process != own:
            before[os, "kill"](process, number)

    def answer(*_: Any, **__: Any) -> str:
        return ""

    put: dict[tuple[Any, str], Any] = {
        (os, "_exit"): leave,
        (os, "kill"): kill,
        (builtins, "input"): answer,
        (getpass, "getpass"): answer,
    }
    before = {(module, name): getattr(module, name) for module, name in put}
    for (module, name), function in put.items():
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)


def stand_still(code: str, packages: list[str]) -> None:
    """Put the public names of a module in place of those of the same name in some packages, in this process.

    `autograder.check` stands still anyway: nothing is checked or handed in within a notebook that is being graded.

    Args:
        code: The module's source; "" for none.
        packages: Top packages, imported already or not.
    """
    _still_check()
    if not code:
        return
    still = types.ModuleType("standing_still")
    sys.modules[still.__name__] = still
    exec(compile(code, "<standing still>", "exec"), still.__dict__)  # noqa: S102
    own = {n: v for n, v in vars(still).items() if getattr(v, "__module__", "") == still.__name__}
    for name in list(sys.modules):
        if name.partition(".")[0] in packages:
            known = vars(sys.modules[name])
            known.update({n: v for n, v in own.items() if n in known})


def _still_check() -> None:
    import autograder

    module = types.ModuleType("autograder.check")
    for name in ("check", "make_submission"):
        setattr(module, name, lambda *_, **__: None)
    sys.modules[module.__name__] = module
    autograder.check = module  # type: ignore[attr-defined]


def _defines(source: str, name: str) -> bool:
    return re.search(rf"\b(?:def|class)\s+{re.escape(name)}\b|\b{re.escape(name)}\s*=[^=]", source) is not None


def _cut(number: int, seconds: float) -> StudentError:
    message = f"Code cell {number} was cut off after {seconds:g} s of computing, as grading reads the notebook."
    return StudentError("timeout", message, kind="Timeout", place=Place(number, 1, ""), public_text=message)

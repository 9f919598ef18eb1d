"""An IPython shell that runs a notebook's cells as Colab does, where nobody watches and nothing can be installed.

Real magics are real. Of shell lines what they do to files is done (`shell_files.py`); what a grader cannot do (the rest
of them, installing, other languages) does nothing and is noted; an unknown cell magic runs its body as Python. A
statement that stops only because there is no GPU costs itself: on Colab the rest of its cell runs. Tracebacks show the
student's own cells and lines, whichever magic a line was run by.
"""

from __future__ import annotations

import ast
import dis
import linecache
import types
import warnings
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

from autograder.runtime.absent import AbsentError
from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.shell_files import KEPT_UNDER, run_shell, shell_output
from autograder.runtime.workbench_gpu import needs_a_gpu

# They install, show or start something that is not here, or wait for somebody.
_IDLE_LINES = {"pip", "conda", "mamba", "micromamba", "uv", "matplotlib", "gui", "tensorboard", "debug", "pdb"}
_IDLE_LINES |= {"system", "sx", "notebook", "save", "history", "hist", "killbgscripts", "load", "edit", "man", "shell"}
_IDLE_CELLS = {"bash", "sh", "script", "perl", "ruby", "system", "sx", "cmd", "debug", "python2", "pypy", "shell"}
_IDLE_CELLS |= {"html", "HTML", "svg", "SVG", "latex", "markdown", "javascript", "js", "bigquery", "sql", "R", "cuda"}
_SHELLS = {"bash", "sh", "shell", "system", "sx"}
_OUTPUTS = {"bash", "sh", "script", "perl", "ruby", "python2", "pypy"}
_REFUSALS = (AssertionError, RuntimeError, Exception)  # what a notebook itself raises where it finds no GPU
_PYLAB = """import numpy, matplotlib
from matplotlib import pylab, mlab, pyplot
np, plt = numpy, pyplot
from pylab import *
from numpy import *
"""
_MOST_NOTES, _LONGEST_NOTE = 100, 120  # lines, characters
_OWN_PROCESS = {"python", "python3"}  # IPython runs their body by itself: nothing of it is left in the notebook


class _Compiler(CachingCompiler):  # type: ignore[misc]
    """Compiles under the name and the line numbers of the notebook's cell."""

    cell = 0
    raw = ""

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """The file name of a piece of code: that of the cell at hand."""
        return self._name()

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> Any:
        """Parse a piece of the cell at hand; what a magic cuts off its top keeps its line numbers."""
        tree = super().ast_parse(source, filename, symbol)
        above = self.raw.find(source.strip("\n")) if source.strip() else 0
        shift = self.raw.count("\n", 0, max(0, above)) - (len(source) - len(source.lstrip("\n")))
        return ast.increment_lineno(tree, shift) if shift > 0 else tree

    def __call__(self, source: Any, filename: str, symbol: str = "exec", *args: Any, **kwargs: Any) -> Any:
        """Compile; names such as "<timed exec>" become the cell's."""
        return super().__call__(source, self._name() if filename.startswith("<") else filename, symbol, *args, **kwargs)

    def begin(self, cell: int, raw: str) -> None:
        """What is compiled from now on belongs to this cell."""
        self.cell, self.raw = cell, raw
        lines = raw.splitlines(keepends=True)
        linecache.cache[self._name()] = (len(raw), None, lines, self._name())

    def _name(self) -> str:
        return f"<code cell {self.cell}>"


class NotebookShell(InteractiveShell):  # type: ignore[misc]
    """The shell.

    Attributes:
        skipped: What did nothing here, as (cell, text): shell lines, magics that are unknown or idle.
        unused: Statements that use a package which is not here, as (cell, sentence).
        wanted_gpu: What stopped for want of a GPU, as (cell, error).
    """

    compiler_class = _Compiler
    compile: _Compiler

    def __init__(self, module: types.ModuleType) -> None:
        self.skipped: list[tuple[int, str]] = []
        self.unused: list[tuple[int, str]] = []
        self.wanted_gpu: list[tuple[int, StudentError]] = []
        self._not_bound: set[str] = set()  # names that statements which stopped so would have bound
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "NoColor"
        config.InteractiveShell.autocall = 0
        super().__init__(config=config, user_module=module)
        self.events.callbacks = {name: [] for name in self.events.callbacks}
        InteractiveShell._instance = NotebookShell._instance = self  # what `get_ipython()` gives in any module

    def run(self, number: int, source: str) -> BaseException | None:
        """Run one cell.

        Args:
            number: Counting code cells from 1.
            source: As the notebook has it.

        Returns:
            What stopped it, if anything did.
        """
        self.compile.begin(number, source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = self.run_cell(source, store_history=False)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        return error

    # What IPython calls.

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run a line magic; one that is not known, or cannot work here, does nothing."""
        if magic_name in _IDLE_LINES or self.find_line_magic(magic_name) is None:
            return self._skip(f"%{magic_name} {line}")
        if magic_name == "pylab":  # but for the window that it would open
            return self.run_cell(_PYLAB, store_history=False).result
        if magic_name in ("load_ext", "reload_ext"):
            return self._load_extension(magic_name, line)
        return super().run_line_magic(magic_name, line, _stack_depth + 1)

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run a cell magic; one that is not known runs its body, other languages do nothing."""
        if magic_name in _IDLE_CELLS:
            if magic_name in _OUTPUTS:  # names that the output is kept under
                self.user_ns.update(dict.fromkeys(KEPT_UNDER.findall(line), ""))
            is_done = magic_name in _SHELLS and not run_shell(cell)
            return None if is_done else self._skip(f"%%{magic_name} {line}")
        known = self.find_cell_magic(magic_name) is not None
        if not known:
            self._skip(f"%%{magic_name} {line}")
        if not known or magic_name in _OWN_PROCESS:
            inner = self.run_cell(cell, store_history=False)
            inner.raise_error()
            return inner.result
        return super().run_cell_magic(magic_name, line, cell)

    def system(self, cmd: str) -> None:
        """A shell line: does what it does to files, and nothing else."""
        if run_shell(self.var_expand(cmd, depth=1)):
            self._skip(f"!{cmd}")
        self.user_ns["_exit_code"] = 0

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """A shell line whose output is wanted: that of few is known here, and others give an empty line."""
        said = shell_output(self.var_expand(cmd, depth=depth + 1))
        if said is None:
            self._skip(f"!{cmd}")
            said = [""]
        return SList(said) if split else "\n".join(said)

    async def run_code(self, code_obj: Any, result: Any = None, *, async_: bool = False) -> bool:
        """Run a statement of a cell; one that uses a package, or a GPU, which is not here costs itself alone."""
        stopped = bool(await super().run_code(code_obj, result, async_=async_))
        error = result.error_in_exec if stopped and result is not None else None
        if isinstance(error, AbsentError):
            if len(self.unused) < _MOST_NOTES:
                self.unused.append((self.compile.cell, str(error)[:_LONGEST_NOTE]))
        elif not isinstance(error, Exception) or not self._for_want_of_a_gpu(code_obj, error):
            return stopped
        result.error_in_exec = None
        return False

    def _for_want_of_a_gpu(self, code: Any, error: Exception) -> bool:
        """Whether a statement stopped because there is no GPU: torch said so, or it asked for one itself."""
        told = explain(error)
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code is not code:
            frames = frames.tb_next
        own = type(error) in _REFUSALS and frames is not None and frames.tb_next is None
        own = own and "cuda" in getattr(code, "co_names", ())
        follows = type(error) is NameError and isinstance(error.name, str) and error.name in self._not_bound
        if not own and not follows and not needs_a_gpu(told):
            return False
        self._not_bound |= {i.argval for i in dis.get_instructions(code) if i.opname.startswith("STORE_")}
        if len(self.wanted_gpu) < _MOST_NOTES:
            self.wanted_gpu.append((self.compile.cell, told))
        return True

    def showtraceback(self, *_: Any, **__: Any) -> None:
        """Errors are returned by `run`; nobody reads them here."""

    showsyntaxerror = showindentationerror = showtraceback

    def enable_gui(self, gui: Any = None) -> None:
        """There is no window to show anything in."""

    def init_virtualenv(self) -> None:
        """Nothing more is to be found."""

    def ask_exit(self) -> None:
        """`exit` in a cell ends nothing."""

    def _load_extension(self, magic_name: str, line: str) -> Any:
        try:
            return super().run_line_magic(magic_name, line)
        except Exception:  # it is not installed, or wants a kernel
            return self._skip(f"%{magic_name} {line}")

    def _skip(self, text: str) -> None:
        if len(self.skipped) < _MOST_NOTES:
            self.skipped.append((self.compile.cell, text.strip()[:_LONGEST_NOTE]))

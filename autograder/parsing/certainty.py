"""Whether a slice surely gives what the whole notebook would give, run from top to bottom.

A slice leaves things out by what their text says. Here is asked, of everything that was left out, whether it could
matter to the names asked for; in doubt there is a doubt. What the released notebook has word for word does nothing that
could matter, so that most notebooks are certain. What single statements do is judged in `inert.py`.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator

from autograder.parsing.cells import Cell
from autograder.parsing.inert import CALLS, ODD, shown
from autograder.parsing.installed import installed, named_packages
from autograder.parsing.leaning import Cut, alike_is_changeable, leads_to, normal, remembers
from autograder.parsing.magics import name_of
from autograder.parsing.newer_python import lacking
from autograder.parsing.statements import STAR, Statement, statements_of
from autograder.runtime.shell_files import KEPT_UNDER

# Line and cell magics that cannot change what a notebook defines, in small letters.
_HARMLESS_MAGICS = {
    *("time", "timeit", "capture", "prun", "memit", "matplotlib", "config", "load_ext", "reload_ext", "autoreload"),
    *("pip", "conda", "mamba", "uv", "cd", "pwd", "ls", "ll", "mkdir", "precision", "who", "whos", "who_ls", "history"),
    *("hist", "debug", "pdb", "xmode", "tb", "system", "sx", "pinfo", "pinfo2", "psource", "pdoc", "lsmagic", "bash"),
    *("sh", "shell", "html", "svg", "latex", "markdown", "javascript", "js", "bigquery", "r", "sql", "tensorboard"),
    *("warnings", "colors", "logstart", "logstop", "quickref", "watermark", "nvprof", "cat", "head", "less", "more"),
}
# Words by which code reaches what its text does not name, or changes how everything after it runs.
_RISKY = {
    *("get_ipython", "importlib", "__import__", "runpy", "__builtins__", "builtins", "__subclasses__", "metaclass"),
    *("__init_subclass__", "__set_name__", "set_default_dtype", "set_default_device", "set_default_tensor_type"),
    *("set_grad_enabled", "_getframe", "currentframe", "__torch_function__", "__torch_dispatch__"),
    *("settrace", "setprofile", "reload", "atexit", "set_detect_anomaly", "set_flush_denormal", "meta_path"),
    *(
        "register_cell_magic",
        "register_line_magic",
        "magics_class",
        "environ",
        "putenv",
        "getenv",
        "chdir",
        "__class__",
    ),
}
_REACHES = re.compile(r"\bsys\.(?:path|modules)\b|\btype\(self\)\.")
_READERS = {"open", "input", "display", "load", "read", "read_text", "read_bytes", "read_csv", "read_json"}
_READS = re.compile(
    r"(?<![\w.])(?:open|input|display)\s*\(|\.(?:load|read|read_text|read_bytes|read_csv|read_json)\s*\("
)
_QUIET_PACKAGES = {"matplotlib", "pylab", "seaborn", "warnings", "pandas", "PIL", "IPython", "logging", "plotly"}
_WORD = re.compile(r"\b[^\W\d]\w*")
_BUILT_IN = frozenset(dir(builtins))


def texts_of(cells: Iterable[Cell]) -> frozenset[str]:
    """The statements of a notebook as texts, to know them by in another one."""
    return frozenset(normal(statement.source) for cell in cells for statement in statements_of(cell))


def doubt_of(cut: Cut) -> str:
    """The first reason why a slice might not give what the whole notebook would; "" if it surely does."""
    return next(_doubts(cut), "")


def _doubts(cut: Cut) -> Iterator[str]:
    own = _own(cut)
    key = ("notebook", cut.released)
    if (told := cut.notebook.told.get(key)) is None:
        told = cut.notebook.told[key] = next(_of_the_notebook(cut, own), "")
    if told:
        yield told
    if _as_given(cut, own):
        return
    for name in cut.lost:
        yield f"`{name}` comes from a statement that grading does not run"
    for name in cut.absent:
        yield f"nothing that grading runs defines `{name}`"
    yield from _of_unread_cells(cut)
    yield from _of_deleted_names(cut)
    for reason in (_why, _why_by_own_code):
        for index in own:
            statement = cut.notebook.statements[index]
            if why := reason(cut, index, statement):
                yield f"code cell {statement.cell} {why}"


def _own(cut: Cut) -> list[int]:
    """Indices of the statements that are the student's own, not the released notebook's."""
    key = ("own", cut.released)
    if key not in cut.notebook.told:
        statements = enumerate(cut.notebook.statements)
        cut.notebook.told[key] = [i for i, s in statements if normal(s.source) not in cut.released]
    own: list[int] = cut.notebook.told[key]
    return own


def _of_the_notebook(cut: Cut, own: list[int]) -> Iterator[str]:
    """Doubts that concern every name of a notebook."""
    for cell in cut.cells:
        for magic in cell.dropped:
            if not _is_harmless(magic):
                yield f"code cell {cell.number} has `{magic[:60]}`, which grading did not run"
        if cell.binds_nothing:
            yield f"code cell {cell.number} is timed: what it does to objects, grading did not do"
        if cell.needs:
            yield f"code cell {cell.number} needs Python {cell.needs} or newer"
    packages = named_packages(cut.released)
    for index in own:
        statement = cut.notebook.statements[index]
        where = f"code cell {statement.cell}"
        if statement.package and not installed(statement.package, packages):
            yield f"{where} imports `{statement.package}`, which is not installed here"
        if what := lacking(statement.source, _words(cut, index)):
            yield f"{where} uses {what}"
        if statement.dynamic or statement.by_text:
            yield f"{where} reaches names by their text"
        if not statement.package and (risky := _risky(cut, index)):
            yield f"{where} uses `{risky}`"
        if statement.hooks:
            yield f"{where} has a say in how classes are made"
        if index in cut.notebook.partial:
            yield f"{where} has a block of which grading ran a part"
        for name in statement.patches & cut.notebook.imported:
            if cut.notebook.packages[name] not in _QUIET_PACKAGES and "torch.backends." not in statement.source:
                yield f"{where} changes something in `{name}`"


def _risky(cut: Cut, index: int) -> str:
    """A word of a statement by which it does more than its text says; an import of such a module does nothing yet."""
    words = _words(cut, index) & _RISKY
    if words:
        return min(words)
    found = _REACHES.search(cut.notebook.statements[index].source) if _words(cut, index) & {"sys", "type"} else None
    return found[0] if found else ""


def _words(cut: Cut, index: int) -> set[str]:
    """The words of a statement."""
    key = ("words", index)
    if key not in cut.notebook.told:
        cut.notebook.told[key] = set(_WORD.findall(cut.notebook.statements[index].source))
    words: set[str] = cut.notebook.told[key]
    return words


def _is_harmless(magic: str) -> bool:
    """Whether a line that was taken out of a cell cannot change what the notebook defines."""
    line = magic.strip()
    if line.startswith(("!", "?")) or line.endswith("?"):
        return True
    if line.startswith("%"):
        return name_of(line) in _HARMLESS_MAGICS
    return re.match(r"[\w, ]+=\s*!", line) is not None  # what binds is asked for by name elsewhere


def _as_given(cut: Cut, own: list[int]) -> bool:
    """Whether the wanted names are as the release gives them, and nothing that a student wrote mentions them."""
    wanted = set(cut.wanted)
    if cut.absent and not cut.released:
        return False
    if any(wanted & _words(cut, index) for index in own):
        return False
    return not any(cell.problem and wanted & set(_WORD.findall(cell.source)) for cell in cut.cells)


def _of_unread_cells(cut: Cut) -> Iterator[str]:
    for cell in cut.cells:
        named = cut.names & set(_WORD.findall(cell.source)) if cell.problem else set()
        if named and (_BUILT_IN & named):
            named -= _BUILT_IN - {name for s in cut.notebook.statements for name in s.binds} - set(cut.wanted)
        if named:  # IPython may read a cell that Python cannot, and bind there what no other cell does
            yield f"Python cannot read code cell {cell.number}, which mentions `{min(named)}`"
        for line in cell.dropped:
            bound = KEPT_UNDER.findall(line) if line.startswith("%%") else _WORD.findall(line.partition("=")[0])
            if cut.names & set(bound) and (line.startswith("%%") or ("=" in line and not line.startswith(("%", "!")))):
                yield f"code cell {cell.number} has `{line[:60]}`, which grading did not run"


def _of_deleted_names(cut: Cut) -> Iterator[str]:
    """A slice never deletes: what tidies up after a demo must cost nothing. Code may ask whether a name is there."""
    if "deleted" not in cut.notebook.told:
        cut.notebook.told["deleted"] = [
            (cell.number, name)
            for cell in cut.cells
            if "del " in cell.source
            for node in ast.walk(cell.tree)
            if isinstance(node, ast.Delete)
            for name in _targets(node)
        ]
    for number, name in cut.notebook.told["deleted"]:
        if name in cut.names:
            yield f"code cell {number} deletes `{name}`"


def _targets(node: ast.Delete) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _why(cut: Cut, index: int, statement: Statement) -> str:
    """Why one of the student's statements leaves a doubt; "" if it does not."""
    if named := (statement.sets - cut.notebook.imported) & cut.names:
        return f"has a function that changes `{min(named)}`"
    if statement.binds & cut.given & cut.names:
        return f"binds `{min(statement.binds & cut.given)}`, which grading binds itself"
    if index in cut.kept:
        key = ("reads", index)
        if key not in cut.notebook.told:
            found = _READS.search(statement.source) if _words(cut, index) & _READERS else None
            cut.notebook.told[key] = f"uses `{found[0].strip('.( ')}`" if found else ""
        return str(cut.notebook.told[key])
    if STAR in statement.binds:
        return "has a star import, which grading left out"
    if statement.package:
        return ""
    odd = {name for name in statement.reaches if name.startswith(ODD) and name[1:] not in cut.notebook.imported}
    near = odd | {name for name in statement.reaches if alike_is_changeable(cut, name)}
    near |= {name for name in statement.reaches if name.startswith(CALLS) and remembers(cut, name.removeprefix(CALLS))}
    return shown(statement.source, near) if near else ""


def _why_by_own_code(cut: Cut, index: int, statement: Statement) -> str:
    """The same of what is done without a word of it: by an operator, a loop, a `print`."""
    name = "" if index in cut.kept or statement.package else leads_to(cut, statement)
    return f"has a statement that leads to `{name}`, which grading did not run" if name else ""

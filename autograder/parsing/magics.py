"""The Python in a cell: what IPython alone understands goes, every other line stays where it is.

`%time x = f()` and what stands below a cell magic stay, unless the magic is of another language; `!pip ...`,
`%matplotlib` and `files = !ls` go.
"""

from __future__ import annotations

import ast
import re

from autograder.parsing.exported_script import restored

# Cell magics below which no Python of this notebook's stands, in small letters.
_OTHER_LANGUAGES = {
    *("bash", "sh", "shell", "script", "cmd", "powershell", "system", "sx", "!", "html", "svg", "latex", "markdown"),
    *("javascript", "js", "typescript", "css", "perl", "ruby", "r", "julia", "cpp", "c", "cuda", "cu", "java", "go"),
    *("writefile", "file", "writetemplate", "sql", "bigquery", "bq", "spark", "dot", "mermaid", "cython_inline"),
    *("python2", "pypy", "octave", "fortran", "rust"),
}
# Below these what is defined is gone afterwards: timed in a function of its own, or run by another Python.
_BINDS_NOTHING = {"timeit", "python", "python3", "memit"}
_TIMED = {"time", "prun", "snakeviz", "lprun", "mprun", "pyinstrument", "scalene"}
# Magics that IPython knows without their mark, where they are all of a cell.
_AUTOMAGIC = {
    *("autoreload", "cat", "cd", "clear", "colors", "conda", "config", "cp", "env", "hist", "history", "ldir", "less"),
    *("lf", "lk", "ll", "load", "load_ext", "ls", "lsmagic", "lx", "mamba", "man", "matplotlib", "mkdir", "more", "mv"),
    *("pdb", "pip", "popd", "precision", "pushd", "pwd", "pylab", "quickref", "reload_ext", "reset", "rm", "rmdir"),
    *("run", "set_env", "store", "tb", "time", "timeit", "unload_ext", "uv", "who", "who_ls", "whos", "xmode"),
}
_MARKS = ("!", "%", "?", ";", ",", "/", ">>>", "In [")
Read = tuple[str, ast.Module, bool, tuple[str, ...]]


def python_in(source: str) -> Read:
    """The Python of a cell, its tree, whether it binds nothing (`%%timeit`), and the lines that were taken out.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: Python, or IPython itself, cannot read the cell.
    """
    text, magics = _without_cell_magics(source)
    names = [name_of(magic) for magic in magics]
    if any(not name or name in _OTHER_LANGUAGES for name in names):
        return "\n" * source.count("\n"), ast.Module([], []), False, magics[:1]
    binds_nothing = any(name in _BINDS_NOTHING for name in names)
    try:
        python, tree, dropped = _without_lines(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        if all(name in _KNOWN for name in names):
            raise
        return "\n" * source.count("\n"), ast.Module([], []), False, magics  # a language that we do not know
    return python, tree, binds_nothing, (*magics, *dropped)


_KNOWN = {"time", "capture", *_BINDS_NOTHING, *_TIMED}


def name_of(magic: str) -> str:
    """The name of a magic as it stands in a cell, in small letters: "time" of "%%time -q"."""
    return (magic.strip().lstrip("%").split(maxsplit=1) or [""])[0].lower()


def _without_cell_magics(source: str) -> tuple[str, tuple[str, ...]]:
    """A cell without the magics at its top, and those; there may be several: %%capture, then %%time."""
    lines = source.split("\n")
    magics = []
    for index, line in enumerate(lines):
        if line.strip().startswith("%%"):
            magics.append(line.strip())
            lines[index] = ""
        elif line.strip() and not (line.lstrip().startswith("#") and _goes_on(lines, index)):
            break
    return "\n".join(lines), tuple(magics)


def _goes_on(lines: list[str], index: int) -> bool:
    """Whether only comments stand between a line and a cell magic: some put a title above it."""
    rest = (line.strip() for line in lines[index + 1 :])
    return next((line.startswith("%%") for line in rest if line and not line.startswith("#")), False)


def _without_lines(text: str) -> tuple[str, ast.Module, list[str]]:
    if "get_ipython()." in text and (plain := restored(text)) != text:
        text, magics = _without_cell_magics(plain)
        if any(name_of(magic) in _OTHER_LANGUAGES for magic in magics):
            return "", ast.Module([], []), list(magics)
    try:
        return text, ast.parse(text), []  # plain Python: do not let IPython's transforms near it
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = _with_its_mark(text)
        if not any(mark in text for mark in _MARKS) and not text.lstrip("\n").startswith((" ", "\t")):
            raise  # what is indented as a whole IPython moves to the left
    python, dropped = _blank_ipython(text)
    return python, ast.parse(python), dropped


def _with_its_mark(text: str) -> str:
    """A cell of one line that IPython takes for a magic without being told: `pip install einops`, `cd ..`."""
    found = re.match(r"\s*(?=(\w+)(?:$|\s+[^\s=(\[]))", text)
    return f"{found[0]}%{text.strip()}" if found and found[1] in _AUTOMAGIC and "\n" not in text.strip() else text


def _blank_ipython(text: str) -> tuple[str, list[str]]:
    """Let IPython transform a text; its `get_ipython()` calls become the Python in them, or nothing."""
    from IPython.core.inputtransformer2 import TransformerManager  # it takes long to import

    body = text.lstrip("\n")  # IPython would drop blank lines at the top
    result = [""] * (len(text) - len(body))
    dropped: list[str] = []
    before = iter(body.split("\n"))
    try:
        transformed = TransformerManager().transform_cell(body)
    except RuntimeError as error:
        raise ValueError("so many shell lines and magics that IPython gives up on them") from error
    for line in transformed.split("\n"):
        old = next(before, "")
        if line == old or "get_ipython()" not in line:
            result.append(line)
            continue
        stripped = line.lstrip()
        python = _python_of(stripped)
        if python == "pass":
            dropped.append(old.strip())
        result.append(line[: len(line) - len(stripped)] + python)
        while old.rstrip().endswith("\\"):  # IPython joins a shell line that goes on
            old = next(before, "")
            result.append("")
    return "\n".join(result), dropped


def _environment(setting: str) -> str:
    """What `%env NAME=value` does; one that IPython would look a value up for, or that only shows it, does nothing."""
    found = re.match(r"(\w+)(?:\s*=\s*|\s+)([^{}$]+)$", setting.strip())
    return f"import os; os.environ[{found[1]!r}] = {found[2].strip()!r}" if found else "pass"


def _python_of(call: str) -> str:
    """The Python in IPython's `run_line_magic('time', ...)`, or `pass`; `%timeit` binds nothing."""
    magic = re.match(r"get_ipython\(\)\.run_line_magic\('(\w+)', (['\"].*['\"])\)$", call)
    if magic and magic[1] in ("env", "set_env"):
        return _environment(str(ast.literal_eval(magic[2])))
    python = str(ast.literal_eval(magic[2])) if magic and magic[1] in _TIMED else "pass"
    try:
        ast.parse(python)
    except SyntaxError:  # options: %prun -q ...
        return "pass"
    return python or "pass"

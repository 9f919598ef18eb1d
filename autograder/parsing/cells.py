"""Any notebook file -> code cells that Python can parse.

Reads `.ipynb` (any nbformat 4, older ones are upgraded), percent `.py` and Markdown with fenced Python.
Nothing here runs what it reads. Cell ids and metadata are never looked at: Colab does not keep them.
"""

from __future__ import annotations

import ast
import functools
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from autograder import RECORD
from autograder.parsing.colab_script import colab_sources, is_colab_script
from autograder.parsing.exported_script import exported_sources, is_exported, is_light, without_odd_head
from autograder.parsing.magics import python_in
from autograder.parsing.newer_grammar import needs_of
from autograder.parsing.slips import why_unreadable
from autograder.runtime.errors import Place, SubmissionError

SUFFIXES = (".ipynb", ".py", ".md")
_MARK = re.compile(r"^# ?(?:%%|\+)", re.MULTILINE)
_LESS = "Keep what the exercises need and hand it in again."
_FENCES = {"python", "python3", "py", "py3", "ipython", "ipython3", "{code-cell}", "{python}"}
MAX_CELLS = 3000  # code cells; the released notebook has some dozens
MAX_STATEMENTS = 5000  # outside of functions; the released notebook has some hundreds
KNOWN_LENGTH = 8192  # characters; of longer cells nothing is remembered, so that nobody fills our memory with them


@dataclass(frozen=True)
class Cell:
    """One code cell.

    Attributes:
        number: Counting code cells from 1.
        source: The Python left after magics and shell lines are blanked; line numbers are the cell's own.
        tree: Its statements; empty where `problem` is set.
        problem: Where Python could not read the cell, and why ("invalid syntax").
        binds_nothing: What it defines is gone when it has run, as below `%%timeit`.
        dropped: Magics and shell lines that were taken out, and magics around what stayed.
        needs: The Python that reads the cell where this one does not, "3.12"; "" if there is none.
    """

    number: int
    source: str
    tree: ast.Module = field(repr=False, compare=False)  # the source says it all
    problem: tuple[Place, str] | None = None
    binds_nothing: bool = False
    dropped: tuple[str, ...] = ()
    needs: str = ""


def read_notebook(data: bytes, suffix: str, code_kilobytes: int = 2048) -> list[Cell]:
    """Parse a notebook file.

    Args:
        data: The file's bytes.
        suffix: ".ipynb", ".py" or ".md"; decides how `data` is read.
        code_kilobytes: More code than this is refused.

    Raises:
        SubmissionError: It is no notebook, or holds no code; says why in one line.
    """
    return parsed(sources_of(data, suffix, code_kilobytes))


def sources_of(data: bytes, suffix: str, code_kilobytes: int = 2048) -> list[str]:
    """The code cells of a notebook file as they stand, magics and all; arguments and errors as of `read_notebook`."""
    text = _decode(data)
    if not text.strip():
        raise SubmissionError("The file is empty. Save the notebook and hand it in again.")
    readers = {".ipynb": _ipynb_sources, ".py": _script_sources, ".md": _markdown_sources}
    if suffix not in readers:
        raise SubmissionError(f'A "{suffix}" file is no notebook: hand in .ipynb, percent .py or .md.')
    sources = [source for source in readers[suffix](text) if source.strip()]
    if not sources:
        raise SubmissionError("There is no code in this notebook: not one code cell holds a line of Python.")
    size = sum(len(source) for source in sources)
    if size > code_kilobytes * 1024:
        raise SubmissionError(f"The notebook holds {size // 1024} kB of code; at most {code_kilobytes} are read.")
    if len(sources) > MAX_CELLS:
        raise SubmissionError(f"The notebook has {len(sources)} code cells; at most {MAX_CELLS} are read. {_LESS}")
    return sources


def parsed(sources: Iterable[str]) -> list[Cell]:
    """The cells of some sources, numbered from 1; those that this Python cannot read know which one could.

    Raises:
        SubmissionError: They hold more statements than are followed.
    """
    cells = [parse_cell(number, source) for number, source in enumerate(sources, start=1)]
    count = sum(_count(cell.tree.body) for cell in cells)
    if count > MAX_STATEMENTS:
        raise SubmissionError(
            f"The notebook has {count} statements outside of functions; at most {MAX_STATEMENTS} are read. {_LESS}"
        )
    unread = [cell for cell in cells if cell.problem]
    needs = dict(zip([cell.number for cell in unread], needs_of([cell.source for cell in unread]), strict=True))
    return [replace(cell, needs=needs[cell.number]) if needs.get(cell.number) else cell for cell in cells]


def _count(body: list[ast.stmt]) -> int:
    """Statements of a cell, those within its classes, `if`, `try`, `with` and loops too."""
    todo, count = list(body), 0
    while todo:
        node = todo.pop()
        count += isinstance(node, ast.stmt)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                todo += getattr(node, part, [])
    return count


def all_cells(data: bytes, suffix: str) -> list[tuple[str, str]]:
    """Every cell of a notebook file as kind and source, text included; an unreadable kind counts as "raw".

    Raises:
        SubmissionError: It is no notebook, or one of very many cells.
    """
    text = _decode(data)
    if suffix != ".ipynb":
        return [("code", cell.source) for cell in read_notebook(data, suffix)]
    cells = [cell for cell in _ipynb_cells(text) if isinstance(cell, dict)]
    if len(cells) > 2 * MAX_CELLS:
        raise SubmissionError(f"The notebook has {len(cells)} cells; at most {2 * MAX_CELLS} are read. {_LESS}")
    return [(str(cell.get("cell_type", "raw")), _joined(cell.get("source", ""))) for cell in cells]


def handed_in_with(data: bytes, suffix: str) -> str:
    """The version of the students' wheel that `make_submission()` noted in a notebook; "" where it did not.

    The student's own word: a version and nothing else, and nothing hangs on it.
    """
    try:
        noted: Any = json.loads(_decode(data)) if suffix == ".ipynb" else {}
        for key in ("metadata", RECORD, "version"):
            noted = noted.get(key) if isinstance(noted, dict) else None
    except (SubmissionError, ValueError, RecursionError):
        return ""
    return noted if isinstance(noted, str) and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}", noted) else ""


def parse_cell(number: int, source: str) -> Cell:
    """Parse one cell's source; a syntax error becomes `Cell.problem`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a student's string is not our business
            text, tree, binds_nothing, dropped = python_in(source) if len(source) > KNOWN_LENGTH else _known(source)
            return Cell(number, text, tree, None, binds_nothing, dropped)
    except SyntaxError as error:
        line = error.lineno or 1
        lines = source.split("\n")
        text = lines[min(line, len(lines)) - 1].strip()
        return Cell(
            number, source, ast.Module([], []), (Place(number, line, text[:200]), why_unreadable(source, error))
        )
    except (ValueError, RecursionError, MemoryError) as error:
        why = "nested too deeply" if isinstance(error, (RecursionError, MemoryError)) else str(error)
        return Cell(number, source, ast.Module([], []), (Place(number, 1, ""), why))


@functools.lru_cache(maxsize=128)
def _known(source: str) -> tuple[str, ast.Module, bool, tuple[str, ...]]:
    """`python_in`, remembered: most cells are given ones, which the whole class has. Nobody may change the tree."""
    return python_in(source)


def _decode(data: bytes) -> str:
    encodings = ["utf-8-sig", "utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig"]
    for encoding in reversed(encodings):
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise SubmissionError("The file is no text: a notebook is UTF-8. Was another file handed in by mistake?")


def _ipynb_sources(text: str) -> Iterator[str]:
    for cell in _ipynb_cells(text):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield _joined(cell.get("source", ""))


def _ipynb_cells(text: str) -> list[Any]:
    try:
        notebook = json.loads(text)
    except RecursionError as error:
        raise SubmissionError("The notebook's JSON is nested too deeply to be one.") from error
    except ValueError as error:
        raise SubmissionError(_no_json(text, error)) from error
    if isinstance(notebook, dict) and "worksheets" in notebook:
        notebook = _upgrade(notebook)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise SubmissionError('The file is JSON but no notebook: it has no list of "cells".')
    return cells


def _no_json(text: str, error: ValueError) -> str:
    """What is wrong with a file that is no JSON, for whoever handed it in."""
    again = "Save the notebook, download it again as .ipynb, and hand that in."
    if not text.lstrip().startswith("{"):
        what = "it is a web page" if text.lstrip().startswith("<") else "it does not begin as one does"
        return f"This file is not a notebook: {what}. {again}"
    if not isinstance(error, json.JSONDecodeError):
        return f"This notebook is damaged. {again}"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"This notebook breaks off in line {error.lineno}: a part of the file is missing. {again}"
    return f"This notebook is damaged in line {error.lineno}, column {error.colno} of the file. {again}"


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _upgrade(notebook: dict[str, Any]) -> dict[str, Any]:
    import nbformat

    try:
        return dict(nbformat.convert(nbformat.from_dict(notebook), 4))
    except Exception as error:  # nbformat raises many kinds for what is not a notebook
        raise SubmissionError("This is a notebook of an old format that cannot be read: save it again.") from error


def _script_sources(text: str) -> Iterator[str]:
    if is_colab_script(text):
        return colab_sources(text)
    return exported_sources(text) if is_exported(text) else _jupytext_sources(text)


def _jupytext_sources(text: str) -> Iterator[str]:
    import jupytext

    marks = len(_MARK.findall(text))
    if marks > 2 * MAX_CELLS:  # jupytext takes long for each
        raise SubmissionError(f"The file has {marks} marks of cells; at most {2 * MAX_CELLS} are read. {_LESS}")
    form = "py:light" if is_light(text) else "py:percent"
    try:
        notebook = jupytext.reads(without_odd_head(text), fmt=form)
    except Exception as error:  # jupytext raises many kinds for headers it cannot read
        raise SubmissionError("The .py file cannot be read as a notebook: is a cell header damaged?") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield str(cell.source)


def _markdown_sources(text: str) -> Iterator[str]:
    from markdown_it import MarkdownIt

    try:
        tokens = MarkdownIt().parse(text)
    except RecursionError as error:
        raise SubmissionError("The Markdown is nested too deeply to be a notebook.") from error
    for token in tokens:
        language = token.info.strip().split(maxsplit=1)[0].lower() if token.info.strip() else ""
        if token.type == "fence" and language in _FENCES:
            yield _without_options(token.content) if language.startswith("{") else token.content


def _without_options(text: str) -> str:
    """A cell of MyST or Quarto without its options: `:tags: [...]`, or YAML between two lines of dashes."""
    if text.startswith("---\n") and "\n---\n" in text:
        head, _, rest = text.partition("\n---\n")
        return "\n" * (head.count("\n") + 2) + rest
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if not re.match(r":[\w-]+:", line):
            break
        lines[index] = ""
    return "\n".join(lines)

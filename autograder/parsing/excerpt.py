"""The code that an exercise's feedback shows: the student's own, what was asked for first, bounded in size."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator

from autograder.checks.result import Code
from autograder.parsing.cells import Cell
from autograder.parsing.slicing import Slice
from autograder.parsing.statements import Statement

MAX_LINES = 400
MAX_CHARACTERS = 24_000
MAX_WIDTH = 400
_CUT = "# ... the rest is left out here"


def shown_code(piece: Slice, cells: list[Cell], others: frozenset[str], places: set[tuple[int, int]]) -> list[Code]:
    """Pieces of a notebook for people to read: definitions asked for, then what they lean on.

    Imports and the answers to other exercises are left out, unless it was there that something stopped.

    Args:
        piece: What was loaded.
        cells: The notebook.
        others: Names that other exercises ask for.
        places: Code cell and line of where student code stopped; they may be forged.
    """
    return _bounded(_parts(piece, cells, others, places), places)


def _parts(piece: Slice, cells: list[Cell], others: frozenset[str], places: set[tuple[int, int]]) -> Iterator[Code]:
    """The pieces in the order in which they are shown; made as they are asked for, since a page holds but a few."""
    broken = {place.cell for place, _ in piece.broken.values()}
    yield from (Code(cell.number, 1, cell.source) for cell in cells if cell.number in broken)
    wanted = set(piece.wanted)
    by_cell: dict[int, list[int]] = {}
    for cell, line in places:
        by_cell.setdefault(cell, []).append(line)
    stopped: list[Statement] = []
    rest: list[Statement] = []
    for statement in piece.statements:
        if not wanted.isdisjoint(statement.binds) or not wanted.isdisjoint(statement.patches):
            yield Code(statement.cell, statement.line, statement.source)
        elif any(_holds(statement, line) for line in by_cell.get(statement.cell, ())):
            stopped.append(statement)
        else:
            rest.append(statement)
    yield from (Code(s.cell, s.line, s.source) for s in stopped)
    yield from (Code(s.cell, s.line, s.source) for s in rest if not _aside(s, others))


def _holds(statement: Statement, line: int) -> bool:
    return 0 <= line - statement.line <= statement.source.count("\n")


def _aside(statement: Statement, others: frozenset[str]) -> bool:
    """Whether it is an import or belongs to another exercise."""
    if others & (statement.binds | statement.patches):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a student's strings, said to nobody who could mend it
            body = ast.parse(statement.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body)


def _bounded(parts: Iterable[Code], places: set[tuple[int, int]]) -> list[Code]:
    """Cut what is long: around the place where it stopped, otherwise from the beginning."""
    kept: list[Code] = []
    lines_left, left = MAX_LINES, MAX_CHARACTERS
    for part in parts:
        lines = [line if len(line) <= MAX_WIDTH else line[:MAX_WIDTH] + " ..." for line in part.source.split("\n")]
        start = 0
        if len(lines) > lines_left:
            here = [line - part.line for cell, line in places if cell == part.cell]
            inside = [index for index in here if 0 <= index < len(lines)]
            start = max(0, min(inside, default=0) - lines_left // 2)
            lines = [*lines[start : start + lines_left], _CUT]
        lines = _fitting(lines, left)
        if not lines:
            break
        kept.append(Code(part.cell, part.line + start, "\n".join(lines)))
        lines_left -= len(lines)
        left -= sum(map(len, lines)) + len(lines)
        if lines_left <= 0 or lines[-1] == _CUT:
            break
    return kept


def _fitting(lines: list[str], characters: int) -> list[str]:
    """Of some lines the first that fit, and a word where that is not all; [] where not even the first does."""
    if sum(map(len, lines)) + len(lines) <= characters:
        return lines
    left, kept = characters - len(_CUT) - 1, 0
    while kept < len(lines) and (left := left - len(lines[kept]) - 1) >= 0:
        kept += 1
    return [*lines[:kept], _CUT] if kept else []

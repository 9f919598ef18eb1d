"""The statements within an `if`, a `try` or a `with`, and such a block without some of them.

Constants and the loading of data stand in one `try`, a class and its first trial in one `if`: what defines stays.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import replace

from autograder.parsing.cells import KNOWN_LENGTH
from autograder.parsing.statements import BLOCKS, Statement, describe, segment


def inner(statement: Statement) -> list[tuple[Statement, ast.stmt]]:
    """The statements in the blocks of an `if`, `try` or `with`, each with its place in the block's own text."""
    return _known_inner(statement) if len(statement.source) <= KNOWN_LENGTH else _inner(statement)


@functools.lru_cache(maxsize=64)
def _known_inner(statement: Statement) -> list[tuple[Statement, ast.stmt]]:
    return _inner(statement)


def _inner(statement: Statement) -> list[tuple[Statement, ast.stmt]]:
    try:
        (node,) = ast.parse(statement.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines = statement.source.split("\n")
    found = []
    for part in _parts(node):
        first = min([part.lineno, *(d.lineno for d in getattr(part, "decorator_list", []))])
        text = "\n".join(lines[first - 1 : part.end_lineno])
        try:
            source = ast.unparse(part) if text.lstrip() != text or first != part.lineno else segment(lines, part)
            made = describe(statement.cell, statement.line + first - 1, source, ast.parse(source).body[0])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
        found.append((made, part))
    return found


def _parts(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*BLOCKS, ast.excepthandler, ast.match_case)):
            yield from _parts(child)
        elif isinstance(child, ast.stmt):
            yield child


def without(statement: Statement, parts: list[ast.stmt]) -> Statement | None:
    """A block without some of its statements; None where nothing of it is left."""
    tree = ast.parse(statement.source)
    places = {(part.lineno, part.col_offset) for part in parts}
    _Pruner(places).visit(tree)
    ast.fix_missing_locations(tree)
    if all(isinstance(part, ast.Pass) for part in _parts(tree.body[0])):
        return None
    lines = statement.source.split("\n")
    for part in sorted(parts, key=lambda one: (-one.lineno, -one.col_offset)):
        first = min([part.lineno, *(d.lineno for d in getattr(part, "decorator_list", []))])
        last = part.end_lineno or first
        head = lines[first - 1].encode()[: part.col_offset]  # columns count bytes
        tail = lines[last - 1].encode()[part.end_col_offset or 0 :]
        lines[first - 1 : last] = [(head + b"pass" + tail).decode(), *[""] * (last - first)]
    source = "\n".join(lines)
    try:
        made = describe(statement.cell, statement.line, source, ast.parse(source).body[0])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        source = ast.unparse(tree)  # its lines are other ones than the notebook's then
        made = describe(statement.cell, statement.line, source, tree.body[0])
    return replace(made, is_block=False)


class _Pruner(ast.NodeTransformer):
    """Puts `pass` in the place of some statements."""

    def __init__(self, places: set[tuple[int, int]]) -> None:
        self._places = places

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.stmt) and (node.lineno, node.col_offset) in self._places:
            return ast.Pass()
        return super().generic_visit(node)

"""From a notebook's cells to the slice of code to load.

From the names that an exercise asks for, follow the top-level bindings they lean on and keep just those
statements, in notebook order, so that a notebook which trained for forty minutes loads in a moment. A
statement that would train, load data or try things out is not kept; the names it would bind are listed
in `Slice.not_run`, to be replaced by something that says so when touched. What a statement does to names
is found in `statements.py`.
"""

from __future__ import annotations

import ast
import builtins
import collections
import difflib
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autograder.parsing.cells import Cell
from autograder.parsing.statements import STAR, Statement, statements_of
from autograder.runtime.errors import Place

_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "__file__"}


@dataclass(frozen=True)
class Slice:
    """What to load for some wanted names.

    Attributes:
        statements: In notebook order.
        wanted: The names asked for.
        missing: Those of them that the notebook does not define, with a name it does define that looks alike.
        broken: Those whose definition Python could not read: where, and why.
        not_run: Names that were left out, and the reason.
        whole_cells: For each wanted name, the cells to run whole where the slice does not load.
        features: `from __future__ import ...` names in force.
    """

    statements: tuple[Statement, ...]
    wanted: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)
    broken: dict[str, tuple[Place, str]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    whole_cells: tuple[tuple[int, str], ...] = ()
    features: tuple[str, ...] = ()
    doubt: str = "not looked at"

    def to_json(self, given: dict[str, Any]) -> dict[str, Any]:
        """What `loading.load` asks for: plain data that can cross into a sandbox.

        Args:
            given: Values that the loader binds over whatever the notebook gives these names.
        """
        return {
            "statements": [[s.cell, s.line, s.source, sorted(s.binds)] for s in self.statements],
            "wanted": list(self.wanted),
            "missing": self.missing,
            "broken": {n: [p.cell, p.line, p.text, why] for n, (p, why) in self.broken.items()},
            "not_run": self.not_run,
            "given": given,
            "whole_cells": [list(cell) for cell in self.whole_cells],
            "features": list(self.features),
        }


def make_slice(cells: list[Cell], wanted: tuple[str, ...], not_run: frozenset[str], given: Iterable[str] = ()) -> Slice:
    """Cut out what the wanted names need.

    Args:
        cells: The notebook.
        wanted: Names that the exercise asks for.
        not_run: Callables whose call at the top of a cell means work that grading never does.
        given: Names that the loader binds itself; their statements stay, for whatever else they bind.
    """
    statements, heavy, providers = _examined(tuple(cells), not_run)
    kept, names = _closure(statements, providers, wanted, heavy)
    bound = {name for index in kept for name in statements[index].binds}
    lost = {
        name: f"code cell {statements[index].cell}"
        for index in sorted(heavy)
        for name in statements[index].binds & names - bound - set(given)
    }
    defined = {name for statement in statements for name in statement.binds}
    absent = [name for name in wanted if name not in bound]
    broken = {name: problem for name in absent if (problem := _broken_definition(cells, name))}
    missing = {name: _look_alike(name, defined) for name in absent if name not in broken}
    return Slice(
        statements=tuple(statements[index] for index in sorted(kept)),
        wanted=wanted,
        missing=missing,
        broken=broken,
        not_run={name: _why_not_run(name, where) for name, where in lost.items()},
        whole_cells=tuple((cell.number, cell.source) for cell in cells if _mentions_definition(cell, wanted)),
        features=tuple(_features(cells)),
    )


@functools.lru_cache(maxsize=1)  # asked for each exercise of one notebook in turn; `forget` when that is done
def _examined(
    cells: tuple[Cell, ...], not_run: frozenset[str]
) -> tuple[list[Statement], set[int], dict[str, list[int]]]:
    """A notebook's statements, which of them are not to run, and by name which bind or patch it. Not to be changed."""
    statements = [statement for cell in cells for statement in statements_of(cell)]
    providers: dict[str, list[int]] = {}
    for index, statement in enumerate(statements):
        for name in statement.binds | statement.patches:
            providers.setdefault(name, []).append(index)
    return statements, heavy_statements(statements, not_run), providers


def forget() -> None:
    """Let go of the notebook that was cut last."""
    _examined.cache_clear()


def _closure(
    statements: list[Statement], providers: dict[str, list[int]], wanted: tuple[str, ...], heavy: set[int]
) -> tuple[set[int], set[str]]:
    """Indices of the statements that the wanted names lean on, and every name met on the way."""
    kept: set[int] = set()
    names: set[str] = set()
    queue = list(wanted)
    while queue:
        name = queue.pop()
        if name in names:
            continue
        names.add(name)
        found = providers.get(name, [])
        if not found and name not in _BUILTIN:
            found = providers.get(STAR, [])  # it may come from any star import: take them all
        for index in found:
            if index not in heavy and index not in kept:
                kept.add(index)
                statement = statements[index]
                queue.extend(statement.now | statement.later | (statement.binds - {STAR}))
    return kept, names


def heavy_statements(statements: list[Statement], not_run: frozenset[str]) -> set[int]:
    """Indices of statements that are not to run.

    A statement is heavy if it calls something of `not_run`, or calls anything while leaning on a tainted name. A name
    is tainted if only heavy statements bind it, or if it is a function whose body leans on a tainted name or one of
    `not_run`.

    Args:
        statements: Of a whole notebook, in its order.
        not_run: As for `make_slice`.
    """
    light = collections.Counter(name for statement in statements for name in statement.binds)
    classes = {name for statement in statements if statement.is_class for name in statement.binds}
    callers, functions = _leaning(statements)
    heavy: set[int] = set()
    tainted: set[str] = set()
    queue: list[str] = []

    def taint(names: Iterable[str]) -> None:
        fresh = set(names) - tainted
        tainted.update(fresh)
        queue.extend(fresh)

    def leave_out(index: int) -> None:
        heavy.add(index)
        light.subtract(statements[index].binds)
        taint(name for name in statements[index].binds if not light[name])

    for index, statement in enumerate(statements):
        if not statement.defines and statement.calls & not_run:
            leave_out(index)
    for name in not_run:
        taint(functions.get(name, set()) - classes)
    while queue:
        name = queue.pop()
        taint(functions.get(name, set()) - classes)
        for index in callers.get(name, []):
            if index not in heavy:
                leave_out(index)
    return heavy


def _leaning(statements: list[Statement]) -> tuple[dict[str, list[int]], dict[str, set[str]]]:
    """By name: the statements that call something and use it at once, and the functions whose bodies use it."""
    callers: dict[str, list[int]] = {}
    functions: dict[str, set[str]] = {}
    for index, statement in enumerate(statements):
        if not statement.defines and statement.calls:
            for name in statement.now:
                callers.setdefault(name, []).append(index)
        elif statement.defines:
            for name in statement.later:
                functions.setdefault(name, set()).update(statement.binds)
    return callers, functions


def _features(cells: list[Cell]) -> Iterator[str]:
    for cell in cells:
        for node in cell.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                yield from (alias.name for alias in node.names)


def _mentions_definition(cell: Cell, wanted: tuple[str, ...]) -> bool:
    if cell.problem or not any(name in cell.source for name in wanted):
        return False
    names = "|".join(map(re.escape, wanted))
    return (
        re.search(rf"(?:def|class)\s+(?:{names})\b|\b(?:{names})\s*=[^=]|[\"'](?:{names})[\"']", cell.source)
        is not None
    )


def _broken_definition(cells: list[Cell], name: str) -> tuple[Place, str] | None:
    for cell in cells:
        if cell.problem and re.search(
            rf"^\s*(?:async\s+def|def|class)\s+{re.escape(name)}\b", cell.source, re.MULTILINE
        ):
            return cell.problem
    return None


def _look_alike(name: str, defined: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(defined - {STAR}), n=1, cutoff=0.8)
    return close[0] if close else ""


def _why_not_run(name: str, where: str) -> str:
    return (
        f"`{name}` comes from {where}, which trains, loads data or tries things out, so grading does not run it. "
        f"A function should get what it needs as an argument (or from `self`), not from the global `{name}`."
    )

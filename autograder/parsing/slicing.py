"""From a notebook's cells to the slice of code to load.

From the names that an exercise asks for, follow the top-level bindings they lean on and keep just those
statements, in notebook order, so that a notebook which trained for forty minutes loads in a moment. A
statement that would train, load data or try things out is not kept (`work.py`); the names it would bind are listed
in `Slice.not_run`, to be replaced by something that says so when touched. What a statement does to names
is found in `statements.py`, which of them belong together in `links.py`; `certainty.py` says whether anything that
was left out could matter.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autograder.parsing.cells import KNOWN_LENGTH, Cell
from autograder.parsing.certainty import doubt_of
from autograder.parsing.leaning import Cut
from autograder.parsing.links import Links, link
from autograder.parsing.newer_python import needed_for
from autograder.parsing.statements import STAR, Statement, statements_of
from autograder.parsing.work import parted
from autograder.runtime.errors import Place

_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "__file__"}
_NOTHING: frozenset[str] = frozenset()


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
        features: Names of `from __future__ import ...`, each with the cell from which on it is in force.
        doubt: Why the whole notebook, run, might give something else; "" where nothing left out can matter.
        newer: The Python that is needed for a cell that they lean on and this one cannot read, "3.12"; "" if none.
    """

    statements: tuple[Statement, ...]
    wanted: tuple[str, ...]
    missing: dict[str, str] = field(default_factory=dict)
    broken: dict[str, tuple[Place, str]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    whole_cells: tuple[tuple[int, str], ...] = ()
    features: tuple[tuple[int, str], ...] = ()
    doubt: str = ""
    newer: str = ""

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
            "features": [list(feature) for feature in self.features],
        }


def make_slice(
    cells: list[Cell],
    wanted: tuple[str, ...],
    not_run: frozenset[str],
    given: Iterable[str] = (),
    graded: Iterable[str] = (),
    released: frozenset[str] = _NOTHING,
) -> Slice:
    """Cut out what the wanted names need.

    Args:
        cells: The notebook.
        wanted: Names that the exercise asks for.
        not_run: Callables whose call at the top of a cell means work that grading never does.
        given: Names that the loader binds itself; their statements stay, for whatever else they bind.
        graded: All names that students define; calling one is no work. The wanted ones if there are none.
        released: Texts of the released notebook's statements, see `certainty.texts_of`.
    """
    names_asked = frozenset(graded) or frozenset(wanted)
    notebook = _examined(tuple(cells), not_run - names_asked, names_asked)
    statements, heavy = notebook.statements, notebook.heavy
    kept, names = _closure(notebook, wanted)
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
    cut = Cut(
        cells=tuple(cells),
        notebook=notebook,
        kept=frozenset(kept),
        names=frozenset(names),
        wanted=wanted,
        lost=tuple(lost),
        absent=tuple(absent),
        given=frozenset(given),
        released=released,
    )
    return Slice(
        statements=tuple(statements[index] for index in sorted(kept)),
        wanted=wanted,
        missing=missing,
        broken=broken,
        not_run={name: _why_not_run(name, where) for name, where in lost.items()},
        whole_cells=tuple((cell.number, cell.source) for cell in cells if _mentions_definition(cell, wanted)),
        features=tuple(_features(cells)),
        doubt=doubt_of(cut),
        newer=needed_for(cells, names),
    )


@functools.lru_cache(maxsize=1)  # asked for each exercise of one notebook in turn; `forget` when that is done
def _examined(cells: tuple[Cell, ...], not_run: frozenset[str], graded: frozenset[str]) -> Links:
    """A notebook's statements, which of them are not to run, and what belongs together. Not to be changed."""
    found = [statement for cell in cells if not cell.binds_nothing for statement in statements_of(cell)]
    if any(cell.binds_nothing for cell in cells):  # %%timeit: only what is defined nowhere else is taken from there
        bound = {name for statement in found for name in statement.binds}
        timed = [s for cell in cells if cell.binds_nothing for s in statements_of(cell) if s.binds - bound]
        found = sorted([*found, *timed], key=lambda statement: statement.cell)
    statements, heavy, partial = parted(found, not_run, graded)
    return link(statements, heavy, partial, graded)


def forget() -> None:
    """Let go of the notebook that was cut last."""
    _examined.cache_clear()


def _closure(notebook: Links, wanted: tuple[str, ...]) -> tuple[set[int], set[str]]:
    """Indices of the statements that the wanted names lean on, and every name met on the way."""
    kept: set[int] = set()
    names: set[str] = set()
    queue = list(wanted)

    def keep(indices: Iterable[int]) -> None:
        for index in indices:
            if index in notebook.heavy or index in kept:
                continue
            kept.add(index)
            statement = notebook.statements[index]
            queue.extend(statement.now | statement.later)
            keep(notebook.effects.get(statement.package, ()))
            if statement.by_text:
                keep(notebook.definitions)

    keep(notebook.dynamic)
    while queue:
        name = queue.pop()
        if name in names:
            continue
        names.add(name)
        found = notebook.providers.get(name, [])
        if not found and name not in _BUILTIN:
            found = notebook.providers.get(STAR, [])  # it may come from any star import: take them all
        keep(found)
    return kept, names


def _features(cells: list[Cell]) -> Iterator[tuple[int, str]]:
    for cell in cells:
        for node in cell.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                yield from ((cell.number, alias.name) for alias in node.names)


def _mentions_definition(cell: Cell, wanted: tuple[str, ...]) -> bool:
    if cell.problem or not any(name in cell.source for name in wanted):
        return False
    return _mentions(cell.source, wanted) if len(cell.source) <= KNOWN_LENGTH else _defines(cell.source, wanted)


def _defines(source: str, wanted: tuple[str, ...]) -> bool:
    """Whether a text seems to define one of the names: by `def`, `class` or `=`, or in quotes."""
    for name in wanted:
        start = source.find(name)
        while start >= 0:
            end = start + len(name)
            before, after = source[max(0, start - 40) : start], source[end : end + 40]
            if re.search(r"\b(?:def|class)\s+$", before) and not re.match(r"\w", after):
                return True
            if not re.search(r"\w$", before) and re.match(r"\s*=[^=]", after):
                return True
            if before[-1:] in "\"'" and before and after[:1] in "\"'" and after:
                return True
            start = source.find(name, end)
    return False


@functools.lru_cache(maxsize=512)
def _mentions(source: str, wanted: tuple[str, ...]) -> bool:
    return _defines(source, wanted)


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

"""From a notebook's cells to the slice of code to load.

From the names that an exercise asks for, follow the top-level bindings they lean on and keep just those
statements, in notebook order, so that a notebook which trained for forty minutes loads in a moment. A
statement that would train, load data or try things out is not kept; the names it would bind are listed
in `Slice.not_run`, to be replaced by something that says so when touched.

A statement binds names (`x = 1`, `def f`, `import torch`), patches them (`FCOS.inference = f`,
`NAMES.append(...)`), uses some at once, and some later, when a function it defines is called.
"""

from __future__ import annotations

import ast
import builtins
import copy
import difflib
import functools
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autograder.errors import Place
from autograder.notebook import Cell

_MUTATORS = {
    "append",
    "extend",
    "insert",
    "update",
    "add",
    "setdefault",
    "register_buffer",
    "register_module",
}
_COMPREHENSIONS = {
    "listcomp",
    "setcomp",
    "dictcomp",
    "genexpr",
    "<listcomp>",
    "<setcomp>",
    "<dictcomp>",
    "<genexpr>",
}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "__file__"}
STAR = "*"


@dataclass(frozen=True)
class Statement:
    """One top-level statement of one cell.

    Attributes:
        cell: The code cell's number, from 1.
        line: Line in the cell where it begins (its first decorator, if any), from 1.
        source: Its text.
        binds: Names it binds at the top level; `STAR` for a star import.
        patches: Names whose object it changes.
        now: Top-level names that it uses when it runs.
        later: Top-level names that the functions in it use when called.
        calls: Last parts of the names it calls when it runs (`DataLoader` of `torch.utils.data.DataLoader`).
        defines: True for a function, a class or an import: cheap to run.
        is_class: True for a class: using one does not run its methods.
    """

    cell: int
    line: int
    source: str
    binds: frozenset[str]
    patches: frozenset[str]
    now: frozenset[str]
    later: frozenset[str]
    calls: frozenset[str]
    defines: bool
    is_class: bool


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
    statements = [statement for cell in cells for statement in _statements(cell)]
    heavy = _heavy(statements, not_run)
    kept, names = _closure(statements, wanted, heavy)
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


def _closure(statements: list[Statement], wanted: tuple[str, ...], heavy: set[int]) -> tuple[set[int], set[str]]:
    """Indices of the statements that the wanted names lean on, and every name met on the way."""
    providers: dict[str, list[int]] = {}
    for index, statement in enumerate(statements):
        for name in statement.binds | statement.patches:
            providers.setdefault(name, []).append(index)
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


def _heavy(statements: list[Statement], not_run: frozenset[str]) -> set[int]:
    """Indices of statements that are not to run.

    A statement is heavy if it calls something of `not_run`, or calls anything while leaning on a name that
    only heavy statements bind, or on a function whose body leans on one.
    """
    heavy = {index for index, statement in enumerate(statements) if not statement.defines and statement.calls & not_run}
    while True:
        bound_light = {n for i, s in enumerate(statements) if i not in heavy for n in s.binds}
        tainted = {n for i in heavy for n in statements[i].binds} - bound_light
        grown = True
        while grown:
            reach = {n for s in statements if s.defines and s.later & (tainted | not_run) for n in s.binds}
            reach -= {n for s in statements if s.is_class for n in s.binds}
            grown = not reach <= tainted
            tainted |= reach
        more = {
            index
            for index, statement in enumerate(statements)
            if index not in heavy and not statement.defines and statement.calls and statement.now & tainted
        }
        if not more:
            return heavy
        heavy |= more


@functools.lru_cache(maxsize=256)  # for each exercise the same cells, and most are given ones: the whole class has them
def _statements(cell: Cell) -> tuple[Statement, ...]:
    return tuple(_described(cell))


def _described(cell: Cell) -> Iterator[Statement]:
    for node in cell.tree.body:
        if isinstance(node, ast.Pass) or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            continue
        if isinstance(node, ast.Delete) and all(isinstance(target, ast.Name) for target in node.targets):
            continue  # tidying up after a demo must not take away what a function leans on
        try:
            yield _describe(cell, node)
        except (RecursionError, SyntaxError, ValueError, MemoryError):
            continue  # Python's own tools give up on it: so deep that nothing wanted can be in it


def _describe(cell: Cell, node: ast.stmt) -> Statement:
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    lines = re.split("\r\n?|\n", cell.source)[line - 1 : node.end_lineno]  # no other character ends a line
    source = "\n".join(lines) if decorators else ast.get_source_segment(cell.source, node) or ""
    plain = source
    if decorators or any(isinstance(part, _COLLECTING) for part in ast.walk(node)):
        plain = ast.unparse(_GeneratorsOnly().visit(copy.deepcopy(node)))
    table = symtable.symtable(plain, "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    now = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    later: set[str] = set()
    for child in table.get_children():
        _collect(child, now, later, runs=True)
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        binds = {STAR}
    return Statement(
        cell=cell.number,
        line=line,
        source=source,
        binds=frozenset(binds),
        patches=frozenset(_patched(node)),
        now=frozenset(now),
        later=frozenset(later),
        calls=frozenset(_called(node)),
        defines=isinstance(node, _DEFINITIONS),
        is_class=isinstance(node, ast.ClassDef),
    )


_COLLECTING = (ast.ListComp, ast.SetComp, ast.DictComp)


class _GeneratorsOnly(ast.NodeTransformer):
    """Turns comprehensions into generators.

    From Python 3.12 on, symtable lists a comprehension's own names among those of the scope around it, as if
    they were bound there.
    """

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp  # noqa: N815 (ast's name)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def _collect(table: symtable.SymbolTable, now: set[str], later: set[str], *, runs: bool) -> None:
    """Sort the top-level names that an inner scope uses into those used at once and those used later."""
    is_class = table.get_type() == "class"
    runs = runs and (is_class or table.get_name() in _COMPREHENSIONS)
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            (now if runs else later).add(symbol.get_name())
    for child in table.get_children():
        _collect(child, now, later, runs=runs)


def _patched(node: ast.AST) -> Iterator[str]:
    """Names whose object the statement changes: attribute and item assignment, setattr, list.append..."""
    if not isinstance(node, _DEFINITIONS):  # the statements within `for`, `if`, `with`, `try`
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
                yield from _patched(child)
    targets: list[ast.expr] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        function, arguments = node.value.func, node.value.args
        if isinstance(function, ast.Name) and function.id == "setattr" and arguments:
            targets = [ast.Attribute(arguments[0], "", ast.Store())]
        elif isinstance(function, ast.Attribute) and function.attr in _MUTATORS:
            targets = [function]
    for target in targets:
        if isinstance(target, (ast.Attribute, ast.Subscript)):
            root: ast.expr = target
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if isinstance(root, ast.Name):
                yield root.id


def _called(node: ast.stmt) -> Iterator[str]:
    """Last parts of the names called when the statement runs; bodies of functions are not looked into."""
    todo: list[ast.AST] = [node]
    while todo:
        part = todo.pop()
        if isinstance(part, ast.Call):
            if isinstance(part.func, ast.Name):
                yield part.func.id
            elif isinstance(part.func, ast.Attribute):
                yield part.func.attr
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo.extend([*part.decorator_list, *part.args.defaults, *(d for d in part.args.kw_defaults if d)])
        elif not isinstance(part, ast.Lambda):
            todo.extend(ast.iter_child_nodes(part))


def _features(cells: list[Cell]) -> Iterator[str]:
    for cell in cells:
        for node in cell.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                yield from (alias.name for alias in node.names)


def _mentions_definition(cell: Cell, wanted: tuple[str, ...]) -> bool:
    if cell.problem:
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

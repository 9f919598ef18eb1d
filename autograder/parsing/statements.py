"""A cell's top-level statements, and what each does to the names of a notebook; nothing is run.

A statement binds names (`x = 1`, `def f`, `import torch`), patches or touches them (`FCOS.inference = f`,
`NAMES.append(...)`, see `effects.py`), uses some at once, and some later, when a function it defines is called. An
import of several names becomes a statement for each, so that a package which is absent costs its own name alone.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.parsing.cells import KNOWN_LENGTH, Cell
from autograder.parsing.effects import aliases, changed_by, names_bound, names_in, patched, running, touched
from autograder.parsing.inert import alike, constant, reached
from autograder.parsing.named_by_text import Named, by_text, named_at_once

# What symtable calls their scopes: with angle brackets in some versions of Python, without in others.
_COMPREHENSIONS = {
    form.format(kind) for kind in ("listcomp", "setcomp", "dictcomp", "genexpr") for form in ("{}", "<{}>")
}
_BOOKKEEPING = "__conditional_annotations__"  # a name of Python 3.14's own
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_COLLECTING = (ast.ListComp, ast.SetComp, ast.DictComp)
BLOCKS = (ast.If, ast.Try, ast.With, ast.AsyncWith)
_HOOKS = {"__init_subclass__", "__set_name__", "__subclasses__"}
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
        touches: Names whose object it may change, each with the name that the call which may do so begins with.
        sets: Names that functions in it bind (`global N`) or whose objects they change, when called.
        aliases: Pairs of names that may be one object after it.
        alike: More such pairs, where that is only guessed; see `inert.py`.
        package: The package that an import takes something from; "" for other statements.
        dynamic: It may bind names that do not stand in it: `globals().update(config)`.
        by_text: It reaches names that do not stand in it: `globals()["clip_" + kind]`.
        trains: A function in it, or the statement itself, runs a backward pass.
        hooks: A class that has a say in how its subclasses are made, or one of such a metaclass.
        is_block: An `if`, `try` or `with`, whose statements can be told apart.
        reaches: Names whose objects it gets hold of as it runs, to change them or not; see `inert.py`.
        constant: It binds nothing but numbers and texts.
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
    touches: frozenset[tuple[str, str]] = frozenset()
    sets: frozenset[str] = frozenset()
    aliases: tuple[tuple[str, str], ...] = ()
    alike: tuple[tuple[str, str], ...] = ()
    package: str = ""
    dynamic: bool = False
    by_text: bool = False
    trains: bool = False
    hooks: bool = False
    is_block: bool = False
    reaches: frozenset[str] = frozenset()
    constant: bool = False


def statements_of(cell: Cell) -> tuple[Statement, ...]:
    """What each of a cell's statements does; those that change nothing that grading could want are left out."""
    return _remembered(cell) if len(cell.source) <= KNOWN_LENGTH else tuple(_described(cell))


@functools.lru_cache(maxsize=256)  # most cells are given ones: the whole class has them
def _remembered(cell: Cell) -> tuple[Statement, ...]:
    return tuple(_described(cell))


def _described(cell: Cell) -> Iterator[Statement]:
    lines = re.split("\r\n?|\n", cell.source)  # no other character ends a line
    for node in cell.tree.body:
        if isinstance(node, ast.Pass) or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            continue
        if isinstance(node, ast.Delete) and all(isinstance(target, ast.Name) for target in node.targets):
            if (restored := _restored(cell, node)) is not None:
                yield restored
            continue  # tidying up after a demo must not take away what a function leans on
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as where the cell was parsed
                described = list(_describe(cell, node, lines))
            yield from described
        except (RecursionError, SyntaxError, ValueError, MemoryError):
            continue  # Python's own tools give up on it: so deep that nothing wanted can be in it


def _restored(cell: Cell, node: ast.Delete) -> Statement | None:
    """`del max`, where a notebook had taken a builtin's name: the builtin is back after it."""
    names = [n.id for n in node.targets if isinstance(n, ast.Name) and hasattr(builtins, n.id)]
    if not names:
        return None
    nothing: frozenset[str] = frozenset()
    source = f"del {', '.join(names)}"
    return Statement(
        cell.number, node.lineno, source, nothing, frozenset(names), nothing, nothing, nothing, False, False
    )


def _describe(cell: Cell, node: ast.stmt, lines: list[str]) -> Iterator[Statement]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from _imports(cell.number, node)
        return
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    source = "\n".join(lines[line - 1 : node.end_lineno]) if decorators else segment(lines, node)
    yield describe(cell.number, line, source, node)
    if isinstance(node, ast.Try):  # on Colab all of them are there: what is absent here costs its own name alone
        for part in node.body:
            if isinstance(part, (ast.Import, ast.ImportFrom)):
                yield from _imports(cell.number, part)


def describe(cell: int, line: int, source: str, node: ast.stmt) -> Statement:
    """What a statement does to names.

    Args:
        cell: The code cell's number.
        line: Where it begins.
        source: Its text.
        node: Its tree, not to be changed.
    """
    decorators = getattr(node, "decorator_list", [])
    plain = source
    parts = list(ast.walk(node))
    if decorators or any(isinstance(part, _COLLECTING) for part in parts):
        plain = ast.unparse(_GeneratorsOnly().visit(ast.parse(source)))  # ten times as fast as a copy of the tree
    table = symtable.symtable(plain, "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    now = {s.get_name() for s in table.get_symbols() if s.is_referenced()} - {_BOOKKEEPING}
    later: set[str] = set()
    sets: set[str] = set()
    for child in table.get_children():
        collect_uses(child, now, later, runs=True)
        _collect_globals(child, sets)
    now -= _bound_first(node)
    defines = isinstance(node, _DEFINITIONS)
    named = named_at_once(node) if not defines else Named()
    calls = frozenset(_called(node))
    return Statement(
        cell=cell,
        line=line,
        source=source,
        binds=frozenset(binds | named.binds),
        patches=frozenset(patched(node)),
        now=frozenset(now | named.now),
        later=frozenset(later | sets | named.later),
        calls=calls | named.calls,
        defines=defines,
        is_class=isinstance(node, ast.ClassDef),
        touches=touched(node),
        sets=frozenset(sets | (changed_by(parts) & later)) if later else frozenset(sets),
        aliases=tuple(aliases(node)),
        alike=tuple(alike(node)),
        dynamic=named.dynamic,
        by_text=by_text(source),
        trains="backward" in source and _trains(parts),
        hooks=isinstance(node, ast.ClassDef) and _has_hooks(node),
        is_block=isinstance(node, BLOCKS),
        reaches=reached(node),
        constant=constant(node),
    )


def _bound_first(node: ast.stmt) -> set[str]:
    """Names that a loop or a `with` binds before anything in it uses them: no other binding matters to it."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return names_bound(node.target) - names_in(node.iter)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        targets = {name for item in node.items if item.optional_vars for name in names_bound(item.optional_vars)}
        return targets - {name for item in node.items for name in names_in(item.context_expr)}
    return set()


def _imports(cell: int, node: ast.Import | ast.ImportFrom) -> Iterator[Statement]:
    """A statement for each name that an import binds."""
    nothing: frozenset[str] = frozenset()
    start = f"from {'.' * node.level}{node.module or ''} import " if isinstance(node, ast.ImportFrom) else "import "
    for alias in node.names:
        name = alias.asname or (alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0])
        source = start + alias.name + (f" as {alias.asname}" if alias.asname else "")
        path = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
        yield Statement(
            cell=cell,
            line=alias.lineno,
            source=source,
            binds=frozenset({name}),  # a star import's is `STAR`
            patches=nothing,
            now=nothing,
            later=nothing,
            calls=nothing,
            defines=True,
            is_class=False,
            package=path.partition(".")[0] or ".",
            by_text=by_text(source),
        )


def segment(lines: list[str], node: ast.stmt) -> str:
    """The text of a statement: `ast.get_source_segment`, which splits the whole cell anew for each."""
    assert node.end_lineno is not None
    own = [line.encode() for line in lines[node.lineno - 1 : node.end_lineno]]  # columns count bytes
    own[-1] = own[-1][: node.end_col_offset]
    own[0] = own[0][node.col_offset :]
    return b"\n".join(own).decode()


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


def collect_uses(table: symtable.SymbolTable, now: set[str], later: set[str], *, runs: bool) -> None:
    """Sort the top-level names that an inner scope uses into those used at once and those used later.

    Args:
        table: The scope; those in it are looked through, too.
        now: Gets the names that are needed as the statement runs.
        later: Gets those that are needed when what it defines is called.
        runs: Whether the scope around it runs as the statement does.
    """
    is_class = table.get_type() == "class"
    # From Python 3.14 on, annotations are a scope of their own, evaluated when asked for: by `@dataclass`, say.
    runs = runs and (is_class or table.get_type() == "annotation" or table.get_name() in _COMPREHENSIONS)
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            (now if runs else later).add(symbol.get_name())
    for child in table.get_children():
        collect_uses(child, now, later, runs=runs)


def _collect_globals(table: symtable.SymbolTable, sets: set[str]) -> None:
    """The top-level names that an inner scope binds: those it declares `global`."""
    for symbol in table.get_symbols():
        if symbol.is_declared_global() and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()):
            sets.add(symbol.get_name())
    for child in table.get_children():
        _collect_globals(child, sets)


def _called(node: ast.stmt) -> Iterator[str]:
    """Last parts of the names called when the statement runs; bodies of functions are not looked into."""
    for part in running(node):
        if isinstance(part, ast.Call):
            if isinstance(part.func, ast.Name):
                yield part.func.id
            elif isinstance(part.func, ast.Attribute):
                yield part.func.attr


def _trains(parts: list[ast.AST]) -> bool:
    calls = (part.func for part in parts if isinstance(part, ast.Call))
    return any(isinstance(function, ast.Attribute) and function.attr == "backward" for function in calls)


def _has_hooks(node: ast.ClassDef) -> bool:
    methods = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
    own_metaclass = any(keyword.arg == "metaclass" for keyword in node.keywords)
    is_metaclass = any(isinstance(base, ast.Name) and base.id == "type" for base in node.bases)
    return bool(methods & _HOOKS) or own_metaclass or is_metaclass

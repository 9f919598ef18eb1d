"""A cell's top-level statements, and what each does to the names of a notebook; nothing is run.

A statement binds names (`x = 1`, `def f`, `import torch`), patches them (`FCOS.inference = f`,
`NAMES.append(...)`), uses some at once, and some later, when a function it defines is called.
"""

from __future__ import annotations

import ast
import functools
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.parsing.cells import KNOWN_LENGTH, Cell

_MUTATORS = {"append", "extend", "insert", "update", "add", "setdefault", "register_buffer", "register_module"}
_MUTATORS |= {"set_default_device", "set_default_dtype", "set_default_tensor_type"}  # of torch itself
# What symtable calls their scopes: with angle brackets in some versions of Python, without in others.
_COMPREHENSIONS = {
    form.format(kind) for kind in ("listcomp", "setcomp", "dictcomp", "genexpr") for form in ("{}", "<{}>")
}
_BOOKKEEPING = "__conditional_annotations__"  # a name of Python 3.14's own
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_COLLECTING = (ast.ListComp, ast.SetComp, ast.DictComp)
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
            continue  # tidying up after a demo must not take away what a function leans on
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as where the cell was parsed
                described = _describe(cell, node, lines)
            yield described
        except (RecursionError, SyntaxError, ValueError, MemoryError):
            continue  # Python's own tools give up on it: so deep that nothing wanted can be in it


def _describe(cell: Cell, node: ast.stmt, lines: list[str]) -> Statement:
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    source = "\n".join(lines[line - 1 : node.end_lineno]) if decorators else _segment(lines, node)
    plain = source
    if decorators or any(isinstance(part, _COLLECTING) for part in ast.walk(node)):
        plain = ast.unparse(_GeneratorsOnly().visit(ast.parse(source)))  # ten times as fast as a copy of the tree
    table = symtable.symtable(plain, "cell", "exec")
    binds = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    now = {s.get_name() for s in table.get_symbols() if s.is_referenced()} - {_BOOKKEEPING}
    later: set[str] = set()
    for child in table.get_children():
        collect_uses(child, now, later, runs=True)
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


def _segment(lines: list[str], node: ast.stmt) -> str:
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

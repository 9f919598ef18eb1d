"""Which names of a newer Python's standard library a piece of code uses, that the Python of grading lacks.

`from warnings import deprecated` is right on Colab's Python 3.13 and stops on 3.11: a grader's Python, not the student,
is to blame. Vermin knows which Python has which name; it reads code and runs nothing. Newer syntax is told elsewhere:
code that this Python cannot parse has no names here.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
import warnings
from collections.abc import Iterator
from functools import cache

import vermin

_Version = tuple[int, int]
# Who catches one of these round an import, or asks for a version, has seen to older Pythons.
_CAUGHT = {"ImportError", "ModuleNotFoundError", "AttributeError", "NameError", "Exception", "BaseException"}
_ASKED = {"version_info", "hexversion", "hasattr", "TYPE_CHECKING"}


def needs_newer(source: str) -> str:
    """The oldest Python that has all standard-library names in a piece of code, where this one lacks some.

    A name counts where the code itself imports its module. So give the imports of other cells with it, as the joined
    statements of a slice have them.

    Args:
        source: Python, without magics.

    Returns:
        "3.13", say; "" if nothing is lacking, or if that cannot be told.
    """
    found = newer_names(source)
    if not found:
        return ""
    major, minor = max(found.values())
    return f"{major}.{minor}"


def newer_names(source: str) -> dict[str, _Version]:
    """The names that this Python lacks, such as "copy.replace", and the first Python that has each.

    A keyword of a function that has it only there is "functools.reduce(initial=)".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the student's code
            tree = _Unguarded().visit(ast.parse(source))
            visitor = vermin.visit(ast.unparse(tree), _config())
            return dict(_newer(visitor, set(_imported(tree))))
    except Exception:  # it is no Python to this one, or more than vermin can read: then nothing is said of it
        return {}


class _Unguarded(ast.NodeTransformer):
    """Leaves out code that runs only where a name is there."""

    def visit_Try(self, node: ast.Try) -> ast.AST:
        """What an `except ImportError` stands ready for is not needed."""
        self.generic_visit(node)
        if not any(_catches(handler) for handler in node.handlers):
            return node
        rest = [statement for handler in node.handlers for statement in handler.body] + node.finalbody
        return ast.If(ast.Constant(True), rest, [])

    def visit_If(self, node: ast.If) -> ast.AST:
        """What is asked for a version runs on that version."""
        return ast.Pass() if _asks(node.test) else self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """The same, in an expression."""
        return ast.Constant(None) if _asks(node.test) else self.generic_visit(node)


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)


def _asks(test: ast.expr) -> bool:
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(test))
    return any(name in _ASKED for name in names)


def _imported(tree: ast.AST) -> Iterator[str]:
    """Top packages that some code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _newer(visitor: vermin.SourceVisitor, imported: set[str]) -> Iterator[tuple[str, _Version]]:
    """What vermin has seen of modules that are imported, and of built-in names, as far as this Python lacks it."""
    config, own_names = _config(), set(visitor.user_defined())

    def meant(name: str) -> bool:  # and not something of the student's that is called as a module is
        top = name.partition(".")[0]
        return top in imported or (top not in own_names and (top == name or hasattr(builtins, top)))

    modules, members, keywords = vermin.MOD_REQS(config), vermin.MOD_MEM_REQS(config), vermin.KWARGS_REQS(config)
    seen = [(name, modules.get(name)) for name in visitor.modules()]
    seen += [(name, members.get(name)) for name in visitor.members()]
    for name, versions in seen:
        if versions and _is_newer(versions[1]) and meant(name) and not _is_here(name):
            yield name, versions[1]
    for function, keyword in visitor.kwargs():
        versions = keywords.get((function, keyword))
        if versions and _is_newer(versions[1]) and meant(function):
            yield f"{function}({keyword}=)", versions[1]


def _is_newer(version: _Version | None) -> bool:
    return version is not None and version > sys.version_info[:2]


def _is_here(name: str) -> bool:
    """Whether this Python has a name after all: some come with a later patch of an older Python."""
    parts = name.split(".")
    if parts[0] not in sys.stdlib_module_names:
        return hasattr(builtins, name)
    found, rest = importlib.import_module(parts[0]), parts[1:]
    while rest:
        try:
            found = importlib.import_module(f"{found.__name__}.{rest[0]}")
        except ImportError:  # it is no module: the rest are attributes
            break
        del rest[0]
    return _has(found, rest)


def _has(thing: object, attributes: list[str]) -> bool:
    for attribute in attributes:
        if not hasattr(thing, attribute):
            return False
        thing = getattr(thing, attribute)
    return True


@cache
def _config() -> vermin.Config:
    config = vermin.Config()
    config.set_ignore_incomp(True)  # names that are gone by now are of no interest
    return config

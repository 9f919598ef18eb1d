"""Names that do not stand in the code as names: `globals()["FCOS"] = ...`, `exec("def f(): ...")`, `eval(text)`."""

from __future__ import annotations

import ast
import re
import symtable
from dataclasses import dataclass

from autograder.parsing.effects import root_of, running

_NAMESPACES = {"globals", "locals", "vars"}
_WRITES = {"update", "setdefault", "__setitem__", "pop", "clear", "__ior__"}
_SHELLS = {"push", "ex", "run_cell", "run_line_magic", "run_cell_magic", "safe_execfile", "user_ns", "magic"}
_REACHES = re.compile(r"(?<![\w.])(?:globals|eval|exec)\s*\(|\b__main__\b|\bsys\.modules\s*\[|\buser_ns\b")

_WORDS = ("globals", "eval", "exec", "__main__", "modules", "user_ns")


@dataclass(frozen=True)
class Named:
    """What a statement does to names by their text.

    Attributes:
        binds: Names that it binds.
        now: Names that it uses at once.
        later: Names that functions which it defines use.
        calls: Last parts of names that it calls.
        dynamic: It may bind others, which cannot be told.
    """

    binds: frozenset[str] = frozenset()
    now: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    dynamic: bool = False


def by_text(source: str) -> bool:
    """Whether code reaches for names in a way that their names need not stand in it."""
    return any(word in source for word in _WORDS) and _REACHES.search(source) is not None


def named_at_once(node: ast.stmt) -> Named:
    """What a statement binds and uses by text as it runs."""
    binds: set[str] = set()
    texts: list[str] = []
    dynamic = False
    for part in running(node):
        if isinstance(part, ast.Subscript) and _is_namespace(part.value) and not isinstance(part.ctx, ast.Load):
            name = _text(part.slice)
            binds |= {name} if name else set()
            dynamic = dynamic or not name
        elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and _is_module(part.value):
            binds.add(part.attr)
        elif isinstance(part, ast.AugAssign) and _is_namespace(part.target):
            dynamic = True
        elif isinstance(part, ast.Call):
            names, text, unknown = _by_call(part)
            binds |= names
            texts += [text] if text else []
            dynamic = dynamic or unknown
    named = Named(frozenset(binds), dynamic=dynamic)
    for text in texts:
        named = _joined(named, _in_text(text))
    return named


def _by_call(call: ast.Call) -> tuple[set[str], str, bool]:
    """The names that a call binds, the code that it runs, and whether it may bind others."""
    function = call.func
    if isinstance(function, ast.Name):
        if function.id == "exec" or (function.id == "eval" and call.args):
            text = _text(call.args[0]) if call.args else ""
            return set(), text, not text and function.id == "exec"
        if function.id in ("setattr", "delattr") and call.args and _is_module(call.args[0]):
            name = _text(call.args[1]) if len(call.args) > 1 else ""
            return ({name} if name else set()), "", not name
        return set(), "", False
    if isinstance(function, ast.Attribute):
        if _is_namespace(function.value) and function.attr in _WRITES:
            return _updated(call)
        if function.attr in _SHELLS and _is_shell(function.value):
            text = _text(call.args[0]) if function.attr in ("ex", "run_cell") and call.args else ""
            return set(), text, not text
    return set(), "", False


def _updated(call: ast.Call) -> tuple[set[str], str, bool]:
    """The names of `globals().update(a=1, **{"b": 2})`, as far as they can be told."""
    names = {keyword.arg for keyword in call.keywords if keyword.arg}
    unknown = any(keyword.arg is None for keyword in call.keywords)
    for argument in call.args[:1]:
        if isinstance(argument, ast.Dict) and all(key is not None and _text(key) for key in argument.keys):
            names |= {_text(key) for key in argument.keys if key is not None}
        elif (name := _text(argument)) != "":
            names.add(name)
        else:
            unknown = True
    return names, "", unknown


def _text(node: ast.expr) -> str:
    """A string that stands in the code as it is; "" for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_namespace(node: ast.AST) -> bool:
    """`globals()`, `locals()`, `vars()`, a module's `__dict__`, IPython's `user_ns`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in _NAMESPACES and not (node.args and not _is_module(node.args[0]))
    return isinstance(node, ast.Attribute) and (
        node.attr in ("user_ns", "user_global_ns") or (node.attr == "__dict__" and _is_module(node.value))
    )


def _is_shell(node: ast.AST) -> bool:
    """`get_ipython()`, or a name that its shell is often given."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "get_ipython"
    return isinstance(node, ast.Name) and node.id in ("ip", "ipython", "shell", "ipy")


def _is_module(node: ast.AST) -> bool:
    """The notebook's own module: `__main__`, `sys.modules[__name__]`, `sys.modules["__main__"]`."""
    if isinstance(node, ast.Name):
        return node.id == "__main__"
    if isinstance(node, ast.Call):
        is_import = root_of(node.func) in ("__import__", "importlib", "import_module")
        return is_import and any(_text(argument) == "__main__" for argument in node.args)
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "modules"
        and (_text(node.slice) == "__main__" or (isinstance(node.slice, ast.Name) and node.slice.id == "__name__"))
    )


def _in_text(text: str) -> Named:
    """What a piece of code in a string binds and uses."""
    try:
        table = symtable.symtable(text, "text", "exec")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Named()
    symbols = table.get_symbols()
    binds = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported() or s.is_namespace()}
    used = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
    calls = {
        part.func.id if isinstance(part.func, ast.Name) else part.func.attr
        for part in running(tree)
        if isinstance(part, ast.Call) and isinstance(part.func, (ast.Name, ast.Attribute))
    }
    return Named(frozenset(binds), frozenset(used), frozenset(), frozenset(calls))


def _joined(one: Named, other: Named) -> Named:
    return Named(
        one.binds | other.binds,
        one.now | other.now,
        one.later | other.later,
        one.calls | other.calls,
        one.dynamic or other.dynamic,
    )

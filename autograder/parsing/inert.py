"""What a statement could do to objects that others lean on, should it be left out.

Calls are what matters: whoever gets hold of an object can change it. A call that is given none of some objects, and is
not made to one of them, leaves them as they are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autograder.parsing.effects import HARMLESS, first_of, handed, names_bound, root_of, running, same_as, through_loops

ODD = "?"  # begins what stands for an object that cannot be named; the rest is where the way to it begins
CALLS = "()"  # begins the name of something that is called
_SETTERS = {"setattr", "delattr"}
_GOES_THROUGH = {
    *("enumerate", "zip", "reversed", "iter", "next", "list", "tuple", "sorted", "map", "filter", "vars"),
}
_TYPES = {"dict", "list", "tuple", "set", "Dict", "List", "Tuple", "Set", "Optional", "Union", "Callable"}
_WAITS = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor, ast.AsyncWith)
_PLAIN = (
    *(ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.Load, ast.operator, ast.unaryop, ast.Compare, ast.cmpop),
    *(ast.BoolOp, ast.boolop, ast.IfExp),
)


def constant(node: ast.stmt) -> bool:
    """Whether a statement binds nothing but numbers, texts and tuples of them, or a name for a type."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) or node.value is None:
        return False
    if isinstance(node.value, ast.Subscript) and isinstance(node.value.value, ast.Name):
        return node.value.value.id in _TYPES
    return all(isinstance(part, _PLAIN) for part in ast.walk(node.value))


def reached(node: ast.stmt) -> frozenset[str]:
    """Names whose objects something that runs with the statement gets hold of.

    `ODD` begins what has no name, `CALLS` what is called.
    """
    found = {name for _, names in _reaching(node) for name in names}
    return frozenset(found | through_loops(node, found))


def _reaching(node: ast.stmt) -> Iterator[tuple[ast.AST, set[str]]]:
    """Each part of a statement that gets hold of objects, and their names."""
    for part in running(node):
        if isinstance(part, _WAITS):
            yield part, {ODD}
        elif isinstance(part, ast.Call):
            yield part, _by_call(part)
        elif isinstance(part, (ast.Attribute, ast.Subscript)) and not isinstance(part.ctx, ast.Load):
            deep = not isinstance(part.value, ast.Name)  # `detector.cfg.x = 3`: whose object that is, nobody can tell
            yield part, {root_of(part), ODD + root_of(part)} if deep else {root_of(part)}
        elif isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):  # lists and tensors stay themselves
            yield part, {part.target.id}


def alike(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Pairs of a name and another whose object it may be, or a part of it: what a loop, a `with` or a `match` binds.

    A class is like those that it is made from: who has the one gets at the other.
    """
    for part in running(node):
        if isinstance(part, (ast.For, ast.AsyncFor, ast.comprehension)):
            bound, others = names_bound(part.target), _given(part.iter)
        elif isinstance(part, ast.withitem) and part.optional_vars is not None:
            bound, others = names_bound(part.optional_vars), _given(part.context_expr)
        elif isinstance(part, (ast.Assign, ast.NamedExpr)):
            targets = part.targets if isinstance(part, ast.Assign) else [part.target]
            bound, others = {name for target in targets for name in names_bound(target)}, _given(part.value)
        elif isinstance(part, ast.Match):
            bound, others = {name for case in part.cases for name in _captured(case.pattern)}, _given(part.subject)
        elif isinstance(part, ast.ClassDef):
            bound, others = {part.name}, {name for base in part.bases for name in _given(base)}
        else:
            continue
        yield from ((one, other) for one in sorted(bound) for other in sorted(others) if one != other)


def _captured(pattern: ast.pattern) -> set[str]:
    names = {getattr(part, "name", None) or getattr(part, "rest", None) for part in ast.walk(pattern)}
    return {name for name in names if isinstance(name, str)}


def _given(value: ast.expr) -> set[str]:
    """Names whose objects, or parts of them, an expression may give."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _GOES_THROUGH:
        return {name for argument in value.args for name in _given(argument)}
    return same_as(value)


def _by_call(call: ast.Call) -> set[str]:
    """What a call is given and is made to, and what is called to get at these: that may keep something to itself."""
    if isinstance(call.func, ast.Name) and call.func.id in HARMLESS:
        return set()
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    names = {name for argument in given for name in handed(argument)}
    names |= {CALLS + first_of(part.func) for part in [call, *given] if isinstance(part, ast.Call)}
    if isinstance(call.func, ast.Name) and call.func.id in _SETTERS and given and isinstance(given[0], ast.Call):
        names.add(ODD)
    return (names | {root_of(call.func)} if isinstance(call.func, ast.Attribute) else names) - {""}


def keeps_something(source: str) -> bool:
    """Whether a function or class may remember a call of it: by a decorator, a default, what belongs to the class."""
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    if isinstance(node, ast.ClassDef):
        own = [part for part in node.body if isinstance(part, (ast.Assign, ast.AnnAssign)) and part.value is not None]
        words = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return bool(words & {"cls"}) or "__new__" in source or not all(constant(part) for part in own)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return True
    defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
    return bool(node.decorator_list) or not all(
        isinstance(part, (*_PLAIN, ast.Name, ast.Attribute)) for default in defaults for part in ast.walk(default)
    )


def shown(source: str, names: set[str]) -> str:
    """The first part of a statement that gets hold of one of some objects, as a person reads it."""
    try:
        (node,) = ast.parse(source).body
        for part, found in _reaching(node):
            if found & names:
                verb, what = ("calls", part.func) if isinstance(part, ast.Call) else ("sets", part)
                return f"{verb} `{ast.unparse(what)[:60]}`, which grading did not run"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return "has a statement that grading did not run"

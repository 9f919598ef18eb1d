"""What a statement does to objects that it does not bind: `FCOS.forward = f`, `LEVELS.append(3)`, `register(FCOS)`.

Nothing is run, so this is a guess from text. What surely changes an object is kept apart from what may change it:
who cuts a slice takes both, who asks whether the slice is certain looks at what is left.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SETTERS = {"setattr", "delattr"}
_MUTATORS = {
    *("append", "extend", "insert", "update", "add", "setdefault", "pop", "popitem", "popleft", "appendleft", "remove"),
    *("discard", "clear", "reverse", "sort", "rotate", "intersection_update", "difference_update", "fill", "resize"),
    *("register", "register_buffer", "register_module", "register_parameter", "register_forward_hook", "add_module"),
    *("load_state_dict", "freeze", "defrost", "write", "move_to_end", "subtract", "setflags", "put", "itemset"),
}
_DEFAULTS = {"set_default_device", "set_default_dtype", "set_default_tensor_type"}  # of torch: they change it
_DUNDERS = {"__setattr__", "__setitem__", "__delitem__", "__delattr__", "__iadd__"}
# Functions of libraries that change what they are given; torch's end in "_".
_IN_PLACE = {
    "shuffle",
    "heappush",
    "heappop",
    "heapify",
    "insort",
    "copyto",
    "fill_diagonal",
    "setitem",
    "put",
    "place",
}
# Views: what changes such a result changes the object that it was taken from.
_VIEWS = {
    *("view", "reshape", "flatten", "ravel", "squeeze", "unsqueeze", "transpose", "permute", "t", "expand", "narrow"),
    *("detach", "numpy", "items", "values", "get", "setdefault", "parameters", "modules", "children", "select"),
}
HARMLESS = frozenset(
    {
        *(
            "print",
            "display",
            "help",
            "len",
            "repr",
            "str",
            "type",
            "isinstance",
            "issubclass",
            "dir",
            "id",
            "callable",
        ),
        *("hash", "bool", "int", "float", "tuple", "range", "hasattr", "pprint", "format", "sum", "min", "max", "abs"),
        *("any", "all", "sorted", "list", "dict", "set", "round", "zip", "enumerate", "super", "Path", "bytes"),
    }
)


def root_of(node: ast.AST) -> str:
    """The name that a chain of attributes, items and methods begins with: `cfg` of `cfg.MODEL["fpn"].get("x").add(3)`.

    What a function gives is an object of its own: `f(x).sort()` begins with no name.
    """
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred, ast.Await)):
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
            return ""
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def first_of(node: ast.AST) -> str:
    """The name that a chain begins with, also where it is called to get at the rest: `f` of `f(x)[0].sort()`."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred, ast.Await)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def names_in(node: ast.AST) -> set[str]:
    """Every name that an expression reads, those in lambdas and comprehensions too."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run as it does: not the bodies of functions, nor annotations in them."""
    todo: list[ast.AST] = [node]
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += [*part.decorator_list, *part.args.defaults, *(d for d in part.args.kw_defaults if d)]
        elif isinstance(part, ast.Lambda):
            todo += [*part.args.defaults, *(d for d in part.args.kw_defaults if d)]
        else:
            todo += ast.iter_child_nodes(part)


def patched(node: ast.AST) -> set[str]:
    """Names whose object a statement surely changes: attributes and items set or deleted, `nn.init.zeros_(K)`."""
    found: set[str] = set()
    for part in running(node):
        if isinstance(part, (ast.Attribute, ast.Subscript)) and not isinstance(part.ctx, ast.Load):
            found.add(root_of(part))
        elif isinstance(part, ast.Call):
            found |= _given_and_changed(part)
    if not isinstance(node, _DEFINITIONS):
        found |= through_loops(node, found)
    return found - {""}


def changed_by(parts: Iterable[ast.AST]) -> set[str]:
    """Names whose object some nodes of a tree change: those of whole functions, say; local names among them."""
    found: set[str] = set()
    for part in parts:
        if isinstance(part, (ast.Attribute, ast.Subscript)) and not isinstance(part.ctx, ast.Load):
            found.add(root_of(part))
        elif isinstance(part, ast.Call):
            found |= _given_and_changed(part) | {name for _, name in _mutated_by(part)}
    return found - {""}


def names_bound(target: ast.AST) -> set[str]:
    """The names that a target of an assignment or a loop binds."""
    return {part.id for part in ast.walk(target) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _given_and_changed(call: ast.Call) -> set[str]:
    """Names whose object a function of Python's or of a library changes, being given it."""
    function = call.func
    found = {root_of(keyword.value) for keyword in call.keywords if keyword.arg == "out"}
    if isinstance(function, ast.Name) and function.id in _SETTERS and call.args:
        found.add(root_of(call.args[0]))
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _DEFAULTS and isinstance(function, ast.Attribute):
        found.add(root_of(function))
    if _in_place(name) or name in _IN_PLACE or name in _DUNDERS:
        found |= {root_of(argument) for argument in call.args}
    return found


def _in_place(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _mutated_by(call: ast.Call) -> set[tuple[str, str]]:
    """What a method surely changes that is made to: `L.sort()`, `cfg.merge_from_list(...)`, `t.fill_(1)`."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return set()
    name, root = function.attr, root_of(function)
    is_made_to = name in _MUTATORS or _in_place(name) or name in _DUNDERS
    return {(root, root)} if is_made_to or name.startswith(("merge_from_", "set_", "add_", "register_")) else set()


def through_loops(node: ast.AST, found: set[str]) -> set[str]:
    """What a loop's or a `with`'s own variable stands for: `for layer in LAYERS: layer.bias = None` changes LAYERS."""
    more: set[str] = set()
    for part in running(node):
        if isinstance(part, (ast.For, ast.AsyncFor, ast.comprehension)):
            target, value = part.target, part.iter
        elif isinstance(part, ast.withitem) and part.optional_vars is not None:
            target, value = part.optional_vars, part.context_expr
        else:
            continue
        if names_bound(target) & (found | more):
            more |= names_in(value)
    return more


def touched(node: ast.AST) -> frozenset[tuple[str, str]]:
    """Names whose object the statement may change, each with the name that the call began with.

    A call whose result nobody keeps is made for what it does: `register(FCOS)`, `parser.add_argument(...)`. So is a
    decorator: `@add_to_class(FCOS)`, and `@patch` above a function whose annotation names a class.
    """
    found: set[tuple[str, str]] = set()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for decorator in node.decorator_list:
            found |= _touched_above(decorator, node)
        return frozenset(found)
    for part in _statements(node):
        if isinstance(part, ast.Expr):
            for call in running(part.value):
                if isinstance(call, ast.Call):
                    found |= _touched_by(call)
    for part in running(node):
        if isinstance(part, ast.Call):
            found |= _mutated_by(part)
    loops = through_loops(node, {name for _, name in found})
    return frozenset(found | {("", name) for name in loops})


def _touched_above(
    decorator: ast.expr, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
) -> set[tuple[str, str]]:
    """What a decorator may change: what it is a method of, what it is given, what the first argument is said to be."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    began = root_of(called)
    names = {began} if isinstance(called, (ast.Attribute, ast.Subscript)) else set()
    if isinstance(decorator, ast.Call):
        names |= {name for argument in decorator.args for name in names_in(argument)}
        names |= {name for keyword in decorator.keywords for name in names_in(keyword.value)}
    if not isinstance(node, ast.ClassDef):
        for argument in [*node.args.posonlyargs, *node.args.args][:1]:
            names |= _named_by(argument.annotation) if argument.annotation is not None else set()
    return {(began, name) for name in names}


def _named_by(annotation: ast.expr) -> set[str]:
    """The names in an annotation, also in one that is written as a string."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return {annotation.value.strip()} if annotation.value.strip().isidentifier() else set()
    return names_in(annotation)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and those within its blocks, without the bodies of functions and classes."""
    yield node
    if not isinstance(node, _DEFINITIONS):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
                yield from _statements(child)


def _touched_by(call: ast.Call) -> set[tuple[str, str]]:
    began = root_of(call.func)
    if isinstance(call.func, ast.Name) and call.func.id in HARMLESS:
        return set()
    given = {name for argument in call.args for name in handed(argument)}
    given |= {name for keyword in call.keywords for name in handed(keyword.value)}
    if isinstance(call.func, ast.Attribute):
        given.add(began)
    return {(began, name) for name in given if name}


def handed(argument: ast.expr) -> set[str]:
    """Names whose objects a function gets hold of by an argument: not those that a call in it uses up."""
    if isinstance(argument, ast.Call):
        return set()
    if isinstance(argument, (ast.Name, ast.Attribute, ast.Subscript, ast.Starred)):
        return {root_of(argument)}
    return {name for part in ast.iter_child_nodes(argument) if isinstance(part, ast.expr) for name in handed(part)}


def aliases(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Pairs of a name and another that may be one object: `Backbone = DetectorBackboneWithFPN`, `row = table[0]`."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    bound = sorted({name for target in targets for name in names_bound(target)})
    others = same_as(node.value) | (set(bound) if len(targets) > 1 else set())  # A = B = []
    yield from ((name, other) for name in bound for other in sorted(others) if other != name)


def same_as(value: ast.expr) -> set[str]:
    """Names whose object, or a part or a view of it, an expression gives."""
    if isinstance(value, ast.Name):
        return {value.id}
    if isinstance(value, (ast.Attribute, ast.Subscript)):
        return same_as(value.value)
    if isinstance(value, ast.Call):
        is_view = isinstance(value.func, ast.Attribute) and value.func.attr in _VIEWS
        return same_as(value.func) if is_view else set()
    if isinstance(value, (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.Starred)):
        parts = [part for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr)]
        return {name for part in parts for name in same_as(part)}
    return set()

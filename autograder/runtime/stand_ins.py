"""Puts stand-ins in the place of a student's functions and classes, wherever the notebook may hold on to them.

A name is bound anew, or the class that it stands for becomes the stand-in and stays: an alias, a subclass, a registry,
a default argument, a partial or a class attribute then meets the stand-in like everybody else, and constants and
methods of the student's own are where the rest of the notebook looks for them. All of it can be undone.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from autograder.runtime.own_results import formed, made_by

Undo = list[Callable[[], None]]
# Of a class that becomes a stand-in these go with those that the stand-in has itself: they make or run its objects.
_RUNS = {
    "__new__",
    "__init__",
    "__call__",
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__post_init__",
    "forward",
}
_MAKES = {"__init__", "__new__", "__dict__", "__weakref__", "IDLE"}
_MISSING = object()


def bind(namespace: dict[str, Any], module: types.ModuleType, names: list[str], *, own: bool = False) -> Undo:
    """Bind stand-ins over a notebook's own names; "FCOS.forward" replaces a method of its class.

    Args:
        namespace: The notebook's.
        module: Where the stand-ins are, under the same names.
        names: Which.
        own: Objects are made as the student's own class makes them, and then do what the stand-in does.

    Returns:
        What undoes it, see `unbind`.
    """
    undo: Undo = []
    for name in names:
        holder, _, attribute = name.partition(".")
        if not attribute:
            there, stand_in = namespace.get(name), module.__dict__[name]
            if own and isinstance(there, type) and isinstance(stand_in, type):
                undo += _class_wears(there, stand_in)
                continue
            became = become(there, stand_in)
            if not (became and isinstance(there, type)):
                undo.append(_put(namespace, name, stand_in))
            undo += became
        elif isinstance(owner := namespace.get(holder), type):
            undo.append(_set(owner, attribute, _moved(module.__dict__[holder].__dict__[attribute], owner)))
    return undo


def unbind(undo: Undo) -> None:
    """Put everything back as it was before `bind`."""
    while undo:
        undo.pop()()


def become(own: Any, stand_in: Any) -> Undo:
    """Have an object do from now on what the stand-in does; an object of a kind that cannot stays as it is.

    Args:
        own: A student's class, function or partial.
        stand_in: A class or function.
    """
    if isinstance(own, type) and isinstance(stand_in, type):
        return _class_becomes(own, stand_in)
    if isinstance(own, staticmethod):
        return become(own.__func__, stand_in)
    if isinstance(own, types.FunctionType):
        return _function_becomes(own, stand_in)
    if type(own) is functools.partial:
        set_state: Callable[[Any], None] = own.__setstate__  # type: ignore[attr-defined]
        before = (own.func, own.args, own.keywords, vars(own) or None)
        set_state((stand_in, (), {}, None))
        return [functools.partial(set_state, before)]
    return []


def _class_becomes(own: type, stand_in: type) -> Undo:
    """Make the stand-in the class's first base, and take away what would get between the two.

    Its other attributes stay: constants and methods, say, that the student's code uses elsewhere. So do its other bases
    that only add to them.
    """
    undo: Undo = []
    bases = own.__bases__
    for mine in dict.fromkeys([(stand_in, *_additions(own, stand_in)), (stand_in,)]):
        try:
            own.__bases__ = mine
            break
        except TypeError:  # no base can take another's place: the objects are laid out differently
            continue
    else:
        return []
    undo.append(functools.partial(setattr, own, "__bases__", bases))
    known = vars(own)
    written = {name for name in _written_by(stand_in) if hasattr(known.get(name), "__set__")}  # a property, say
    for name in sorted((_methods(stand_in) | _RUNS | written) & set(known) - {"__dict__", "__weakref__"}):
        undo.append(_set(own, name, _MISSING))
    return undo


def _methods(stand_in: type) -> set[str]:
    """What a stand-in has itself that is called or looked up on the class."""
    return {name for name, value in vars(stand_in).items() if callable(value) or hasattr(value, "__get__")}


def _written_by(stand_in: type) -> set[str]:
    """Attributes that a stand-in's constructor may set."""
    code = getattr(vars(stand_in).get("__init__"), "__code__", None)
    return set(code.co_names) if code is not None else set()


def _additions(own: type, stand_in: type) -> list[type]:
    """Bases of a class that neither make nor run its objects, but for methods that the stand-in has itself."""
    known = set(stand_in.__mro__)
    between = _RUNS - set(vars(stand_in))
    return [
        base
        for base in own.__bases__
        if base not in known and not any(between & set(vars(part)) for part in base.__mro__ if part not in known)
    ]


def _class_wears(own: type, stand_in: type) -> Undo:
    """Have objects made by the class's own constructor, and do what the stand-in does.

    What they are made of is the student's, for code that looks into it; what the stand-in's methods use comes after.
    """
    construct: Callable[..., None] = own.__init__  # type: ignore[misc]
    idle = set(getattr(stand_in, "IDLE", ()))

    def make(self: Any, *args: Any, **kwargs: Any) -> None:
        construct(self, *args, **kwargs)
        made_by(self, args, kwargs)
        part = stand_in(*_arguments(construct, stand_in, self, args, kwargs))
        for name, value in _parts_of(part).items():
            if name not in idle:
                _give(self, name, value)

    methods = {name: _moved(vars(stand_in)[name], own) for name in sorted(_methods(stand_in) - _MAKES)}
    if "forward" in methods and hasattr(own, "forward"):
        methods["forward"] = formed(own, construct, methods["forward"])
    undo = [_set(own, name, method) for name, method in methods.items()]
    return [*undo, _set(own, "__init__", make)]


def _arguments(
    construct: Callable[..., None], stand_in: type, made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any]:
    """Of what a student's constructor was given what the stand-in's asks for: by name, or else in its order."""
    accepted = list(inspect.signature(stand_in).parameters.values())
    wanted = [p.name for p in accepted if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    given = list(args)
    try:
        bound = inspect.signature(construct).bind(made, *args, **kwargs)
        bound.apply_defaults()
        named = {**bound.arguments, **kwargs}
    except (TypeError, ValueError):
        named = kwargs
    if all(name in named for name in wanted):
        return [named[name] for name in wanted]
    return given[: len(wanted)]


def _parts_of(part: Any) -> dict[str, Any]:
    """What an object has: parameters and modules by their names, and plain attributes."""
    found = {name: value for name, value in vars(part).items() if not name.startswith("_") and name != "training"}
    return found | dict(part.named_parameters(recurse=False)) | dict(part.named_children())


def _give(made: Any, name: str, value: Any) -> None:
    """Set an attribute; a property of the student's own class does not get between."""
    try:
        setattr(made, name, value)
    except AttributeError:
        made.__dict__[name] = value


def _function_becomes(own: types.FunctionType, stand_in: Callable[..., Any]) -> Undo:
    """Give the function code that calls the stand-in."""
    key = f"__stand_in_{id(own)}"
    scope: dict[str, Any] = {}
    exec(f"def f(*args, **kwargs):\n    return {key}(*args, **kwargs)", scope)  # noqa: S102 (our own text)
    code: types.CodeType = scope["f"].__code__
    before = (own.__code__, own.__defaults__, own.__kwdefaults__)

    def put_back() -> None:
        own.__code__, own.__defaults__, own.__kwdefaults__ = before

    known = _put(own.__globals__, key, stand_in)
    # A function keeps the cells that it closes over: its code has to name as many.
    own.__code__ = code.replace(co_freevars=own.__code__.co_freevars)
    own.__defaults__ = own.__kwdefaults__ = None
    return [known, put_back]


def _moved(value: Any, holder: type) -> Any:
    """A method as if another class had defined it: `super()` asks for the class that it was written in."""
    if not isinstance(value, types.FunctionType) or "__class__" not in value.__code__.co_freevars:
        return value
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    closure = tuple(types.CellType(holder) if name == "__class__" else cell for name, cell in cells)
    made = types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, closure)
    made.__kwdefaults__ = value.__kwdefaults__
    return functools.wraps(value)(made)


def _put(namespace: dict[str, Any], name: str, value: Any) -> Callable[[], None]:
    before = namespace.get(name, _MISSING)
    namespace[name] = value
    if before is _MISSING:
        return functools.partial(namespace.pop, name, None)
    return functools.partial(namespace.__setitem__, name, before)


def _set(owner: type, name: str, value: Any) -> Callable[[], None]:
    """Set an attribute of a class, or take it away."""
    before = vars(owner).get(name, _MISSING)
    _set_or_delete(owner, name, value)
    return functools.partial(_set_or_delete, owner, name, before)


def _set_or_delete(owner: type, name: str, value: Any) -> None:
    if value is _MISSING:
        type.__delattr__(owner, name)
    else:
        type.__setattr__(owner, name, value)

"""Puts stand-ins in the place of a student's functions and classes, wherever the notebook may hold on to them.

A name is bound anew, and the object that it stood for becomes the stand-in, too: an alias, a subclass, a registry, a
default argument, a partial or a class attribute then meets the stand-in like everybody else. All of it can be undone.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

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
_MISSING = object()


def bind(namespace: dict[str, Any], module: types.ModuleType, names: list[str]) -> Undo:
    """Bind stand-ins over a notebook's own names; "FCOS.forward" replaces a method of its class.

    Args:
        namespace: The notebook's.
        module: Where the stand-ins are, under the same names.
        names: Which.

    Returns:
        What undoes it, see `unbind`.
    """
    undo: Undo = []
    for name in names:
        holder, _, attribute = name.partition(".")
        if not attribute:
            own = namespace.get(name)
            undo.append(_put(namespace, name, module.__dict__[name]))
            undo += become(own, module.__dict__[name])
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
    """Make the stand-in the class's one base, and take away what would get between the two.

    Its other attributes stay: constants, say, that the student's code reads elsewhere.
    """
    undo: Undo = []
    bases = own.__bases__
    try:
        own.__bases__ = (stand_in,)
    except TypeError:  # no base can take another's place: the objects are laid out differently
        return []
    undo.append(functools.partial(setattr, own, "__bases__", bases))
    ours = {name for name, value in vars(stand_in).items() if callable(value) or hasattr(value, "__get__")}
    for name in sorted((ours | _RUNS) & set(vars(own)) - {"__dict__", "__weakref__"}):
        undo.append(_set(own, name, _MISSING))
    return undo


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

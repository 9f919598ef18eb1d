"""What a stand-in gives, in the form in which a student's own network gives it: a named tuple, a dict with attributes.

The rest of a right notebook may use that form. It is looked up by running the student's own network once, with an
object of its own, beside the stand-in: the numbers are the stand-in's, the form is the student's.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch


def formed(own: type, construct: Callable[..., None], forward: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in's `forward` that gives its results in the form of a class's own.

    Args:
        own: The student's class, with its own `forward` still in place.
        construct: Its own constructor.
        forward: The stand-in's, as a method of that class.

    Returns:
        The method. It needs `made_by`, below, to have been told what each object was made with.
    """
    theirs = own.forward  # type: ignore[attr-defined]
    known: dict[Any, Any] = {}

    @functools.wraps(forward)
    def forward_in_form(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = forward(self, *args, **kwargs)
        key = (len(args), *sorted((name, _plainly(value)) for name, value in kwargs.items()), *map(_plainly, args))
        if key not in known:
            known[key] = _form(own, construct, theirs, self, args, kwargs)
        return in_form_of(known[key], result)

    return forward_in_form


def made_by(made: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Note what an object was made with, where no one looks for it."""
    made.__dict__["_fcoskit_made_by"] = (args, kwargs)


def in_form_of(own: Any, result: Any) -> Any:
    """A result with the numbers of one thing and the form of another, which was made for the same; else as it is.

    Args:
        own: What the student's code gives: of it the classes count, and the order of what has no keys in common.
        result: Dicts, lists and tensors.
    """
    try:
        if isinstance(result, dict) and isinstance(own, dict) and own.keys() == result.keys():
            values = {key: in_form_of(own[key], value) for key, value in result.items()}
            return _filled(own, values)
        if isinstance(result, list) and isinstance(own, dict) and len(own) == len(result):
            values = {key: in_form_of(own[key], value) for key, value in zip(own, result, strict=True)}
            return _filled(own, values)
        if isinstance(result, list) and isinstance(own, (list, tuple)) and len(own) == len(result):
            parts = [in_form_of(mine, value) for mine, value in zip(own, result, strict=True)]
            if isinstance(own, tuple):
                return own._make(parts) if hasattr(own, "_make") else parts
            return parts if type(own) is list else _listed(own, parts)
    except Exception:  # a class of the student's may do anything: then the form stays the stand-in's
        return result
    return result


def _filled(own: dict[Any, Any], values: dict[Any, Any]) -> dict[Any, Any]:
    """A dict of the same class, with attributes and all, in whose places other values stand."""
    if type(own) is dict:
        return values
    try:
        made = copy.copy(own)
    except Exception:  # one whose attributes are its keys says of each that is asked for that it lacks it, in its way
        return type(own)(values)
    for key, value in values.items():
        made[key] = value
    return made


def _listed(own: list[Any], parts: list[Any]) -> list[Any]:
    made = copy.copy(own)
    made[:] = parts
    return made


def _plainly(value: Any) -> Any:
    """Of an argument what may decide on the form of a result: a switch or a name, not numbers."""
    return value if isinstance(value, (bool, str, type(None))) else type(value).__name__


def _form(
    own: type, construct: Callable[..., None], forward: Callable[..., Any], made: Any, args: Any, kwargs: Any
) -> Any:
    """What the student's own network gives for some arguments, or None where it cannot be asked."""
    given = made.__dict__.get("_fcoskit_made_by")
    if given is None:
        return None
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network: Any = object.__new__(own)
            construct(network, *given[0], **given[1])
            device = next((tensor.device for tensor in _tensors((args, kwargs))), None)
            return forward(network.to(device).eval(), *_copied(args), **_copied(kwargs))
    except Exception:  # it is made for other maps than these, say
        return None


def _copied(value: Any) -> Any:
    """Tensors that are no part of what the detector computes, in dicts and lists that may be changed."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return _filled(value, {key: _copied(part) for key, part in value.items()})
    if isinstance(value, (list, tuple)):
        return [_copied(part) for part in value]
    return value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)

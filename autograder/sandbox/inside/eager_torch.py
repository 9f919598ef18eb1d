"""Has torch run code as it is written: there is no compiler in the sandbox, and checks compare numbers.

`torch.compile` gives back what it was given, whatever backend or mode it is asked for; a module so "compiled" has its
parameters under the names that the student gave them. `torch.autocast` changes no precision: on the CPU, too, it would,
and a right network would differ from the reference by more than a check allows. `torch.jit.script` gives back what has
no source: what stands in for a student's network has none here.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.utils.checkpoint


def run_eagerly() -> None:
    """Have torch compile nothing and keep its precision, in this process."""
    torch.compile = _compile
    torch.nn.Module.compile = _compile_in_place  # type: ignore[method-assign]
    for name in ("disable", "allow_in_graph", "assume_constant_result"):
        setattr(torch.compiler, name, _as_it_is)
    for name in ("reset", "cudagraph_mark_step_begin", "set_stance"):
        if hasattr(torch.compiler, name):
            setattr(torch.compiler, name, _Nothing)
    torch.jit.script = _scripted_where_it_can_be(torch.jit.script)
    _without_the_compiler(torch.utils.checkpoint.checkpoint)
    _full_precision(torch.amp.autocast_mode.autocast)


def _compile(model: Any = None, *_: Any, **__: Any) -> Any:
    if model is None:  # `@torch.compile(mode=...)`
        return _compile
    if isinstance(model, torch.nn.Module):
        model.__dict__["_orig_mod"] = model  # where a compiled module keeps the one that it was made of
    return model


def _scripted_where_it_can_be(script: Any) -> Any:
    @functools.wraps(script)
    def scripted(obj: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return script(obj, *args, **kwargs)
        except OSError:  # there is no source
            return obj

    return scripted


def _compile_in_place(self: Any, *_: Any, **__: Any) -> None:
    """In place of `module.compile()`."""


def _as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
    return function if function is not None else _as_it_is


class _Nothing:
    """What can be called, and entered, and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass

    def __call__(self, function: Any) -> Any:
        return function


def _without_the_compiler(function: Any) -> None:
    """A function that torch keeps out of what it compiles: its first call would import the compiler, for seconds."""
    inner = getattr(function, "__wrapped__", None)
    if inner is not None:
        inner.__dynamo_disable = inner


def _full_precision(autocast: Any) -> None:
    """Have every new `autocast` change nothing."""
    begin = autocast.__init__

    @functools.wraps(begin)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        self._enabled = False

    autocast.__init__ = init

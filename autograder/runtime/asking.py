"""Functions that stand in for a student's and hold nothing: another process answers for them.

The instructor's functions, which stand in for earlier exercises, run where no student code does. What is bound in the
student's process asks: arguments go out as values, the result comes back as one, with gradients where the arguments
have them, and with the devices that a pretended GPU has noted.
"""

from __future__ import annotations

import builtins
import json
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack

from autograder.runtime.pretend_gpu import DeviceMismatch, PretendGpu, tensors_in
from autograder.runtime.values import Tree, pack, unpack

Ask = Callable[[dict[str, Any]], Any]  # a question, a value, out; the answer, a value, back; raises `AskedError`
_ANSWERS, _KEY_BYTES = 256, 32 * 1024  # that are kept at most, and of a question that is


class AskedError(Exception):
    """What was asked raised an exception.

    Attributes:
        kind: The exception's name.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def asking_module(names: list[str], ask: Ask) -> types.ModuleType:
    """A module of functions that ask.

    Args:
        names: What they are called, here and there.
        ask: Puts a question; see `answering.py` for its form.
    """
    module, told = types.ModuleType("stand_ins"), Told()
    for name in names:
        setattr(module, name, _asking(name, ask, told))
    return module


def _asking(name: str, ask: Ask, told: Told) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        return _Question(name, ask, told, args, kwargs).answer()

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in


class Told:
    """Answers of before: a training asks the same of the same pictures at each of its steps.

    A question with gradients is put each time, and one that weighs much, too. What is kept is the student's own
    process's to spoil; it asks for itself alone.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[Any, ...], dict[str, Any]] = {}

    def of(self, question: dict[str, Any], ask: Ask) -> dict[str, Any]:
        """The answer to a question: a copy of the one of before, or `ask`'s."""
        key = None if question["grad"] else _key(question)
        if key is None:
            return ask(question)  # type: ignore[no-any-return]
        if key not in self._answers:
            if len(self._answers) >= _ANSWERS:
                self._answers.clear()
            self._answers[key] = ask(question)
        tree, tensors = pack(self._answers[key], copy=True)
        return unpack(tree, tensors)  # type: ignore[no-any-return]


def _key(question: dict[str, Any]) -> tuple[Any, ...] | None:
    """What tells a question from others, to the bit; None for one that weighs much."""
    tree, tensors = pack(question, copy=False)
    if sum(t.numel() * t.element_size() for t in tensors) > _KEY_BYTES:
        return None
    bits = [(t.dtype, t.shape, t.detach().reshape(-1).view(torch.uint8).numpy().tobytes()) for t in tensors]
    return json.dumps(tree), *bits


class _Question:
    """One call: what is asked, and the tensors in it apart, so that autograd sees them go in and come out."""

    def __init__(self, name: str, ask: Ask, told: Told, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._name, self._ask, self._known = name, ask, told
        self._mode = next((m for m in reversed(_modes()) if isinstance(m, PretendGpu)), None)
        self._given = [_plain(list(args), self._mode), _plain(kwargs, self._mode)]
        self._tensors = tensors_in(self._given)
        self._tree: Tree = None

    def answer(self) -> Any:
        """What the function gives.

        Raises:
            Exception: It raised one; of that kind, if Python has it.
        """
        places = None if self._mode is None else [str(self._mode.place(t) or "") for t in self._tensors]
        self._places: list[str] | None = places
        self._with_grad = torch.is_grad_enabled()
        self.want(self._tensors)
        try:
            found = list(_Answered.apply(self, *self._tensors))
        except AskedError as error:
            raise _of_kind(error.kind)(str(error)) from None
        result = unpack(self._tree, found)
        if self._mode is not None:
            for tensor, place in zip(tensors_in(result), self._result_places, strict=True):
                if place:
                    self._mode.put_at(tensor, torch.device(place))
        return result

    def want(self, tensors: Sequence[torch.Tensor]) -> None:
        """Gradients by those of the tensors that have them. Within `torch.vmap` none seems to, till it is unwrapped."""
        self._wanted = [index for index, t in enumerate(tensors) if self._with_grad and t.requires_grad]

    def put(self, tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Ask, with these tensors in place of those that were given; gives the tensors of the result."""
        args, kwargs = self._with(tensors)
        question = {"name": self._name, "args": args, "kwargs": kwargs, "places": self._places, "grad": self._wanted}
        told = self._known.of(question, self._told)
        self._result_places: list[str] = told["places"]
        self.differentiable: list[bool] = told["differentiable"]
        self._tree, found = pack(told["value"], copy=False)
        return tuple(found)

    def differentiate(
        self, tensors: tuple[torch.Tensor, ...], by: list[int], upstream: list[torch.Tensor | None]
    ) -> list[torch.Tensor | None]:
        """Gradients by some of the tensors, given those of the result's."""
        args, kwargs = self._with(tensors)
        question = {"name": self._name, "args": args, "kwargs": kwargs, "by": by, "upstream": upstream}
        found: list[torch.Tensor | None] = self._told(question)["value"]
        return found

    def _told(self, question: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = self._ask(question)
        if "raised" in told:
            raise AskedError(*told["raised"])
        return told

    def _with(self, tensors: tuple[torch.Tensor, ...]) -> list[Any]:
        rest = iter(tensors)
        return [_replaced(part, rest) for part in self._given]


class _Answered(torch.autograd.Function):
    """The step of the graph that a question is."""

    @staticmethod
    def forward(question: _Question, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Ask."""
        with torch._C.DisableTorchFunction():  # a pretended GPU has no part in what is sent
            return question.put(tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        """Keep copies: what student code writes into its tensors later changes no gradient."""
        ctx.question, *tensors = inputs
        ctx.kept = [t.detach().clone() for t in tensors] if any(ctx.needs_input_grad) else []
        flags = ctx.question.differentiable
        ctx.mark_non_differentiable(*(t for t, flag in zip(output, flags, strict=True) if not flag))

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """Ask for the gradients."""
        by = [index for index, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        with torch._C.DisableTorchFunction():
            found = dict(zip(by, ctx.question.differentiate(tuple(ctx.kept), by, list(upstream)), strict=True))
        return None, *(found.get(index) for index in range(len(ctx.kept)))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], question: _Question, *tensors: torch.Tensor) -> Any:
        """Under `torch.vmap`: once for each of the batch."""
        dims = in_dims[1:]
        question.want(tensors)
        each = [
            _Answered.apply(question, *(t if d is None else t.select(d, i) for t, d in zip(tensors, dims, strict=True)))
            for i in range(info.batch_size)
        ]
        return tuple(torch.stack(parts) for parts in zip(*each, strict=True)), (0,) * len(each[0])


def _plain(value: Any, mode: PretendGpu | None) -> Any:
    """An argument as it is asked with: a device means what it does in the mode."""
    if isinstance(value, Mapping):
        return {
            key: _device(item, mode) if key == "device" and isinstance(item, str) else _plain(item, mode)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        kind = tuple if isinstance(value, tuple) else list
        return kind([_plain(item, mode) for item in value])
    if isinstance(value, torch.device):
        return _device(value, mode)
    return value


def _device(value: Any, mode: PretendGpu | None) -> Any:
    return (mode.named(value) or value) if mode is not None else value


def _replaced(value: Any, rest: Any) -> Any:
    """A value with the next of other tensors in the place of each of its own."""
    if isinstance(value, torch.Tensor):
        return next(rest)
    if isinstance(value, Mapping):
        return {key: _replaced(item, rest) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_replaced(item, rest) for item in value])
    return value


def _modes() -> list[Any]:
    found: list[Any] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return found


def _of_kind(kind: str) -> type[Exception]:
    if kind == DeviceMismatch.__name__:
        return DeviceMismatch
    known = getattr(builtins, kind, None)
    return known if isinstance(known, type) and issubclass(known, Exception) else RuntimeError

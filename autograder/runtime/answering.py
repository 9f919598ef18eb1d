"""Answers the questions of `asking.py`, in a process that no student code runs in.

A question is a dict: "name", "args" and "kwargs" of a call; "grad", which of its tensors have gradients; with "places",
the devices that they would be on, it is run as on a GPU. With "by" and "upstream" gradients themselves are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import torch

from autograder.runtime.pretend_gpu import tensors_in


class Bench(Protocol):
    """What is needed here of a `Workbench`."""

    def find(self, name: str) -> Any:
        """What the notebook bound to a name."""
        ...


MESSAGE = 300  # characters
# Of arguments whose shapes or devices do not fit, and of a GPU that is not there.
_OF_ARGUMENTS = re.compile(r"size of tensor|same device|same dtype|CUDA|NVIDIA|GPU|accelerator|is not defined there")
CallThere = Callable[[str, list[Any], dict[str, Any], list[str]], tuple[Any, list[str]]]


def answer(bench: Bench, call_there: CallThere, question: dict[str, Any]) -> Any:
    """The answer to a question.

    Args:
        bench: Where the functions are.
        call_there: Calls one of them as on a GPU, see `OnGpu.called`.
        question: See above; it may be forged, what it makes the function do hurts nobody.

    Returns:
        "value", what the function gives, "places", the device that each tensor in it would be on, "" where nobody
        knows, and "differentiable", whether it hangs on one that has gradients; for gradients "value", one for each
        tensor that was named; or "raised", an exception's name and words, without the line: that is the solution's.
    """
    try:
        return _answer(bench, call_there, question)
    except Exception as error:
        return {"raised": [type(error).__name__, _words(error, question.get("name"))]}


def _words(error: Exception, name: object) -> str:
    """What an exception says, where it speaks of what was handed in; of the function's inside it says nothing."""
    said = str(error)
    if said.startswith(f"{name}() ") or _OF_ARGUMENTS.search(said):
        return said[:MESSAGE]
    return "the course's own function, which stands in for yours, stopped: look at what you hand to it"


def _answer(bench: Bench, call_there: CallThere, question: dict[str, Any]) -> dict[str, Any]:
    name, args, kwargs = question["name"], question["args"], question["kwargs"]
    if "by" in question:
        return {"value": _gradients(bench.find(name), args, kwargs, question["by"], question["upstream"])}
    given = tensors_in([args, kwargs])
    for index in question["grad"]:
        given[index].requires_grad_()
    places: list[str] = []
    with torch.set_grad_enabled(bool(question["grad"])):
        if question["places"] is None:
            value = bench.find(name)(*args, **kwargs)
        else:
            value, places = call_there(name, args, kwargs, question["places"])
    return {"value": value, "places": places, "differentiable": [t.requires_grad for t in tensors_in(value)]}


def _gradients(
    function: Callable[..., Any],
    args: list[Any],
    kwargs: dict[str, Any],
    by: list[int],
    upstream: list[torch.Tensor | None],
) -> list[torch.Tensor | None]:
    given = tensors_in([args, kwargs])
    leaves = [given[index].requires_grad_() for index in by]
    with torch.enable_grad():
        outputs = tensors_in(function(*args, **kwargs))
    pairs = [(o, g) for o, g in zip(outputs, upstream, strict=True) if g is not None and o.requires_grad]
    if not pairs:
        return [None for _ in leaves]
    tensors, gradients = zip(*pairs, strict=True)
    return list(torch.autograd.grad(tensors, leaves, gradients, allow_unused=True))

"""One verdict from two runs of the same public checks: on the CPU, and on the notebook's own GPU.

Grading runs on a CPU, so the CPU's verdict is the one to expect, and wrong code meets the CPU first: an index out of
range stops there, where on a GPU it would spoil the whole process. The run on the GPU adds what the CPU cannot know:

- Code that got hold of the GPU as it was defined (a default argument, an attribute) meets it on the CPU too, and
  stops, though it is right: passing on the GPU counts.
- Code that is right on the CPU and leaves a tensor there stops in the student's training: it is told so, once, at
  the check of devices if the exercise has one.
  Grading would not lose a point for it in an exercise without such a check, but the training would stop there.
- Whatever else a GPU cannot do (an operator that `mps` lacks, no memory left) is no fault of the code's: it passes,
  and a line says what happened.
"""

from __future__ import annotations

import inspect
import linecache
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch

from autograder.checks.result import CheckResult

# What torch and torchvision say where tensors of two devices meet, on CUDA and on Apple's GPUs.
_MIX = re.compile(
    r"same device|different device|two devices|device type|on cpu or on|must be a CUDA tensor|on cpu but expected"
    r"|(torch\.cuda\.|MPS)\w+\).*should be the same|should be the same.*(torch\.cuda\.|MPS)|CPU tensor to MPS"
    r"|Placeholder storage has not been allocated|expected device|on the CPU where the arguments ask for the GPU",
    re.IGNORECASE,
)
# On a GPU these are asserts inside a kernel, after which nothing runs there until the notebook is restarted.
_BOUNDS = re.compile(r"IndexError|out of bounds|out of range|must be smaller than|must be non-negative", re.IGNORECASE)
_LACKS = re.compile(r"NotImplementedError|not (currently )?(implemented|supported)|doesn't support", re.IGNORECASE)
_WRITTEN_OUT = re.compile(r"\.cuda\(|(device|to)\s*[=(]\s*['\"](cuda|mps|xpu)")
_NOT_TWICE = ("missing", "timeout", "memory", "grader_error")
_GPU_ALONE = "passed on the GPU alone"
_ADVICE = (
    "Give a new tensor the device of those it meets (`device=x.device`, `torch.zeros_like(x)`, `x.new_zeros(...)`)."
)


def is_mix(result: CheckResult) -> bool:
    """Whether a check did not pass because tensors of two devices met."""
    return result.status in ("error", "failed") and _MIX.search(result.message) is not None


def worth_another_run(result: CheckResult) -> bool:
    """Whether the run on the GPU can add to what the CPU's run of a check came to."""
    return result.status not in _NOT_TWICE and not (result.status == "error" and _BOUNDS.search(result.message))


def one_verdict(cpu: list[CheckResult], there: dict[str, CheckResult], device: torch.device) -> list[CheckResult]:
    """The checks' results in the CPU's order.

    Args:
        cpu: From the run on the CPU.
        there: From the run on the notebook's device, by the checks' names; those that were not run again are left out.
        device: The notebook's.
    """
    stopped = [r.name for r in cpu if r.status == "passed" and r.name in there and is_mix(there[r.name])]
    known = any(_of_devices(r) and not _passed(there.get(r.name, r)) for r in cpu if r.status != "passed")
    culprit = "" if known or not stopped else next((name for name in stopped if "gpu" in name), stopped[0])
    results, said = [], set()
    for result in cpu:
        other = there.get(result.name)
        if other is None:
            results.append(result)
        elif result.name == culprit:
            results.append(_left_behind(other, device))
        elif result.status == "passed":
            note = "" if is_mix(other) or other.status != "error" else _note(other, device)
            results.append(replace(result, message="" if note in said else note))
            said.add(note)
        elif other.status == "passed":
            results.append(replace(other, details=_GPU_ALONE))
        else:
            artefact = is_mix(result) and not _of_devices(result)  # of the CPU's run: the GPU's says what is wrong
            results.append(other if artefact else result)
    return results


def warn_of_written_out(results: list[CheckResult], code: Iterable[Any]) -> None:
    """Where checks passed on the GPU alone and a line of the code has a GPU written into it, say so, once.

    Args:
        results: As `one_verdict` gives them.
        code: A student's functions and classes.
    """
    alone = next((result for result in results if result.details == _GPU_ALONE), None)
    if alone is None:
        return
    line = next((line for line in _lines(code) if _WRITTEN_OUT.search(line) and "is_available" not in line), "")
    if line:
        alone.message = (
            "It is right on this GPU, but stops where there is none, and grading has none: there its numbers count, "
            "and the check of devices is lost. This line asks for a GPU:\n"
            f"    {line}\nUnless something guards it, write `DEVICE` there, or the device of a tensor (`x.device`)."
        )


def _lines(code: Iterable[Any]) -> Iterator[str]:
    """The lines of functions, and of the methods of classes, as far as their text is known."""
    for thing in code:
        for part in vars(thing).values() if isinstance(thing, type) else [thing]:
            function = inspect.unwrap(getattr(part, "__func__", part)) if part is not None else None
            if isinstance(function, types.FunctionType):
                inside = function.__code__
                last = max((line for _, _, line in inside.co_lines() if line), default=inside.co_firstlineno)
                for number in range(inside.co_firstlineno, last + 1):
                    yield linecache.getline(inside.co_filename, number).strip()


def _passed(result: CheckResult) -> bool:
    return result.status == "passed"


def _of_devices(result: CheckResult) -> bool:
    """Whether a check is the exercise's check of devices; suites name it so."""
    return "gpu" in result.name


def _left_behind(result: CheckResult, device: torch.device) -> CheckResult:
    """The result of a check that a tensor left on the CPU stopped, which is right on the CPU."""
    said = f"On the CPU this is right; on {device}, where this notebook works, it stops: "
    if "numpy" in result.message:
        said += "numpy reads nothing on a GPU. Call `.cpu()` first, or stay with torch."
    else:
        said += f"a tensor made on the CPU meets one on the GPU. {_ADVICE}"
    return replace(result, diagnosis=result.diagnosis or said)


def _note(result: CheckResult, device: torch.device) -> str:
    """What to say of a check that passed on the CPU after all."""
    text = (
        f"Checked on the CPU, where it is right. On {device}, where this notebook works, it stopped:\n{result.message}"
    )
    if lacks := _LACKS.search(result.message):
        text += f'\nYour {device.type} device cannot do that. To train all the same, set DEVICE to "cpu"'
        if device.type == "mps" and "float64" not in lacks.string:
            text += ", or set PYTORCH_ENABLE_MPS_FALLBACK=1 in the environment before the notebook starts"
        text += "."
    return text

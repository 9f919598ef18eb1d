"""The device that a notebook works on: which it is, and how its code is run on the CPU instead.

`check()` runs a student's code in two ways where the notebook is on a GPU, see `run_public.py`. On the CPU its globals
that name a GPU (`DEVICE`) name the CPU meanwhile, as when graded. On the GPU nothing of the notebook is changed. Where
a GPU is pretended the globals say what they would say with one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import torch

_PREFERRED = "DEVICE"  # the assignment's own name for it


def notebook_device(namespace: dict[str, Any]) -> torch.device | None:
    """The GPU that a notebook works on, of whatever kind (cuda, mps, xpu); None if it works on the CPU.

    `DEVICE` says so, or else any other global that is a `torch.device` or, under a name with "device" in it, a text
    that names one; or else torch's default device; and where nothing does, the GPU that the machine has. A
    GPU that cannot be used counts for nothing: code that asks for it stops on its own.
    """
    named = _named(namespace)
    default = torch.get_default_device()
    device: torch.device | None
    if named:
        found = list(named.values())
        device = named.get(_PREFERRED) or next(filter(_is_gpu, found), found[0])
    elif default.type != "cpu":
        device = default
    else:
        device = _built_in()
    return device if _is_gpu(device) and _usable(device) else None


@contextlib.contextmanager
def on_the_cpu(namespace: dict[str, Any]) -> Iterator[None]:
    """As long as it is open, the notebook's globals that name a GPU name the CPU, and so does torch's default."""
    before = {name: value for name, value in namespace.items() if _is_gpu(_device_of(name, value))}
    namespace.update({name: _cpu_like(value) for name, value in before.items()})
    try:
        with default_device(torch.device("cpu")):
            yield
    finally:
        namespace.update(before)


@contextlib.contextmanager
def on_a_gpu(namespace: dict[str, Any]) -> Iterator[list[torch.device | str]]:
    """As long as it is open, a notebook's globals say what they would say if it had been run with a GPU.

    Devices name the GPU, in dictionaries too (`CONFIG["device"]`), and flags such as `use_gpu` are set.

    Yields:
        The devices as they were: code that got hold of one before means the GPU.
    """
    known: list[torch.device | str] = []
    undo: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for holder in (namespace, *(v for name, v in namespace.items() if type(v) is dict and not name.startswith("_"))):
        before = {name: value for name, value in holder.items() if _says(name, value)}
        known += [value for value in before.values() if not isinstance(value, bool)]
        undo.append((holder, before))
    try:
        for holder, before in undo:
            holder.update({name: _with_a_gpu(value) for name, value in before.items()})
        yield known
    finally:
        for holder, before in undo:
            holder.update(before)


@contextlib.contextmanager
def default_device(device: torch.device) -> Iterator[None]:
    """As long as it is open, tensors are made on the device if no other is asked for."""
    if torch.get_default_device() == device:  # a mode costs time with every operation
        yield
    else:
        with device:
            yield


@contextlib.contextmanager
def random_state_kept(device: torch.device | None) -> Iterator[None]:
    """Put back what is drawn at random afterwards, on the CPU, on every CUDA device and on the notebook's own."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(enabled=True))
        if device is not None and device.type == "mps":  # whose functions know no index, which `fork_rng` hands on
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
        elif device is not None and device.type != "cuda":
            stack.enter_context(torch.random.fork_rng(devices=[device.index or 0], device_type=device.type))
        yield


def moved(value: Any, device: torch.device) -> Any:
    """A value with every tensor in its lists, tuples and dictionaries on the device.

    Raises:
        RuntimeError: The device has no room for a tensor.
        TypeError: It has no numbers of that kind: `mps` and float64.
    """
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([moved(item, device) for item in value])
    return value


def _named(namespace: dict[str, Any]) -> dict[str, torch.device]:
    """The globals that name a device, in the order in which they were first bound."""
    found = {name: _device_of(name, value) for name, value in namespace.items()}
    return {name: device for name, device in found.items() if device is not None}


def _device_of(name: str, value: Any) -> torch.device | None:
    """The device that a global names, if it does."""
    if name.startswith("_"):  # what IPython keeps of earlier results
        return None
    if isinstance(value, torch.device):
        return value
    if type(value) is str and "device" in name.lower() and len(value) < 20:
        try:
            return torch.device(value)
        except RuntimeError:
            return None
    return None


def _says(name: Any, value: Any) -> bool:
    """Whether a name says on which device a notebook works, or that it found no GPU."""
    if not isinstance(name, str) or name.startswith("_") or "cpu" in name.lower():
        return False
    flag = value is False and re.search("gpu|cuda", name, re.IGNORECASE) is not None
    text = type(value) is str and value in ("cpu", "cuda", "cuda:0")
    return flag or text or _device_of(name, value) is not None


def _with_a_gpu(value: torch.device | str | bool) -> torch.device | str | bool:
    if isinstance(value, bool):
        return True
    return "cuda" if isinstance(value, str) else torch.device("cuda")


def _cpu_like(value: torch.device | str) -> torch.device | str:
    """The CPU as the same kind of object; a text that no other is identical to, so that `PretendGpu` knows it again."""
    return "".join(["c", "pu"]) if isinstance(value, str) else torch.device("cpu")


def _is_gpu(device: torch.device | None) -> bool:
    return device is not None and device.type not in ("cpu", "meta")


def _usable(device: torch.device | None) -> bool:
    try:
        torch.empty(0, device=device)
    except Exception:  # each kind has its own way of saying that it is not there
        return False
    return True


def _built_in() -> torch.device | None:
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else None

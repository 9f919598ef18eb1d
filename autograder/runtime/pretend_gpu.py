"""A GPU that is not there: finds tensors left on the CPU, on any machine.

The commonest crash of a notebook that moves to a GPU is a tensor made on the CPU that meets one on the GPU.
`PretendGpu` lets code run on the CPU as it is, with its real numbers, keeps account of the device on which each
tensor *would* be, and raises `DeviceMismatch` where a GPU would. It knows three places: the GPU, the CPU, and
unknown (tensors older than the mode), which goes with everything: what cannot be told is never a fault.

Within it torch says that there is a GPU (`torch.cuda.is_available()` and its like), since right code asks.

Rules, as torch has them: an operation wants its tensors on one device; CPU tensors without dimensions go with
everything; a tensor on the GPU may be indexed by one on the CPU, not the other way round; copying into a tensor
(`copy_`, `x[...] = y`) may cross devices; `numpy()` wants the CPU.
"""

from __future__ import annotations

import contextlib
import unittest.mock
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
_CROSSING = {"copy_", "__setitem__", "index_put_", "tensor", "as_tensor", "to", "cuda", "cpu", "tolist", "item"}
_CROSSING |= {"type_as", "_has_compatible_shallow_copy_type"}  # the second: `Module.to` compares old and new with it
_COPYING = {"tensor", "as_tensor", "asarray"}
_MAX_PARTS = 100_000

_Placed = tuple[torch.Tensor, torch.device | None]


class DeviceMismatch(RuntimeError):
    """Tensors on different devices meet, as they would with a GPU."""


class PretendGpu(TorchFunctionMode):
    """Within it, torch behaves as if there were a GPU.

    Args:
        stands_for_gpu: Devices that notebooks were given in place of theirs: they count as the GPU.
    """

    def __init__(self, stands_for_gpu: Iterable[torch.device | str] = ()) -> None:
        super().__init__()
        self._places: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._stands_for_gpu = list(stands_for_gpu)
        self._said = contextlib.ExitStack()

    def __enter__(self) -> PretendGpu:
        """Begin, and have torch say that there is a GPU."""
        for module, answers in self.answers():
            for name, answer in answers.items():
                self._said.enter_context(unittest.mock.patch.object(module, name, lambda *_, _answer=answer: _answer))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End, and have torch say what is so."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._said.close()

    def answers(self) -> list[tuple[Any, dict[str, Any]]]:
        """What functions of torch's modules say meanwhile, by module and name."""
        cuda = {"is_available": True, "device_count": 1, "current_device": GPU.index, "synchronize": None}
        said: list[tuple[Any, dict[str, Any]]] = [(torch.cuda, cuda)]
        if hasattr(torch, "accelerator"):  # from torch 2.6 on
            known = {"is_available": True, "device_count": 1, "synchronize": None}
            said.append((torch.accelerator, {**known, "current_accelerator": torch.device(GPU.type)}))
        return said

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """Say that a tensor is on the GPU."""
        self._places[tensor] = GPU
        return tensor

    def place(self, tensor: torch.Tensor) -> torch.device | None:
        """Where a tensor would be; None if nobody knows."""
        found: torch.device | None = self._places.get(tensor)  # type: ignore[no-untyped-call]
        return found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation on the CPU and keep the account."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._attribute(func, args, kwargs)
        if name == "__set__" and func == torch.Tensor.data.__set__:  # type: ignore[attr-defined]
            self._places[args[0]] = self.place(args[1]) or CPU
            return func(*args, **kwargs)
        if name in ("numpy", "__array__") and self.place(args[0]) == GPU:
            raise DeviceMismatch("can't convert a tensor on the GPU to numpy: call .cpu() first")
        if name in ("is_cuda", "get_device") and args:
            on_gpu = self.place(args[0]) == GPU
            return on_gpu if name == "is_cuda" else (0 if on_gpu else -1)
        asked, args = self._asked(name, args, kwargs)
        met = [(tensor, self.place(tensor)) for tensor in tensors_in((args, kwargs))]
        self.hold_together(name, args, met)
        where = asked or self._result_place(name, args, met)
        result = args[0] if name in ("cuda", "cpu") else func(*args, **kwargs)
        if asked is not None and isinstance(result, torch.Tensor) and args and result is args[0]:
            result = result if self.place(result) == asked else result.clone()
        return self.account(result, where)

    def _attribute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`x.device`, `x.is_cuda`, and attributes that are tensors themselves (`x.T`, `x.data`, `x.grad`)."""
        if func == torch.Tensor.device.__get__:
            return self.place(args[0]) or CPU
        if func == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return self.place(args[0]) == GPU
        return self.account(func(*args, **kwargs), self.place(args[0]))

    def _asked(self, name: str, args: Any, kwargs: dict[str, Any]) -> tuple[torch.device | None, Any]:
        """The device that a call asks for, taken out of its arguments: everything runs on the CPU."""
        if name in ("cuda", "cpu"):
            kwargs.clear()
            return (GPU if name == "cuda" else CPU), args[:1]
        device = kwargs.pop("device", None)
        asked = self._device(device) if device is not None else None
        kwargs.pop("pin_memory", None)
        if name == "type_as":
            return self.place(args[1]) or CPU, args
        if name == "to":
            kept = [args[0]]
            for argument in args[1:]:
                if isinstance(argument, torch.Tensor):
                    asked = self.place(argument) or CPU
                    kept.append(argument.dtype)
                elif isinstance(argument, (str, torch.device, int)) and not isinstance(argument, bool):
                    asked = self._device(argument)
                elif isinstance(argument, torch.dtype):  # of the rest, None and whether to wait, nothing is kept
                    kept.append(argument)
            return asked, tuple(kept)
        return asked, args

    def _device(self, value: Any) -> torch.device:
        if any(value is known for known in self._stands_for_gpu):
            return GPU
        on_gpu = isinstance(value, int) or torch.device(value).type not in ("cpu", "meta")  # a Mac's is "mps"
        return GPU if on_gpu else CPU

    def hold_together(self, name: str, args: Any, met: list[_Placed]) -> None:
        """Raise if the tensors of a call are on different devices, where torch would."""
        if name in _CROSSING:
            return
        places = {place for tensor, place in met if place == GPU or tensor.dim() > 0}
        if not {GPU, CPU} <= places:
            return
        if name == "__getitem__" and self.place(args[0]) != CPU:
            return
        raise DeviceMismatch(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu"
        )

    def _result_place(self, name: str, args: Any, met: list[_Placed]) -> torch.device | None:
        if name in _COPYING:
            return self.place(args[0]) if args and isinstance(args[0], torch.Tensor) else CPU
        if name in ("__getitem__", "copy_", "index_put_") or name.startswith("new_"):
            return self.place(args[0])
        places = [place for _, place in met]
        if GPU in places:
            return GPU
        return None if None in places else CPU

    def account(self, result: Any, where: torch.device | None) -> Any:
        """Note where the tensors of a result are; an iterator is run through for it."""
        if isinstance(result, Iterator):
            return iter([self.account(item, where) for item in result])
        if where is not None:
            for tensor in tensors_in(result):
                self._places[tensor] = where
        return result


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, tuples and dictionaries."""
    found: list[torch.Tensor] = []
    rest, parts = [value], 0
    while rest:
        item, parts = rest.pop(), parts + 1
        if parts > _MAX_PARTS:
            raise RecursionError("a list that contains itself")
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, dict):
            rest += reversed(list(item.values()))
        elif isinstance(item, (list, tuple)):
            rest += reversed(item)
    return found

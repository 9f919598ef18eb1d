"""A GPU that is not there: finds tensors left on the CPU, on any machine.

The commonest crash of a notebook that moves to a GPU is a tensor made on the CPU that meets one on the GPU.
`PretendGpu` lets code run on the CPU as it is, with its real numbers, keeps account of the device on which each
tensor *would* be (`places.py`), and raises `DeviceMismatch` where a GPU would. It knows three places: the GPU, the CPU,
and unknown (memory older than the mode), which goes with everything: what cannot be told is never a fault.

Within it torch says that there is a GPU (`cuda_answers.py`), since right code asks.

Rules, as torch has them: an operation wants its tensors on one device; CPU tensors without dimensions go with
everything; a tensor on the GPU may be indexed by one on the CPU, not the other way round; copying into a tensor
(`copy_`, `x[...] = y`) may cross devices; `numpy()` wants the CPU. `device_rules.py` names the functions. A tensor that
changes its device is a copy, as it would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _device as default_devices

from autograder.runtime.cuda_answers import CPU, GPU, Patch, named_type, patches, type_name
from autograder.runtime.device_rules import (
    BY_THE_FIRST,
    OF_DATA,
    is_indexing,
    may_cross,
    result_unknown,
    to_be_together,
)
from autograder.runtime.places import Places, memory_of

_MAX_PARTS = 100_000
_PLAIN = frozenset([int, float, bool, str, type(None), slice, torch.dtype, torch.device, torch.Size])
# By the functions' names: what asks for a tensor's form and nothing else; what may be answered from the account; what
# may ask for a device without a keyword.
_OF_THE_FORM = frozenset(
    [
        *("size", "dim", "ndimension", "numel", "nelement", "stride", "__len__", "is_contiguous", "element_size"),
        *("storage_offset", "is_floating_point", "is_complex", "is_signed", "untyped_storage", "data_ptr", "__hash__"),
    ]
)
_ANSWERED = frozenset(["is_cuda", "get_device", "type", "pin_memory", "record_stream", "is_pinned"])
_ASKING = frozenset(["cuda", "cpu", "to", "type", "type_as"])
_ON_GPU = {"is_cuda": True, "is_cpu": False}  # attributes, and what they are there

_Placed = tuple[torch.Tensor, torch.device | None]


class DeviceMismatch(RuntimeError):
    """Tensors on different devices meet, as they would with a GPU."""


class PretendGpu(TorchFunctionMode):
    """Within it, torch behaves as if there were a GPU. It may be left and entered again: the account stays.

    Args:
        stands_for_gpu: Devices that notebooks were given in place of theirs: they count as the GPU.
    """

    def __init__(self, stands_for_gpu: Iterable[torch.device | str] = ()) -> None:
        super().__init__()
        self._places = Places()
        self.stands_for_gpu = list(stands_for_gpu)
        self._default: torch.device | None = None
        self._patches: list[Patch] | None = None
        self._before: list[Patch] = []

    def __enter__(self) -> PretendGpu:
        """Begin, and have torch say that there is a GPU."""
        if self._patches is None:
            self._patches = self.answers()
        for holder, name, value in self._patches:
            self._before.append((holder, name, vars(holder)[name]))
            setattr(holder, name, value)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End, and have torch say what is so."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        while self._before:
            holder, name, value = self._before.pop()
            setattr(holder, name, value)

    def answers(self) -> list[Patch]:
        """What stands where in torch's modules meanwhile."""
        return patches(self)

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """Say that a tensor is on the GPU."""
        return self.put_at(tensor, GPU)

    def put_at(self, tensor: torch.Tensor, where: torch.device) -> torch.Tensor:
        """Say where a tensor is."""
        self._places.note(tensor, where)
        return tensor

    def place(self, tensor: torch.Tensor) -> torch.device | None:
        """Where a tensor would be; None if nobody knows."""
        return self._places.of(tensor)

    def set_default(self, device: Any) -> None:
        """In place of `torch.set_default_device`, which would reach for a GPU and outlast the mode."""
        self._default = None if device is None else torch.device(device)

    def get_default(self) -> torch.device:
        """In place of `torch.get_default_device`."""
        return self._default or default_devices.CURRENT_DEVICE or CPU

    def set_default_type(self, kind: Any) -> None:
        """In place of `torch.set_default_tensor_type`, of which it keeps the device."""
        named = named_type(kind)
        if named is not None:
            self._default = named[1]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation on the CPU and keep the account."""
        kwargs = dict(kwargs) if kwargs else {}
        name = getattr(func, "__name__", "")
        for kind in types:
            if not issubclass(kind, torch.Tensor):  # a proxy of `torch.fx`, which only writes down
                return func(*args, **kwargs)
        if name == "__get__":
            return self._attribute(func, args, kwargs)
        if name in _OF_THE_FORM:
            return func(*args, **kwargs)
        if name in ("numpy", "__array__") and self.place(args[0]) == GPU:
            raise DeviceMismatch("can't convert a tensor on the GPU to numpy: call .cpu() first")
        if name in _ANSWERED:
            answered, answer = self._answered(name, args, kwargs)
            if answered:
                return answer
        asked: torch.device | None = None
        if kwargs or name in _ASKING or func in _makers():
            asked, args = self._asked(func, name, args, kwargs)
        met = [(tensor, self.place(tensor)) for tensor in _tensors_of(args, kwargs)]
        self.hold_together(name, args, met)
        where = asked or self._result_place(func, name, args, met)
        result = self._on_the_cpu(func)(*args, **kwargs)
        if asked is not None and isinstance(result, torch.Tensor):
            result = self._moved(result, asked, met)
        return self.account(result, where)

    def _answered(self, name: str, args: Any, kwargs: dict[str, Any]) -> tuple[bool, Any]:
        """Whether a call asks for a tensor's place and nothing else, or does what only a GPU needs; and the answer."""
        if not args or not isinstance(args[0], torch.Tensor):
            return False, None
        if name == "is_cuda":
            return True, self.place(args[0]) == GPU
        if name == "get_device":
            return True, GPU.index if self.place(args[0]) == GPU else -1
        if name == "type" and len(args) == 1 and not kwargs:
            return True, type_name(args[0].dtype, self.place(args[0]) or CPU)
        if name in ("pin_memory", "record_stream"):
            return True, args[0] if name == "pin_memory" else None
        return (True, False) if name == "is_pinned" else (False, None)

    def _attribute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`x.device`, `x.is_cuda`, and attributes that are tensors themselves (`x.T`, `x.data`, `x.grad`)."""
        asked = getattr(getattr(func, "__self__", None), "__name__", "")
        if asked == "device":
            real: torch.device = func(*args, **kwargs)
            return real if real.type == "meta" else self.place(args[0]) or CPU
        if asked in _ON_GPU:
            return (self.place(args[0]) == GPU) == _ON_GPU[asked]
        result = func(*args, **kwargs)
        return self.account(result, self.place(args[0])) if isinstance(result, torch.Tensor) else result

    def _asked(self, func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> tuple[torch.device | None, Any]:
        """The device that a call asks for. Its arguments ask for the CPU afterwards, where everything runs."""
        kwargs.pop("pin_memory", None)
        if name in ("cuda", "cpu"):
            for argument in ("device", "non_blocking"):
                kwargs.pop(argument, None)
            return (GPU if name == "cuda" else CPU), args[:1]
        asked: torch.device | None = None
        if isinstance(kwargs.get("device"), (str, torch.device, int)):
            asked = self.named(kwargs["device"])
            if asked is None:
                return None, args
            kwargs["device"] = CPU
        elif func in _makers():
            asked = self.named(self.get_default())
            if name in OF_DATA and self._given(args, kwargs) is not None:
                asked = None
            else:
                kwargs["device"] = CPU if asked else self.get_default()
        if name == "type_as":
            return self.place(args[1]) or CPU, args
        if name == "type":
            kind = args[1] if len(args) > 1 else kwargs.pop("dtype", None)
            named = named_type(kind)
            return (named[1], (args[0], named[0])) if named else (None, (args[0], kind))
        return self._asked_to(args, kwargs, asked) if name == "to" else (asked, args)

    def _asked_to(
        self, args: Any, kwargs: dict[str, Any], asked: torch.device | None
    ) -> tuple[torch.device | None, Any]:
        """The same of `x.to(...)`, which takes a device, a dtype, or another tensor, in several orders."""
        flags = []
        for argument in [*args[1:], kwargs.pop("other", None)]:
            if isinstance(argument, torch.Tensor):
                asked = self.place(argument) or CPU
                kwargs["dtype"] = argument.dtype
            elif isinstance(argument, torch.dtype):
                kwargs["dtype"] = argument
            elif isinstance(argument, bool):
                flags.append(argument)
            elif isinstance(argument, (str, torch.device, int)):
                asked = self.named(argument)
                if asked is None:
                    return None, args
        if len(flags) > 1:  # whether to wait, whether to copy
            kwargs["copy"] = flags[1]
        if asked is not None:
            kwargs["device"] = CPU
        return asked, args[:1]

    def named(self, value: Any) -> torch.device | None:
        """The place that a device stands for; None for one without memory ("meta")."""
        if any(value is known for known in self.stands_for_gpu):
            return GPU
        kind = GPU.type if isinstance(value, int) else torch.device(value).type  # a Mac's is "mps"
        return None if kind == "meta" else CPU if kind == "cpu" else GPU

    def _given(self, args: Any, kwargs: dict[str, Any]) -> torch.Tensor | None:
        """The tensor that `torch.tensor` and its like make theirs of, if it is one."""
        data = args[0] if args else kwargs.get("data", kwargs.get("obj"))
        return data if isinstance(data, torch.Tensor) else None

    def hold_together(self, name: str, args: Any, met: list[_Placed]) -> None:
        """Raise if the tensors of a call are on different devices, where torch would."""
        places = {place for tensor, place in met if place == GPU or tensor.dim() > 0}
        if not {GPU, CPU} <= places or may_cross(name):
            return
        if is_indexing(name):
            together = to_be_together(name, args, self.place(args[0]) != CPU)
            places = {self.place(t) for t in tensors_in(together) if self.place(t) == GPU or t.dim() > 0}
            if not {GPU, CPU} <= places:
                return
        raise DeviceMismatch(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu"
        )

    def _result_place(self, func: Any, name: str, args: Any, met: list[_Placed]) -> torch.device | None:
        """Where new memory of a call's result is."""
        first = met[0][1] if met else None
        if result_unknown(name):
            return first if {place for _, place in met} == {first} else None
        if name in OF_DATA or name in BY_THE_FIRST or name.startswith("new_") or name == "new":
            return first
        places = [place for _, place in met]
        if GPU in places:
            return GPU
        return None if None in places else CPU

    def _moved(self, result: torch.Tensor, asked: torch.device, met: list[_Placed]) -> torch.Tensor:
        """A result where it was asked for: a copy, if it shares memory that is elsewhere."""
        memory = memory_of(result)
        shared = [place for tensor, place in met if memory_of(tensor) == memory]
        return result.clone() if shared and shared[0] != asked else result

    def _on_the_cpu(self, func: Any) -> Any:
        """What a function does here."""
        return {torch.Tensor.cuda: torch.Tensor.cpu, torch.Tensor.backward: self._backward}.get(func, func)

    def _backward(
        self,
        tensor: torch.Tensor,
        gradient: Any = None,
        retain_graph: Any = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """`Tensor.backward` within the mode: what runs backward may be Python, a recomputed forward pass, say."""
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            torch.autograd.backward(tensor, gradient, retain_graph, create_graph, inputs=inputs)
        finally:
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def account(self, result: Any, where: torch.device | None) -> Any:
        """Note where new memory in a result is; an iterator is run through for it."""
        if isinstance(result, torch.Tensor):
            if where is not None:
                self._places.note_new(result, where)
            return result
        if isinstance(result, Iterator):
            return iter([self.account(item, where) for item in result])
        if where is not None:
            for tensor in tensors_in(result):
                self._places.note_new(tensor, where)
        return result


def _makers() -> Any:
    """Torch's functions that make tensors where nothing else says so on the default device."""
    return default_devices._device_constructors()


def _tensors_of(args: Any, kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors of a call; those of most are its arguments themselves."""
    if kwargs:
        return tensors_in((args, kwargs))
    found = []
    for item in args:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif type(item) not in _PLAIN:
            return tensors_in(args)
    return found


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        return [value]
    found: list[torch.Tensor] = []
    rest, parts = [value], 0
    while rest:
        item, parts = rest.pop(), parts + 1
        if parts > _MAX_PARTS:
            raise RecursionError("a list that contains itself")
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            rest += item[::-1]
        elif isinstance(item, Mapping):
            rest += list(item.values())[::-1]
    return found

"""What torch says of its GPU, and does with it, while `PretendGpu` is active: `torch.cuda`, `torch.accelerator`, types.

Questions are answered as by a machine with one GPU; what would only wait, measure or tidy up does nothing. What makes
tensors makes them on the CPU, and the account says that they are on the GPU.
"""

from __future__ import annotations

import contextlib
import time
import types
from collections.abc import Callable
from typing import Any

import torch

Patch = tuple[Any, str, Any]  # a module or class, the name in it, and what stands there meanwhile

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
NAME = "Tesla T4"  # the GPU that Colab lends
_MEMORY = 15 * 2**30
_ANSWERS: dict[str, Any] = {
    "is_available": True,
    "is_initialized": True,
    "device_count": 1,
    "current_device": GPU.index,
    "get_device_name": NAME,
    "get_device_capability": (7, 5),
    "get_arch_list": ["sm_75"],
    "is_bf16_supported": True,
    "is_tf32_supported": False,
    "is_current_stream_capturing": False,
    "can_device_access_peer": False,
    "initial_seed": 0,
    "mem_get_info": (_MEMORY, _MEMORY),
    "memory_stats": {},
    "memory_summary": "",
    "list_gpu_processes": "",
    "utilization": 0,
    "temperature": 0,
}
_NUMBERS = [
    "memory_allocated",
    "memory_reserved",
    "memory_cached",
    "memory_usage",
    "max_memory_allocated",
    "max_memory_reserved",
    "max_memory_cached",
]
_NOTHING = [
    "init",
    "ipc_collect",
    "empty_cache",
    "synchronize",
    "set_device",
    "set_stream",
    "set_per_process_memory_fraction",
    "set_sync_debug_mode",
    "manual_seed",
    "manual_seed_all",
    "seed",
    "seed_all",
    "set_rng_state",
    "set_rng_state_all",
    "reset_peak_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_accumulated_memory_stats",
]
_ACCELERATOR: dict[str, Any] = {
    "is_available": True,
    "device_count": 1,
    "current_accelerator": torch.device(GPU.type),
    "current_device_index": GPU.index,
    "current_device_idx": GPU.index,
    "memory_stats": {},
    "get_memory_info": (_MEMORY, _MEMORY),
}
_TYPES = {
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "HalfTensor": torch.float16,
    "BFloat16Tensor": torch.bfloat16,
    "ByteTensor": torch.uint8,
    "CharTensor": torch.int8,
    "ShortTensor": torch.int16,
    "IntTensor": torch.int32,
    "LongTensor": torch.int64,
    "BoolTensor": torch.bool,
}


class _Nothing(contextlib.nullcontext[None]):
    """A stream, an event, a device to work on, a range of a profiler: takes what it is given and does nothing."""

    device, device_index, stream_id = GPU, GPU.index, 0

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self._at = 0.0

    def __call__(self, function: Any) -> Any:
        """As a decorator."""
        return function

    def record(self, *_: Any) -> None:
        """Note the time, as an event does."""
        self._at = time.perf_counter()

    def elapsed_time(self, other: _Nothing) -> float:
        """Milliseconds between two events."""
        return 1000 * (other._at - self._at)

    def query(self) -> bool:
        """All is done: it was never put off."""
        return True

    def _done(self, *_: Any) -> None:
        pass

    def is_capturing(self) -> bool:
        """No graph is captured."""
        return False

    synchronize = wait = wait_event = wait_stream = record_event = _done


class TensorType(type):
    """The class of what `torch.cuda.FloatTensor` and its like are meanwhile: `isinstance` asks for dtype and place."""

    dtype: torch.dtype
    where: torch.device
    place: Callable[[torch.Tensor], torch.device | None]
    put: Callable[[torch.Tensor, torch.device], torch.Tensor]

    @property
    def is_cuda(cls) -> bool:
        """Whether its tensors are on the GPU."""
        return cls.where == GPU

    def __instancecheck__(cls, thing: Any) -> bool:
        known = isinstance(thing, torch.Tensor) and thing.dtype == cls.dtype
        return known and cls.place(thing) in (cls.where, None)

    def __call__(cls, *values: Any, **_: Any) -> torch.Tensor:
        """A tensor of sizes, or of data."""
        if all(isinstance(value, int) for value in values):  # sizes, or nothing at all
            made = torch.empty(values or (0,), dtype=cls.dtype, device=CPU)
        elif isinstance(values[0], torch.Size):
            made = torch.empty(values[0], dtype=cls.dtype, device=CPU)
        else:
            made = torch.tensor(values[0], dtype=cls.dtype, device=CPU)
        return cls.put(made, cls.where)

    def __str__(cls) -> str:
        return f"{cls.__module__}.{cls.__name__}"


def type_name(dtype: torch.dtype, where: torch.device) -> str:
    """What `x.type()` says of a tensor ("torch.cuda.FloatTensor")."""
    name = next((name for name, known in _TYPES.items() if known == dtype), "Tensor")
    return f"torch.cuda.{name}" if where == GPU else f"torch.{name}"


def named_type(value: Any) -> tuple[torch.dtype, torch.device] | None:
    """The dtype and the device that a tensor type (`torch.cuda.FloatTensor`, or its name) stands for, or None."""
    if isinstance(value, TensorType):
        return value.dtype, value.where
    of_class = f"{getattr(value, '__module__', '')}.{getattr(value, '__name__', '')}"
    text = value if isinstance(value, str) else of_class
    package, _, name = text.rpartition(".")
    if package not in ("torch", "torch.cuda") or name not in _TYPES:
        return None
    return _TYPES[name], GPU if package == "torch.cuda" else CPU


def patches(gpu: Any) -> list[Patch]:
    """What stands where in torch while a `PretendGpu` is active."""
    made: list[Patch] = [*_answers(torch.cuda, _ANSWERS), *_of_cuda()]
    if hasattr(torch, "accelerator"):  # from torch 2.6 on
        made += _answers(torch.accelerator, _ACCELERATOR)
        nothing = dict.fromkeys(("synchronize", "set_device_index", "set_device_idx", "empty_cache"))
        made += _answers(torch.accelerator, nothing)
        made += _answers(torch.accelerator, dict.fromkeys(_NUMBERS, 0))
        ways = {"device_index": _Nothing, "current_stream": _stream}
        made += [(torch.accelerator, name, way) for name, way in ways.items() if hasattr(torch.accelerator, name)]
    made += _types(gpu)
    made += [(torch, "Generator", _Generator), (torch.nn.DataParallel, "forward", _alone)]
    made += [(torch.jit, name, _as_it_is) for name in ("script", "trace")]
    made += [
        (torch, "from_numpy", _placed(torch.from_numpy, gpu)),
        (torch, "frombuffer", _placed(torch.frombuffer, gpu)),
        (torch, "load", _loaded(torch.load, gpu)),
        (torch, "set_default_device", gpu.set_default),
        (torch, "get_default_device", gpu.get_default),
        (torch, "set_default_tensor_type", gpu.set_default_type),
    ]
    return made


def _answers(module: Any, said: dict[str, Any]) -> list[Patch]:
    return [
        (module, name, lambda *_, _answer=answer, **__: _answer)
        for name, answer in said.items()
        if hasattr(module, name)
    ]


def _of_cuda() -> list[Patch]:
    cuda = torch.cuda
    made = _answers(cuda, dict.fromkeys(_NOTHING)) + _answers(cuda, dict.fromkeys(_NUMBERS, 0))
    properties = types.SimpleNamespace(
        name=NAME, major=7, minor=5, total_memory=_MEMORY, multi_processor_count=40, warp_size=32, is_integrated=False
    )
    made += _answers(cuda, {"get_device_properties": properties})
    made += [(cuda, "get_rng_state", lambda *_, **__: torch.zeros(16, dtype=torch.uint8, device=CPU))]
    made += [(cuda, "get_rng_state_all", lambda: [torch.zeros(16, dtype=torch.uint8, device=CPU)])]
    made += [(cuda, name, _Nothing) for name in ("Stream", "Event", "device", "device_of", "stream", "StreamContext")]
    made += [(cuda, name, _stream) for name in ("current_stream", "default_stream")]
    nvtx = {"range_push": 0, "range_pop": 0, "mark": None, "range_start": 0, "range_end": None}
    return made + _answers(cuda.nvtx, nvtx) + [(cuda.nvtx, "range", _Nothing)]


def _types(gpu: Any) -> list[Patch]:
    """`torch.FloatTensor`, `torch.cuda.FloatTensor` and their like."""
    made: list[Patch] = []
    for name, dtype in _TYPES.items():
        for module, where in ((torch, CPU), (torch.cuda, GPU)):
            members = {"dtype": dtype, "where": where, "place": gpu.place, "put": gpu.put_at}
            kind = TensorType(name, (), {"__module__": module.__name__})
            for member, value in members.items():
                type.__setattr__(kind, member, staticmethod(value) if callable(value) else value)
            made.append((module, name, kind))
    return made


class _Generator(torch.Generator):
    """One for the GPU draws on the CPU, too."""

    def __new__(cls, *_: Any, **__: Any) -> _Generator:
        return super().__new__(cls, CPU)  # type: ignore[call-arg]


def _stream(*_: Any) -> _Nothing:
    return _Nothing()


def _alone(self: Any, *args: Any, **kwargs: Any) -> Any:
    """`DataParallel` over one GPU is the module itself."""
    return self.module(*args, **kwargs)


def _as_it_is(thing: Any = None, *_: Any, **__: Any) -> Any:
    """What `torch.jit` compiles runs out of the account's sight; as it is written it does the same."""
    return thing if thing is not None else _as_it_is


def _placed(make: Callable[..., torch.Tensor], gpu: Any) -> Callable[..., torch.Tensor]:
    """A function that makes tensors of other memory, which is the CPU's."""

    def made(*args: Any, **kwargs: Any) -> torch.Tensor:
        return gpu.put_at(make(*args, **kwargs), CPU)  # type: ignore[no-any-return]

    return made


def _loaded(load: Callable[..., Any], gpu: Any) -> Callable[..., Any]:
    """`torch.load`, whose tensors are on the GPU if `map_location` says so."""

    def loaded(file: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        where = gpu.named(map_location) if isinstance(map_location, (str, torch.device, int)) else None
        return gpu.account(load(file, CPU, *args, **kwargs), where)

    return loaded

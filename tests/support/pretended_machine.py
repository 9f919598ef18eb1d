"""A machine with a GPU, where there is none: everything counts as on the device where it would be, and runs on the CPU.

Stricter than the kit's own `PretendGpu`: it is there before the notebook is, so a tensor whose place nobody wrote down
is on the CPU; a parameter, which torch makes unseen, is where its memory is. It stops as a GPU does, with what torch
itself says there, so that what the kit makes of those words is tried too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from autograder.runtime.pretend_gpu import CPU, GPU, DeviceMismatch, PretendGpu, tensors_in

MIX = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
MIX_MPS = "Placeholder storage has not been allocated on MPS device!"
NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32"
)


class PretendedMachine(PretendGpu):
    """A computer with one GPU, as long as it is entered.

    Args:
        kind: Of the GPU: "cuda" or "mps".
        lacks: Names of functions that the GPU does not have.
    """

    def __init__(self, kind: str = "cuda", lacks: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.kind, self.lacks = kind, lacks
        self.on_gpu = 0  # operations that the GPU was asked for

    def answers(self) -> list[tuple[Any, str, Any]]:
        """Nothing more: `pretended_machine` has said already what torch says of it."""
        return []

    def place(self, tensor: torch.Tensor) -> torch.device:
        """Where a tensor is: as noted, or else on the CPU."""
        return super().place(tensor) or CPU

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation on the CPU as the machine would on either device."""
        return self._as_here(func, super().__torch_function__(func, types, args, kwargs))

    def _as_here(self, func: Any, result: Any) -> Any:
        if isinstance(result, torch.device) and func == torch.Tensor.device.__get__:
            return torch.device(self.kind, 0) if result == GPU else result
        if self.kind == "mps":
            if func == torch.Tensor.is_cuda.__get__:
                return False
            if any(t.dtype == torch.float64 and self.place(t) == GPU for t in tensors_in(result)):
                raise TypeError(NO_FLOAT64)
        return result

    def named(self, value: Any) -> torch.device | None:
        """The place that a device stands for; one of another kind is not there."""
        kind = self.kind if isinstance(value, int) else torch.device(value).type
        if kind not in ("cpu", "meta", self.kind):
            raise AssertionError(f"Torch not compiled with {kind.upper()} enabled")
        return {"cpu": CPU, "meta": None}.get(kind, GPU)

    def hold_together(self, name: str, args: Any, met: Any) -> None:
        """Stop as the machine would, with torch's own words; what does not stop and meets the GPU is counted."""
        wanted = any(place == GPU for _, place in met)
        if wanted and name in self.lacks:
            raise NotImplementedError(f"The operator 'aten::{name}' is not currently implemented for the MPS device.")
        try:
            super().hold_together(name, args, met)
        except DeviceMismatch as error:
            raise RuntimeError(MIX if self.kind == "cuda" else MIX_MPS) from error
        self.on_gpu += wanted


@contextlib.contextmanager
def pretended_machine(
    monkeypatch: pytest.MonkeyPatch, kind: str = "cuda", lacks: tuple[str, ...] = ()
) -> Iterator[PretendedMachine]:
    """A machine with a GPU, and what `torch.cuda` and its like say of it; no default device is left set."""
    import torch._dynamo  # optimizers import it; it must see `is_available` as it is

    states = [torch.arange(16, dtype=torch.uint8)]

    def keep(state: torch.Tensor, device: Any = None) -> None:
        states[0] = state.clone()

    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
        patch.setattr(torch.cuda, "device_count", lambda: int(kind == "cuda"))
        patch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
        for module in (torch.cuda, torch.mps):
            patch.setattr(module, "get_rng_state", lambda *_: states[0].clone())
            patch.setattr(module, "set_rng_state", keep)
        for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):  # ask the driver
            patch.setattr(torch.optim.Optimizer, name, lambda *_: None, raising=False)
        if kind == "cuda":
            patch.setattr(torch.cuda, "FloatTensor", lambda *values: torch.FloatTensor(*values).cuda())
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        patch.setattr(torch.cuda, "manual_seed_all", lambda *_: None)
        try:
            with PretendedMachine(kind, lacks) as machine:
                yield machine
        finally:
            torch.set_default_device(None)

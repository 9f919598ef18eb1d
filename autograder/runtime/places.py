"""Where each tensor would be if there were a GPU: an account kept by memory.

All views of one memory are on one device, and so is a parameter made of a tensor: what is noted for the memory holds
for each of them. Tensors without a memory of their own (sparse ones) are noted one by one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakTensorKeyDictionary

_PURGED_FROM = 4096
_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
_unwrapped = torch._C._functorch.get_unwrapped


class Places:
    """The account. What nobody noted is unknown, which is no place."""

    def __init__(self) -> None:
        self._memory: dict[int, tuple[StorageWeakRef, torch.device]] = {}
        self._single: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._purged_at = _PURGED_FROM

    def of(self, tensor: torch.Tensor) -> torch.device | None:
        """Where a tensor is; None if nobody knows."""
        key = memory_of(tensor)
        if key is None:
            found: torch.device | None = self._single.get(tensor)  # type: ignore[no-untyped-call]
            return found
        noted = self._memory.get(key)
        return noted[1] if noted else None

    def note_new(self, tensor: torch.Tensor, where: torch.device) -> None:
        """Say where a tensor's memory is if nobody has said it yet."""
        key = memory_of(tensor)
        if (key not in self._memory) if key is not None else (self.of(tensor) is None):
            self.note(tensor, where)

    def note(self, tensor: torch.Tensor, where: torch.device) -> None:
        """Say where a tensor's memory is."""
        tensor = _innermost(tensor)
        key = memory_of(tensor)
        if key is None:
            self._single[tensor] = where
            return
        # While a weak reference is held no other memory gets its address, so a key never means two of them.
        known = self._memory.get(key)
        held = known[0] if known else StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._memory[key] = held, where
        if len(self._memory) > self._purged_at:
            self._purge()

    def _purge(self) -> None:
        """Forget memory that is gone."""
        self._memory = {key: noted for key, noted in self._memory.items() if not noted[0].expired()}  # type: ignore[no-untyped-call]
        self._purged_at = max(_PURGED_FROM, 2 * len(self._memory))


def memory_of(tensor: torch.Tensor) -> int | None:
    """What two tensors have in common if one is a view of the other; None where a tensor has no memory of its own."""
    try:
        key: int = _innermost(tensor).untyped_storage()._cdata
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    return key


def _innermost(tensor: torch.Tensor) -> Any:
    """The tensor with the values, within what `vmap` and `torch.func` wrap round it."""
    while _is_wrapped(tensor):
        tensor = _unwrapped(tensor)
    return tensor

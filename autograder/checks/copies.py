"""Stored tensors as a check gets them: a copy of each that it asks for, since student code may write into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

import torch


class Copies(MutableMapping[str, torch.Tensor]):
    """Tensors by name, each copied when it is first asked for: a check uses few of many.

    Args:
        tensors: What is copied.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = dict(tensors)
        self._copied: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        """The copy, the same one each time."""
        if name not in self._copied:
            self._copied[name] = self._tensors[name].clone()
        return self._copied[name]

    def __setitem__(self, name: str, tensor: torch.Tensor) -> None:
        """A check may keep something of its own beside them."""
        self._tensors[name] = self._copied[name] = tensor

    def __delitem__(self, name: str) -> None:
        """Leave one out."""
        del self._tensors[name]
        self._copied.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._tensors)

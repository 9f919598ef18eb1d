"""Half precision for the networks, full precision for everything that is computed with what they predict.

Convolutions gain from numbers of 16 bits; box areas, logarithms and sums of losses lose their digits or overflow
in them (65504 is the largest number of float16, and 256 x 256 is more). So each network of a detector runs under
autocast on its own and hands out float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Precision = Literal["float32", "half"]


def half_type(device: torch.device) -> torch.dtype:
    """The 16-bit type that a device computes with: bfloat16 where it is quick, otherwise float16."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        return torch.float16  # T4 and older: bfloat16 is emulated there
    return torch.bfloat16


@contextmanager
def networks_in_half(detector: nn.Module, device: torch.device) -> Iterator[None]:
    """Within this context the detector's direct submodules compute in 16 bits, and return float32.

    ``forward`` is replaced, not hooked, since some call ``self.backbone.forward(images)``.

    Args:
        detector: Whose submodules.
        device: Where it is.
    """
    dtype = half_type(device)
    networks = list(dict.fromkeys(detector.children()))
    for network in networks:
        network.forward = _in_half(network.forward, device.type, dtype)
    try:
        yield
    finally:
        for network in networks:
            del network.forward


def _in_half(forward: Any, device: str, dtype: torch.dtype) -> Any:
    """The same function under autocast, its results in float32."""

    def in_half(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, dtype):
            result = forward(*args, **kwargs)
        return tree_map(_full, result)

    return in_half


def _full(value: Any) -> Any:
    """A half precision tensor in float32; anything else as it is."""
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value

"""Globals that the assignment fixes: bound over whatever a notebook says, in the form in which it says it."""

from __future__ import annotations

from typing import Any

import torch

from autograder.runtime.notebook_device import cpu_like


class Given:
    """The values. A device is a `torch.device`, or a text if the notebook made it one.

    Args:
        values: By name; `{"device": "cpu"}` stands for a `torch.device`.
        gpu: The GPU that devices name instead ("cuda"), for code that runs as on one; what names a GPU already stays.
    """

    def __init__(self, values: dict[str, Any], gpu: str = "") -> None:
        self._values = values
        self._gpu = gpu

    def bind(self, namespace: dict[str, Any]) -> None:
        """Bind them, after each statement of a notebook that may have bound others."""
        for name, value in self._values.items():
            if isinstance(value, dict) and set(value) == {"device"}:
                namespace[name] = self._device(value["device"], namespace.get(name))
            else:
                namespace[name] = value

    def _device(self, fixed: str, bound: Any) -> Any:
        if self._gpu and isinstance(bound, (str, torch.device)) and str(bound).startswith(self._gpu):
            return bound
        device = torch.device(self._gpu or fixed)
        if not isinstance(bound, str):
            return bound if bound == device else device
        return cpu_like(bound) if device.type == "cpu" else str(device)

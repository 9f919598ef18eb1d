"""Stands for torchvision's weight downloads where there is no network: notebooks ask for them by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torchvision.models
from torchvision.models._api import WeightsEnum


class OfflineWeights(Mapping[str, torch.Tensor]):
    """Seeded random weights of a torchvision model, made when somebody looks at them.

    Hardly anybody does: they are loaded into a model that has random weights of its own, which then keeps those.

    Args:
        model: Name of the model's builder, in any case ("RegNet_X_400MF").
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._made: dict[str, torch.Tensor] | None = None

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors())

    def __len__(self) -> int:
        return len(self._tensors())

    def _tensors(self) -> dict[str, torch.Tensor]:
        if self._made is None:
            builders = vars(torchvision.models)
            name = next(name for name in builders if name.lower() == self._model.lower() and callable(builders[name]))
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self._made = builders[name](weights=None).state_dict()
        return self._made


def answer_weight_downloads() -> None:
    """Have every enum of torchvision's weights answer with `OfflineWeights`, in this process."""
    load = torch.nn.Module.load_state_dict

    def get_state_dict(self: Any, *args: Any, **kwargs: Any) -> OfflineWeights:
        return OfflineWeights(type(self).__name__.removesuffix("_Weights"))

    def load_state_dict(self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(state_dict, OfflineWeights):
            return torch.nn.modules.module._IncompatibleKeys([], [])
        return load(self, state_dict, *args, **kwargs)

    WeightsEnum.get_state_dict = get_state_dict
    torch.nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]


@contextlib.contextmanager
def weights_answered() -> Iterator[None]:
    """`answer_weight_downloads` for a while: in a process that does other things, too."""
    before = torch.nn.Module.load_state_dict, WeightsEnum.get_state_dict
    answer_weight_downloads()
    try:
        yield
    finally:
        torch.nn.Module.load_state_dict, WeightsEnum.get_state_dict = before  # type: ignore[method-assign]

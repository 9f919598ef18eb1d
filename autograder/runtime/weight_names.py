"""What parameters are called where a check asks for them: by the attributes that the assignment's text has.

Torch calls a parameter that is registered twice by the name that came first, and one within a wrapper by its place
there. A right solution may do either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

_KERNEL = 4  # dimensions of a convolution's weights


def by_name(named: Iterable[tuple[str, torch.Tensor]], given: Sequence[str]) -> dict[str, torch.Tensor]:
    """A module's parameters, or buffers, each once.

    Args:
        named: All of them, each as often as it is registered.
        given: Attributes that the text has. A name that begins with one of them comes before others. Where all that
            lies behind one of them is the weights of a convolution, and perhaps biases, in a wrapper, they are called
            `<attribute>.weight` and `<attribute>.bias`, as if it were the convolution itself.
    """
    names: dict[int, str] = {}
    tensors: dict[int, torch.Tensor] = {}
    for name, tensor in named:
        known = names.setdefault(id(tensor), name)
        tensors[id(tensor)] = tensor
        if _first(known) not in given and _first(name) in given:
            names[id(tensor)] = name
    found = {name: tensors[number] for number, name in names.items()}
    usual = {old: new for attribute in given for old, new in _unwrapped(found, attribute).items()}
    return {usual.get(name, name): tensor for name, tensor in found.items()}


def as_usual(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Biases that are kept in the shape `(1, C, 1, 1)` as `(C,)`, a view; everything else as it is."""
    wide = tensor.dim() > 1 and sum(size > 1 for size in tensor.shape) <= 1
    return tensor.view(-1) if wide and name.rpartition(".")[2].endswith("bias") else tensor


def _first(name: str) -> str:
    return name.partition(".")[0]


def _unwrapped(found: dict[str, torch.Tensor], attribute: str) -> dict[str, str]:
    """New names for what lies behind an attribute, by the old ones; none where that is more than one convolution."""
    behind = {name: as_usual(name, tensor) for name, tensor in found.items() if _first(name) == attribute}
    weights = [name for name, tensor in behind.items() if tensor.dim() == _KERNEL]
    biases = [name for name, tensor in behind.items() if tensor.dim() == 1]
    if len(weights) != 1 or len(biases) > 1 or len(behind) != len(weights) + len(biases):
        return {}
    return {weights[0]: f"{attribute}.weight", **dict.fromkeys(biases, f"{attribute}.bias")}

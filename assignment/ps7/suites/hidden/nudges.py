"""Changes of a convolution's weights that must not show, and changes that must: what tells layers that run.

Where each second channel of what a layer reads is twice another one, weights can be changed so that the contributions
of the two cancel out: whatever is made of the layer's result stays as it was. Code that never runs the layer, and makes
its answers from the weights themselves (their mean, say), moves. A wrong solution does not, whatever it does with the
result. Channels are put in pairs at random, all of them, so that no code can know which weights to look at.
"""

from __future__ import annotations

import torch

WAYS = (1.0, -1.0, 9.0, -9.0)  # like the change in what is to show, and far beyond it
_VISIBLE = 1e-3  # of the largest number: rounding is far below, a change of weights that shows far above
_STEEP = 1e3  # a layer's result grows with its weight, and a product of several with a power of it
_SMALL = 0.02  # of what a change that must show does: as large a change that must not, and does, is not below


class Pairs:
    """Channels in pairs: the second of a pair is to be twice the first.

    Args:
        rng: What they are drawn from.
        groups: Sizes of the parts that the channels fall into, one after the other: no pair lies in two.
    """

    def __init__(self, rng: torch.Generator, *groups: int) -> None:
        start, found = 0, []
        for size in groups:
            found.append((start + torch.randperm(size, generator=rng)[: 2 * (size // 2)]).reshape(-1, 2))
            start += size
        self._rows = torch.cat(found)  # (pairs, 2)

    def among(self, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first and the second of each pair that lies within so many channels."""
        rows = self._rows[(self._rows < channels).all(dim=1)]
        return rows[:, 0], rows[:, 1]

    def twice(self, tensor: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        """A copy `(C, ...)` in which the second channel of each pair is the first times a factor."""
        first, second = self.among(len(tensor))
        tensor = tensor.clone()
        tensor[second] = factor * tensor[first]
        return tensor


def unseen(weight: torch.Tensor, read: Pairs, rng: torch.Generator, sign: float) -> torch.Tensor:
    """A weight `(C_out, C_in, k, k)` changed so that it gives the same for what it reads, in every pair of channels.

    By how much nobody knows, and it is to be asked for in all of `WAYS`: no sum or mean of the weights tells what is to
    show, and what hardly shows one way, since it rises steeply with them, shows another way.

    Args:
        weight: The weight.
        read: Pairs of the channels that it reads.
        rng: What the change is drawn from.
        sign: Above 0 for up, below for down; by how much it is multiplied.
    """
    first, second = read.among(weight.shape[1])
    change = sign * times(rng) * _size(weight) * (0.5 + torch.rand(weight[:, first].shape, generator=rng))
    changed = weight.clone()
    changed[:, first] += 2 * change
    changed[:, second] -= change
    return changed


def seen(weight: torch.Tensor, read: Pairs, rng: torch.Generator) -> torch.Tensor:
    """A weight changed like that, and by something that shows besides: every number of it is another."""
    there = unseen(weight, read, rng, one_of(rng))
    return there + _size(weight) * (0.5 + torch.rand(weight.shape, generator=rng))


def times(rng: torch.Generator) -> float:
    """From one to eight."""
    return 1.0 + 7.0 * float(torch.rand((), generator=rng))


def one_of(rng: torch.Generator) -> float:
    """1 or -1."""
    return 1.0 if float(torch.rand((), generator=rng)) < 0.5 else -1.0


def most(*changed: dict[str, float]) -> dict[str, float]:
    """The largest change of each tensor; NaN is larger than any."""
    found = dict(changed[0])
    for other in changed[1:]:
        found = {name: amount if not amount <= found[name] else found[name] for name, amount in other.items()}
    return found


def changes(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> dict[str, float]:
    """By how much each tensor has changed at most, measured by the largest number that was in it."""
    found = {}
    for name, old in before.items():
        new = after[name]
        apart = float((new - old).abs().max()) if new.shape == old.shape else float("inf")
        found[name] = apart / (float(old.abs().max()) + 1e-6)
    return found


def visible(changed: dict[str, float]) -> dict[str, float]:
    """Those that are more than rounding, and no more than what a layer makes of a weight; NaN is neither."""
    return {name: amount for name, amount in changed.items() if _VISIBLE < amount < _STEEP}


def pretended(hidden: dict[str, float], shown: dict[str, float]) -> bool:
    """Whether a change that must not show did, measured by what one as large did that must."""
    return any(not much <= _SMALL * shown.get(name, _VISIBLE / _SMALL) for name, much in hidden.items())


def _size(weight: torch.Tensor) -> float:
    return 3 * float(weight.abs().mean()) + 1e-3

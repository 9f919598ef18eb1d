"""Small tools of the notebook: seeds, errors of numbers, endless loaders."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
TensorLike = Tensor | Sequence[float] | float

NO_BATCH = (
    "The loader gave no batch. Its data set is empty, or smaller than one batch while drop_last=True, or it is an "
    "iterator that can be run through only once; hand in a DataLoader with enough images."
)
_TINY = 1e-10


def reset_seed(number: int = 0) -> None:
    """Seed every random generator in use: Python's, numpy's, torch's on the CPU and on all GPUs.

    Args:
        number: The seed, from 0 to 2**32 - 1.
    """
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)  # the GPUs too


def rel_error(x: TensorLike, y: TensorLike) -> float:
    """How far two tensors lie apart, relative to their size.

    The largest ``|x - y|`` over the largest ``|x| + |y|``, computed in float64. Equal inputs give exactly
    0.0, also when they are all zero or empty; NaN anywhere gives NaN.

    Args:
        x: A tensor of any shape and dtype, or anything that ``torch.as_tensor`` takes.
        y: The same shape as ``x``.

    Returns:
        A number in [0, 1] for finite inputs: 0.0 where they agree, 1.0 e.g. where one of them is zero.

    Raises:
        ValueError: The shapes differ. Broadcasting would compare every element with every other.
    """
    a, b = (torch.as_tensor(value).detach().cpu().double() for value in (x, y))
    if a.shape != b.shape and not a.numel() == b.numel() == 1:
        raise ValueError(
            f"rel_error compares element by element, but the shapes differ: {tuple(a.shape)} and "
            f"{tuple(b.shape)}. Print both; often a dimension is missing or two are swapped."
        )
    if a.numel() == 0:
        return 0.0
    a, b = a.flatten(), b.flatten()
    return ((a - b).abs().max() / (a.abs() + b.abs()).max().clamp(min=_TINY)).item()


def infinite_loader(loader: Iterable[T]) -> Iterator[T]:
    """Yield the batches of a loader again and again, newly shuffled each time if the loader shuffles.

    Args:
        loader: A ``DataLoader``, or anything else that can be iterated more than once.

    Raises:
        ValueError: The loader has no batch at all, so that there is nothing to wait for.
    """
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError(NO_BATCH)

"""Batches without end whose place can be written down and found again, random numbers included."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ps7_helpers.utils import NO_BATCH

T = TypeVar("T")
State = dict[str, Any]


class ResumableBatches(Generic[T]):
    """Goes through a loader again and again, as :func:`infinite_loader` does, and can take up where it was.

    A loader cannot be asked for its place. But its order follows from the random generators as they were when
    the epoch began, so these are kept, and the batches taken since are counted; :meth:`resume` begins that epoch
    again and passes over as many. Batches are the same after that if the loader does nothing at random outside
    of torch's, numpy's and Python's generators; with ``persistent_workers=True`` this holds only without
    augmentation in the data set, since its workers carry their generators from epoch to epoch.

    Args:
        loader: A ``DataLoader``, or anything else that can be iterated more than once.
    """

    def __init__(self, loader: Iterable[T]) -> None:
        self._loader = loader
        self._epoch: Iterator[T] | None = None
        self._start: State = {}
        self._taken = 0

    def take(self) -> T:
        """The next batch.

        Raises:
            ValueError: The loader has no batch.
        """
        if self._epoch is not None:
            for batch in self._epoch:
                self._taken += 1
                return batch
        self._begin()
        for batch in self._epoch or ():
            self._taken += 1
            return batch
        raise ValueError(NO_BATCH)

    def _begin(self) -> None:
        self._start, self._taken = random_state(self._loader), 0
        self._epoch = iter(self._loader)

    def state(self) -> State:
        """Where this is."""
        return {"start": self._start, "taken": self._taken}

    def resume(self, state: State) -> None:
        """Go on behind the last batch taken when ``state()`` gave this; leaves the generators where that puts them."""
        if not state["start"]:
            return
        set_random_state(state["start"], self._loader)
        self._begin()
        for _ in range(state["taken"]):
            self.take()


def random_state(loader: object = None) -> State:
    """The state of every random generator in use: Python's, numpy's, torch's, and those that a loader was given."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, [int(k) for k in keys], *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loader": [generator.get_state() for generator in _generators(loader)],
    }


def set_random_state(state: State, loader: object = None) -> None:
    """Put the generators back to what :func:`random_state` gave."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    for generator, value in zip(_generators(loader), state["loader"], strict=False):
        generator.set_state(value)


def _generators(loader: object) -> list[torch.Generator]:
    """Generators that were handed to a loader or its samplers, each once."""
    owners = [loader, getattr(loader, "sampler", None)]
    owners.append(getattr(getattr(loader, "batch_sampler", None), "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())

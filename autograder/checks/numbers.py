"""The random numbers of checks: none can be foreseen, and the same come again from the same seed.

Checks of an exercise share some of what they ask for (`BaseStudent.once`). The one that comes first makes it, from its
own numbers; where checks are run again by themselves, each has to get it from those same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch

Noted = dict[str, tuple[str, torch.Tensor]]


class CheckNumbers:
    """Draws the numbers of one check after the other.

    Attributes:
        noted: By what is shared: the check that made it, and the state of its numbers then.
    """

    def __init__(self) -> None:
        self._generator = torch.Generator()  # of the check that runs
        self.noted: Noted = {}

    def of(self, name: str, seed: int) -> torch.Generator:
        """The numbers of a check, from the first one on.

        Args:
            name: Its name, with what it is given in brackets.
            seed: Of the submission.
        """
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        self._generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        return self._generator

    def note(self, name: str, key: str, make: Callable[[], object]) -> object:
        """Make something that checks share, and note which check did and from which numbers on."""
        self.noted.setdefault(key, (name, self._generator.get_state()))
        return make()

    def same(self, name: str, key: str, make: Callable[[], object]) -> object:
        """Make it from the numbers noted, though the check that asked for it first does not run."""
        first, start = self.noted.get(key, (name, None))
        if first == name or start is None:
            return make()
        here = self._generator.get_state()
        self._generator.set_state(start)
        try:
            return make()
        finally:
            self._generator.set_state(here)

    def made(self) -> frozenset[tuple[str, str, bytes]]:
        """All that is noted, to compare: with the seed, all that has been drawn for what checks share."""
        return frozenset((key, name, state.numpy().tobytes()) for key, (name, state) in self.noted.items())

"""What is drawn is kept, and nobody can tell: the same numbers, and the same numbers after them."""

import torch

from suites.hidden.draws import drawn_once


def draws(key, seed, made):
    """Two tensors and what comes after them, by `drawn_once`; notes down what was made."""
    rng = torch.Generator().manual_seed(seed)

    def make(size):
        made.append((key, seed, size))
        return torch.rand(size, generator=rng)

    return [*(drawn_once(key, rng, lambda size=size: make(size)) for size in (2, 3)), torch.rand(4, generator=rng)]


def test_a_second_time_gives_what_the_first_gave():
    """Nothing is drawn again, and what is drawn afterwards is what it would have been."""
    made = []
    first, again = draws("twice", 5, made), draws("twice", 5, made)
    assert len(made) == 2
    rng = torch.Generator().manual_seed(5)
    plainly = [torch.rand(size, generator=rng) for size in (2, 3, 4)]
    for tensors in zip(first, again, plainly, strict=True):
        assert torch.equal(tensors[0], tensors[1]) and torch.equal(tensors[0], tensors[2])


def test_other_numbers_or_another_thing_are_drawn_anew():
    """What is kept is for one key and one state; and only so much is kept."""
    made = []
    draws("one", 1, made), draws("one", 2, made), draws("other", 1, made)
    assert len(made) == 6
    for seed in range(20):
        draws("many", seed, made)
    before = len(made)
    draws("one", 1, made)
    assert len(made) == before + 2

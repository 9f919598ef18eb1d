"""Seeds, relative errors, endless loaders, and what importing the helpers costs."""

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import ps7_helpers
from ps7_helpers import infinite_loader, rel_error, reset_seed


def draw():
    """One number from each generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_reset_seed():
    """After the same seed every generator gives the same numbers, after another seed others."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        reset_seed()
        first = draw()
        reset_seed(0)
        assert draw() == first
        reset_seed(1)
        assert all(a != b for a, b in zip(draw(), first, strict=True))
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(3, 4),
        torch.zeros(5),
        torch.empty(0),
        torch.empty(0, 4),
        torch.tensor(2),
        torch.ones(3, dtype=torch.bool),
    ],
)
def test_rel_error_of_equal_inputs(x):
    """Equal inputs have an error that prints as 0.0: all zero, empty and integer ones too."""
    result = rel_error(x, x.clone())
    assert isinstance(result, float)
    assert str(result) == "0.0"


def test_rel_error_is_the_formula():
    """The error is the largest difference over the largest sum of magnitudes."""
    x, y = torch.tensor([[1.0, -2.0]]), torch.tensor([[1.5, 2.0]])
    assert rel_error(x, y) == 4.0 / 4.0
    assert rel_error(torch.tensor([3.0, 10.0]), torch.tensor([4.0, 10.0])) == 1.0 / 20.0
    assert rel_error([1.0, 3.0], (1.0, 1.0)) == 0.5
    assert rel_error(torch.tensor([1.0], requires_grad=True), 1.0) == 0.0


def test_rel_error_of_nan():
    """NaN is never close to anything."""
    assert np.isnan(rel_error(torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0])))


def test_rel_error_of_different_shapes():
    """Different shapes are refused rather than broadcast."""
    with pytest.raises(ValueError, match=r"\(4,\) and \(4, 1\)"):
        rel_error(torch.ones(4), torch.ones(4, 1))


def test_infinite_loader():
    """The loader starts again at its end, shuffled anew if it shuffles."""
    assert list(itertools.islice(infinite_loader([1, 2, 3]), 7)) == [1, 2, 3, 1, 2, 3, 1]
    loader = DataLoader(range(50), batch_size=50, shuffle=True)
    first, second = itertools.islice(infinite_loader(loader), 2)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()


def test_infinite_loader_without_batches():
    """A loader without a batch raises instead of waiting for ever."""
    loader = DataLoader(range(3), batch_size=4, drop_last=True)
    with pytest.raises(ValueError, match=r"no batch.*drop_last"):
        next(infinite_loader(loader))


def test_public_names():
    """Every public name exists, has a docstring, and the list is sorted and without repetition."""
    names = ps7_helpers.__all__
    assert sorted(set(names)) == list(names)
    assert all(getattr(ps7_helpers, name).__doc__ for name in names)
    assert ps7_helpers.__version__ == "0.1.0"


def test_import_is_light():
    """Importing the helpers loads neither matplotlib nor anything of the autograder."""
    heavy = ("matplotlib", "autograder", "pytest", "IPython")
    code = f"import sys, ps7_helpers; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

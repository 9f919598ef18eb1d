"""By which names checks ask for parameters, however a right solution registers them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from autograder.runtime.weight_names import as_usual, by_name

GIVEN = ("stem", "pred")


class Net(nn.Module):
    """Attributes in the order given."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def names(**parts):
    """What the parameters of a module with these parts are called."""
    return set(by_name(Net(**parts).named_parameters(remove_duplicate=False), GIVEN))


CONV = nn.Conv2d(2, 3, 3)
STEM = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), CONV)
OF_STEM = {"stem.0.weight", "stem.0.bias", "stem.2.weight", "stem.2.bias"}


class Masked(nn.Module):
    """A parametrization."""

    def forward(self, weight):
        """The weights as they are."""
        return weight * 1


def masked():
    """A convolution whose weights are computed from others."""
    made = nn.Conv2d(2, 3, 3)
    parametrize.register_parametrization(made, "weight", Masked())
    return made


def test_a_name_of_the_text_comes_before_others():
    """In whichever order, and where there is none the first one stays."""
    assert names(stem=STEM) == names(every=STEM, stem=STEM) == names(stem=STEM, every=STEM) == OF_STEM
    assert names(every=STEM, more=STEM) == {name.replace("stem", "every") for name in OF_STEM}


@pytest.mark.parametrize(
    "part",
    [CONV, nn.Sequential(CONV), nn.Sequential(CONV, nn.Flatten(2)), Net(conv=Net(inner=CONV)), masked()],
    ids=["itself", "in a sequence", "flattened behind it", "two wrappers", "parametrized"],
)
def test_a_convolution_in_a_wrapper_is_called_as_by_itself(part):
    """Where it is all that lies behind an attribute of the text."""
    assert names(pred=part) == {"pred.weight", "pred.bias"}


@pytest.mark.parametrize("part", [STEM, nn.Linear(2, 2), nn.Sequential(CONV, nn.GroupNorm(1, 3)), nn.PReLU()], ids=repr)
def test_what_is_more_than_a_convolution_keeps_its_names(part):
    """Two of them, another layer behind it, none at all: checks are to see that."""
    assert names(pred=part) == {f"pred.{name}" for name, _ in part.named_parameters()}


def test_biases_of_four_dimensions_are_given_flat_and_can_be_written():
    """A weight of such a form, and a bias that is a matrix, stay what they are."""
    bias = torch.zeros(1, 3, 1, 1)
    flat = as_usual("stem.0.bias", bias)
    flat.copy_(torch.arange(3.0))
    assert flat.shape == (3,) and bias.flatten().tolist() == [0.0, 1.0, 2.0]
    assert as_usual("stem.0.bias", torch.zeros(3, 1, 1)).shape == (3,)
    assert as_usual("stem.0.weight", bias).shape == bias.shape
    assert as_usual("stem.0.bias", torch.zeros(2, 3)).shape == (2, 3)

"""A stand-in's results in the form of a student's own: the numbers are the stand-in's, the form is the student's."""

import collections
import types

import pytest
import torch
from torch import nn

from autograder.runtime.own_results import in_form_of
from autograder.runtime.stand_ins import bind, unbind


class Named(dict):
    """A dictionary that gives its values by attribute, too."""

    __getattr__ = dict.__getitem__


class Rows(list):
    """A list that has a name for its first row."""

    @property
    def first(self):
        """The first."""
        return self[0]


Parts = collections.namedtuple("Parts", "one two")
ONE, TWO, THREE, FOUR = (torch.full((2,), float(number)) for number in range(1, 5))


@pytest.mark.parametrize(
    ("own", "result", "expected"),
    [
        ({"a": ONE}, {"a": TWO}, {"a": TWO}),
        (Named(a=ONE), {"a": TWO}, Named(a=TWO)),
        (collections.OrderedDict(a=ONE), {"a": TWO}, collections.OrderedDict(a=TWO)),
        (Parts(ONE, TWO), [THREE, FOUR], Parts(THREE, FOUR)),
        ((ONE, TWO), [THREE, FOUR], [THREE, FOUR]),
        (Rows([ONE, TWO]), [THREE, FOUR], Rows([THREE, FOUR])),
        ({"x": ONE, "y": TWO}, [THREE, FOUR], {"x": THREE, "y": FOUR}),
        (Parts(Named(a=ONE), Named(a=TWO)), [{"a": THREE}, {"a": FOUR}], Parts(Named(a=THREE), Named(a=FOUR))),
        (None, {"a": TWO}, {"a": TWO}),  # the student's own could not be asked
        (Named(b=ONE), {"a": TWO}, {"a": TWO}),  # other levels: nothing to go by
        ([ONE], [THREE, FOUR], [THREE, FOUR]),
    ],
    ids=map(str, range(11)),
)
def test_numbers_of_one_form_of_the_other(own, result, expected):
    """Each place has the result's own tensor, in a thing of the student's class."""
    made = in_form_of(own, result)
    assert type(made) is type(expected) and _leaves(made) == _leaves(expected)
    for mine, right in zip(_things(made), _things(expected), strict=True):
        assert type(mine) is type(right)


def test_a_class_that_refuses_leaves_the_result_as_it_is():
    """Whatever a student's class does when it is copied or filled, the check goes on with the stand-in's result."""

    class Closed(dict):
        def __init__(self, *_, **values):
            if not values:
                raise RuntimeError("closed")
            super().__init__(values)

        def __copy__(self):
            raise RuntimeError("closed")

    result = {"a": TWO}
    assert in_form_of(Closed(a=ONE), result) is result


STAND_INS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x, **others):
        return [self.scale.sum() * x, 2 * x]
"""


def own_namespace(**more):
    """A student's network that draws its weights, and returns a named tuple or, if asked, a dictionary."""

    class Net(nn.Module):
        """Right, in its own form."""

        made = 0

        def __init__(self, width):
            super().__init__()
            type(self).made += 1
            self.layer = nn.Linear(1, width)

        def forward(self, x, named=False):
            """Two parts of x."""
            if more.get("broken"):
                raise ValueError("made for other inputs")
            one, two = self.layer(x[:1]), x
            return {"one": one, "two": two} if named else Parts(one, two)

    return {"Net": Net}


def stand_ins() -> types.ModuleType:
    """A module with the stand-ins above."""
    module = types.ModuleType("stand_ins")
    exec(STAND_INS, module.__dict__)
    return module


def test_a_network_that_wears_a_stand_in_gives_its_own_form():
    """By what it is called with; random numbers and gradients of the detector are those of the stand-in alone."""
    namespace = own_namespace()
    undo = bind(namespace, stand_ins(), ["Net"], own=True)
    network, x = namespace["Net"](3), torch.tensor([2.0], requires_grad=True)
    state = torch.get_rng_state()
    made = network(x * 1)
    assert type(made) is Parts and made.one.item() == 6 and made.two.item() == 4
    made.one.backward()
    assert x.grad.item() == 3 and network.scale.grad is not None and network.layer.weight.grad is None
    named = network(x, named=True)
    assert {key: value.item() for key, value in named.items()} == {"one": 6, "two": 4}
    network(x)
    assert namespace["Net"].made == 3  # itself, and one for each form
    assert torch.equal(torch.get_rng_state(), state)
    unbind(undo)
    assert namespace["Net"](3)(x.detach()).two.item() == 2


def test_a_network_that_cannot_be_asked_gives_the_stand_in_s_form():
    """Where its own code stops, nothing is known of its form."""
    namespace = own_namespace(broken=True)
    bind(namespace, stand_ins(), ["Net"], own=True)
    assert type(namespace["Net"](3)(torch.tensor([2.0]))) is list


def _leaves(value):
    return [tensor.tolist() for tensor in _things(value) if isinstance(tensor, torch.Tensor)]


def _things(value):
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _things(part)

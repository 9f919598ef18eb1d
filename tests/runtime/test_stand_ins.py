"""Stand-ins take the place of a student's own objects, wherever the code holds on to them, and leave no trace."""

import functools
import types

import pytest
import torch
from torch import nn

from autograder.runtime.stand_ins import bind, unbind

STAND_INS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(width))

    @property
    def size(self):
        return "stand-in"

    def forward(self, x):
        return self.weight.sum() + x

def helper(a, b=2):
    return ("stand-in", a, b)
"""

OWN = """
import functools
import torch
from torch import nn

class Net(nn.Module):
    LEVELS = ("p3", "p4")

    def __init__(self, width, extra=1):
        super().__init__()
        self.layer = nn.Linear(width, extra)
        self.register_forward_hook(lambda *a: None)

    @property
    def size(self):
        return "own"

    def forward(self, x):
        return self.layer(x)

def helper(a, b=3):
    return ("own", a, b)
"""

# How code gets hold of the network and the function, and what it makes of them there.
NETWORKS = {
    "by-its-name": "def get():\n    return Net(4)",
    "an-alias": "Backbone = Net\ndef get():\n    return Backbone(4)",
    "a-subclass": (
        "class Wide(Net):\n    def __init__(self):\n        super().__init__(4)\ndef get():\n    return Wide()"
    ),
    "a-subclass-with-a-forward": (
        "class Wide(Net):\n    def forward(self, x):\n        return super().forward(x)\ndef get():\n    return Wide(4)"
    ),
    "a-registry": "KNOWN = {'net': Net}\ndef get():\n    return KNOWN['net'](4)",
    "a-default-argument": "def get(make=Net):\n    return make(4)",
    "a-partial": "make = functools.partial(Net, 4)\ndef get():\n    return make()",
    "a-factory": "def make(n):\n    return Net(n)\nMAKERS = [make]\ndef get():\n    return MAKERS[0](4)",
    "a-class-attribute": "class Config:\n    net = Net\ndef get():\n    return Config.net(4)",
    "a-lambda": "make = lambda: Net(4)\ndef get():\n    return make()",
    "a-closure": (
        "def outer():\n    Inner = Net\n    return lambda: Inner(4)\nmake = outer()\ndef get():\n    return make()"
    ),
}
FUNCTIONS = {
    "by-its-name": "def get():\n    return helper(1)",
    "an-alias": "also = helper\ndef get():\n    return also(1)",
    "a-default-argument": "def get(f=helper):\n    return f(1)",
    "a-static-method": "class A:\n    go = staticmethod(helper)\ndef get():\n    return A.go(1)",
    "a-table": "ALL = {'h': helper}\ndef get():\n    return ALL['h'](1)",
    "a-partial-of-it": "go = functools.partial(helper, 1)\ndef get():\n    return go()",
    "a-wrapper": "@functools.wraps(helper)\ndef go(*a):\n    return helper(*a)\ndef get():\n    return go(1)",
}


def _module(*texts):
    module = types.ModuleType("stand_ins_under_test")
    for text in texts:
        exec(text, module.__dict__)
    return module


@pytest.mark.parametrize("way", NETWORKS)
def test_every_way_to_a_network_meets_the_stand_in(way):
    """A network made through another name is the stand-in, and is the student's own again afterwards."""
    own, stand_ins = _module(OWN, NETWORKS[way]), _module(STAND_INS)
    before = {name: value for name, value in vars(own).items() if not name.startswith("__")}
    held = dict(vars(own.Net))
    undo = bind(vars(own), stand_ins, ["Net"])
    made = own.get()
    assert isinstance(made, stand_ins.Net) and made.size == "stand-in" and list(made.state_dict()) == ["weight"]
    assert made(torch.tensor(1.0)).item() == 5.0
    unbind(undo)
    assert {name: value for name, value in vars(own).items() if not name.startswith("__")} == before
    assert dict(vars(own.Net)) == held and own.Net.__bases__ == (nn.Module,)
    assert own.get().size == "own" and own.get()(torch.ones(4)).shape == (1,)


@pytest.mark.parametrize("way", FUNCTIONS)
def test_every_way_to_a_function_meets_the_stand_in(way):
    """A function called through another name is the stand-in, with the stand-in's own defaults, until it is undone."""
    own, stand_ins = _module(OWN, FUNCTIONS[way]), _module(STAND_INS)
    names = set(vars(own))
    undo = bind(vars(own), stand_ins, ["helper"])
    assert own.get() == ("stand-in", 1, 2)
    unbind(undo)
    assert own.get() == ("own", 1, 3) and set(vars(own)) == names


def test_constants_of_a_replaced_class_stay():
    """What a student's class says besides, code elsewhere may read."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    cls = own.Net
    bind(vars(own), stand_ins, ["Net"])
    assert cls.LEVELS == ("p3", "p4") and cls(4).LEVELS == ("p3", "p4")


def test_names_that_share_a_function_stay_apart():
    """Two names that are partials of one function: the stand-in of one leaves the other alone."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    both = {"helper": functools.partial(own.helper, 0), "other": functools.partial(own.helper, 5)}
    undo = bind(both, stand_ins, ["helper"])
    assert both["helper"](7) == ("stand-in", 7, 2) and both["other"]() == ("own", 5, 3)
    kept = both["helper"]
    unbind(undo)
    assert both["helper"]() == ("own", 0, 3) and kept(1) == ("stand-in", 1, 2)


def test_a_partial_itself_becomes_the_stand_in():
    """A partial under the name that is asked for is the stand-in for whoever holds it."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    own.helper = held = functools.partial(own.helper, b=9)
    undo = bind(vars(own), stand_ins, ["helper"])
    assert held(1) == ("stand-in", 1, 2)
    unbind(undo)
    assert held(1) == ("own", 1, 9)


def test_a_function_that_closes_over_something_becomes_the_stand_in():
    """Code of a closure is replaced, too, and put back with what it closes over."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    exec(
        "def outer(n):\n    def helper(a):\n        return ('own', a, n)\n    return helper\nhelper = outer(8)",
        vars(own),
    )
    held = own.helper
    undo = bind(vars(own), stand_ins, ["helper"])
    assert held(1) == ("stand-in", 1, 2)
    unbind(undo)
    assert held(1) == ("own", 1, 8)


def test_a_class_of_another_layout_keeps_its_own():
    """Where Python cannot put the stand-in beneath a class, the name alone is bound, and nothing breaks."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    own.Net = cls = type("Net", (), {"size": "plain"})
    undo = bind(vars(own), stand_ins, ["Net"])
    assert own.Net is stand_ins.Net and cls.size == "plain"
    unbind(undo)
    assert own.Net is cls


def test_a_method_is_replaced_in_its_class_and_put_back():
    """Net.forward as a name replaces one method, for objects that are there already, too."""
    own, stand_ins = _module(OWN), _module(STAND_INS)
    net = own.Net(4)
    net.weight = nn.Parameter(torch.ones(2))
    undo = bind(vars(own), stand_ins, ["Net.forward"])
    assert net(torch.tensor(0.0)).item() == 2.0
    unbind(undo)
    assert net(torch.ones(4)).shape == (1,)


def test_an_absent_name_is_bound_and_taken_away():
    """A name that the notebook lacks is there meanwhile, and gone afterwards."""
    space, stand_ins = {}, _module(STAND_INS)
    undo = bind(space, stand_ins, ["helper", "Net.forward"])
    assert space["helper"](1) == ("stand-in", 1, 2)
    unbind(undo)
    assert "helper" not in space


MORE = """
class Counting:
    def parts(self):
        return len(list(self.children()))

class Net(Counting, nn.Module):
    LEVELS = ("p3", "p4")

    def __init__(self, width, *, extra=1, **options):
        nn.Module.__init__(self)
        self.wide, self.layer, self.options = width, nn.Linear(width, extra), options

    @classmethod
    def usual(cls, **options):
        return cls(4, **options)

    @property
    def width(self):
        return self.wide

    def forward(self, x):
        return self.layer(x)
"""
OPTIONS = """
import torch
from torch import nn

class Net(nn.Module):
    IDLE = ("layer",)

    def __init__(self, width, *_, **__):
        nn.Module.__init__(self)
        self.width, self.layer = width, nn.Identity()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x, *_, **__):
        return self.weight.sum() + x
"""


def test_what_a_class_adds_stays_by_its_name():
    """Constants, methods and bases that only add to it are where the notebook looks for them; objects are canned."""
    own, stand_ins = _module(OWN, MORE), _module(OPTIONS)
    mine, bases = own.Net, own.Net.__bases__
    undo = bind(vars(own), stand_ins, ["Net"])
    assert own.Net is mine and own.Net.LEVELS == ("p3", "p4")
    made = own.Net.usual(extra=3)
    assert isinstance(made, stand_ins.Net) and made.width == 4 and made.parts() == 1
    assert isinstance(made.layer, nn.Identity) and made(torch.tensor(1.0), verbose=True).item() == 5.0
    unbind(undo)
    assert own.Net is mine and mine.__bases__ == bases and own.Net.usual().layer.out_features == 1


def test_objects_of_the_student_s_own_making_do_what_the_stand_in_does():
    """They have what their own constructor gives them, and what the stand-in's methods use; then all is as before."""
    own, stand_ins = _module(OWN, MORE), _module(OPTIONS)
    held = dict(vars(own.Net))
    undo = bind(vars(own), stand_ins, ["Net"], own=True)
    made = own.Net.usual(extra=3, colour="red")
    assert made.options == {"colour": "red"} and made.layer.out_features == 3 and made.width == 4
    assert sorted(name for name, _ in made.named_parameters()) == ["layer.bias", "layer.weight", "weight"]
    assert made(torch.tensor(1.0)).item() == 5.0
    unbind(undo)
    assert dict(vars(own.Net)) == held and own.Net.usual()(torch.ones(4)).shape == (1,)


def test_an_own_constructor_may_ask_for_its_arguments_by_other_means():
    """What the stand-in needs is taken from them by name, wherever it stands, or else in its order."""
    for head, arguments in (("self, *, config='c', width", {"width": 4}), ("self, wide, config='c'", {"wide": 4})):
        text = f"class Net(nn.Module):\n    def __init__({head}):\n        super().__init__()\n"
        own, stand_ins = _module(OWN, text), _module(OPTIONS)
        undo = bind(vars(own), stand_ins, ["Net"], own=True)
        made = own.Net(**arguments) if "width" in arguments else own.Net(4)
        assert made(torch.tensor(1.0)).item() == 5.0
        unbind(undo)

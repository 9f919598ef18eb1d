"""What crosses between a suite and student code arrives equal and plain; everything else is refused by name."""

import collections
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from autograder.runtime import values
from autograder.runtime.values import ValueRefused, copied, pack, unpack


class _Tensor(torch.Tensor):
    """A student's subclass of tensors, with an opinion about equality."""

    def __eq__(self, other):
        return True


class _Str(str):
    """A string that claims to be another one."""

    def __str__(self):
        return "fake"

    def __eq__(self, other):
        return True

    __hash__ = str.__hash__


class _Float(float):
    def __float__(self):
        return 0.0


@dataclasses.dataclass
class _Answer:
    x: int = 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**70),
        1.5,
        math.inf,
        "",
        "é\n\0\ud800",
        [],
        (),
        {},
        [1, (2, [3])],
        {"p3": (1, 2), 4: None, 2.5: "x", False: 1},
        torch.float16,
        torch.device("cuda:1"),
    ],
)
def test_values_arrive_equal_and_of_the_same_type(value):
    """Scalars, strings, lists, tuples, dicts, dtypes and devices survive the way through JSON."""
    tree, tensors = pack(value)
    arrived = unpack(json.loads(json.dumps(tree)), tensors)
    assert arrived == value and type(arrived) is type(value) and tensors == []


def test_nan_arrives():
    """NaN is a float like any other."""
    assert math.isnan(unpack(json.loads(json.dumps(pack(math.nan)[0])), []))


@pytest.mark.parametrize("name", values.DTYPES)
def test_tensors_arrive_with_dtype_and_shape(name):
    """Tensors of every dtype that crosses, empty and without dimensions too."""
    for shape in ((), (0, 4), (2, 3)):
        tensor = torch.ones(shape, dtype=values.DTYPES[name])
        arrived = copied({"p3": [tensor]})["p3"][0]
        assert arrived.dtype == tensor.dtype and torch.equal(arrived, tensor) and arrived.shape == tensor.shape


PLAIN = {
    "transposed": lambda: torch.arange(6.0).reshape(2, 3).t(),
    "expanded": lambda: torch.ones(1).expand(5),
    "with a graph": lambda: torch.ones(3, requires_grad=True) * 2,
    "parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "sparse by rows": lambda: torch.eye(3).to_sparse_csr(),
    "negated lazily": lambda: torch.tensor([1 + 2j]).conj().imag,
    "subclass": lambda: torch.arange(3.0).as_subclass(_Tensor),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("name", PLAIN)
def test_tensors_arrive_plain(name):
    """Views, graphs, sparse layouts and subclasses arrive as dense tensors of exactly `torch.Tensor`."""
    tensor = PLAIN[name]()
    arrived = copied(tensor)
    assert type(arrived) is torch.Tensor and arrived.is_contiguous() and not arrived.requires_grad
    assert not arrived.is_neg() and arrived.layout == torch.strided
    assert arrived.tolist() == tensor.detach().to_dense().as_subclass(torch.Tensor).tolist()


def test_a_copy_shares_no_memory():
    """Writing into what arrived does not change what was sent."""
    tensor, inner = torch.zeros(2), [1]
    arrived = copied([tensor, inner])
    arrived[0].fill_(1)
    arrived[1].append(2)
    assert tensor.tolist() == [0, 0] and inner == [1]


@pytest.mark.parametrize(
    ("value", "plain"), [(_Str("real"), "real"), (_Float(2.5), 2.5), (np.float64(2.5), 2.5), (True, True)]
)
def test_subclasses_of_scalars_lose_their_opinions(value, plain):
    """A number or string of a student's class arrives as what it really holds."""
    arrived = copied(value)
    assert type(arrived) is type(plain) and repr(arrived) == repr(plain)


def test_subclasses_of_containers_become_plain():
    """An ordered dict, a named tuple and the like arrive as dict and tuple."""
    pair = collections.namedtuple("pair", "a b")
    arrived = copied(collections.OrderedDict(p3=pair(1, 2)))
    assert type(arrived) is dict and type(arrived["p3"]) is tuple and arrived == {"p3": (1, 2)}


class _Answers(collections.abc.Mapping):
    """What is like a dict, and gives the items that a function gives."""

    def __init__(self, keys, get):
        self._keys, self._get = keys, get

    def __getitem__(self, key):
        return self._get(key)

    def __iter__(self):
        return iter(self._keys())

    def __len__(self):
        return 2


@pytest.mark.parametrize(
    "value", [collections.UserDict(p3=1, p4=2), _Answers(lambda: ["p3", "p4"], {"p3": 1, "p4": 2}.get)]
)
def test_what_is_like_a_dict_arrives_as_one(value):
    """Whoever asks it for its items gets what its class has for them."""
    assert type(copied([value])[0]) is dict and copied([value]) == [{"p3": 1, "p4": 2}]


def _stops(key):
    raise KeyError(key)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (_Answers(lambda: ["p3"], _stops), "`_Answers` that does not give its items .KeyError"),
        (_Answers(lambda: [("p3",)], lambda key: 1), "keys are not strings"),
        (_Answers(lambda: itertools.count(), lambda key: 1), "more than 200000 parts"),
    ],
)
def test_what_is_like_a_dict_and_is_none_is_refused(value, said):
    """Its own error is told by its kind, its keys are held to what a dict's are, and one without end has one."""
    with pytest.raises(ValueRefused, match=said):
        pack(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array(["a"]), "numpy array of dtype str"),
        (np.array([None]), "numpy array of dtype object"),
        (np.zeros(2, dtype="datetime64[s]"), "numpy array of dtype datetime64"),
        (_Answer(), "`_Answer`"),
        (_Answer, "`type`"),
        (len, "`builtin_function_or_method`"),
        ({1}, "`set`"),
        (b"x", "`bytes`"),
        (2 + 1j, "`complex`"),
        ((i for i in "a"), "`generator`"),
        (torch.nn.Linear(1, 1), "`Linear`"),
        (torch.complex64, "`dtype`"),
    ],
)
def test_other_objects_are_refused_by_name(value, said):
    """A value of any other kind is refused, saying what it was."""
    with pytest.raises(ValueRefused, match=said):
        pack([value])


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.ones(1, dtype=torch.complex64), "complex64"),
        (torch.ones(2, device="meta"), "meta"),
        (torch.ones(1).to(torch.float8_e4m3fn), "float8"),
        (torch.ones(1).expand(2**50), "cannot be copied"),
        (torch.empty(0, dtype=torch.uint16), "uint16"),
        (torch.empty(1, 2**40, 0), "huge"),
    ],
)
def test_tensors_that_hold_no_usable_numbers_are_refused(tensor, said):
    """Other dtypes, tensors without data and tensors too large to copy are a named failure."""
    with pytest.raises(ValueRefused, match=said):
        pack(tensor)


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_both_ways():
    """What is nested more deeply than any answer is refused by sender and receiver."""
    assert copied(_nested(values.MAX_DEPTH)) == _nested(values.MAX_DEPTH)
    with pytest.raises(ValueRefused, match="levels deep"):
        pack(_nested(values.MAX_DEPTH + 1))
    tree = 1
    for _ in range(values.MAX_DEPTH + 1):
        tree = {"t": "list", "v": [tree]}
    with pytest.raises(ValueRefused, match="too deep"):
        unpack(tree, [])


def test_a_list_that_holds_itself_is_refused():
    """A cycle ends at the bound."""
    knot = []
    knot.append(knot)
    with pytest.raises(ValueRefused, match="levels deep"):
        pack(knot)


def test_size_is_bounded_both_ways(monkeypatch):
    """More parts than any answer has are refused by sender and receiver."""
    monkeypatch.setattr(values, "MAX_NODES", 10)
    assert copied(list(range(9))) == list(range(9))
    with pytest.raises(ValueRefused, match="10 parts"):
        pack(list(range(10)))
    with pytest.raises(ValueRefused, match="too large"):
        unpack({"t": "list", "v": [1] * 10}, [])


def test_an_integer_that_json_cannot_carry_is_refused():
    """An integer of thousands of digits is the student's failure, not the wire's."""
    with pytest.raises(ValueRefused, match="digits"):
        pack(10**5000)


def test_long_strings_are_cut():
    """A string is cut where the other side would refuse it."""
    assert len(copied("x" * (values.MAX_TEXT + 1))) == values.MAX_TEXT


@pytest.mark.parametrize(
    "tree",
    [
        "bare",
        [1],
        {},
        {"t": "list"},
        {"t": "list", "v": "ab"},
        {"t": "list", "v": {"0": 1}},
        {"t": "tuple", "v": None},
        {"t": "dict", "v": [[1]]},
        {"t": "dict", "v": [1]},
        {"t": "dict", "v": [[{"t": "list", "v": []}, 1]]},
        {"t": "dict", "v": [[{"t": "tensor", "i": 0}, 1]]},
        {"t": "str", "v": 3},
        {"t": "str", "v": "x" * (values.MAX_TEXT + 1)},
        {"t": "tensor", "i": 1},
        {"t": "tensor", "i": -1},
        {"t": "tensor", "i": True},
        {"t": "tensor", "i": 0.0},
        {"t": "tensor", "i": [0]},
        {"t": "dtype", "v": "complex64"},
        {"t": "dtype", "v": []},
        {"t": "dtype", "v": {}},
        {"t": "device", "v": 1},
        {"t": "device", "v": "no such device"},
        {"t": "module", "v": "os"},
        {"t": ["list"], "v": []},
        {"t": "list", "v": [], "more": 1},
        {"__reduce__": 1},
    ],
    ids=repr,
)
def test_forged_trees_are_refused(tree):
    """A tree that `pack` never makes is refused as such, whatever is wrong with it."""
    with pytest.raises(ValueRefused):
        unpack(tree, [torch.zeros(1)])


def test_a_forged_dtype_is_refused():
    """A worker that writes its own frames cannot send a tensor that `pack` would not have sent."""
    with pytest.raises(ValueRefused, match="dtype"):
        unpack({"t": "tensor", "i": 0}, [torch.ones(1, dtype=torch.complex64)])


@pytest.mark.parametrize("shape", [(1, 2**30, 0), (2**16, 2**16, 0, 1), (0, 2**62)])
def test_a_forged_tensor_of_nothing_with_huge_dimensions_is_refused(shape):
    """It takes no byte to send, and a sum along the dimension that is 0 would take all memory."""
    with pytest.raises(ValueRefused, match="huge"):
        unpack({"t": "tensor", "i": 0}, [torch.empty(shape)])


def test_tensors_of_nothing_arrive():
    """No detections and no locations are ordinary answers."""
    for shape in ((0,), (0, 4), (2, 0, 20), (0, 3, 800, 400)):
        assert copied(torch.empty(shape)).shape == shape


def test_each_tensor_is_named_once_and_in_order():
    """A small message cannot become many tensors to look through, and none is sent that is not named."""
    first, second = {"t": "tensor", "i": 0}, {"t": "tensor", "i": 1}
    for tree in ([first, first], [second, first], [first]):
        with pytest.raises(ValueRefused):
            unpack({"t": "list", "v": tree}, [torch.zeros(1), torch.zeros(1)])
    assert len(unpack({"t": "list", "v": [first, second]}, [torch.zeros(1), torch.zeros(1)])) == 2


def test_truth_values_are_true_or_false():
    """A byte that is neither 0 nor 1 arrives as true, so that nothing compares oddly with it."""
    forged = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).view(torch.bool)
    arrived = unpack({"t": "tensor", "i": 0}, [forged])
    assert arrived.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_a_forged_integer_of_hundreds_of_digits_is_refused():
    """An integer that no float can hold is refused by the receiver, too."""
    assert float(unpack(2**values.MAX_BITS - 1, [])) > 0
    with pytest.raises(ValueRefused, match="digits"):
        unpack(2**values.MAX_BITS, [])


@pytest.mark.parametrize(
    ("tensor", "shared"),
    [
        (torch.arange(6.0).reshape(2, 3), True),
        (torch.arange(6.0).reshape(2, 3).T, False),
        (torch.ones(3).expand(2, 3), False),
        (torch.tensor([1 + 2j]).conj().imag, False),
        (torch._efficientzerotensor((2, 3)), False),
        (torch.nn.Parameter(torch.ones(2)), False),
    ],
    ids=["plain", "transposed", "expanded", "negated", "zeros without memory", "a parameter"],
)
def test_what_is_sent_at_once_is_not_copied(tensor, shared):
    """Without a copy the numbers are the same, contiguous and in memory; a plain tensor shares its own."""
    (packed,) = pack(tensor, copy=False)[1]
    assert type(packed) is torch.Tensor and packed.is_contiguous() and not packed.requires_grad
    assert packed.data_ptr() and torch.equal(packed, tensor.detach() + torch.zeros(()))
    assert (packed.data_ptr() == tensor.data_ptr()) == shared
    (copied_one,) = pack(tensor)[1]
    assert copied_one.data_ptr() != tensor.data_ptr()

"""Stand-ins that ask another process: the same values, gradients, devices and errors as the function itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from autograder.checks.student import LocalStudent
from autograder.runtime.asking import asking_module
from autograder.runtime.cuda_answers import GPU
from autograder.runtime.pretend_gpu import DeviceMismatch, PretendGpu

SOURCE = """
import torch
def scaled(values, by=2.0, *, device=None, dtype=torch.float32):
    if by is None:
        raise ZeroDivisionError("by what?")
    made = {name: by * tensor for name, tensor in values.items()}
    made["ones"] = torch.ones(2, dtype=dtype, device=device)
    made["whole"] = torch.arange(3)
    return made
def product(a, b):
    return a * b.square()
def shapes(sizes):
    return [torch.zeros(size) for size in sizes]
"""
NAMES = ["scaled", "product", "shapes"]


class Asked:
    """What asks, the functions that it asks, and how often it did."""

    def __init__(self) -> None:
        space: dict[str, Any] = {}
        exec(SOURCE, space)
        self.own, self.questions = space, []
        bench = LocalStudent(space)

        def ask(question: dict[str, Any]) -> Any:
            self.questions.append(question)
            with ThreadPoolExecutor(1) as elsewhere:  # no mode of torch's here holds there, as in another process
                return elsewhere.submit(lambda: bench.do("answer", **question)).result()  # which copies, as the wire

        self.stand_in = vars(asking_module(NAMES, ask))


@pytest.fixture
def asked() -> Asked:
    """A fresh pair."""
    return Asked()


def same(left: Any, right: Any) -> bool:
    """Whether two results are equal in form, kind and numbers."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and all(map(same, left, right))


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("scaled", [{"a": torch.arange(4.0), "b": torch.eye(2)}], {}),
        ("scaled", [{}], {"by": 3.0, "dtype": torch.float64, "device": torch.device("cpu")}),
        ("scaled", [], {"values": {"a": torch.ones(2, dtype=torch.float16)}, "device": "cpu"}),
        ("product", [torch.randn(3, 2), torch.randn(2)], {}),
        ("shapes", [[torch.Size([2, 3]), (1,), [4]]], {}),
    ],
)
def test_it_gives_what_the_function_gives(asked, name, args, kwargs):
    """Tensors, dictionaries, lists, dtypes and devices go and come back as they are."""
    assert same(asked.own[name](*args, **kwargs), asked.stand_in[name](*args, **kwargs))
    assert len(asked.questions) == 1


def test_numbers_of_numpy_are_numbers(asked):
    """A size that numpy computed is a size."""
    import numpy as np

    made = asked.stand_in["shapes"]([(np.int64(2), np.int32(3))])
    assert [tuple(tensor.shape) for tensor in made] == [(2, 3)]


def test_gradients_go_through(asked):
    """By each argument, with what came before and what comes after; the oracle is autograd itself."""
    values = torch.randn(3, 2), torch.randn(2)
    found = []
    for function in (asked.own["product"], asked.stand_in["product"]):
        a, b = (value.clone().requires_grad_() for value in values)
        (3 * function(2 * a, b).sin()).sum().backward()
        found.append((a.grad, b.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_no_gradient_where_none_is_wanted(asked):
    """Nothing is kept for arguments without gradients, and what is whole numbers has none."""
    made = asked.stand_in["scaled"]({"a": torch.ones(2, requires_grad=True)})
    assert made["a"].requires_grad and not made["ones"].requires_grad and not made["whole"].requires_grad
    assert not asked.stand_in["product"](torch.ones(2), torch.ones(2)).requires_grad


def test_a_tensor_written_into_later_changes_no_gradient(asked):
    """The gradient is that of the values which were given."""
    a, b = torch.ones(2), torch.full((2,), 3.0, requires_grad=True)
    made = asked.stand_in["product"](a, b)
    a.zero_()
    made.sum().backward()
    assert b.grad.tolist() == [6.0, 6.0]


def test_vmap(asked):
    """Under `torch.vmap` it is asked once for each of the batch."""
    a, b = torch.randn(4, 3), torch.randn(3)
    made = torch.vmap(asked.stand_in["product"], in_dims=(0, None))(a, b)
    torch.testing.assert_close(made, a * b.square())
    assert len(asked.questions) == 4


def test_vmap_passes_gradients_on(asked):
    """Under `torch.vmap`, too, gradients come through: the right function's own."""
    a, b = torch.randn(3, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    torch.vmap(asked.stand_in["product"], in_dims=(0, None))(a, b).sum().backward()
    assert torch.allclose(a.grad, b.detach().square().expand(3, 4))
    assert torch.allclose(b.grad, (2 * a * b).detach().sum(dim=0))


def test_an_exception_is_one_here_too(asked):
    """Of its kind; with its words where they are about what was handed in, and with none from within the function."""
    with pytest.raises(ZeroDivisionError, match="the course's own function, which stands in for yours") as told:
        asked.stand_in["scaled"]({}, None)
    assert "by what" not in str(told.value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        asked.stand_in["scaled"]({}, foo=1)
    with pytest.raises(RuntimeError, match="size of tensor"):
        asked.stand_in["product"](torch.ones(2), torch.ones(3))


def test_devices_of_a_pretended_gpu(asked):
    """What was given on the GPU gives something on the GPU; a mix is one; a device means what it does there."""
    stands_for_it = torch.device("cpu")  # what a notebook was given for its own
    with PretendGpu([stands_for_it]) as mode:
        a, b = mode.put(torch.ones(2)), torch.ones(2)
        made = asked.stand_in["scaled"]({"a": a}, device=stands_for_it)
        assert made["a"].device == made["ones"].device == GPU and made["whole"].device.type == "cpu"
        assert asked.stand_in["product"](b, b).device.type == "cpu"
        with pytest.raises(DeviceMismatch):
            asked.stand_in["product"](a, b)
        assert torch.equal(asked.stand_in["product"](a, b.cuda()).cpu(), torch.ones(2))


def test_what_it_asks_holds_no_more_than_the_call(asked):
    """The stand-in itself knows its name and whom to ask: nothing of the function."""
    stand_in = asked.stand_in["product"]
    assert stand_in.__name__ == "product"
    closed_over = [cell.cell_contents for cell in stand_in.__closure__]
    assert "product" in closed_over and asked.own["product"] not in closed_over
    stand_in(torch.ones(1), torch.ones(1))
    assert set(asked.questions[0]) == {"name", "args", "kwargs", "places", "grad"}


def test_the_same_is_asked_once(asked):
    """Equal to the bit, without gradients, and light: then the answer of before is given, a copy of it."""
    product, ones = asked.stand_in["product"], torch.ones(2)
    first = product(ones, ones)
    first.zero_()
    assert product(ones, ones).tolist() == [1, 1] and len(asked.questions) == 1
    product(ones.double(), ones)
    product(ones, -torch.zeros(2))
    product(ones, torch.zeros(2))
    assert len(asked.questions) == 4
    with PretendGpu([torch.device("cpu")]) as mode:
        assert product(mode.put(torch.ones(2)), mode.put(torch.ones(2))).device == GPU
    assert len(asked.questions) == 5
    for _ in range(2):
        product(ones, torch.ones(2, requires_grad=True))
        product(torch.ones(100_000), ones[0])
    assert len(asked.questions) == 9

"""The pretended GPU beside torch's own fake tensors, on torch's own samples of every function.

Fake tensors have a device and no numbers; each sample is tried with all tensors on the GPU, and with each of them in
turn left on the CPU. "With a GPU this would stop" is a false sentence wherever theirs would not, so no difference goes
unnamed.
"""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torchvision
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, get_overridable_functions, get_testing_overrides
from torch.utils._pytree import tree_flatten, tree_unflatten

from autograder.runtime.pretend_gpu import CPU, GPU, DeviceMismatch, PretendGpu, tensors_in

pytestmark = pytest.mark.filterwarnings("ignore")
SAMPLES, LARGEST = 3, 20_000

# Ours says that it stops, theirs says that it does not.
STRICTER = {
    "diff": "of order 0, which no code asks for, theirs returns before it looks",
    "nn.functional.batch_norm": "of no rows; on a GPU its kernels want all on one device",
    "nn.functional.linear_cross_entropy": "written in Python over parts of matrices, whose product wants one device",
    "_unsafe_masked_index_put_accumulate": "torch's compiler alone calls it",
    "native_dropout_backward": "torch's autograd alone calls it",
    "__getitem__": "a CPU tensor and indices of the GPU: the real kernel refuses them",
}
# Theirs says that it stops, ours lets it pass, though the tensor on the CPU has dimensions.
LAXER = {
    "select_scatter": "the real one copies into a part of a clone; theirs is put together of other functions",
    "as_strided_scatter": "the same",
}
# By hand, with the first tensor on the CPU: theirs lets indices of the GPU pick from it, the real kernel refuses them.
REFUSED = ("a number is set by a mask", "numbers pick rows", "a pair of numbers picks")
# Functions of several tensors that torch has no samples of: nothing that a notebook for this course would call.
WITHOUT_SAMPLES = (
    "quantize",
    "fbgemm",
    "miopen",
    "batch_norm_",
    "fake_quantize",
    "fused_moving",
    "sym_",
    "sparse",
    "_",
)
WITHOUT_SAMPLES += ("saddmm", "sspaddmm", "smm", "spmm", "dsmm", "hsmm", "hspmm", "slice_inverse", "map", "set_")
WITHOUT_SAMPLES += ("resize_as_sparse_", "is_set_to", "is_same_size", "module_load", "binomial", "lobpcg", "orgqr")


@dataclass(frozen=True)
class Sample:
    """A function, and what to call it with."""

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def tensors(self) -> list[torch.Tensor]:
        """All tensors among its arguments."""
        return [leaf for leaf in tree_flatten((self.args, self.kwargs))[0] if isinstance(leaf, torch.Tensor)]

    def arguments(self, change: Any) -> tuple[Any, Any]:
        """The arguments, with `change(number, tensor)` in place of each tensor."""
        leaves, form = tree_flatten((self.args, self.kwargs))
        numbers = itertools.count()
        made = [change(next(numbers), leaf) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        return tree_unflatten(made, form)


BOXES = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
X, Y, INDEX = torch.linspace(-1, 2, 12).reshape(3, 4), torch.ones(3, 4), torch.tensor([2, 0])
RNN = [torch.ones(2, 3, 4), torch.zeros(1, 3, 5), [torch.ones(5, 4), torch.ones(5, 5), torch.ones(5), torch.ones(5)]]


def _put(x: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    x = x + 0
    x[index] = value
    return x


# By hand: what torch has no samples of, and what detectors are made of.
BY_HAND = [
    Sample("copy_", lambda x, y: (x + 0).copy_(y), (X, Y), {}),
    Sample("a slice is set", lambda x, y: _put(x, slice(0, 3), y), (X, Y), {}),
    Sample("a row is set", lambda x, y: _put(x, 0, y), (X, Y[0]), {}),
    Sample("rows are set by a mask", _put, (X, X[:, 0] > 0, Y[:2]), {}),
    Sample("rows are set by numbers", _put, (X, INDEX, Y[:2]), {}),
    Sample("a number is set by a mask", _put, (X, X > 0, torch.tensor(5.0)), {}),
    Sample("a number picks a row", lambda x, i: x[i], (X, torch.tensor(1)), {}),
    Sample("numbers pick rows", lambda x, i: x[i], (X, INDEX), {}),
    Sample("a pair of numbers picks", lambda x, i, j: x[i, j], (X, INDEX, INDEX), {}),
    Sample("out=", lambda x, y: torch.add(x, x, out=y), (X, Y + 0), {}),
    Sample("an in-place sum", lambda x, y: (x + 0).__iadd__(y), (X, Y), {}),
    Sample("row_stack", lambda x, y: torch.row_stack([x, y]), (X, Y), {}),
    Sample("concat", lambda x, y: torch.concat([x, y]), (X, Y), {}),
    Sample("a chain of products", lambda x, y: torch.chain_matmul(x, y.T), (X, Y), {}),
    Sample("arctan2", torch.arctan2, (X, Y), {}),
    Sample("clip", torch.clip, (X, Y - 1, Y), {}),
    Sample("ger", torch.ger, (X[0], Y[0]), {}),
    Sample("grid_sample", F.grid_sample, (torch.ones(1, 1, 4, 4), torch.zeros(1, 2, 2, 2)), {"align_corners": False}),
    Sample("rnn_cell", torch.rnn_tanh_cell, (RNN[0][0], RNN[1][0], *RNN[2]), {}),
    Sample("rnn", lambda x, h, w: torch.rnn_tanh(x, h, w, True, 1, 0.0, False, False, False), tuple(RNN), {}),
    Sample("the type of another", lambda x, y: x.type_as(y), (X, Y), {}),
    Sample("to another", lambda x, y: x.to(y), (X, Y), {}),
    Sample("the form of another", lambda x, y: x.expand_as(y), (X[:1], Y), {}),
    Sample("forms of both", torch.broadcast_tensors, (X[:1], Y), {}),
    Sample("zeros_like", torch.zeros_like, (X,), {}),
    Sample("new_zeros", lambda x: x.new_zeros(2), (X,), {}),
    Sample("torch.tensor of numbers", lambda x: torch.tensor([float(len(x))]), (X,), {}),
    Sample("torch.as_tensor", lambda x: torch.as_tensor(x), (X,), {}),
    Sample("arange", lambda x: torch.arange(3, device=x.device), (X,), {}),
    Sample("arange without a device", lambda x: torch.arange(len(x)), (X,), {}),
    Sample("within a device", lambda x: _within(x.device), (X,), {}),
    Sample("one-hot", lambda x: F.one_hot(x, 4), (INDEX,), {}),
    Sample("cpu", lambda x: x.cpu(), (X,), {}),
    Sample("deepcopy", lambda x: x.__deepcopy__({}), (X,), {}),
    Sample("box_iou", torchvision.ops.box_iou, (BOXES, BOXES + 1), {}),
    Sample("generalized_box_iou_loss", torchvision.ops.generalized_box_iou_loss, (BOXES, BOXES + 1), {}),
    Sample("sigmoid_focal_loss", torchvision.ops.sigmoid_focal_loss, (X, Y), {}),
    Sample("clip_boxes_to_image", lambda b: torchvision.ops.clip_boxes_to_image(b, (20, 20)), (BOXES,), {}),
    Sample("box_area", torchvision.ops.box_area, (BOXES,), {}),
    Sample("nms", lambda b, s: torchvision.ops.nms(b, s, 0.5), (BOXES, BOXES[:, 0]), {}),
    Sample(
        "batched_nms",
        lambda b, s, c: torchvision.ops.batched_nms(b, s, c, 0.5),
        (BOXES, BOXES[:, 0], BOXES[:, 0].long()),
        {},
    ),
    Sample(
        "roi_align", lambda x, b: torchvision.ops.roi_align(x, b, 2), (torch.ones(1, 1, 8, 8), torch.ones(2, 5)), {}
    ),
]


def _within(device: torch.device) -> torch.Tensor:
    with device:
        return torch.zeros(3)


def torch_s_own() -> list[Any]:
    """Torch's table of its functions. Its import would forbid this whole process to set torch's backends, and more."""
    flags = patch.object(torch.backends, "disable_global_flags", lambda: None)
    with flags, patch.object(sys, "path", [*sys.path]), patch.dict(os.environ):
        from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


def samples() -> Iterator[Sample]:
    """Torch's own samples of every function, a few of each, and ours."""
    op_db = torch_s_own()
    for op in op_db:
        dtype = torch.float32 if torch.float32 in op.dtypes else min(op.dtypes, key=str, default=torch.float32)
        seen: list[tuple[bool, ...]] = []
        given = op.sample_inputs("cpu", dtype, requires_grad=False)
        while len(seen) < SAMPLES and (found := _next(given)) is not None:
            sample = Sample(op.name, op.op, (found.input, *found.args), found.kwargs)
            form = tuple(tensor.dim() > 0 for tensor in sample.tensors())
            if form and sum(t.numel() for t in sample.tensors()) <= LARGEST and not (form in seen and len(seen) > 1):
                seen.append(form)
                yield sample


def _next(given: Iterator[Any]) -> Any:
    try:
        return next(given, None)
    except Exception:  # samples that a CPU cannot make
        return None


def plain(sample: Sample) -> Any:
    """What a sample gives on the CPU; None if it does not run there."""
    args, kwargs = sample.arguments(lambda _, tensor: tensor.clone())
    try:
        torch.manual_seed(0)
        return sample.function(*args, **kwargs)
    except Exception:
        return None


def ours(sample: Sample, on_cpu: tuple[int, ...]) -> tuple[list[str] | str, Any]:
    """The pretended GPU's verdict on a sample with some tensors on the CPU ("mix", or places), and the result."""
    args, kwargs = sample.arguments(lambda _, tensor: tensor.clone())
    gpu = PretendGpu()
    for number, tensor in enumerate(Sample("", None, args, kwargs).tensors()):
        gpu.put_at(tensor, CPU if number in on_cpu else GPU)
    torch.manual_seed(0)
    with gpu:
        try:
            result = sample.function(*args, **kwargs)
        except DeviceMismatch:
            return "mix", None
    return [str(gpu.place(tensor)) for tensor in _of(result)], result


def theirs(sample: Sample, on_cpu: tuple[int, ...]) -> list[str] | str:
    """The verdict of torch's fake tensors: "mix", places, or "unknown" where numbers decide."""
    with FakeTensorMode() as mode:
        try:
            args, kwargs = sample.arguments(
                lambda n, t: mode.from_tensor(t) if n in on_cpu else mode.from_tensor(t).to("cuda")
            )
            return [str(tensor.device) for tensor in _of(sample.function(*args, **kwargs))]
        except Exception as error:
            said = str(error)
            known = ("two different devices", "same device", "Mismatching", "DeviceType", "to have cuda", "to have cpu")
            return "mix" if any(text in said for text in known) else "unknown"


def _of(result: Any) -> list[torch.Tensor]:
    return tensors_in([result])


def ways(sample: Sample) -> Iterator[tuple[int, ...]]:
    """Which of a sample's tensors are left on the CPU: none, and each in turn."""
    count = len(sample.tensors())
    yield ()
    if count > 1:
        yield from ((number,) for number in range(min(count, 5)))


def differences(given: list[Sample]) -> tuple[list[str], list[str]]:
    """Where ours is stricter than theirs, or places a result elsewhere; and where it is laxer without a reason."""
    stricter, laxer = [], []
    for sample in given:
        for on_cpu in ways(sample) if plain(sample) is not None else ():
            found, expected = ours(sample, on_cpu)[0], theirs(sample, on_cpu)
            line = f"{sample.name}: {on_cpu} of {len(sample.tensors())} on the CPU: ours {found}, theirs {expected}"
            numbers = all(sample.tensors()[number].dim() == 0 for number in on_cpu)
            rest = [t for n, t in enumerate(sample.tensors()) if n not in on_cpu]
            if found == "mix" and expected not in ("mix", "unknown"):
                stricter.append(line)
            elif expected == "mix" and found != "mix" and not numbers and any(t.dim() for t in rest):
                laxer.append(line)
            elif found != "mix" and isinstance(expected, list) and not _agree(found, expected):
                stricter.append(line)
    return stricter, laxer


def _agree(found: list[str] | str, expected: list[str]) -> bool:
    """Places where each is the same, or unknown to us."""
    return len(found) == len(expected) and all(a in (b, "None") for a, b in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def every() -> list[Sample]:
    """All of torch's samples, made in a thread: torch notes the stack of each, and pytest's is deep."""
    with ThreadPoolExecutor(1) as pool:
        return list(pool.submit(lambda: list(samples())).result())


@pytest.mark.slow
def test_the_verdict_is_that_of_torch_s_fake_tensors(every):
    """Whatever torch's own fake tensors let pass passes, and what they stop is stopped, but for what is named here."""
    stricter, laxer = differences(every)
    assert [line for line in stricter if line.partition(":")[0] not in STRICTER] == []
    assert [line for line in laxer if line.partition(":")[0] not in LAXER] == []
    assert {line.partition(":")[0] for line in stricter} == set(STRICTER)
    assert {line.partition(":")[0] for line in laxer} == set(LAXER)


@pytest.mark.parametrize("sample", BY_HAND, ids=lambda sample: sample.name)
def test_the_same_of_what_detectors_are_made_of(sample):
    """Functions that torch has no samples of, and torchvision's."""
    assert plain(sample) is not None
    stricter, laxer = differences([sample])
    assert [line for line in stricter if not (sample.name in REFUSED and ": (0,) of" in line)] == []
    assert laxer == [] and len(stricter) == (sample.name in REFUSED)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_cpu(every):
    """With all of its tensors on the GPU a function gives the CPU's numbers."""
    wrong = []
    for sample in every:
        expected = plain(sample)
        if expected is None:
            continue
        places, result = ours(sample, ())
        pairs = zip(_of(result), _of(expected), strict=True)
        same = all(a.shape == b.shape and _equal(a, b) for a, b in pairs)
        if places == "mix" or (not same and not sample.name.startswith(("empty", "new_empty", "nn.functional.rrelu"))):
            wrong.append(f"{sample.name}: {places}")
    assert wrong == []


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.layout != torch.strided or a.is_quantized:
        return True
    wide = torch.complex128 if a.is_complex() else torch.float64
    return torch.allclose(a.to(wide), b.to(wide), equal_nan=True)


@pytest.mark.slow
def test_no_function_of_torch_is_forgotten(every):
    """Each function that torch hands to a mode, and that takes several tensors, has a sample or is named above."""
    met: set[str] = set()

    class Listener(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            met.add(_base(getattr(func, "__name__", "")))
            return func(*args, **(kwargs or {}))

    for sample in [*every, *BY_HAND]:
        met.add(_base(sample.name.rpartition(".")[2]))
        with Listener():
            plain(sample)
    forgotten = []
    signatures = get_testing_overrides()
    for functions in get_overridable_functions().values():
        for function in functions:
            name = getattr(function, "__name__", "")
            parameters = inspect.signature(signatures[function]).parameters if function in signatures else {}
            if _base(name) not in met and len(_TENSORS & set(parameters)) > 1:
                forgotten.append(name)
    assert [name for name in forgotten if not name.startswith(WITHOUT_SAMPLES) and _base(name) not in ALIASES] == []


# What torch calls parameters that are tensors.
_TENSORS = {"input", "self", "other", "src", "source", "tensor", "tensors", "matrices", "mat1", "mat2", "vec2", "value"}
_TENSORS |= {
    "hx",
    "params",
    "w_ih",
    "w_hh",
    "weight",
    "bias",
    "grid",
    "mask",
    "index",
    "indices",
    "tau",
    "k",
    "v",
    "out",
}
# Second names of functions that have samples, which run the same code.
ALIASES = {
    *[
        "absolute",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctanh",
        "fix",
        "negative",
        "inverse",
        "multiply",
        "not_equal",
        "greater",
        "less",
    ],
    *[
        "greater_equal",
        "less_equal",
        "concatenate",
        "moveaxis",
        "swapaxes",
        "swapdims",
        "gru",
        "gru_cell",
        "lstm",
        "lstm_cell",
        "rnn_relu",
    ],
    *[
        "rnn_relu_cell",
        "conv_tbc",
        "convolution",
        "nuclear_norm",
        "frobenius_norm",
        "linalg_matmul",
        "special_gammainc",
    ],
    *["special_gammaincc", "special_xlogy", "special_logsumexp", "grid_sampler"],
    *["select_copy", "fill_diagonal"],  # their index and their value are plain numbers
}


def _base(name: str) -> str:
    """`add` of `add_`, `__iadd__` and `__radd__`."""
    plain_name = name.strip("_")
    return plain_name

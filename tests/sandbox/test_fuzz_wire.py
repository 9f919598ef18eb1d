"""Fuzzing what reads a worker's answers: any frame is a value that may cross, or refused; work grows with its size."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from autograder.runtime.values import DTYPES, MAX_DIMENSIONS, ValueRefused, copied, pack, unpack
from autograder.sandbox.inside import wire
from tests.support.counted import growth
from tests.support.fuzz import QUICK

KEYS = st.text(max_size=6) | st.integers() | st.floats() | st.booleans() | st.none()
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
TREES = st.recursive(
    PLAIN | st.sampled_from(["t", "v", "i", "list", "dict", "str", "tensor", "device", "dtype", "float32", "cuda:0"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["t", "v", "i", "x"]), inner, max_size=3),
        st.builds(lambda kind, v: {"t": kind, "v": v}, st.sampled_from(["list", "tuple"]), st.lists(inner, max_size=4)),
        st.builds(
            lambda pairs: {"t": "dict", "v": pairs}, st.lists(st.lists(inner, min_size=2, max_size=2), max_size=4)
        ),
        st.builds(lambda v: {"t": "str", "v": v}, inner),
        st.builds(lambda i: {"t": "tensor", "i": i}, st.integers(-1, 3)),
    ),
    max_leaves=12,
)
SHAPES = st.lists(st.integers(0, 3), max_size=MAX_DIMENSIONS + 2)
TENSORS = st.builds(lambda shape, kind: torch.ones(shape, dtype=DTYPES[kind]), SHAPES, st.sampled_from(sorted(DTYPES)))
VALUES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=8,
)


def received(data: bytes) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """What comes of bytes that a worker sent before it hung up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.close()
        return wire.receive(ours, max_bytes=2**20)


def crosses(value: Any) -> bool:
    """Whether a value is of the kinds that may come out."""
    if isinstance(value, torch.Tensor):
        return type(value) is torch.Tensor and value.ndim <= MAX_DIMENSIONS
    if isinstance(value, dict):
        return all(isinstance(k, (str, int, float, type(None))) and crosses(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(crosses(inner) for inner in value)
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype, torch.device))


@QUICK
@given(TREES, st.integers(0, 3))
def test_any_tree(tree: Any, count: int) -> None:
    """A tree that may be forged is a value that may cross, or refused; nothing else is raised."""
    value = None
    with contextlib.suppress(ValueRefused):
        value = unpack(tree, [torch.zeros(2)] * count)
    assert crosses(value)


@QUICK
@given(VALUES)
def test_any_value(value: Any) -> None:
    """What `pack` lets through arrives; what it does not is refused by name, by the sender."""
    arrived = None
    with contextlib.suppress(ValueRefused):
        arrived = copied(value)
    assert crosses(arrived)


@QUICK
@given(st.binary(max_size=120), st.binary(max_size=120), st.integers(-3, 3))
def test_any_frame(text: bytes, blob: bytes, off: int) -> None:
    """Any bytes for either part, with lengths that may lie: a message, or an error of the wire's."""
    lengths = struct.pack(">II", max(0, len(text) + off), max(0, len(blob) - off))
    message: dict[str, Any] = {}
    with contextlib.suppress(wire.WireError):
        message, _ = received(lengths + text + blob)
    assert isinstance(message, dict)


HEADERS = st.dictionaries(
    st.sampled_from(["0", "1", "x", "__metadata__"]),
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "BOOL", "I64", "F8_E4M3", "C64", "X"]) | PLAIN,
            "shape": st.lists(st.integers(-1, 2**40), max_size=4) | PLAIN,
            "data_offsets": st.lists(st.integers(-8, 2**40), max_size=3) | PLAIN,
        }
    )
    | PLAIN,
    max_size=3,
)


@QUICK
@given(HEADERS, st.binary(max_size=64), st.integers(-8, 8))
def test_any_tensors(header: dict[str, Any], data: bytes, off: int) -> None:
    """A header of tensors that says anything: tensors of its bytes, or an error of the wire's."""
    text = json.dumps(header).encode()
    blob = struct.pack("<Q", max(0, len(text) + off)) + text + data
    tensors: list[torch.Tensor] = []
    with contextlib.suppress(wire.WireError):
        _, tensors = received(struct.pack(">II", 2, len(blob)) + b"{}" + blob)
    assert sum(tensor.nbytes for tensor in tensors) <= len(blob)


@QUICK
@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_a_right_frame_with_some_bytes_changed(place: int, other: bytes) -> None:
    """Bytes changed anywhere in what a worker rightly sends."""
    text, blob = b'{"value": {"t": "tensor", "i": 0}}', safetensors.torch.save({"0": torch.ones(3)})
    frame = bytearray(struct.pack(">II", len(text), len(blob)) + text + blob)
    frame[8 + place % (len(frame) - 8) :][: len(other)] = other
    start = 8 + place % (len(frame) - 8)
    frame[start : start + len(other)] = other
    value = None
    with contextlib.suppress(wire.WireError, ValueRefused):
        message, tensors = received(bytes(frame))
        value = unpack(message.get("value"), tensors)
    assert crosses(value)


SIZED: dict[str, Callable[[int], Any]] = {
    "a list": lambda n: list(range(n)),
    "lists in a list": lambda n: [[i] for i in range(n)],
    "words": lambda n: {f"k{i}": "x" for i in range(n)},
    "numbers for keys": lambda n: {i << 30: i for i in range(n)},
    "fractions for keys": lambda n: {i * 2.0**-40: i for i in range(n)},
    "tensors": lambda n: [torch.ones(1) for _ in range(n)],
}


@pytest.mark.parametrize("name", SIZED)
def test_unpacking_takes_work_by_the_part(name: str) -> None:
    """Four times the parts take some four times the calls."""

    def make(size: int) -> Callable[[], object]:
        tree, tensors = pack(SIZED[name](size))
        return lambda: unpack(tree, tensors)

    assert growth(make, 500) < 5


class Counted(int):
    """A number for a key that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


@pytest.mark.parametrize("step", [1, 2**30, 2**31, 2**40 - 1])
def test_keys_that_may_cross_seldom_collide(step: int) -> None:
    """Whole numbers of the size that crosses have hashes of their own: a dictionary of them compares hardly any."""
    Counted.compared = 0
    made = {Counted(n * step): n for n in range(2000)}
    assert len(made) == 2000 and Counted.compared == 0


@pytest.mark.parametrize("key", [2**61 - 1, 2 * (2**61 - 1), -(2**61), 2.0**61, 1e300, "x" * 201])
def test_keys_that_may_collide_do_not_cross(key: object) -> None:
    """Numbers from where they share hashes, and endless words, are refused by sender and receiver."""
    tree = {"t": "str", "v": key} if isinstance(key, str) else key
    for refuse in (lambda: pack({key: 1}), lambda: unpack({"t": "dict", "v": [[tree, 1]]}, [])):
        with pytest.raises(ValueRefused, match="key"):
            refuse()
    assert copied({math.inf: 1, 2**53: 2, -1.5: 3, "x" * 200: 4})


@pytest.mark.parametrize("kind", ["BOOL", "F32"])
def test_many_dimensions_are_refused_before_a_tensor_is_made(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two million of them are a few megabytes of header; torch would be busy with them for hours."""
    monkeypatch.setattr(safetensors.torch, "load", lambda _: pytest.fail("a tensor was made"))
    text = json.dumps({"0": {"dtype": kind, "shape": [0] * 60_000, "data_offsets": [0, 0]}}).encode()
    blob = struct.pack("<Q", len(text)) + text
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(wire.WireError, match="not a frame"):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        theirs.sendall(struct.pack(">II", 2, len(blob)) + b"{}" + blob)
        wire.receive(ours)


def test_many_dimensions_are_refused_by_sender_and_receiver() -> None:
    """Sixteen cross, seventeen do not."""
    assert copied(torch.zeros([1] * MAX_DIMENSIONS)).ndim == MAX_DIMENSIONS
    many = torch.zeros([0] * (MAX_DIMENSIONS + 1), dtype=torch.bool)
    for refuse in (lambda: pack(many), lambda: unpack({"t": "tensor", "i": 0}, [many])):
        with pytest.raises(ValueRefused, match="16 dimensions"):
            refuse()

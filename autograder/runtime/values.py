"""The values that cross between a suite and a student's code, and how they are taken apart.

Only None, bool, int, float, str, list, tuple, dict, what is like a dict, tensors, arrays and tables (`plain_data.py`),
and (towards the student) dtypes and devices cross. `pack` turns a value into a JSON tree and a flat list of plain
tensors; `unpack` rebuilds it. Both sides of the wire use this module, and so does the unsandboxed student, so a value
is the same thing everywhere. Objects of the student's classes never get through: what comes out is rebuilt from bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch

from autograder.runtime.plain_data import KINDS, NotPlain, put_together, taken_apart

Tree: TypeAlias = Any  # JSON: a scalar, or {"t": kind, ...}

MAX_DEPTH = 16
MAX_NODES = 200_000
MAX_TEXT = 100_000
MAX_BITS = 1023  # more would not fit into a float, where suites compute on
MAX_DIMENSIONS = 16  # torch takes a time that grows with their square; no exercise has more than five
MAX_EMPTY = 1_000_000  # product of the other dimensions where one is 0: a sum along that one has so many numbers
MAX_KEY = 200  # characters of a key that is a string
MAX_KEY_NUMBER = 2**53  # of a key that is a number: from 2**61 on there are as many as one likes with the same hash
MAX_DEVICE = 40  # characters of a device's name
DTYPES = {
    name: getattr(torch, name)
    for name in (
        "bool",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
    )
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class ValueRefused(Exception):
    """A value that may not cross; the text says what it was and what is expected, for a student."""


class ValueTooLarge(ValueRefused):
    """A value of which each part may cross, but that is too deep or has too many parts."""


def pack(value: object, *, copy: bool = True) -> tuple[Tree, list[torch.Tensor]]:
    """Take a value apart.

    Args:
        value: To take apart.
        copy: Without it a tensor may share the memory of the value's: for who turns it into bytes at once.

    Returns:
        The JSON tree, and the tensors it refers to by index: detached, on the CPU, contiguous, owning
        their memory (see `copy`), of exactly the class `torch.Tensor`.

    Raises:
        ValueRefused: Something in it may not cross.
        ValueTooLarge: It is too deep, or has too many parts.
    """
    tensors: list[torch.Tensor] = []
    packer = _Packer(tensors, copy)
    return packer.tree(value, 0), tensors


def unpack(tree: Tree, tensors: list[torch.Tensor]) -> Any:
    """Rebuild a value from a tree that may have been forged.

    Raises:
        ValueRefused: The tree is not one that `pack` makes.
    """
    unpacker = _Unpacker(tensors)
    value = unpacker.value(tree, 0)
    if unpacker.seen != len(tensors):
        raise ValueRefused("an answer that holds tensors which it does not name")
    return value


def copied(value: object) -> Any:
    """What arrives when `value` crosses: equal, sharing no memory with it."""
    return unpack(*pack(value))


def plain_tensor(tensor: torch.Tensor, *, copy: bool = True) -> torch.Tensor:
    """A dense, contiguous CPU copy of a tensor, of class `torch.Tensor`; without `copy`, itself where it is all that.

    Raises:
        ValueRefused: It has no data (meta, fake), a dtype that does not cross, more than `MAX_DIMENSIONS`, or no
            numbers and huge dimensions.
    """
    _hold_to_dimensions(tensor)
    if tensor.dtype not in _NAMES:
        raise ValueRefused(f"a tensor of dtype {tensor.dtype}, which no exercise asks for")
    if tensor.device.type == "meta":
        raise ValueRefused('a tensor on the "meta" device, which holds no numbers')
    try:
        with torch.no_grad():
            if type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu":
                plain = torch.resolve_neg(torch.resolve_conj(tensor.detach()))
                if copy or plain._is_zerotensor():  # such a one has no memory that could be sent
                    return plain.clone(memory_format=torch.contiguous_format)
                return plain.contiguous()
            dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
            dense = dense.cpu().resolve_conj().resolve_neg().contiguous().clone()
            return dense.as_subclass(torch.Tensor)
    except (RuntimeError, TypeError, MemoryError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise ValueRefused(f"a tensor that cannot be copied ({reason})") from error


def _hold_to_dimensions(tensor: torch.Tensor) -> None:
    if tensor.ndim > MAX_DIMENSIONS:
        raise ValueRefused(f"a tensor of more than {MAX_DIMENSIONS} dimensions")
    if tensor.numel() == 0 and math.prod(size or 1 for size in tensor.shape) > MAX_EMPTY:
        raise ValueRefused("a tensor without a number in it whose other dimensions are huge")


def _hold_to_keys(key: object) -> None:
    """Refuse a key of a dict that no exercise asks for.

    Raises:
        ValueRefused: It is no string or number, or one that is long or large.
    """
    if isinstance(key, str):
        if len(key) > MAX_KEY:
            raise ValueRefused(f"a dict with a key of more than {MAX_KEY} characters")
    elif isinstance(key, (int, float)):
        if abs(key) > MAX_KEY_NUMBER and key not in (math.inf, -math.inf):
            raise ValueRefused("a dict with a huge number for a key")
    elif key is not None:
        raise ValueRefused("a dict whose keys are not strings or numbers")


class _Packer:
    def __init__(self, tensors: list[torch.Tensor], copy: bool) -> None:
        self.tensors = tensors
        self.copy = copy
        self.nodes = 0

    def tree(self, value: object, depth: int) -> Tree:
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise ValueTooLarge(f"a value nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise ValueTooLarge(f"a value of more than {MAX_NODES} parts")
        if value is None or value is True or value is False:
            return value
        if isinstance(value, torch.Tensor):
            self.tensors.append(plain_tensor(value, copy=self.copy))
            return {"t": "tensor", "i": len(self.tensors) - 1}
        if isinstance(value, str):
            return {"t": "str", "v": str.__str__(value)[:MAX_TEXT]}
        if isinstance(value, int):
            number = int.__int__(value)
            if number.bit_length() > MAX_BITS:  # JSON would refuse it on the way
                raise ValueRefused("an integer of hundreds of digits")
            return number
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, list):
            return {"t": "list", "v": [self.tree(item, depth + 1) for item in list.__iter__(value)]}
        if isinstance(value, tuple):
            return {"t": "tuple", "v": [self.tree(item, depth + 1) for item in tuple.__iter__(value)]}
        if isinstance(value, dict):
            return {"t": "dict", "v": [self._item(k, v, depth) for k, v in dict.items(value)]}
        if isinstance(value, Mapping):
            return {"t": "dict", "v": self._items(value, depth)}
        if isinstance(value, torch.dtype) and value in _NAMES:
            return {"t": "dtype", "v": _NAMES[value]}
        if isinstance(value, torch.device):
            return {"t": "device", "v": str(value)}
        return self._plain_data(value, depth)

    def _plain_data(self, value: object, depth: int) -> Tree:
        try:
            found = taken_apart(value)
        except NotPlain as error:
            raise ValueRefused(str(error)) from error
        if found is None:
            kind = type(value).__name__[:80]
            raise ValueRefused(f"a `{kind}`, where a tensor (or numbers, lists, dicts of tensors) is expected")
        kind, parts = found
        tree = self.tree(parts, depth + 1)
        return tree if kind == "number" else {"t": kind, "v": tree}

    def _items(self, mapping: Mapping[Any, Any], depth: int) -> list[list[Tree]]:
        """Of a class that is like a dict, whose methods may be anybody's: one item at a time, so that it has an end."""
        try:
            return [self._item(key, mapping[key], depth) for key in mapping]
        except ValueRefused:
            raise
        except Exception as error:
            kind = type(mapping).__name__[:80]
            raise ValueRefused(f"a `{kind}` that does not give its items ({type(error).__name__})") from error

    def _item(self, key: object, value: object, depth: int) -> list[Tree]:
        tree = self.tree(key, depth + 1)
        _hold_to_keys(tree["v"] if type(tree) is dict and tree["t"] == "str" else tree)
        return [tree, self.tree(value, depth + 1)]


class _Unpacker:
    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self.tensors = tensors
        self.nodes = 0
        self.seen = 0  # tensors are named once each and in order, as `pack` does

    def value(self, tree: Tree, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise ValueTooLarge("a value that is too deep or too large")
        if type(tree) is int and tree.bit_length() > MAX_BITS:
            raise ValueRefused("an integer of hundreds of digits")
        if tree is None or type(tree) in (bool, int, float):
            return tree
        if type(tree) is dict and set(tree) <= {"t", "v", "i"}:
            kind, content = tree.get("t"), tree.get("v")
            if kind == "tensor":
                return self._tensor(tree.get("i"))
            if kind == "str" and type(content) is str and len(content) <= MAX_TEXT:
                return content
            if kind == "list" and type(content) is list:
                return [self.value(item, depth + 1) for item in content]
            if kind == "tuple" and type(content) is list:
                return tuple(self.value(item, depth + 1) for item in content)
            if kind == "dict" and type(content) is list:
                return dict(self._item(pair, depth) for pair in content)
            if kind == "dtype" and type(content) is str and content in DTYPES:
                return DTYPES[content]
            if kind == "device" and type(content) is str and len(content) <= MAX_DEVICE:
                return _device(content)
            if kind in KINDS:
                return _put_together(kind, self.value(content, depth + 1))
        raise ValueRefused("an answer that is not of the agreed form")

    def _tensor(self, index: object) -> torch.Tensor:
        if type(index) is not int or not 0 <= index < len(self.tensors):
            raise ValueRefused("an answer that names a tensor it does not hold")
        if index != self.seen:
            raise ValueRefused("an answer that names its tensors out of order, or one of them twice")
        self.seen += 1
        tensor = self.tensors[index]
        _hold_to_dimensions(tensor)
        if tensor.dtype not in _NAMES:
            raise ValueRefused("a tensor of a dtype that no exercise asks for")
        # A byte that is neither 0 nor 1 makes a truth value that is neither true nor false.
        return tensor.view(torch.uint8) != 0 if tensor.dtype == torch.bool else tensor

    def _item(self, pair: object, depth: int) -> tuple[Any, Any]:
        if type(pair) is not list or len(pair) != 2:
            raise ValueRefused("an answer that is not of the agreed form")
        key = self.value(pair[0], depth + 1)
        _hold_to_keys(key)
        return key, self.value(pair[1], depth + 1)


def _put_together(kind: str, parts: Any) -> Any:
    try:
        return put_together(kind, parts)
    except NotPlain as error:
        raise ValueRefused(str(error)) from error


def _device(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueRefused("a device that does not exist") from error

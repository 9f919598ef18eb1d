"""Comparing plain values: numbers, texts, lists, dictionaries, arrays of numpy's and tables of pandas'.

For assignments without torch. `expect_same` goes through both values and says where they part; tensors are compared by
`compare.expect_close`, whose hypotheses know more about them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from autograder.checks.bounded import name_text, shape_text
from autograder.checks.compare import CheckFailed

Fault = tuple[str, Any]
_NUMBERS = (int, float)


def expect_same(
    got: Any, expected: Any, what: str, faults: Iterable[Fault] = (), *, rtol: float = 1e-6, atol: float = 1e-9
) -> None:
    """Fail unless a value is the expected one, of its form, with numbers within tolerance.

    A list may be a tuple, an int a float of the same value; truth values, texts and None are themselves alone.

    Args:
        got: What the student's code gave.
        expected: What it should be.
        what: Names it in the message: "The result".
        faults: A sentence and what a solution with that fault would give: the first that explains it is the diagnosis.
        rtol: Relative tolerance of numbers.
        atol: Absolute tolerance.

    Raises:
        CheckFailed: It differs; the message says where first.
    """
    found = difference(got, expected, "", rtol, atol)
    if found is None:
        return
    where, said = found
    diagnosis = next((text for text, fault in faults if difference(got, fault, "", rtol, atol) is None), "")
    place = f"{what} at {where}" if where else what
    raise CheckFailed(f"{place}: {said}.", diagnosis, f"{place} is not right.")


def difference(got: Any, expected: Any, where: str, rtol: float, atol: float) -> tuple[str, str] | None:
    """The first place in which two values part, and in what; None where they do not.

    The place is made of the expected value's own keys and numbers, so that it tells nothing that a student chose.
    """
    if hasattr(expected, "iloc"):
        return _of_tables(got, expected, where, rtol, atol)
    if hasattr(expected, "dtype") and hasattr(expected, "shape"):
        return _of_arrays(got, expected, where, rtol, atol)
    if isinstance(expected, dict):
        return _of_dicts(got, expected, where, rtol, atol)
    if isinstance(expected, (list, tuple)):
        return _of_lists(got, expected, where, rtol, atol)
    if _is_number(expected) and _is_number(got):
        close = math.isclose(got, expected, rel_tol=rtol, abs_tol=atol) or (math.isnan(got) and math.isnan(expected))
        return None if close else (where, f"expected {_shown(expected)}, got {_shown(got)}")
    if type(got) is type(expected) and got == expected:
        return None
    return where, f"expected {_shown(expected)}, got {_shown(got)}"


def _of_lists(got: Any, expected: Any, where: str, rtol: float, atol: float) -> tuple[str, str] | None:
    if not isinstance(got, (list, tuple)):
        return where, f"expected a list, got {_shown(got)}"
    if len(got) != len(expected):
        return where, f"expected {len(expected)} elements, got {len(got)}"
    pairs = enumerate(zip(got, expected, strict=True))
    each = (difference(one, other, f"{where}[{n}]", rtol, atol) for n, (one, other) in pairs)
    return next((found for found in each if found), None)


def _of_dicts(got: Any, expected: Any, where: str, rtol: float, atol: float) -> tuple[str, str] | None:
    if not isinstance(got, dict):
        return where, f"expected a dictionary, got {_shown(got)}"
    if missing := [key for key in expected if key not in got]:
        return where, f"the key {_shown(missing[0])} is missing"
    if more := [key for key in got if key not in expected]:
        return where, f"the key {_shown(more[0])} is one too many"
    each = (difference(got[key], value, f"{where}[{_shown(key)}]", rtol, atol) for key, value in expected.items())
    return next((found for found in each if found), None)


def _of_arrays(got: Any, expected: Any, where: str, rtol: float, atol: float) -> tuple[str, str] | None:
    """Arrays and tensors: of the same library, shape and kind of number."""
    if type(got) is not type(expected):
        return where, f"expected a `{type(expected).__name__}`, got {_shown(got)}"
    if tuple(got.shape) != tuple(expected.shape):
        return where, f"expected the shape {shape_text(expected.shape)}, got {shape_text(got.shape)}"
    if _is_whole(got) != _is_whole(expected):
        return where, f"expected numbers of kind {expected.dtype}, got {name_text(str(got.dtype))}"
    return _of_lists(got.reshape(-1).tolist(), expected.reshape(-1).tolist(), where, rtol, atol)


def _of_tables(got: Any, expected: Any, where: str, rtol: float, atol: float) -> tuple[str, str] | None:
    if type(got) is not type(expected):
        return where, f"expected a `{type(expected).__name__}`, got {_shown(got)}"
    if found := difference(list(got.index), list(expected.index), f"{where} index", rtol, atol):
        return found
    if expected.ndim == 1:
        return difference(got.tolist(), expected.tolist(), where, rtol, atol)
    if found := difference(list(got.columns), list(expected.columns), f"{where} columns", rtol, atol):
        return found
    each = (
        difference(got.iloc[:, n].tolist(), expected.iloc[:, n].tolist(), f"{where}[{_shown(name)}]", rtol, atol)
        for n, name in enumerate(expected.columns)
    )
    return next((found for found in each if found), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _is_whole(array: Any) -> bool:
    return "float" not in str(array.dtype)


def _shown(value: Any) -> str:
    """A value in a few characters; of a container its kind alone."""
    if value is None or isinstance(value, bool):
        return str(value)
    if _is_number(value):
        return format(value, ".6g")
    if isinstance(value, str):
        return f'"{name_text(value)}"'
    return f"a `{name_text(type(value).__name__)}`"

"""Comparing what a student's code gave with what was expected, and saying what is wrong in words.

`expect_close` and its like raise `CheckFailed`. A *hypothesis* is a pair of a sentence ("x and y are
swapped") and the tensor that a solution with that fault would give: the first one that explains the
output becomes the diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from autograder.checks.bounded import bounded_text, name_text, names_text, numbers_text, shape_text
from autograder.checks.result import Picture

Hypothesis = tuple[str, torch.Tensor]
Draw = Callable[[torch.Tensor], Picture]

_SHOWN = 3
_NO_GRADIENT = (
    "This would never be trained: something is detached, or computed without gradients, or it is not used at all."
)
_ZERO_GRADIENT = (
    "This would never be trained: its gradient comes, but is zero everywhere. Is something rounded, "
    "cut off, or constant?"
)
_NO_NUMBER = "One step with it would spoil the weights: is something divided by zero, or the root of zero taken?"


class CheckFailed(Exception):
    """A check's verdict is "failed".

    Its texts are bounded here, whatever a suite puts into them: see `bounded.py`, whose functions write shapes, names
    and numbers that student code chose.

    Attributes:
        message: Expected and got, for a student who may see the numbers.
        diagnosis: The fault by name, or "".
        public_text: What may be said where the numbers are hidden.
        picture: What to draw where they are not.
    """

    def __init__(
        self, message: str, diagnosis: str = "", public_text: str = "", picture: Picture | None = None
    ) -> None:
        self.message = bounded_text(message)
        super().__init__(self.message)
        self.picture = picture
        self.diagnosis = bounded_text(diagnosis)
        self.public_text = bounded_text(public_text)


def expect_tensor(got: Any, what: str) -> torch.Tensor:
    """Fail unless `got` is a tensor; `what` names it in the message."""
    if isinstance(got, torch.Tensor):
        return got
    if got is None:
        raise CheckFailed(f"{what} came as None: is a `return` missing?", public_text=f"{what} came as None.")
    text = f"{what} should be a tensor, but came as a `{name_text(type(got).__name__)}`."
    raise CheckFailed(text, public_text=text)


def expect_shape(got: Any, shape: Sequence[int], what: str) -> torch.Tensor:
    """Fail unless `got` is a tensor of the shape."""
    tensor = expect_tensor(got, what)
    if tuple(tensor.shape) == tuple(shape):
        return tensor
    text = f"{what} came in the wrong shape: expected {shape_text(shape)}, got {shape_text(tensor)}."
    raise CheckFailed(text, _fault_of_shape(tuple(tensor.shape), tuple(shape)), f"{what} came in the wrong shape.")


def _fault_of_shape(got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What is wrong with a shape that has as many elements as it should; "" if it has not."""
    if torch.Size(got).numel() != torch.Size(wanted).numel():
        return ""
    if [side for side in got if side != 1] == [side for side in wanted if side != 1]:
        return "A dimension of size 1 is missing, or there is one too many: is there a `squeeze` or an `unsqueeze`?"
    if not torch.Size(got).numel():
        return "There is nothing in it, and it has to have its shape all the same."
    return "The shape is wrong, though the number of elements is right: a reshape or transpose is off."


def expect_close(
    got: Any,
    expected: torch.Tensor,
    what: str,
    hypotheses: Iterable[Hypothesis] = (),
    *,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    draw: Draw | None = None,
) -> None:
    """Fail unless `got` is a tensor of the shape and, within tolerance, the values of `expected`.

    Args:
        got: What student code gave.
        expected: What it should be.
        what: Names it in the message, such as "The locations of p3".
        hypotheses: Faults that are looked for, the likeliest first.
        rtol: Relative tolerance, against the largest magnitude in `expected`.
        atol: Absolute tolerance.
        draw: Makes a picture of values that are wrong, see `drawings.py`; for public checks.
    """
    hypotheses = list(hypotheses)
    if isinstance(got, torch.Tensor) and tuple(got.shape) != tuple(expected.shape):
        diagnosis = _explained(got, hypotheses, rtol, atol)
        if diagnosis:
            shapes = f"{what}: expected shape {shape_text(expected)}, got {shape_text(got)}."
            raise CheckFailed(shapes, diagnosis, public_text=f"{what} came in the wrong shape.")
    tensor = expect_shape(got, expected.shape, what)
    if _close(tensor, expected, rtol, atol):
        return
    diagnosis = _explained(tensor, hypotheses, rtol, atol)
    text = _differences(tensor, expected, what, rtol, atol)
    raise CheckFailed(text, diagnosis, f"{what}: wrong values.", draw(tensor) if draw else None)


def is_close(got: Any, expected: torch.Tensor, *, rtol: float = 1e-4, atol: float = 1e-4) -> bool:
    """Whether `got` is a tensor of the shape and, within tolerance as for `expect_close`, the values of `expected`."""
    return isinstance(got, torch.Tensor) and _close(got, expected, rtol, atol)


def expect_levels(got: Any, expected: Mapping[str, Any], what: str, each: str = "Level {}") -> dict[str, Any]:
    """Fail unless `got` is a dict with an entry for each level of `expected`; more levels are no fault.

    Args:
        got: What student code gave.
        expected: Has the levels for keys.
        what: Names the dict in the message, such as "The result".
        each: Names an entry, with {} for its level.
    """
    if got is None:
        raise CheckFailed(f"{what} came as None: is a `return` missing?", public_text=f"{what} came as None.")
    if not isinstance(got, dict):
        text = f"{what} should be a dict with a tensor for each level, but came as a `{name_text(type(got).__name__)}`."
        raise CheckFailed(text, public_text=text)
    absent = [level for level in expected if level not in got]
    if absent:
        text = f"{what} came without the level {absent[0]!r}: the keys are {names_text(got)}."
        raise CheckFailed(text, public_text=f"{what} came without a level.")
    empty = next((level for level in expected if got[level] is None), None)
    if empty is not None:
        text = f"{each.format(empty)} came as None: nothing was put into the dictionary at {empty!r}."
        raise CheckFailed(text, public_text=f"{each.format(empty)} came as None.")
    return got


def expect_gradient(gradient: torch.Tensor | None, what: str) -> None:
    """Fail unless there is a gradient, of numbers, not zero everywhere; `what` names what it should reach."""
    if gradient is None or not bool((gradient != 0).any()):
        text = f"The gradient does not reach {what}."
        raise CheckFailed(text, _NO_GRADIENT if gradient is None else _ZERO_GRADIENT, text)
    if not bool(gradient.isfinite().all()):
        text = f"The gradient that reaches {what} holds inf or nan."
        raise CheckFailed(text, _NO_NUMBER, text)


def _close(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> bool:
    if got.shape != expected.shape:
        return False
    if expected.numel() == 0:
        return True
    return not bool(_wrong(got, expected, rtol, atol).any())


def _wrong(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> torch.Tensor:
    """Where two tensors of one shape differ by more than the tolerance."""
    got, expected = got.double(), expected.double()
    scale = expected[expected.isfinite()].abs().max().item() if bool(expected.isfinite().any()) else 1.0
    return ~torch.isclose(got, expected, rtol=0.0, atol=atol + rtol * scale, equal_nan=True)


def _explained(got: torch.Tensor, hypotheses: Iterable[Hypothesis], rtol: float, atol: float) -> str:
    return next((text for text, tensor in hypotheses if _close(got, tensor, rtol, atol)), "")


def _differences(got: torch.Tensor, expected: torch.Tensor, what: str, rtol: float, atol: float) -> str:
    """The first rows that differ, expected beside got."""
    wrong = _wrong(got, expected, rtol, atol)
    rows = wrong.reshape(wrong.shape[0], -1).any(dim=1) if wrong.dim() else wrong.reshape(1)
    text = [f"{what}: {int(rows.sum())} of {rows.numel()} rows differ."]
    if bool(got.isnan().any()) and not bool(expected.isnan().any()):
        text.append(f"{int(got.isnan().sum())} of the numbers are NaN.")
    for index in rows.nonzero().flatten()[:_SHOWN].tolist():
        want = expected[index] if expected.dim() else expected
        have = got[index] if got.dim() else got
        text.append(f"row {index}: expected {numbers_text(want)}, got {numbers_text(have)}")
    return "\n".join(text)

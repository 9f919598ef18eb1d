"""Whether two pieces of code answered a check alike: a student's and the solution with a known fault.

Answers are compared as values, never as texts. What a student's process sent may be anything, so the known fault's
answer leads: nothing is looked at that has not the same shape there.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from autograder.checks.result import CheckResult
from autograder.checks.student import EndedEarly, Heard
from autograder.runtime.errors import StudentError

TOLERANCE = 1e-4  # relative to the largest number of a tensor, as most checks have it
FEWEST = 3  # different numbers, before an answer tells that something was computed
_LOOKED_AT = 64  # numbers of a tensor
_NUMBERS = "fiub"  # kinds of numpy's dtypes
_SILENT = {"new", "load", "tensors"}  # numbers of modules, nothing, and weights as they start, at random
_FACTS = ("places", "alone")  # of what `on_gpu` answers
_NAMES = re.compile(r"`[^`]*`| in code cell \d+, line \d+")


def answered_alike(got: list[Heard], known: list[Heard]) -> bool:
    """Whether code gave the answers that a known fault gives, to the same requests in the same order.

    Args:
        got: What student code answered to a check; any of it may be forged.
        known: What the known fault answered to the same check with the same random inputs.
    """
    one, other = ([heard for heard in part if heard[0] not in _SILENT] for part in (got, known))
    return [h[0] for h in one] == [h[0] for h in other] and all(
        _same_answer(operation, mine, theirs) for (operation, mine), (_, theirs) in zip(one, other, strict=True)
    )


class Trial(list[Heard]):
    """What a known fault answers to a check, as it comes: the first answer that differs from a student's ends it.

    Args:
        got: What student code answered to the same check.

    Raises:
        EndedEarly: From `append`: that was such an answer.
    """

    def __init__(self, got: list[Heard]) -> None:
        super().__init__()
        self._left = iter([heard for heard in got if heard[0] not in _SILENT])
        self.differs = False

    def append(self, known: Heard) -> None:
        """Take the next answer."""
        super().append(known)
        if known[0] not in _SILENT:
            got = next(self._left, None)
            self._refuse(got is None or got[0] != known[0] or not _same_answer(known[0], got[1], known[1]))

    def __iadd__(self, known: Iterable[Heard]) -> Trial:  # type: ignore[misc, override]
        """Take several, which a check shares with one before it."""
        for heard in known:
            self.append(heard)
        return self

    def _refuse(self, differs: bool) -> None:
        if differs:
            self.differs = True
            raise EndedEarly


def begins_alike(got: list[Heard], known: list[Heard]) -> bool:
    """Whether the first answers of a known fault, as many as are known of it, are those of student code."""
    trial = Trial(got)
    with contextlib.suppress(EndedEarly):
        trial += known
    return not trial.differs


def tells_something(known: list[Heard]) -> bool:
    """Whether answers can only come from code that computes: None, nothing, or one number again and again cannot."""
    found: set[float] = set()
    for operation, answer in known:
        if operation in _SILENT:
            continue
        for number in _numbers(answer):
            found.add(round(number, 4))
            if len(found) >= FEWEST:
                return True
    return False


def said_alike(got: CheckResult, known: CheckResult) -> bool:
    """Whether a check that failed says the same of both, but for names and places that differ between notebooks."""

    def said(check: CheckResult) -> str:
        return _NAMES.sub("", "\n".join((check.diagnosis, check.details or check.message)))

    return got.status == known.status == "failed" and said(got) == said(known)


def _same_answer(operation: str, got: Any, known: Any) -> bool:
    if isinstance(known, StudentError) or isinstance(got, StudentError):
        both = isinstance(known, StudentError) and isinstance(got, StudentError)
        return both and (got.status, got.kind) == (known.status, known.kind)
    if operation == "on_gpu":
        return isinstance(got, dict) and all(_same(got.get(fact), known.get(fact)) for fact in _FACTS)
    if operation == "gradients":
        return _same_unnamed(got, known)
    return _same(got, known)


def _same_unnamed(got: Any, known: dict[str, Any]) -> bool:
    """Whether two dictionaries hold the same tensors, whatever they are called."""
    if not isinstance(got, dict) or len(got) != len(known):
        return False
    if not all(value is None or isinstance(value, torch.Tensor) for value in got.values()):
        return False
    mine, theirs = (sorted(part.values(), key=_rank) for part in (got, known))
    return all(_same(one, other) for one, other in zip(mine, theirs, strict=True))


def _rank(value: torch.Tensor | None) -> tuple[tuple[int, ...], float]:
    shape = _shape(value)
    return shape, round(float(value.double().abs().sum()), 3) if value is not None else 0.0


def _shape(value: torch.Tensor | None) -> tuple[int, ...]:
    return (-1,) if value is None else tuple(value.shape)


def _same(got: Any, known: Any) -> bool:
    """Whether a value is another, numbers within `TOLERANCE`; the second one leads."""
    if isinstance(known, torch.Tensor):
        return isinstance(got, torch.Tensor) and _close(got, known)
    if isinstance(known, np.ndarray):
        both = isinstance(got, np.ndarray) and got.dtype.kind in _NUMBERS and known.dtype.kind in _NUMBERS
        return both and _close(torch.as_tensor(got), torch.as_tensor(known))
    if isinstance(known, dict):
        if not isinstance(got, dict) or len(got) != len(known):
            return False
        return all(key in got and _same(got[key], value) for key, value in known.items())
    if isinstance(known, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(known):
            return False
        return all(map(_same, got, known)) or _same_rows(got, known)
    if isinstance(known, (int, float)) and not isinstance(known, bool):
        number = isinstance(got, (int, float)) and not isinstance(got, bool)
        return number and (got == known or abs(got - known) <= TOLERANCE * max(1.0, abs(known)))
    return isinstance(known, (type(None), bool, str)) and type(got) is type(known) and bool(got == known)


def _close(got: torch.Tensor, known: torch.Tensor) -> bool:
    if got.shape != known.shape:
        return False
    if known.numel() == 0:
        return True
    one, other = got.detach().double(), known.detach().double()
    finite = other[other.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 1.0
    return bool(torch.isclose(one, other, rtol=0.0, atol=TOLERANCE * (scale + 1e-3), equal_nan=True).all())


def _same_rows(got: Any, known: Any) -> bool:
    """Whether several tensors of as many rows are alike in another order of the rows: sets of detections are."""
    if not all(isinstance(part, torch.Tensor) and part.dim() for part in (*got, *known)):
        return False
    if [tuple(part.shape) for part in got] != [tuple(part.shape) for part in known]:
        return False
    if len({len(part) for part in known}) != 1 or len(known) < 2:
        return False
    one, other = (torch.cat([p.detach().double().reshape(len(p), -1) for p in parts], dim=1) for parts in (got, known))
    order = (
        sorted(range(len(m)), key=[[round(v, 2) for v in row] for row in m.tolist()].__getitem__) for m in (one, other)
    )
    first, second = order
    return _close(one[first], other[second])


def _numbers(value: Any) -> Iterator[float]:
    """Numbers of an answer that are not NaN or infinite; of a tensor the first ones."""
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        value = torch.as_tensor(value)
    if isinstance(value, torch.Tensor):
        finite = value.detach().double().flatten()
        yield from finite[finite.isfinite()][:_LOOKED_AT].tolist()
    elif isinstance(value, float):
        yield value if math.isfinite(value) else 0.0
    elif isinstance(value, dict):
        for part in value.values():
            yield from _numbers(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _numbers(part)

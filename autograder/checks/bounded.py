"""What a message may repeat of values that student code chose: little, and of a form that carries little.

Whatever a message repeats, code can speak by: a shape of ones and zeros holds as many bits as it has dimensions. So a
shape is told with `MAX_DIMENSIONS` of its sizes, a tensor with `MAX_NUMBERS` of its numbers, a name with `MAX_NAME`
characters, a list of names with `MAX_NAMES` of them. Suites format with the functions here, and whatever they say goes
through `bounded_text` besides: a check that forgets is bounded all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch

MAX_DIMENSIONS = 8
MAX_NUMBERS = 6
MAX_NAME = 80  # characters
MAX_NAMES = 8
MAX_WORD = MAX_NAME + 8  # characters between two spaces: a name, what it is quoted with, a comma
MAX_TEXT = 1000  # characters of a message
MAX_LINES = 12
MAX_DETAILS = 8000  # characters of what staff read besides
_LOOKED_AT = 4 * MAX_TEXT  # of a longer text nothing else is even looked at
_MORE = "..."
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD + 1},}}")
_NUMBER = r"[-+]?(?:\d[\d_.]{0,40}(?:e[-+]?\d{1,4})?|nan|inf|True|False)"
_LONG_ROW = re.compile(rf"({_NUMBER}(?:,\s*{_NUMBER}){{{MAX_DIMENSIONS - 1}}}),\s*{_NUMBER}(?:,\s*{_NUMBER})*")


def shape_text(shape: torch.Tensor | Sequence[int]) -> str:
    """The shape of a tensor, or sizes: `(2, 3)`; of many dimensions the first ones and their number."""
    sizes = list(shape.shape if isinstance(shape, torch.Tensor) else shape)
    if len(sizes) <= MAX_DIMENSIONS:
        return str(tuple(sizes))
    shown = ", ".join(str(size) for size in sizes[:MAX_DIMENSIONS])
    return f"({shown}, {_MORE}) with {len(sizes)} dimensions"


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Several shapes: `[(2, 3), (4,)]`; of many the first ones."""
    shown = [shape_text(shape) for shape in shapes[:MAX_NAMES]]
    return f"[{', '.join([*shown, _MORE] if len(shapes) > MAX_NAMES else shown)}]"


def numbers_text(numbers: torch.Tensor | Sequence[float], form: str = ".4g") -> str:
    """The first numbers of a tensor, or of a list: `(1, 2.5, ...)`."""
    count = numbers.numel() if isinstance(numbers, torch.Tensor) else len(numbers)
    first = numbers.flatten()[:MAX_NUMBERS].tolist() if isinstance(numbers, torch.Tensor) else numbers[:MAX_NUMBERS]
    shown = [format(number, form) for number in first]
    return f"({', '.join([*shown, _MORE] if count > MAX_NUMBERS else shown)})"


def name_text(name: object) -> str:
    """A name, a key or a word, on one line and not too long."""
    text = " ".join(str(name)[: 2 * MAX_NAME].split())
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - len(_MORE)] + _MORE


def names_text(names: Iterable[object]) -> str:
    """A list of names, sorted, each as `name_text` has it: `['p3', 'p4']`; of many the first ones."""
    every = sorted(name_text(name) for name in names)
    shown = ", ".join(repr(name) for name in every[:MAX_NAMES])
    return f"[{shown}, {_MORE}]" if len(every) > MAX_NAMES else f"[{shown}]"


def bounded_text(text: str, length: int = MAX_TEXT) -> str:
    """A text as a student may read it: rows of numbers, words, lines and the whole cut where they are too long."""
    text = text if len(text) <= _LOOKED_AT else text[:_LOOKED_AT] + _MORE
    text = _LONG_WORD.sub(lambda found: found[0][: MAX_WORD - len(_MORE)] + _MORE, text)
    text = _LONG_ROW.sub(rf"\1, {_MORE}", text)
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        text = "\n".join([*lines[: MAX_LINES - 1], _MORE])
    return text if len(text) <= length else text[: length - len(_MORE) - 1].rstrip() + " " + _MORE


def bounded_details(text: str) -> str:
    """A text for staff: its beginning and its end where it is very long, for a traceback says most there."""
    if len(text) <= MAX_DETAILS:
        return text
    half = MAX_DETAILS // 2 - 20
    return f"{text[:half]}\n{_MORE} (cut) {_MORE}\n{text[-half:]}"

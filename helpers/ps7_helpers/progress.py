"""Progress bars, where somebody watches: in a terminal or a notebook, never in a pipe or a log file."""

import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Pass the elements of an iterable through, with a bar that shows how far they are.

    Args:
        iterable: What to go through.
        total: How many elements there are.
        description: Stands before the bar.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing ipywidgets: then there is a text bar
        from tqdm.auto import tqdm  # type: ignore[import-untyped]  # it has no annotations
    yield from tqdm(iterable, total=total, desc=description, disable=not _watched(), leave=False)


def say(line: str) -> None:
    """Print a line to stdout without breaking a bar."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # it has no annotations

    tqdm.write(line)


def _watched() -> bool:
    """Whether a bar would be seen as one: it moves its line, which a file or a pipe cannot."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules

"""Progress bars, where somebody watches: in a terminal or a notebook, never in a pipe or a log file."""

import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def progress(iterable: Iterable[T], total: int, description: str, done: int = 0) -> Iterator[T]:
    """Pass the elements of an iterable through, with a bar that shows how far they are.

    Args:
        iterable: What to go through.
        total: How many elements there are.
        description: Stands before the bar.
        done: How many of them were done before, so that the bar begins there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of missing ipywidgets: then there is a text bar
        from tqdm.auto import tqdm  # type: ignore[import-untyped]  # it has no annotations
    bar = tqdm(iterable, total=total, desc=description, initial=done, disable=not watched(), leave=False)
    yield from bar


def say(line: str) -> None:
    """Print a line to stdout without breaking a bar."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # it has no annotations

    tqdm.write(line)


def watched() -> bool:
    """Whether a bar would be seen as one: it moves its line, which a file or a pipe cannot."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def byte_bar(total: int | None, done: int = 0) -> Any:
    """A bar for a download, to be used in ``with``; ``update(n)`` adds n bytes.

    Args:
        total: Bytes of the whole file, if they are known.
        done: Bytes that were there before.
    """
    from tqdm import tqdm

    return tqdm(
        total=total, initial=done, desc="download", unit="B", unit_scale=True, disable=not watched(), leave=False
    )

"""What is said where a public check's answer does not hold on inputs that nobody has seen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from autograder.checks.compare import CheckFailed
from autograder.runtime.errors import StudentError

OTHERS = (
    "Right for the inputs that are handed out with this check, but not for others of the same kind: an answer has to "
    "be computed from the arguments."
)


@contextlib.contextmanager
def quietly(text: str = OTHERS) -> Iterator[None]:
    """Say a constant sentence for whatever fails within: no number, nothing that student code could choose."""
    try:
        yield
    except CheckFailed as error:
        raise CheckFailed(text, public_text=text) from error
    except StudentError as error:
        said = error.public_text
        raise StudentError(error.status, said, kind=error.kind, place=error.place, public_text=said) from error


def refuse(text: str) -> CheckFailed:
    """A failure whose sentence is the same for whoever reads it."""
    return CheckFailed(text, public_text=text)

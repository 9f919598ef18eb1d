"""What the released notebook says, to know its statements by in a submission: they do nothing that could matter."""

from __future__ import annotations

import functools
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.parsing.cells import read_notebook
from autograder.parsing.certainty import texts_of
from autograder.runtime.errors import SubmissionError


def released_texts(assignment: Assignment) -> frozenset[str]:
    """The statements of the released notebook; none where the release is not there: then no slice is certain."""
    path = assignment.release / f"{assignment.notebook}.ipynb"
    try:
        return _texts(path, path.stat().st_mtime_ns)
    except (OSError, SubmissionError):
        return frozenset()


@functools.lru_cache(maxsize=4)
def _texts(path: Path, _: int) -> frozenset[str]:
    return texts_of(read_notebook(path.read_bytes(), ".ipynb"))

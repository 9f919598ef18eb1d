"""A submission as bytes, for a machine that does not see its files.

What could not be read here is told there in the same words, so that the report says what it would say had it been
graded here. No path goes along: a name is for people, and its suffix says how to read the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autograder.course.assignment import Assignment
from autograder.intake.submissions import Submission
from autograder.intake.weights import Weights
from autograder.runtime.errors import SubmissionError


@dataclass(frozen=True)
class CarriedWeights(Weights):
    """Weights that were read elsewhere; `problem` says why they were not.

    Attributes:
        content: The file's bytes.
    """

    content: bytes = b""

    def read(self, megabytes: int) -> bytes:
        """See `Weights.read`; the size was looked at where the file lies."""
        if self.problem:
            raise SubmissionError(self.problem)
        return self.content


@dataclass(frozen=True)
class Parcel(Submission):
    """A submission that was read elsewhere.

    Attributes:
        content: The notebook's bytes.
        unread: Why it could not be read, "" if it could.
    """

    content: bytes = b""
    unread: str = ""

    def read(self, megabytes: int) -> bytes:
        """See `Submission.read`; the size was looked at where the file lies."""
        if self.unread:
            raise SubmissionError(self.unread)
        return self.content


def pack(submission: Submission, assignment: Assignment) -> Parcel:
    """Read a submission, within the assignment's limits, to be sent.

    Raises:
        OSError: A file cannot be read, which is not the student's fault.
    """
    content, unread = b"", ""
    try:
        content = submission.read(assignment.limits.notebook_megabytes)
    except SubmissionError as error:
        unread = str(error)
    return Parcel(
        student=submission.student,
        key=submission.key,
        path=Path(submission.name),
        member="",
        skip=submission.skip,
        weights=_packed(submission.weights, assignment),
        content=content,
        unread=unread,
    )


def _packed(weights: Weights | None, assignment: Assignment) -> CarriedWeights | None:
    if weights is None or assignment.map is None:
        return None
    content, problem = b"", ""
    try:
        content = weights.read(assignment.map.weights_megabytes)
    except SubmissionError as error:
        problem = str(error)
    return CarriedWeights(weights.name, Path(weights.name), problem=problem, content=content)

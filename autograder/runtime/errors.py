"""Errors that reach people: each says what, why, what next, and whose fault it is.

A `KitError` is for the person at the command line (a TA's source, an instructor's path); a front end
prints its text as it stands and exits. `StudentError` is raised to the suites when a student's code
could not give a value; it becomes a check's status, never a crash of ours.
"""

from __future__ import annotations

from dataclasses import dataclass


class KitError(Exception):
    """Something a person can put right; `str(error)` is the whole message for them."""


class SubmissionError(KitError):
    """A submission that cannot be read as a notebook: the student's file, not our fault."""


@dataclass(frozen=True)
class Place:
    """Where in a student's notebook something happened.

    Attributes:
        cell: Number of the code cell, from 1; 0 where it is not known (in the student's own kernel).
        line: Line within the cell, from 1.
        text: That line of code, stripped.
        function: In the student's own kernel the function or method that it is in: there cells have no number.
        called_in: Where another function of the notebook called the one that the line is in, with the text of that
            line; "" if none did.
    """

    cell: int
    line: int
    text: str
    function: str = ""
    called_in: str = ""

    @property
    def where(self) -> str:
        """The place without its text."""
        if self.cell:
            return f"code cell {self.cell}, line {self.line}"
        return f"line {self.line}" + (f" of the cell with `{self.function}`" if self.function else "")

    def __str__(self) -> str:
        text = f"{self.text} ..." if self.text.endswith(("(", "[", "{", ",")) else self.text  # it goes on below
        shown = f"{self.where}: {text}" if text else self.where
        return f"{shown}, called in {self.called_in}" if self.called_in else shown


class StudentError(Exception):
    """A student's code gave no value.

    Attributes:
        status: The status that the check gets: "error", "timeout", "memory" or "missing".
        message: What happened, in a sentence or two for the student.
        kind: Name of the exception in the student's code, or "".
        place: Where in the student's notebook, if known.
        public_text: What may be said in a hidden check: nothing that student code could choose.
    """

    def __init__(
        self, status: str, message: str, *, kind: str = "", place: Place | None = None, public_text: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.place = place
        self.public_text = public_text or message

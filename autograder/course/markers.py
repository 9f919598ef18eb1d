"""Solution markers in the instructor's source: where they are, and whether they are right.

A solution stands between the lines `### BEGIN SOLUTION` and `### END SOLUTION`, both in one cell. nbgrader
replaces what is between them; a stray or misspelt marker would let the solution through, so anything that
looks like a marker and is not one is an error here.
"""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass

from autograder.runtime.errors import KitError

BEGIN = "### BEGIN SOLUTION"
END = "### END SOLUTION"
_NEAR = (
    "BEGINSOLUTION",
    "ENDSOLUTION",
    "BEGINHIDDENTESTS",
    "ENDHIDDENTESTS",
    "BEGINMARKSCHEME",
    "ENDMARKSCHEME",
)


@dataclass(frozen=True)
class Parted:
    """A cell's source, parted.

    Attributes:
        given: Lines outside solutions, markers left out.
        solution: Lines within solutions.
        merged: All lines but the markers: the cell with its solution.
        is_code: Whether the cell holds code; what a text quotes is not given.
    """

    given: tuple[str, ...]
    solution: tuple[str, ...]
    merged: str
    is_code: bool = True


def part(source: str, where: str, first: int = 1) -> Parted:
    """Part one cell's source into what is given and what is solution.

    Args:
        source: The cell's source.
        where: Names the cell, or the file, in errors.
        first: The number that errors give to the source's first line.

    Raises:
        KitError: A marker is misspelt, nested, stray or not closed; for the TA, with line and text.
    """
    given: list[str] = []
    solution: list[str] = []
    merged: list[str] = []
    inside = 0
    for number, line in enumerate(source.splitlines(), start=first):
        stripped = line.strip()
        place = f"{where}, line {number}: {stripped!r}"
        if stripped == BEGIN:
            if inside:
                raise KitError(f"{place} begins a solution within the one begun in line {inside}.")
            inside = number
        elif stripped == END:
            if not inside:
                raise KitError(f"{place} ends a solution that was never begun.")
            inside = 0
        elif looks_like_marker(line):
            raise KitError(f"{place} looks like a marker but is none. The markers are {BEGIN!r} and {END!r}.")
        else:
            merged.append(line)
            (solution if inside else given).append(line)
    if inside:
        raise KitError(f"{where}: the solution begun in line {inside} is never ended ({END!r}).")
    return Parted(tuple(given), tuple(solution), "\n".join(merged))


def looks_like_marker(line: str) -> bool:
    """Whether a line was probably meant as a marker, spelt right or not."""
    text = line.strip()
    if re.search(r"#\s*(BEGIN|END)[\s_-]*SOLUTION\b", text, re.IGNORECASE):
        return True  # with more words after it, or at the end of a line of code
    if not re.match(r"#|<!--|//", text) and (len(text) > 24 or " " not in text):
        return False  # no comment, and not a line that holds the words alone
    letters = re.sub(r"[^A-Z]", "", text.upper())
    if not 10 <= len(letters) <= 24:
        return False
    return any(_near(letters, near) for near in _NEAR)


@functools.lru_cache(maxsize=4096)  # the leak check asks for lines that the source was asked for, and some often
def _near(letters: str, marker: str) -> bool:
    """Whether letters are those of a marker, give or take a slip; "the solution" is not "end solution"."""
    head = re.match("BEGIN|END", marker)
    size = head.end() if head else 0
    heads = difflib.SequenceMatcher(None, letters[:size], marker[:size]).ratio()
    return heads > 0.5 and difflib.SequenceMatcher(None, letters, marker).ratio() > 0.8

"""What each fault costs: `rubric.toml` beside `assignment.toml`, which staff write.

    [[fault]]
    mutants = ["grid-top-left-corners"]     # of the proof: the solution with this fault; several that come to the same
    says = "Half a cell is missing: ..."    # for the student
    price = 2                               # points of the exercise
    why = "..."                             # for staff: why so much, and no more
    half = "..."                            # only where that is more than half of the exercise: why

    [[in_full]]
    mutants = ["grid-returns-nothing"]      # faults that cost all that they fail, even more than half
    why = "..."

A fault that has no price costs the dearest check that it fails. Prices decide no verdict of a check: if one changes, no
code has to run again.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course.toml_values import number, refuse_unknown, text, texts
from autograder.runtime.errors import KitError

FILE = "rubric.toml"


@dataclass(frozen=True)
class Fault:
    """A fault with its price.

    Attributes:
        mutants: Names of the mutants that have it; the first is the fault's own name.
        says: The sentence for the student.
        price: Points.
        why: Why so much.
        half: Why it may cost more than half of its exercise; "" where it may not.
    """

    mutants: tuple[str, ...]
    says: str
    price: float
    why: str
    half: str = ""

    @property
    def name(self) -> str:
        """The name that reports know it by."""
        return self.mutants[0]


@dataclass(frozen=True)
class Rubric:
    """The prices of an assignment.

    Attributes:
        faults: By the name of each mutant.
        in_full: For mutants that cost all that they fail: why.
    """

    faults: dict[str, Fault]
    in_full: dict[str, str]


def read_rubric(folder: Path) -> Rubric:
    """Read the rubric of an assignment; an empty one where there is none. Not to be changed: others get it, too.

    Args:
        folder: Of the assignment.

    Raises:
        KitError: The file is not as it should be; says which fault, and why.
    """
    path = folder / FILE
    if not path.is_file():
        return Rubric({}, {})
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        what = f"an entry has no {error}" if isinstance(error, KeyError) else str(error)
        raise KitError(f"{path} is not a valid rubric: {what}. A TA has to mend that file.") from error


@functools.lru_cache(maxsize=4)  # each exercise of each submission asks for it
def _parsed(content: str) -> Rubric:
    table = tomllib.loads(content)
    refuse_unknown(table, ("fault", "in_full"))
    return _from_table(table)


def _from_table(table: dict[str, Any]) -> Rubric:
    faults: dict[str, Fault] = {}
    in_full: dict[str, str] = {}
    for entry in table.get("fault", []):
        fault = _fault(entry)
        for name in fault.mutants:
            _refuse_twin(name, faults)
            faults[name] = fault
    for entry in table.get("in_full", []):
        refuse_unknown(entry, ("mutants", "why"))
        names = _mutants(entry)
        for name in names:
            _refuse_twin(name, faults, in_full)
            in_full[name] = text(entry, "why", names[0])
    return Rubric(faults, in_full)


def _fault(entry: dict[str, Any]) -> Fault:
    refuse_unknown(entry, ("mutants", "says", "price", "why", "half"))
    names = _mutants(entry)
    half = text(entry, "half", names[0]) if "half" in entry else ""
    return Fault(
        names, text(entry, "says", names[0]), number(entry, "price", names[0]), text(entry, "why", names[0]), half
    )


def _mutants(entry: dict[str, Any]) -> tuple[str, ...]:
    names = texts(entry, "mutants", "")
    if not names:
        raise ValueError("an entry names no mutants")
    return names


def _refuse_twin(name: str, *known: dict[str, Any]) -> None:
    if any(name in part for part in known):
        raise ValueError(f'"{name}" has two entries')

"""A student's code as a page shows it: numbered lines, the one where it stopped marked."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.checks.result import CheckResult, Code, ExerciseResult

_BEFORE, _AFTER = 4, 2


@dataclass(frozen=True)
class Line:
    """One line: its number within the cell, its text, and whether student code stopped there."""

    number: int
    text: str
    here: bool


@dataclass(frozen=True)
class Listing:
    """Lines of one code cell."""

    cell: int
    lines: list[Line]


def listings(exercise: ExerciseResult) -> list[Listing]:
    """All the code of an exercise that the report holds."""
    places = {(check.cell, check.line) for check in exercise.checks if check.cell}
    return [Listing(part.cell, _lines(part, places)) for part in exercise.code]


def excerpts(exercise: ExerciseResult) -> dict[int, Listing]:
    """Some lines around each place where it stopped, by the position of the first check shown that has the place."""
    found: dict[int, Listing] = {}
    seen: set[tuple[int, int]] = set()
    for index, check in enumerate(exercise.to_mend_first):
        place = (check.cell, check.line)
        if check.status != "passed" and check.cell and place not in seen:
            seen.add(place)
            listing = _around(check, exercise.code)
            if listing:
                found[index] = listing
    return found


def _around(check: CheckResult, code: list[Code]) -> Listing | None:
    for part in code:
        lines = _lines(part, {(check.cell, check.line)})
        if any(line.here for line in lines):
            near = [line for line in lines if -_BEFORE <= line.number - check.line <= _AFTER]
            return Listing(part.cell, near)
    return None


def _lines(part: Code, places: set[tuple[int, int]]) -> list[Line]:
    lines = part.source.split("\n")
    return [Line(number, text, (part.cell, number) in places) for number, text in enumerate(lines, start=part.line)]

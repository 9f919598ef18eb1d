"""Who is who in a gradebook: by the platform's id and name, by login, number, address or name in either order."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from autograder.course.origin import CANVAS, Origin
from autograder.report.tables import folded

_ALIKE = 75  # of 100: below that a suggestion is no help


@dataclass(frozen=True)
class Person:
    """A row of a gradebook.

    Attributes:
        name: As the gradebook writes it, "Lovelace, Ada" or "Ada Lovelace".
        user: The platform's own id, "" where there is none.
        others: Login, number, address: what else a student may go by.
        place: Of the row.
    """

    name: str
    user: str
    others: tuple[str, ...]
    place: int


class People:
    """Rows of a gradebook, to be looked up. What two rows share names neither."""

    def __init__(self, rows: Iterable[Person]) -> None:
        self._rows = list(rows)
        self._by_user = {row.user.strip(): row for row in self._rows if row.user.strip()}
        self._by_name = _unshared(self._rows, lambda row: {plain(row.name)})
        self._by_id = _unshared(self._rows, lambda row: {plain(text) for text in (row.user, *row.others)})
        self._by_any = _unshared(self._rows, lambda row: {plain(text) for text in (row.name, row.user, *row.others)})

    def find(self, student: str, origin: Origin | None) -> Person | None:
        """Whose row a submission's is; None where none is, or it is not certain."""
        if origin is not None and origin.platform == CANVAS and origin.user:
            row = self._by_user.get(origin.user)
            return row if row is not None and squeezed(origin.name) in _in_any_order(row.name) else None
        if origin is None:
            return self._by_any.get(plain(student))
        ids = [self._by_id.get(plain(text)) for text in (origin.email, origin.user) if text]
        found = [row for row in [*ids, self._by_name.get(plain(origin.name))] if row is not None]
        return found[0] if len({row.place for row in found}) == 1 else None

    def suggestion(self, student: str, origin: Origin | None) -> str:
        """The name of a row that looks like a student's; "" if none does. Nothing is ever filled in by it."""
        name = plain(origin.name if origin else student)
        choices = {row.place: plain(row.name) for row in self._rows}
        best = process.extractOne(name, choices, scorer=fuzz.WRatio, score_cutoff=_ALIKE)
        return next((row.name for row in self._rows if best and row.place == best[2] and best[0] != name), "")


def matched(people: People, students: Sequence[tuple[str, Origin | None]]) -> dict[str, Person]:
    """By student, the row; none where several students come to the same one."""
    found = {student: people.find(student, origin) for student, origin in students}
    claims = Counter(row.place for row in found.values() if row is not None)
    return {student: row for student, row in found.items() if row is not None and claims[row.place] == 1}


def plain(name: str) -> str:
    """A name as it is compared: "Lovelace, Ada" is "ada lovelace"; composed letters, no case, single spaces."""
    last, comma, first = name.partition(",")
    return folded(f"{first} {last}" if comma and "," not in first else name)


def squeezed(name: str) -> str:
    """A name as Canvas writes it in the names of files: small letters and digits of any script, and nothing else."""
    return re.sub(r"[^\w]", "", unicodedata.normalize("NFC", name).lower()).replace("_", "")


def _in_any_order(name: str) -> set[str]:
    """A name as Canvas may squeeze it: the last name comes first there, wherever the gradebook puts it."""
    words = plain(name).split()
    return {squeezed(name), *(squeezed(" ".join(words[n:] + words[:n])) for n in range(len(words)))}


def _unshared(rows: list[Person], keys: Callable[[Person], set[str]]) -> dict[str, Person]:
    """Rows by what they go by and no other row does."""
    counts = Counter(key for row in rows for key in keys(row))
    return {key: row for row in rows for key in keys(row) if key and counts[key] == 1}

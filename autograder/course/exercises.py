"""One exercise of an assignment, and the tables of `assignment.toml` that they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autograder.course.toml_values import flag, number, refuse_unknown, subtable, text, texts


@dataclass(frozen=True)
class Exercise:
    """One graded exercise.

    Attributes:
        id: As suites and the notebook name it, such as "7.1d".
        title: A few words for reports.
        points: What all its checks add up to.
        names: The functions and classes that a student defines for it.
        canned: Names of earlier exercises that `suites/public/stand_ins.py` replaces, in notebooks too.
        canned_when_graded: Names of earlier exercises that `suites/hidden/stand_ins.py` replaces, when graded.
        solved: Functions of earlier exercises that the instructor's own, asked in another process, replace when graded.
        follows: Pairs of an earlier exercise's id and a name (such as "FCOS.forward") that is replaced if that exercise
            lost points, so that its mistake is not charged twice: by `suites/hidden/stand_ins.py` or, where that
            defines none, by checks that ask the solution (`ours` in `checks/fixtures.py`).
        slow: Takes seconds (it trains); `fcoskit validate` leaves it out where it cannot matter.
        was: Id that it had earlier in the term, if any: points that a human set for that in nbgrader are kept.
    """

    id: str
    title: str
    points: float
    names: tuple[str, ...]
    canned: tuple[str, ...] = ()
    canned_when_graded: tuple[str, ...] = ()
    solved: tuple[str, ...] = ()
    follows: tuple[tuple[str, str], ...] = ()
    slow: bool = False
    was: str = ""

    @property
    def grade_id(self) -> str:
        """As nbgrader calls its check cell: its ids allow no dot."""
        return self.id.replace(".", "-")


def read_exercises(entries: Any) -> tuple[Exercise, ...]:
    """The exercises of `assignment.toml`.

    Raises:
        ValueError, KeyError: An entry is not as it should be; the text says which.
    """
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("each exercise has to be a table that begins with [[exercise]]")
    found: list[Exercise] = []
    for entry in entries:
        found.append(_exercise(entry, found))
    return tuple(found)


def _exercise(entry: dict[str, Any], earlier: list[Exercise]) -> Exercise:
    """Build an `Exercise`; what is replaced in it has to be an earlier one's, else it would be an answer book."""
    known = {"id", "title", "points", "names", "canned", "canned_when_graded", "solved", "follows", "slow", "was"}
    refuse_unknown(entry, known)
    where = f"[[exercise]] {entry['id']!r}"
    follows = subtable(entry, "follows", where)
    made = Exercise(
        id=text(entry, "id", "[[exercise]]", r"\w[\w.-]*", "letters, digits, dots and dashes"),
        title=text(entry, "title", where),
        points=number(entry, "points", where),
        names=texts(entry, "names", where),
        canned=texts(entry, "canned", where, []),
        canned_when_graded=texts(entry, "canned_when_graded", where, []),
        solved=texts(entry, "solved", where, []),
        follows=tuple((other, name) for other in follows for name in _replaced(follows, other, where)),
        slow=flag(entry, "slow", where),
        was=text(entry, "was", where, r"\w[\w.-]*", "an exercise's id") if "was" in entry else "",
    )
    if not made.names:
        raise ValueError(f"names in {where} is empty: a student defines something for it")
    names = {name for other in earlier for name in other.names}
    for name in (*made.canned, *made.canned_when_graded, *made.solved):
        if name.partition(".")[0] not in names:
            raise ValueError(f'canned and solved in {where}: no earlier exercise has the name "{name}"')
    if unknown := sorted(set(follows) - {other.id for other in earlier}):
        raise ValueError(f'follows in {where}: there is no earlier exercise "{unknown[0]}"')
    return made


def _replaced(follows: dict[str, Any], other: str, where: str) -> tuple[str, ...]:
    """One name, or a list of them."""
    place = f"follows of {where}"
    return texts(follows, other, place) if isinstance(follows[other], list) else (text(follows, other, place),)

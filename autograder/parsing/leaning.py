"""What the wanted names lean on that something else in a notebook may change: whoever gets hold of an object can.

A statement gets hold of what it mentions, of what the functions and classes that it mentions use, and of all that may
be the same object. Operators, loops, `with`, even `print` may call methods of a student's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from autograder.parsing.cells import Cell
from autograder.parsing.inert import keeps_something
from autograder.parsing.links import Links
from autograder.parsing.statements import Statement

_MOST_HELD = 300  # names that are followed from one: where there are more, nobody looks further
_CALLS_BACK = {"defaultdict"}  # of libraries: to read an item of such an object may change it


@dataclass(frozen=True)
class Cut:
    """A slice as it was cut, and what it was cut from.

    Attributes:
        cells: The notebook.
        notebook: Its statements and their connections.
        kept: Indices of the statements in the slice.
        names: Every name that the wanted ones lean on.
        wanted: The names asked for.
        lost: Names among them that only statements bind which are not run.
        absent: Wanted names that nothing in the slice binds.
        given: Names that the loader binds itself.
        released: From `texts_of`, of the released notebook.
    """

    cells: tuple[Cell, ...]
    notebook: Links
    kept: frozenset[int]
    names: frozenset[str]
    wanted: tuple[str, ...]
    lost: tuple[str, ...]
    absent: tuple[str, ...]
    given: frozenset[str]
    released: frozenset[str]


def normal(text: str) -> str:
    """A statement's text, to know it by in another notebook."""
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


def alike_is_changeable(cut: Cut, name: str) -> bool:
    """Whether a name, or another that may be the same object, is one that the wanted names lean on and that changes."""
    group = cut.notebook.alike.get(name, {name})
    if len(group) == 1:
        return changeable(cut, name)
    key = ("alike", cut.wanted, id(group))  # groups live as long as the notebook
    if key not in cut.notebook.told:
        cut.notebook.told[key] = any(changeable(cut, other) for other in group)
    return bool(cut.notebook.told[key])


def leads_to(cut: Cut, statement: Statement) -> str:
    """An object that a statement gets hold of by code of the student's own; "" if there is none.

    That is an object of a class of theirs, whose methods any operator may call, and what their functions use. To
    mention a plain list, a table or a tensor does nothing to it.
    """
    if statement.defines:
        return ""
    for mentioned in sorted(statement.now):
        held = _held(cut, mentioned)
        if held is None:
            return mentioned
        if found := [name for name in held if alike_is_changeable(cut, name)]:
            return min(found)
    return ""


def _held(cut: Cut, name: str) -> frozenset[str] | None:
    """The objects that code of the student's own gets hold of where a name is mentioned; None where they are many."""
    key = ("held", name, cut.released)
    if key not in cut.notebook.told:
        cut.notebook.told[key] = _followed(cut, name)
    held: frozenset[str] | None = cut.notebook.told[key]
    return held


def _followed(cut: Cut, name: str) -> frozenset[str] | None:
    if _is_plain(cut, name):
        return frozenset()
    objects, seen, todo = set[str](), {name}, [name]
    while todo:
        here = todo.pop()
        own = _own_binders(cut, here)
        if any(not s.defines or (s.is_class and keeps_something(s.source)) for s in own):
            objects.add(here)
        further = {other for s in own for other in s.now | s.later} | cut.notebook.alike.get(here, set())
        todo += further - seen
        seen |= further
        if len(seen) > _MOST_HELD:
            return None
    return frozenset(objects)


def _is_plain(cut: Cut, name: str) -> bool:
    """Whether neither a name nor another that may be the same object is the student's own code, or made by it."""
    group = cut.notebook.alike.get(name, {name})
    key = ("plain", name if len(group) == 1 else id(group), cut.released)
    if key not in cut.notebook.told:
        own = (s for other in group for s in _own_binders(cut, other))
        cut.notebook.told[key] = not any(s.defines or _made_by_own_code(cut, s) for s in own)
    return bool(cut.notebook.told[key])


def _made_by_own_code(cut: Cut, statement: Statement) -> bool:
    """Whether an object that a statement binds may have methods of the student's own; a `defaultdict` calls one."""
    return bool(statement.calls & _CALLS_BACK) or any(_is_own_code(cut, name) for name in statement.now)


def _is_own_code(cut: Cut, name: str) -> bool:
    """Whether a name is that of a function or class of the student's own."""
    key = ("own code", name, cut.released)
    if key not in cut.notebook.told:
        cut.notebook.told[key] = any(s.defines for s in _own_binders(cut, name))
    return bool(cut.notebook.told[key])


def _own_binders(cut: Cut, name: str) -> list[Statement]:
    return [s for s in _binders(cut, name) if not s.package and normal(s.source) not in cut.released]


def _binders(cut: Cut, name: str) -> list[Statement]:
    statements = [cut.notebook.statements[index] for index in cut.notebook.providers.get(name, [])]
    return [statement for statement in statements if name in statement.binds]


def remembers(cut: Cut, name: str) -> bool:
    """Whether calling something may change what the wanted names find: it keeps what they lean on, or leads there."""
    for index in cut.notebook.providers.get(name, []):
        statement = cut.notebook.statements[index]
        if name not in statement.binds or statement.package or normal(statement.source) in cut.released:
            continue
        if statement.defines:
            leads = not statement.is_class and any(changeable(cut, other) for other in statement.later)
            if name in cut.names and (leads or _keeps(cut, index)):
                return True
        elif index in cut.kept or any(_leads_there(cut, other) for other in statement.now):
            return True
    return False


def _leads_there(cut: Cut, name: str) -> bool:
    """Whether what is made with the help of a name may lead to what the wanted ones lean on; a class makes objects."""
    binders = [i for i in cut.notebook.providers.get(name, []) if name in cut.notebook.statements[i].binds]
    if binders and all(cut.notebook.statements[index].is_class for index in binders):
        return name in cut.names and any(_keeps(cut, index) for index in binders)
    return changeable(cut, name)


def _keeps(cut: Cut, index: int) -> bool:
    key = ("keeps", index)
    if key not in cut.notebook.told:
        cut.notebook.told[key] = keeps_something(cut.notebook.statements[index].source)
    return bool(cut.notebook.told[key])


def changeable(cut: Cut, name: str) -> bool:
    """Whether the wanted names lean on an object that can be changed: no number, text, function or library."""
    if name not in cut.names or name in cut.notebook.imported or name in cut.given:
        return False
    return not all(
        (s.defines and not s.is_class) or s.constant or normal(s.source) in cut.released for s in _binders(cut, name)
    )

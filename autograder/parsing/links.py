"""Which statements of a notebook belong together: by name, those that bind it and those that change its object.

A function that binds or changes a global belongs to it where it is called; a class with hooks belongs to each class
that is made from it; what is done to a library (`torch.Tensor.rows = f`) belongs to whatever imports that library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from autograder.parsing.statements import Statement


@dataclass(frozen=True)
class Links:
    """A notebook's statements and their connections.

    Attributes:
        statements: In notebook order.
        heavy: Indices of those that are not to run.
        partial: Indices of blocks of which a part was cut off.
        providers: By name, indices of the statements that bind it or change its object.
        effects: By package, indices of those that change something in it.
        dynamic: Indices of those that may bind names which do not stand in them.
        definitions: Indices of functions, classes and plain values.
        imported: Names that only imports bind.
        packages: By name that an import binds, the package that it comes from.
        same: By name, all names that may be the same object, itself among them.
        alike: The same, with more that is only guessed: a loop's variable and what it goes through, a class and what it
            is made from. Names of libraries are not in it.
        told: What was found out of this notebook, for who asks again for another exercise.
    """

    statements: list[Statement]
    heavy: set[int]
    partial: set[int]
    providers: dict[str, list[int]] = field(default_factory=dict)
    effects: dict[str, list[int]] = field(default_factory=dict)
    dynamic: list[int] = field(default_factory=list)
    definitions: list[int] = field(default_factory=list)
    imported: frozenset[str] = frozenset()
    packages: dict[str, str] = field(default_factory=dict)
    same: dict[str, set[str]] = field(default_factory=dict)
    alike: dict[str, set[str]] = field(default_factory=dict)
    told: dict[Any, Any] = field(default_factory=dict)


def link(statements: list[Statement], heavy: set[int], partial: set[int], graded: frozenset[str]) -> Links:
    """Find the connections.

    Args:
        statements: Of a whole notebook, in its order.
        heavy: Indices of those that are not to run.
        partial: Indices of blocks of which a part was cut off.
        graded: Names that students define; that a demo calls one of them does not make the demo a part of anything.
    """
    packages = {name: s.package for s in statements if s.package for name in s.binds}
    others = {name for s in statements if not s.package for name in s.binds}
    imported = frozenset(packages.keys() - others)
    same = _groups(pair for s in statements for pair in s.aliases)
    alike = _groups(p for s in statements for p in (*s.aliases, *s.alike) if imported.isdisjoint(p))
    links = Links(statements, heavy, partial, imported=imported, packages=packages, same=same, alike=alike)
    setters = _setters(statements, graded)
    hooks = _hooking(statements)
    for index, statement in enumerate(statements):
        changed = _changed(statement, imported)
        changed |= {n for name in _runs(statement) if name in setters for n in setters[name]} - imported
        if statement.is_class:
            changed |= {other for name in statement.now & hooks.keys() for other in hooks[name]}
        concerned = statement.binds.union(*(same.get(name, {name}) for name in changed))
        for name in concerned:
            links.providers.setdefault(name, []).append(index)
        for name in changed & imported:
            links.effects.setdefault(packages[name], []).append(index)
        if statement.dynamic:
            links.dynamic.append(index)
        if not statement.calls or (statement.defines and not statement.package):
            links.definitions.append(index)
    return links


def _changed(statement: Statement, imported: frozenset[str]) -> set[str]:
    """Names whose object a statement changes, or may change."""
    changed = set(statement.patches)
    for began, name in statement.touches:
        if name not in imported and (statement.defines or began not in imported):
            changed.add(name)
        elif statement.defines and name in imported and began not in imported:
            changed.add(name)  # the student's own `@patch` above a function for a library's class
    return changed


def _runs(statement: Statement) -> frozenset[str]:
    """Names of functions that run with the statement: those it calls, a definition's decorators."""
    return statement.calls | statement.now if statement.defines else statement.calls


def _setters(statements: list[Statement], graded: frozenset[str]) -> dict[str, set[str]]:
    """By function: the top-level names that it binds or changes when called, itself or through others."""
    setters: dict[str, set[str]] = {}
    users: dict[str, list[Statement]] = {}
    queue: list[str] = []

    def give(names: frozenset[str], found: set[str] | frozenset[str]) -> None:
        for name in names - graded:
            if found - setters.get(name, set()):
                setters.setdefault(name, set()).update(found)
                queue.append(name)

    for statement in statements:
        for name in statement.later:
            users.setdefault(name, []).append(statement)
        if statement.sets:
            give(statement.binds, statement.sets)
    while queue:
        name = queue.pop()
        for statement in users.get(name, []):
            if statement.defines:
                give(statement.binds, setters[name])
    return setters


def _hooking(statements: list[Statement]) -> dict[str, set[str]]:
    """By class that has a say in how classes made from it are made: itself, and those that it was made from."""
    hooks = {name: {name} for s in statements if s.hooks for name in s.binds}
    grown = bool(hooks)
    while grown:
        grown = False
        for statement in statements:
            if statement.is_class and (made_from := statement.now & hooks.keys()):
                above = {other for name in made_from for other in hooks[name]}
                for name in statement.binds:
                    if not above <= hooks.get(name, set()):
                        hooks.setdefault(name, {name}).update(above)
                        grown = True
    return hooks


def _groups(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """By name: all names that may be the same object, itself among them."""
    groups: dict[str, set[str]] = {}
    for one, other in pairs:
        first, second = groups.setdefault(one, {one}), groups.setdefault(other, {other})
        if first is not second:
            first |= second
            for name in second:
                groups[name] = first
    return groups

"""What grading does not run: statements that train, load data or lean on what such a statement gives.

A statement that merely mentions a function which trains does no work (`go = partial(train, epochs=3)`); calling it
does. A statement that binds a name which is asked for is never left out.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

from autograder.parsing.blocks import inner, without
from autograder.parsing.statements import Statement

_NOTHING: frozenset[str] = frozenset()


def heavy_statements(
    statements: list[Statement], not_run: frozenset[str], graded: frozenset[str] = _NOTHING
) -> set[int]:
    """Indices of statements that are not to run.

    A statement is heavy if it trains, calls something of `not_run` or a function that does work, or calls anything
    while leaning on a tainted name. A name is tainted if only heavy statements bind it. A function does work if it
    trains or its body leans on a tainted name, on one of `not_run`, or on a function that does work; so does what a
    statement makes of such a function.

    Args:
        statements: Of a whole notebook, in its order.
        not_run: As for `make_slice`.
        graded: Names that students define; a statement that binds one is never heavy.
    """
    return _Weighing(statements, not_run, graded).heavy


class _Weighing:
    def __init__(self, statements: list[Statement], not_run: frozenset[str], graded: frozenset[str]) -> None:
        self.heavy: set[int] = set()
        self._statements, self._graded = statements, graded
        self._light = collections.Counter(name for statement in statements for name in statement.binds)
        self._classes = {name for statement in statements if statement.is_class for name in statement.binds}
        self._callers: dict[str, list[int]] = {}  # by name: statements that call something and use it at once
        self._makers: dict[str, list[int]] = {}  # statements that use it at once
        self._calls: dict[str, list[int]] = {}  # statements that call it
        self._functions: dict[str, set[str]] = {}  # functions whose bodies use it
        self._sort()
        self._tainted: set[str] = set()
        self._working: set[str] = set()
        self._queue: list[tuple[bool, str]] = []
        for index, statement in enumerate(statements):
            if not statement.defines and (statement.trains or statement.calls & not_run):
                self._leave_out(index)
            elif statement.trains and not statement.is_class:
                self._does_work(statement.binds)
        for name in not_run:
            self._does_work(self._functions.get(name, set()))
        while self._queue:
            is_value, name = self._queue.pop()
            self._follow(is_value, name)

    def _sort(self) -> None:
        for index, statement in enumerate(self._statements):
            if not statement.defines:
                for name in statement.now:
                    self._makers.setdefault(name, []).append(index)
                    if statement.calls:
                        self._callers.setdefault(name, []).append(index)
                for name in statement.calls:
                    self._calls.setdefault(name, []).append(index)
                if not statement.later:
                    continue
            for name in statement.later:
                self._functions.setdefault(name, set()).update(statement.binds)

    def _follow(self, is_value: bool, name: str) -> None:
        self._does_work(self._functions.get(name, set()))
        if is_value:
            for index in self._callers.get(name, []):
                self._leave_out(index)
            return
        for index in self._calls.get(name, []):
            self._leave_out(index)
        for index in self._makers.get(name, []):
            self._does_work(self._statements[index].binds)

    def _leave_out(self, index: int) -> None:
        statement = self._statements[index]
        if index in self.heavy or statement.binds & self._graded:
            return
        self.heavy.add(index)
        self._light.subtract(statement.binds)
        fresh = {name for name in statement.binds if not self._light[name]} - self._tainted
        self._tainted |= fresh
        self._queue += [(True, name) for name in fresh]

    def _does_work(self, names: Iterable[str]) -> None:
        fresh = set(names) - self._classes - self._working - self._graded
        self._working |= fresh
        self._queue += [(False, name) for name in fresh]


def parted(
    statements: list[Statement], not_run: frozenset[str], graded: frozenset[str]
) -> tuple[list[Statement], set[int], set[int]]:
    """A notebook's statements, a block that mixes definitions with work cut in two: what stays and what does not.

    Returns:
        The statements, the indices of those that are not to run, and of those that are a part of a block.
    """
    heavy = heavy_statements(statements, not_run, graded)
    mixed = {
        index: inner(statement)
        for index, statement in enumerate(statements)
        if statement.is_block and (index in heavy or statement.trains or statement.calls & not_run)
    }
    mixed = {index: parts for index, parts in mixed.items() if any(_may_stay(part, not_run) for part, _ in parts)}
    if not mixed:
        return statements, heavy, set()
    apart: list[Statement] = []
    owners: list[tuple[int, int]] = []
    for index, statement in enumerate(statements):
        pieces = [part for part, _ in mixed.get(index, [])] or [statement]
        apart += pieces
        owners += [(index, place) for place in range(len(pieces))]
    left_out = {owners[index] for index in heavy_statements(apart, not_run, graded)}
    result: list[Statement] = []
    partial: set[int] = set()
    for index, statement in enumerate(statements):
        parts = mixed.get(index, [])
        gone = [place for place in range(len(parts)) if (index, place) in left_out]
        stays = any(_may_stay(part, not_run) for place, (part, _) in enumerate(parts) if place not in gone)
        rest = without(statement, [parts[place][1] for place in gone]) if gone and stays else None
        if rest is None:
            result.append(statement)
            continue
        partial.add(len(result))
        result += [rest, *(parts[place][0] for place in gone)]
    return result, heavy_statements(result, not_run, graded), partial


def _may_stay(part: Statement, not_run: frozenset[str]) -> bool:
    return bool(part.binds or part.patches) and not part.calls & not_run

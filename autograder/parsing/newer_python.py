"""What of a newer Python some names of a notebook need: its grammar, or its standard library.

vermin knows which version brought which name of the library (`from typing import override`); it reads text and runs
nothing.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable

from autograder.parsing.cells import Cell
from autograder.parsing.newer_grammar import version_key
from autograder.parsing.statements import Statement

_WORD = re.compile(r"\b[^\W\d]\w*")
_BOUND = re.compile(
    r"^[ \t]*(?:async[ \t]+def|def|class|type)[ \t]+(\w+)"
    r"|^(\w+)[ \t]*(?:,[ \t\w,*]*|:[^=\n]+)?[-+*/|&%@^]?=(?!=)"
    r"|^(\w+)(?:\.\w+|\[[^\]\n]*\])+[ \t]*=(?!=)"
    r"|^@[\w.]+\([ \t]*(\w+)|^setattr\([ \t]*(\w+)"
    r"|^(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(?:\w+[ \t]+as[ \t]+)?(\w+)",
    re.MULTILINE,
)


def needed_for(cells: Iterable[Cell], names: set[str]) -> str:
    """The Python that reads cells which some names lean on and this one cannot read; "" if there are none.

    Args:
        cells: The notebook.
        names: The wanted names and what they lean on.
    """
    found = {cell.needs for cell in cells if cell.needs and names & bound_in(cell.source)}
    return max(found, key=version_key, default="")


def needed_by(statements: Iterable[Statement]) -> str:
    """The Python whose standard library has what some statements use, where this one's does not; "" otherwise.

    What is imported in a `try` as well has a substitute.
    """
    every = list(statements)
    guarded = {name for statement in every if statement.is_block for name in statement.binds}
    free = [s for s in every if not (s.package and s.binds & guarded)]
    return library_needs("\n".join(statement.source for statement in free))


def bound_in(source: str) -> set[str]:
    """Names that a cell which cannot be parsed seems to bind, or whose objects it seems to change."""
    return {name for groups in _BOUND.findall(source) for name in groups if name}


def lacking(source: str, words: set[str]) -> str:
    """What a piece of code, made of these words, uses of a newer Python's standard library; "" if nothing."""
    version = library_needs(source, words)
    return f"what only Python {version} or newer has" if version else ""


def library_needs(source: str, words: set[str] | None = None) -> str:
    """The Python whose standard library has what a piece of code uses, where this one's does not; "" otherwise.

    Args:
        source: The code.
        words: Its words, if they are known already.
    """
    words = set(_WORD.findall(source)) if words is None else words
    rules = _newer_words()
    if not any(words >= needed for word in words & rules.keys() for needed in rules[word]):
        return ""
    from autograder.parsing.newer_names import needs_newer  # following the code takes long, and so does the import

    return needs_newer(source)


@functools.cache
def _newer_words() -> dict[str, list[set[str]]]:
    """By a module's or member's last word, the words that stand in a text which uses it."""
    try:
        from vermin import Config, rules
    except ImportError:
        return {}
    found: dict[str, list[set[str]]] = {}
    for table in (rules.MOD_REQS(Config()), rules.MOD_MEM_REQS(Config())):
        for name, (_, least) in table.items():
            if least and tuple(least) > sys.version_info[:2]:
                words = set(_WORD.findall(name))
                found.setdefault(name.rpartition(".")[2], []).append(words)
    return found

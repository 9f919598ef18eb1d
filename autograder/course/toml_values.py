"""Values out of a parsed TOML table, each held to the type it should have: a TA's slip is told, never guessed at.

Each function raises ValueError with a sentence that names the setting; what has no default raises KeyError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any


def refuse_unknown(table: dict[str, Any], known: Iterable[str]) -> None:
    """A name that nothing reads is a misspelt one."""
    known = sorted(known)
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ValueError(f'unknown setting "{unknown[0]}" (known: {", ".join(known)})')


def text(table: dict[str, Any], name: str, where: str, pattern: str = r".*\S.*", what: str = "a text") -> str:
    """A text that is not blank, and that matches a pattern as a whole."""
    value = table[name]
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
        raise _wrong(name, where, what, value)
    return value


def texts(table: dict[str, Any], name: str, where: str, default: list[str] | None = None) -> tuple[str, ...]:
    """A list of texts; a bare text would be taken for a list of its letters."""
    value = table[name] if default is None else table.get(name, default)
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry.strip() for entry in value):
        raise _wrong(name, where, 'a list of texts (["one", "two"])', value)
    return tuple(value)


def number(table: dict[str, Any], name: str, where: str) -> float:
    """A finite number that is not negative."""
    value = table[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise _wrong(name, where, "a number, 0 or more", value)
    return float(value)


def flag(table: dict[str, Any], name: str, where: str) -> bool:
    """True or false, and false where there is nothing."""
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise _wrong(name, where, "true or false", value)
    return value


def subtable(table: dict[str, Any], name: str, where: str = "", known: Iterable[str] | None = None) -> dict[str, Any]:
    """A table in a table, empty where there is none; of known names alone, if those are given."""
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise _wrong(name, where, "a table", value)
    if known is not None:
        refuse_unknown(value, known)
    return value


def _wrong(name: str, where: str, what: str, value: Any) -> ValueError:
    return ValueError(f"{name}{f' in {where}' if where else ''} has to be {what}, not {value!r}")

"""The files of small named changes in `proof/`, read and held to their form: a slip is told before any grading."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment
from autograder.runtime.errors import KitError

_KNOWN = ("name", "about", "loses", "says", "change", "form", "keeps", "learned", "common")
_NEEDED = {"mutant": ("about", "loses", "change"), "variant": ("about", "change")}


def read_entries(path: Path, ids: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The mutants and variants of a TOML file.

    Args:
        path: The file.
        ids: The exercises that they may lose; any, where none are given.

    Raises:
        KitError: It cannot be read, or an entry is not as it should be; says which, for the TA.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = [(kind, entry) for kind in _NEEDED for entry in table.get(kind, [])]
        for kind, entry in entries:
            _hold(kind, entry, ids)
    except (OSError, TypeError, ValueError) as error:  # TOML's own errors are such
        raise KitError(f"{path} cannot be used: {error}. A TA has to mend that file.") from error
    return [entry for _, entry in entries]


def check_mutants(assignment: Assignment) -> None:
    """Read the mutants, by which faults are charged.

    Raises:
        KitError: See `read_entries`.
    """
    for path in sorted((assignment.proof / "mutants").glob("*.toml")):
        read_entries(path)


def _hold(kind: str, entry: dict[str, Any], ids: Sequence[str]) -> None:
    """Refuse an entry that is not as it should be.

    Raises:
        ValueError: Says which, and what is wrong with it.
    """
    if not isinstance(entry, dict) or not all(isinstance(change, dict) for change in entry.get("change", [])):
        raise ValueError(f"a {kind} is written as [[{kind}]], a change of it as [[{kind}.change]]")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"a {kind} has no 'name'")
    if unknown := [key for key in entry if key not in _KNOWN]:
        raise ValueError(f"{kind} {name!r} has an unknown setting {unknown[0]!r} (known: {', '.join(_KNOWN)})")
    if missing := [key for key in _NEEDED[kind] if key not in entry]:
        raise ValueError(f"{kind} {name!r} has no {missing[0]!r}")
    if not isinstance(entry.get("loses", []), list):
        raise ValueError(f"{kind} {name!r}: 'loses' is a list, of exercises' ids")
    if strange := [one for one in entry.get("loses", []) if ids and one not in ids]:
        raise ValueError(f"{kind} {name!r} loses {strange[0]!r}, which is no exercise (there are: {', '.join(ids)})")
    for change in entry.get("change", []):
        if not all(isinstance(change.get(key), str) for key in ("old", "new")):
            raise ValueError(f"a change of {kind} {name!r} lacks 'old' or 'new'")

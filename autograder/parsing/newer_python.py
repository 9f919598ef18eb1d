"""What this Python cannot read or does not have, and a newer one does: `def f[T](x: T)`, `from typing import override`.

A grader's Python may be older than the students'. ruff reads every version's grammar, and told the truth of each cell
that was tried, as parso did not (`type X = int`, quotes within an f-string); vermin knows which version brought which
name of the standard library. Both read text and run nothing.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.parsing.cells import Cell
    from autograder.parsing.statements import Statement

_NEWER = ("3.12", "3.13", "3.14")  # that this kit knows of, besides the one that it runs on
_SECONDS = 20
_MOST = 200  # cells of one notebook that are looked at
_WORD = re.compile(r"\b[^\W\d]\w*")
_BOUND = re.compile(
    r"^[ \t]*(?:async[ \t]+def|def|class|type)[ \t]+(\w+)"
    r"|^(\w+)[ \t]*(?:,[ \t\w,*]*|:[^=\n]+)?[-+*/|&%@^]?=(?!=)"
    r"|^(\w+)(?:\.\w+|\[[^\]\n]*\])+[ \t]*=(?!=)"
    r"|^@[\w.]+\([ \t]*(\w+)|^setattr\([ \t]*(\w+)"
    r"|^(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(?:\w+[ \t]+as[ \t]+)?(\w+)",
    re.MULTILINE,
)


def this_python() -> str:
    """The version that this process runs on, "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def needs_of(sources: list[str]) -> list[str]:
    """For each piece of code that this Python cannot read: the oldest that can, "3.12"; "" where none is known.

    Args:
        sources: At most `_MOST` of them are looked at.
    """
    binary = _ruff()
    newer = [version for version in _NEWER if _key(version) > sys.version_info[:2]]
    if not sources or not newer or not binary:
        return [""] * len(sources)
    variants = [(index, text) for index, source in enumerate(sources[:_MOST]) for text in {source, _plain(source)}]
    found = [""] * len(sources)
    with tempfile.TemporaryDirectory() as folder:
        for place, (_, text) in enumerate(variants):
            (Path(folder) / f"{place}.py").write_text(text, encoding="utf-8", errors="replace")
        before = _unreadable(binary, Path(folder), this_python())
        for version in newer:
            still = _unreadable(binary, Path(folder), version)
            for place in before - still:
                index = variants[place][0]
                found[index] = found[index] or version
            before &= still
    return found


def _unreadable(binary: str, folder: Path, version: str) -> set[int]:
    """Numbers of the files in a folder that a version of Python cannot read; all of them where ruff does not say."""
    every = {int(path.stem) for path in folder.glob("*.py")}
    target = f"py{version.replace('.', '')}"
    command = [binary, "check", "--isolated", "--no-cache", "--select", "E902", "--target-version", target]
    try:
        done = subprocess.run(
            [*command, "--output-format", "json", str(folder)], capture_output=True, timeout=_SECONDS, check=False
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return every
    return {int(Path(entry["filename"]).stem) for entry in found}


def _plain(source: str) -> str:
    """Code without the lines that only IPython understands."""
    lines = source.split("\n")
    return "\n".join(re.sub(r"^([ \t]*)(?:[!%?]|\w+ = [!%]).*$", r"\1pass", line) for line in lines)


@functools.cache
def _ruff() -> str:
    """Where ruff lies; "" where it does not, on a student's machine say."""
    try:
        return str(importlib.import_module("ruff.__main__").find_ruff_bin())
    except (ImportError, AttributeError, FileNotFoundError):
        return ""


def _key(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def needed_for(cells: Iterable[Cell], names: set[str]) -> str:
    """The Python that reads cells which some names lean on and this one cannot read; "" if there are none.

    Args:
        cells: The notebook.
        names: The wanted names and what they lean on.
    """
    found = {cell.needs for cell in cells if cell.needs and names & bound_in(cell.source)}
    return max(found, key=_key, default="")


def needed_by(statements: Iterable[Statement]) -> str:
    """The Python whose standard library has what some statements use, where this one's does not; "" otherwise.

    What is imported in a `try` as well has a substitute.
    """
    every = list(statements)
    guarded = {name for statement in every if statement.is_block for name in statement.binds}
    free = [s for s in every if not s.is_block and not (s.package and s.binds & guarded)]
    return max((library_needs(s.source) for s in free), key=lambda version: _key(version or "0.0"), default="")


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
        return ""  # following the code takes long
    import vermin

    try:
        _, least = vermin.visit(source).minimum_versions()
    except Exception:  # vermin raises many kinds for what it cannot follow
        return ""
    return f"{least[0]}.{least[1]}" if least and tuple(least) > sys.version_info[:2] else ""


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

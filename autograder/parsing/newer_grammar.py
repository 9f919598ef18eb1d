"""Cells that this Python cannot read and a newer one can: `def f[T](x: T)`, `type X = int`, quotes within an f-string.

A grader's Python may be older than the students'. ruff reads every version's grammar, and told the truth of each cell
that was tried, as parso did not (`type X = int`, quotes within an f-string). It reads text and runs nothing.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEWER = ("3.12", "3.13", "3.14")  # that this kit knows of, besides the one that it runs on
SECONDS = 20  # by the clock, for all versions together: some texts take ruff a time that grows with their square
_MOST = 200  # cells of one notebook that are looked at


def this_python() -> str:
    """The version that this process runs on, "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def needs_of(sources: list[str]) -> list[str]:
    """For each piece of code that this Python cannot read: the oldest that can, "3.12"; "" where none is known.

    Args:
        sources: At most `_MOST` of them are looked at.
    """
    binary = find_ruff()
    newer = [version for version in NEWER if version_key(version) > sys.version_info[:2]]
    if not sources or not newer or not binary:
        return [""] * len(sources)
    variants = [(index, text) for index, source in enumerate(sources[:_MOST]) for text in {source, _plain(source)}]
    found, deadline = [""] * len(sources), time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory() as folder:
        for place, (_, text) in enumerate(variants):
            (Path(folder) / f"{place}.py").write_text(text, encoding="utf-8", errors="replace")
        before = _unreadable(binary, Path(folder), this_python(), deadline)
        for version in newer:
            still = _unreadable(binary, Path(folder), version, deadline)
            for place in before - still:
                index = variants[place][0]
                found[index] = found[index] or version
            before &= still
    return found


def _unreadable(binary: str, folder: Path, version: str, deadline: float) -> set[int]:
    """Numbers of the files in a folder that a version of Python cannot read; all of them where ruff does not say.

    It works on one processor alone, and is ended at the deadline: its time is in nobody's account.
    """
    every = {int(path.stem) for path in folder.glob("*.py")}
    left = deadline - time.monotonic()
    if left <= 0:
        return every
    target = f"py{version.replace('.', '')}"
    command = [binary, "check", "--isolated", "--no-cache", "--select", "E902", "--target-version", target]
    try:
        done = subprocess.run(
            [*command, "--output-format", "json", str(folder)],
            capture_output=True,
            timeout=left,
            check=False,
            env=os.environ | {"RAYON_NUM_THREADS": "1"},
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
def find_ruff() -> str:
    """Where ruff lies; "" where it does not, on a student's machine say."""
    try:
        return str(importlib.import_module("ruff.__main__").find_ruff_bin())
    except (ImportError, AttributeError, FileNotFoundError):
        return ""


def version_key(version: str) -> tuple[int, int]:
    """A version as numbers, to compare by: (3, 12) of "3.12"."""
    major, _, minor = version.partition(".")
    return int(major), int(minor)

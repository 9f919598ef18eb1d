"""The leak check: nothing of the solution or of the hidden checks may stand in any file of a release.

Every file is looked into, also within the wheel, and every string within a notebook. Texts are compared
with all white space removed, so that neither indentation nor a reformatting hides a line.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.markers import Parted, looks_like_marker

_SHORTEST = 12  # characters without white space; `else:` and `return boxes` give nothing away
_WINDOW = 3  # so many hidden lines in a row are a copy, whatever the function is called


@dataclass(frozen=True)
class Leak:
    """Something that must not be in a release.

    Attributes:
        file: Where, within the release; `wheel!member` within a wheel.
        what: What it is, for the TA.
    """

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def find_leaks(assignment: Assignment, folder: Path, cells: list[Parted]) -> list[Leak]:
    """Look through a release.

    Args:
        assignment: Whose.
        folder: The built release.
        cells: The source's cells, parted.
    """
    secrets = list(_solution_secrets(assignment, cells)) + list(_hidden_secrets(assignment))
    leaks: list[Leak] = []
    for name, data in _files(folder):
        if "hidden" in Path(name.replace("!", "/")).parts:
            leaks.append(Leak(name, "lies in a folder of hidden checks"))
        texts = list(_texts(name, data))
        squeezed = "\n".join(map(_squeeze, texts))  # a secret has no white space: it is found within one text alone
        leaks += [Leak(name, what) for secret, what in secrets if secret in squeezed]
        leaks += _marker_leaks(name, texts)
        if name.endswith(".ipynb"):
            leaks += _output_leaks(name, data)
    return leaks


def _solution_secrets(assignment: Assignment, cells: list[Parted]) -> Iterator[tuple[str, str]]:
    """Solution lines that are worth hiding: not trivial, not given elsewhere in the notebook."""
    code = [line for cell in cells if cell.is_code for line in cell.given if not line.lstrip().startswith("#")]
    given = [_squeeze(line) for line in code]
    allowed = {_squeeze(line) for line in assignment.leaks_allowed}
    seen: set[str] = set()
    for cell in cells:
        for line in cell.solution:
            key = _squeeze(line)
            known = key in allowed | seen or any(key in line for line in given)
            if len(key) >= _SHORTEST and not known:
                seen.add(key)
                yield key, f"holds a line of the solution: {line.strip()!r}"


def _hidden_secrets(assignment: Assignment) -> Iterator[tuple[str, str]]:
    """Names and sentences of hidden checks, and any few of their lines in a row; hints, students read anyway."""
    for path in sorted((assignment.suites / "hidden").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"def{node.name}(", f"holds the hidden check {node.name}"
                if sentence := ast.get_docstring(node):
                    yield _squeeze(sentence), f"holds the sentence of the hidden check {node.name}"
        lines = [line for line in text.splitlines() if line.strip() and not re.match(r"\s*(from|import|@|#)", line)]
        for index in range(len(lines) - _WINDOW + 1):
            window = _squeeze("".join(lines[index : index + _WINDOW]))
            if len(window) >= 5 * _SHORTEST:
                yield window, f"holds lines of the hidden suite {path.name}: {lines[index].strip()!r} ..."


def _marker_leaks(name: str, texts: list[str]) -> Iterator[Leak]:
    if name.endswith(("/METADATA", "/RECORD", "/WHEEL")):
        return
    for text in texts:
        for line in text.splitlines():
            if looks_like_marker(line):
                yield Leak(name, f"holds a marker: {line.strip()!r}")


def _output_leaks(name: str, data: bytes) -> Iterator[Leak]:
    for number, cell in enumerate(json.loads(data)["cells"], start=1):
        if cell.get("outputs"):
            yield Leak(name, f"cell {number} holds an output")
        if cell.get("execution_count") is not None:
            yield Leak(name, f"cell {number} holds an execution count")


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and every member of every wheel or zip among them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            yield name, data
            if path.suffix in (".whl", ".zip"):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    for member in archive.namelist():
                        yield f"{name}!{member}", archive.read(member)


def _texts(name: str, data: bytes) -> Iterable[str]:
    if name.endswith((".ipynb", ".json")):
        return list(_strings(json.loads(data)))
    if name.endswith((".whl", ".zip")):
        return []  # its members are looked at one by one
    return [data.decode("utf-8", errors="replace")]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)  # a cell's source, line by line
        else:
            for item in value:
                yield from _strings(item)


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)

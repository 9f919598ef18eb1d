"""What students' copies of the public checks import: nothing that students do not have."""

from __future__ import annotations

import ast
import contextlib
import email
import importlib.metadata
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from autograder.checks.suite_imports import FORMER
from autograder.notebook_kit.handout import SHIPPED
from autograder.runtime.errors import KitError

_SUITES = f"autograder/{SHIPPED.name}/suites/"


@dataclass(frozen=True)
class Missing:
    """An import that would fail.

    Attributes:
        file: Which imports it, below the suites.
        line: Where, from 1.
        module: What it imports.
    """

    file: str
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: `{self.module}`"


def missing_imports(wheel: Path) -> list[Missing]:
    """Imports of the suites in a students' wheel that find nothing where the wheel and what it requires is installed.

    Args:
        wheel: The wheel, with the suites in it. What it requires is looked up among the packages of this Python.

    Raises:
        KitError: Python cannot read one of the suites; says which line, for the TA.
    """
    with zipfile.ZipFile(wheel) as archive:
        texts = {name: archive.read(name).decode(errors="replace") for name in archive.namelist() if name.endswith((".py", "/METADATA"))}
    metadata = next(text for name, text in texts.items() if name.endswith(".dist-info/METADATA"))
    required = _required(email.message_from_string(metadata).get_all("Requires-Dist", []))
    found = []
    for name in sorted(name for name in texts if name.startswith(_SUITES)):
        file = name.removeprefix(_SUITES)
        try:
            tree = ast.parse(texts[name])
        except SyntaxError as error:
            raise KitError(f"{file}, line {error.lineno}: {error.msg}. A TA has to mend that line.") from error
        found += [
            Missing(file, line, module)
            for line, module, member in _imports(tree)
            if not _is_there(module, member, texts, required)
        ]
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Line, module, and what is imported from it or "", of every absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names)


def _is_there(module: str, member: str, texts: dict[str, str], required: set[str]) -> bool:
    """Whether an import finds something.

    Args:
        module: What it names first.
        member: What it takes from there, or "".
        texts: Of the wheel's files, by name.
        required: Names of the distributions that come with the wheel.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or module in FORMER or f"{module}.{member}" in FORMER:
        return True
    if top != "suites" and not any(name.startswith(f"{top}/") for name in texts):
        return _brought(top, required)
    path = module.replace(".", "/")
    path = _SUITES + path.partition("/")[2] if top == "suites" else path
    folder = f"{path.rstrip('/')}/"
    if f"{path}.py" in texts:
        return True
    if not any(name.startswith(folder) for name in texts):
        return False
    if member in ("", "*") or re.search(rf"\b{re.escape(member)}\b", texts.get(f"{folder}__init__.py", "")):
        return True
    return f"{folder}{member}.py" in texts or f"{folder}{member}/__init__.py" in texts


def _required(requirements: list[str]) -> set[str]:
    """Names of the distributions that some requirements bring, with all that those require."""
    wanted, known = list(requirements), set[str]()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        if name in known or not (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            continue
        known.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            wanted += importlib.metadata.requires(name) or []
    return known


def _brought(top: str, required: set[str]) -> bool:
    """Whether one of some distributions has a package of a name; most are called as their package is."""
    if canonicalize_name(top) in required:
        return True
    return bool(required & {canonicalize_name(one) for one in importlib.metadata.packages_distributions().get(top, [])})

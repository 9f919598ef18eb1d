"""What decides a verdict besides the submission, so that two machines, or two days, can be held to the same.

Nothing here imports torch: a cluster's worker that only passes submissions on can say what it has.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from pathlib import Path

from autograder import __version__
from autograder.course.assignment import PACKAGE, Assignment

SUITES, IMAGES = "suites", "images"
DECIDING = ("runtime", "checks", "course", "parsing", "intake", "sandbox", "grading")  # rooms that a verdict hangs on
_KINDS = frozenset({".py", ".ini", ".safetensors", ".toml"})
_PACKAGES = ("torch", "torchvision", "numpy")


def suites_digest(assignment: Assignment) -> str:
    """A digest of everything that decides a verdict: engine, suites, references, solution, settings, helpers.

    Not of what only shows or carries a verdict, nor of the notebook's text: a word changed there makes no grade stale.
    """
    files = {path: path.read_bytes() for path in deciding_files(assignment)}
    files[assignment.folder / "assignment.toml"] = (assignment.folder / "assignment.toml").read_bytes()
    files[assignment.source] = _without_text(assignment.source)
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def deciding_files(assignment: Assignment) -> set[Path]:
    """Files of the kit, the suites and the helpers that a verdict depends on."""
    rooms = [PACKAGE / room for room in DECIDING]
    faults = assignment.proof / "mutants"  # what explains failing checks; their prices, in rubric.toml, do not count
    folders = [*rooms, assignment.suites, assignment.reference, faults, *shipped(assignment)]
    return {path for folder in folders for path in folder.rglob("*") if path.suffix in _KINDS}


def _without_text(source: Path) -> bytes:
    """A percent notebook without its Markdown cells; nothing where there is no notebook."""
    if not source.is_file():
        return b""
    cells = re.split(r"^(?=# %%)", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return "".join(cell for cell in cells if not cell.startswith("# %% [markdown]")).encode()


def shipped(assignment: Assignment) -> tuple[Path, ...]:
    """Packages that students are given and their code may import, such as `ps7_helpers`."""
    return tuple((assignment.root / entry).resolve() for entry in assignment.ship)


def images_digest(assignment: Assignment) -> str:
    """A digest of names and sizes of the files that weights are measured by; "" where the kit draws them itself."""
    folder = assignment.map.folder if assignment.map else None
    if folder is None:
        return ""
    found = sorted((path.relative_to(folder).as_posix(), path.stat().st_size) for path in folder.rglob("*.*"))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def what_decides(assignment: Assignment) -> dict[str, str]:
    """Everything that has to be the same for the same verdict, by name."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    found = {SUITES: suites_digest(assignment), IMAGES: images_digest(assignment)}
    return {**found, "fcoskit": __version__, "Python": platform.python_version(), **versions}

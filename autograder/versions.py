"""What decides a verdict besides the submission, so that two machines, or two days, can be held to the same.

Nothing here imports torch: a cluster's worker that only passes submissions on can say what it has.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from pathlib import Path

from autograder import __version__
from autograder.assignment import PACKAGE, Assignment

SUITES, IMAGES = "suites", "images"
_PACKAGES = ("torch", "torchvision", "numpy")


def suites_digest(assignment: Assignment) -> str:
    """A digest of everything that decides a verdict: engine, suites, references, solution, settings, helpers."""
    folders = [PACKAGE, assignment.suites, assignment.reference, assignment.folder, *shipped(assignment)]
    kinds = {".py", ".ini", ".safetensors", ".toml"}
    files = {path for folder in folders for path in folder.rglob("*") if path.suffix in kinds}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


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

"""The students' wheel: the helpers and the public checks, nothing hidden. Same input, same bytes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from autograder.course.assignment import PACKAGE, Assignment
from autograder.runtime.errors import KitError
from autograder.notebook_kit.handout import FILE, SHIPPED, handout_of

# What `check()` needs of the kit: whole rooms. The engine, the sandbox, hidden suites and the reference are not here.
SHIPS = ("__init__.py", "check.py", "runtime", "checks", "parsing", "notebook_kit")
_EPOCH = (2020, 1, 1, 0, 0, 0)
_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
description = "Helpers and public checks for: {title}"
requires-python = ">=3.10"
classifiers = [
    "Programming Language :: Python :: 3.10",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Programming Language :: Python :: 3.13",
    "Programming Language :: Python :: 3.14",
]
# The oldest that the notebook was seen to run with: tests/runtimes/oldest.toml has exactly these.
dependencies = [
    "gdown>=5.2.0",
    "matplotlib>=3.8.0",
    "numpy>=1.26.0",
    "pillow>=10.0.0",
    "pytest>=7.4.0",
    "safetensors>=0.4.0",
    "torch>=2.4.0",
    "torchvision>=0.19.0",
    "tqdm>=4.66.0",
]

[tool.hatch.build.targets.wheel]
include = ["/*"]
exclude = ["/pyproject.toml"]
"""


def build_wheel(assignment: Assignment, folder: Path, work: Path) -> Path:
    """Build the wheel.

    Args:
        assignment: Whose.
        folder: Where the wheel goes.
        work: An empty folder to work in.

    Raises:
        KitError: A file to ship is missing, or the build failed.
    """
    stage = work / "stage"
    _stage(assignment, stage)
    project = _PROJECT.format(name=assignment.wheel, version=assignment.version, title=_plain(assignment.title))
    (stage / "pyproject.toml").write_text(project, encoding="utf-8")
    built = work / "built"
    try:  # in this process: `python -m hatchling` takes three seconds for a twentieth of a second's work
        (wheel,) = map(Path, WheelBuilder(str(stage)).build(directory=str(built), versions=["standard"]))
    except Exception as error:  # hatchling raises many kinds; each is about what is to be shipped
        raise KitError(f"The students' wheel cannot be built: {str(error)[-500:]}") from error
    folder.mkdir(parents=True, exist_ok=True)
    return _repacked(wheel, folder / wheel.name)


def _stage(assignment: Assignment, stage: Path) -> None:
    """Lay out what the wheel holds."""
    for name in SHIPS:
        _copy_all(PACKAGE / name, stage / "autograder" / name)
    own = stage / "autograder" / SHIPPED.name
    for path in [*sorted(assignment.suites.glob("*.py")), *sorted((assignment.suites / "public").glob("*.py"))]:
        _copy(path, own / "suites" / path.relative_to(assignment.suites))
    for path in sorted((assignment.reference / "public").glob("*.safetensors")):
        _copy(path, own / "reference" / "public" / path.name)
    own.mkdir(exist_ok=True)
    (own / FILE).write_text(handout_of(assignment).to_json(), encoding="utf-8")
    for entry in assignment.ship:
        source = assignment.root / entry
        if not source.exists():
            raise KitError(f"assignment.toml ships {entry!r}, which is not there.")
        _copy_all(source, stage / source.name)


def _copy_all(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python compiled."""
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file() and "__pycache__" not in path.parts:
            _copy(path, target / path.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _repacked(wheel: Path, target: Path) -> Path:
    """The same wheel uncompressed, with fixed dates and modes: no library's version shows in its bytes."""
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            fixed = zipfile.ZipInfo(entry.filename, _EPOCH)
            fixed.external_attr = 0o100644 << 16
            fixed.create_system = 3
            new.writestr(fixed, old.read(entry))
    return target


def _plain(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")

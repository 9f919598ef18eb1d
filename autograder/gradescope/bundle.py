"""`fcoskit gradescope`: the zip that is uploaded to Gradescope as the autograder.

It holds `setup.sh` and `run_autograder`, and in `kit/` what grading needs: the kit, the assignment with its solution,
the packages that students are given, the checks, the known faults, and `requirements.lock`. The same input gives the
same bytes, but for the seed of the images that weights are measured by, which is secret: the one of a zip that is
replaced is kept, so that figures stay comparable.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from rich.console import Console

from autograder.course.assignment import PACKAGE, Assignment
from autograder.course.rubric import read_rubric
from autograder.gradescope.results import not_graded
from autograder.grading.proof_files import check_mutants
from autograder.grading.suite_rules import check_suites
from autograder.report.files import write_whole
from autograder.runtime.errors import KitError

MAP_SEED = "map.seed"
SOURCE = "/autograder/source"  # where Gradescope puts what is in the zip
UV = "0.13.9"
# Of the Python that this kit runs on, a patch level that this uv can fetch; grading does not depend on which.
PYTHONS = {(3, 11): "3.11.18", (3, 12): "3.12.16", (3, 13): "3.13.18", (3, 14): "3.14.10"}
_TEMPLATES = Path(__file__).resolve().parent / "templates"
_LOCK = "requirements.lock"
_EPOCH = (2020, 1, 1, 0, 0, 0)
_SEED_BITS = 48


def write_bundle(assignment: Assignment, out: Path, console: Console) -> None:
    """Write the zip and say what to do with it.

    Args:
        assignment: What it grades.
        out: The file; an earlier one of ours is replaced.
        console: To print on.

    Raises:
        KitError: Something that belongs in it is missing or cannot go there, or `out` is something else.
    """
    _refuse_unsound(assignment)
    seed = _earlier_seed(out) or f"{secrets.randbits(_SEED_BITS)}\n".encode()
    files = dict(bundle_files(assignment))
    if assignment.map is not None:
        files[MAP_SEED] = seed
    data = _zipped(files)
    try:
        write_whole(out, data, 0o600)  # it holds the solution and the hidden checks
    except OSError as error:
        raise KitError(f"{out} cannot be written: {error.strerror}.") from error
    console.print(
        f"Wrote {out}: {len(files)} files, {len(data) / 1e6:.1f} MB. It holds the solution: keep it to staff.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"On Gradescope: a programming assignment with {assignment.max_score:g} autograder points, this zip as its "
        "autograder on Ubuntu, containers with 2 CPU, 6 GB and a long timeout. docs/gradescope.md has the steps.",
        soft_wrap=True,
        highlight=False,
    )


def _refuse_unsound(assignment: Assignment) -> None:
    """What grading would stop at is told here: on Gradescope each student would read that it is our fault.

    Raises:
        KitError: The suites break a rule, or they, the rubric or the mutants cannot be read.
    """
    from autograder.checks.collecting import collect  # they import torch, which takes two seconds
    from autograder.checks.runner import SuitePlugin

    collected: list[SuitePlugin] = []
    try:
        collect(
            [assignment.suites / "public", assignment.suites / "hidden"],
            SuitePlugin(assignment.reference, collected.append),
        )
    except RuntimeError as error:
        raise KitError(f"The suites cannot be collected: {error}") from error
    for plugin in collected:
        check_suites(assignment, plugin)
    read_rubric(assignment.folder)
    check_mutants(assignment)


def bundle_files(assignment: Assignment) -> Iterator[tuple[str, bytes]]:
    """Names in the zip, and contents: all but the secret seed.

    Raises:
        KitError: Something that belongs in it is missing or cannot go there.
    """
    fills = {"UV": UV, "PYTHON": _python(), "PYTHONPATH": ":".join(python_path(assignment))}
    for script in ("setup.sh", "run_autograder"):
        text = (_TEMPLATES / script).read_text(encoding="utf-8")
        for name, value in fills.items():
            text = text.replace(f"@{name}@", value)
        yield script, text.encode()
    yield "not-graded.json", (json.dumps(not_graded(), indent=1) + "\n").encode()
    yield f"kit/{_LOCK}", _lock()
    for path in _files(PACKAGE):
        yield f"kit/{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()
    left_out = {path for path in _files(assignment.proof) if not path.is_relative_to(assignment.proof / "mutants")}
    for folder in _of_the_course(assignment):
        for path in _files(folder):
            if path in left_out:  # of the proof, grading needs the faults that have a name
                continue
            yield f"kit/{_place(assignment, path)}", path.read_bytes()


def python_path(assignment: Assignment) -> list[str]:
    """Folders in the container that Python imports the kit and the students' packages from."""
    places = [PurePosixPath(_place(assignment, assignment.root / entry)).parent for entry in assignment.ship]
    return [f"{SOURCE}/kit", *dict.fromkeys(f"{SOURCE}/kit/{place}" for place in places)]


def _of_the_course(assignment: Assignment) -> list[Path]:
    """Files and folders of the course that grading reads and that are not the kit's own."""
    paths = [assignment.folder, *(assignment.root / entry for entry in assignment.ship)]
    paths.append(assignment.suites)
    paths += [folder for folder in (assignment.reference, assignment.proof / "mutants") if folder.is_dir()]
    if assignment.map is not None and assignment.map.folder is not None:
        paths.append(assignment.map.folder)
    for path in paths:
        if not path.exists():
            raise KitError(f"{path} belongs in the zip and is not there. A TA has to mend assignment.toml.")
    return [path for path in dict.fromkeys(paths) if not path.resolve().is_relative_to(PACKAGE)]


def _place(assignment: Assignment, path: Path) -> str:
    """Where a file of the course lies below `kit/`.

    Raises:
        KitError: It lies outside the course.
    """
    root, absolute = assignment.root.resolve(), Path(os.path.abspath(path))  # noqa: PTH100 (a link stays itself)
    if not absolute.is_relative_to(root):
        raise KitError(
            f"{path} lies outside the course {root}, so it has no place in the zip. Move it into the course."
        )
    return absolute.relative_to(root).as_posix()


def _files(path: Path) -> Iterable[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in found:
        hidden = any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            yield file


def _lock() -> bytes:
    path = PACKAGE.parent / _LOCK
    if not path.is_file():
        raise KitError(f"{path} is not there, and without it nothing is pinned. Use the kit from its own repository.")
    return path.read_bytes()


def _python() -> str:
    if sys.version_info[:2] not in PYTHONS:
        raise KitError("The kit is for Python 3.11 to 3.14: write the zip with one of them.")
    return PYTHONS[sys.version_info[:2]]


def _earlier_seed(out: Path) -> bytes | None:
    """The seed of the zip that is about to be replaced, if it has one.

    Raises:
        KitError: What is there is no zip of ours.
    """
    if not out.exists() and not out.is_symlink():
        return None
    try:
        with zipfile.ZipFile(out) as archive:
            names = set(archive.namelist())
            if {"setup.sh", "run_autograder", f"kit/{_LOCK}"} <= names:
                seed = archive.read(MAP_SEED) if MAP_SEED in names else b""
                return seed if seed.strip().isdigit() else None
    except (OSError, zipfile.BadZipFile):
        pass
    raise KitError(f"{out} is there already, and it is no autograder zip of this kit. Name another file with --out.")


def _zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix: the mode counts
            mode = 0o755 if name in ("setup.sh", "run_autograder") else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return content.getvalue()

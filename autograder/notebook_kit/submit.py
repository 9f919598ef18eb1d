"""`make_submission()`: one zip with what is to be handed in, and a plain word on what is missing from it.

The zip holds the notebook under its released name, so that a renamed one is found by every grader, and the weights if
there are any; nothing else. It is made of whatever there is: how much is done is the student's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from autograder import RECORD
from autograder.checks.result import ExerciseResult
from autograder.notebook_kit.handout import Handout, Task, handout_in, spoken
from autograder.notebook_kit.rehearsal import rehearse
from autograder.notebook_kit.run_public import check_exercise, last_verdict
from autograder.notebook_kit.saved_notebook import COLAB, Saved, find_saved, is_saved, on_colab
from autograder.notebook_kit.submission_panel import AS_GIVEN, File, Panel, Row, Summary
from autograder.notebook_kit.validating import validating
from autograder.runtime.errors import KitError

_EPOCH = (2020, 1, 1, 0, 0, 0)
_TAME = 50  # a notebook that packs better than this, a million equal lines say, would look like a trap to a grader
_UNWRITTEN = re.compile(r"^\s*raise NotImplementedError\b", re.MULTILINE)


def make_submission(notebook: str | None = None, namespace: dict[str, Any] | None = None) -> None:
    """Check every exercise, and zip what is to be handed in, whatever the checks say.

    Args:
        notebook: File name of this notebook, where it cannot be found out.
        namespace: Where its code lives; the caller's globals if left out.
    """
    if namespace is None:
        namespace = sys._getframe(1).f_globals
    if validating():
        print("nbgrader validates this notebook, so nothing was made to hand in.")
        return
    panel = Panel()
    try:
        saved = find_saved(notebook, namespace, f"{make_submission.__name__}(")
        given = handout_in(saved.code)
        rows = []
        for exercise, task in given.tasks.items():
            panel.working(
                f"Checking {spoken(exercise)} {task.title} ... If it does not end, stop this cell: it goes on."
            )
            rows.append(_row_or_stopped(given, exercise, saved.code, namespace))
        unlike = _rehearsed(given, saved, rows, panel)
        weights, notes = _weights(given, [Path.cwd(), saved.folder])
        notes = [*unlike, *notes]
        target = saved.folder / f"{given.assignment}-submission.zip"
        files = _write(target, given, saved, weights, trained_on(namespace.get(given.trained_with)))
    except KitError as error:
        panel.failed(str(error))
        return
    if files[0].size > given.notebook_megabytes * 2**20:
        notes.append(f"The notebook is larger than {given.notebook_megabytes} MB: clear its outputs, run this again.")
    stale = [spoken(e) for e, task in given.tasks.items() if not is_saved(task.names, namespace, saved.code)]
    size = target.stat().st_size
    panel.done(Summary(target.name, str(target), size, saved.name, saved.seconds, rows, files, notes, stale))
    if on_colab():
        _download(target)


def _rehearsed(given: Handout, saved: Saved, rows: list[Row], panel: Panel) -> list[str]:
    """What of that which passes here does not pass from the saved file."""
    fine = [e for e, row in zip(given.tasks, rows, strict=True) if row.status == "passed" and not given.tasks[e].slow]
    panel.working("Reading the saved file as a grader will, on a fresh kernel. Stop this to do without.")
    try:
        return rehearse(given, saved.content, fine)
    except KeyboardInterrupt:
        return ["What a grader gets from the saved file was not tried: stopped."]


def _row_or_stopped(given: Handout, exercise: str, code: list[str], namespace: dict[str, Any]) -> Row:
    """The same, also where the student stops it: code that does not end costs its own row, not the zip."""
    try:
        return _row(given, exercise, code, namespace)
    except KeyboardInterrupt:
        return Row(spoken(exercise), given.tasks[exercise].title, "unknown", "not checked: stopped")


def _row(given: Handout, exercise: str, code: list[str], namespace: dict[str, Any]) -> Row:
    """What there is to say of one exercise."""
    task = given.tasks[exercise]
    label, command = spoken(exercise), f'check("{exercise}")'
    if not all(name in namespace for name in task.names):
        cells = [cell for cell in code if any(_defines(cell, name) for name in task.names)]
        if not cells:
            said = f"not there: the notebook does not define {', '.join(task.names)}"
            return Row(label, task.title, "missing", said)
        if any(_UNWRITTEN.search(cell) for cell in cells):
            return Row(label, task.title, "missing", AS_GIVEN)
        return Row(label, task.title, "unknown", "not checked: its cell was not run since the kernel started")
    if not task.slow:
        return _judged(label, task, check_exercise(given, exercise, namespace), command)
    others = [e for e in given.tasks if e != exercise and set(given.tasks[e].names) & set(task.names)]
    if any((seen := last_verdict(given, e, namespace)) and seen.status == "missing" for e in others):
        return Row(label, task.title, "missing", AS_GIVEN)
    last = last_verdict(given, exercise, namespace)
    if last is None:
        return Row(label, task.title, "unknown", f"not checked here, as it takes longer: run {command}")
    return _judged(label, task, last, command)


def _judged(label: str, task: Task, result: ExerciseResult, command: str) -> Row:
    passed = sum(check.status == "passed" for check in result.checks)
    if result.status == "missing":
        return Row(label, task.title, "missing", AS_GIVEN)
    if result.status == "passed":
        return Row(label, task.title, "passed", "passes its check" if passed == 1 else f"passes all {passed} checks")
    return Row(label, task.title, result.status, f"passes {passed} of {len(result.checks)} checks: {command} says why")


def _defines(cell: str, name: str) -> bool:
    return re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b", cell, re.MULTILINE) is not None


def _weights(given: Handout, folders: list[Path]) -> tuple[Path | None, list[str]]:
    """The newest file with weights, and what to say of them."""
    found = {(folder / name).resolve(): None for folder in folders for name in given.weights}
    newest = sorted((path for path in found if path.is_file()), key=lambda path: path.stat().st_mtime)
    if not newest:
        missing = f"No weights: there is no {' or '.join(given.weights)} beside the notebook."
        return None, [missing] if given.weights else []
    chosen, notes = newest[-1], []
    for other in newest[:-1]:
        notes.append(f"{_shown(other, chosen)} is older than {_shown(chosen, other)} and is left out.")
    if chosen.stat().st_size > given.weights_megabytes * 2**20:
        notes.append(f"{chosen.name} is larger than the {given.weights_megabytes} MB that are read when graded.")
    return chosen, notes


def _shown(path: Path, other: Path) -> str:
    """A file's name; with its folder where two have the same name."""
    return path.name if path.name != other.name else str(path)


def trained_on(data: Any) -> dict[str, Any]:
    """What a grader has to know of the data set that a notebook trains on: its class, and the size of its images.

    Args:
        data: The data set, or a part of it such as torch's `Subset`; anything else gives nothing.
    """
    try:
        for _ in range(5):
            data = getattr(data, "dataset", data)
        size = data.image_size
    except Exception:  # a student's own class may raise what it likes
        return {}
    return {"data": type(data).__name__, "image_size": size} if type(size) is int else {}


def _write(target: Path, given: Handout, saved: Saved, weights: Path | None, trained: dict[str, Any]) -> list[File]:
    """Write the zip whole or not at all.

    Args:
        target: The zip.
        given: The assignment.
        saved: The notebook.
        weights: The file with weights, if there is one.
        trained: What these were trained on, from `trained_on`; noted in the notebook's metadata beside their digest.

    Raises:
        KitError: The folder cannot be written to, or a file cannot be read.
    """
    name = f"{given.notebook}.ipynb"
    record: dict[str, Any] = {"assignment": given.assignment, "version": given.version}
    try:
        held = weights.read_bytes() if weights is not None else b""
        if weights is not None and trained:
            record["weights"] = {**trained, "sha256": hashlib.sha256(held).hexdigest()}
        content = {**saved.content, "metadata": {**_table(saved.content.get("metadata")), RECORD: record}}
        data = json.dumps(content, ensure_ascii=False, indent=1).encode("utf-8", "replace")
        files = [File(name, len(data), "" if saved.name == name else saved.name)]
        with _whole(target) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, name, data)
            if weights is not None:
                _add(archive, weights.name, held)
                files.append(File(weights.name, len(held)))
    except OSError as error:
        what = f"{target} was not written: {error.strerror or error}."
        if target.exists():
            what += " The file of that name is an older one."
        raise KitError(f"{what} Is the disk full, or the folder read-only?") from error
    return files


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a file with a fixed date, packed unless it packs suspiciously well."""
    entry = zipfile.ZipInfo(PurePosixPath(name).name, _EPOCH)
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, data, zipfile.ZIP_STORED if _packs_too_well(data) else zipfile.ZIP_DEFLATED)


def _packs_too_well(data: bytes) -> bool:
    probe = io.BytesIO()
    with zipfile.ZipFile(probe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", data)
    return len(data) > _TAME * probe.tell()


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Any]:
    """A stream whose content takes the target's place at the end, or nothing does."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _download(path: Path) -> None:
    """Let Colab's page download a file; where it does not, say where it lies."""
    try:
        importlib.import_module(f"{COLAB}.files").download(str(path))
    except Exception:  # whatever Colab raises, the file is there
        print(f"The download did not start. In the Files pane on the left, right-click {path.name}: Download.")

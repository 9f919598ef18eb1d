"""The folder of a run: made, or known again; held by one process; taken back where a run fails before it begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from autograder.report.files import PART
from autograder.runs.by_hand import FILE as BY_HAND
from autograder.runs.lateness import FILE as LATE
from autograder.runtime.errors import KitError

FIGURE_SEED, LOG, MARK, LOCK = "map.seed", "grade.log", ".fcoskit", ".lock"


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Make the folder of a run and hold it; where the run fails and nothing was graded, it is as it was before.

    Raises:
        KitError: It is the folder of something else, or another run works in it.
    """
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    before = set() if new else {path.name for path in out.iterdir()} if out.is_dir() else set()
    claim(out)
    with alone_in(out):
        try:
            yield
        except BaseException:
            _take_back(out, before, new)
            raise


def _take_back(out: Path, before: set[str], new: list[Path]) -> None:
    """Remove what a run made that has nothing to show; nothing where there is more in the folder."""
    made = [path for path in out.iterdir() if path.name not in before]
    said = any(path.name == LOG and path.stat().st_size for path in made)
    if said or MARK in before or any(path.name not in (MARK, LOCK, FIGURE_SEED, LOG) for path in made):
        return
    for path in made:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody else has put something there
        for folder in new:
            folder.rmdir()


def need_folder(out: Path) -> None:
    """Refuse what is no folder, where an earlier run's is needed.

    Raises:
        KitError: There is none of that name, or it is a file.
    """
    if not out.is_dir():
        what = "is a file" if out.exists() else "there is no such folder"
        raise KitError(f"{out}: {what}. Give the folder that `fcoskit grade` wrote with --out.")


def claim(out: Path) -> None:
    """Make the folder, or refuse one that holds something else.

    What is carried over from an earlier run may be there before: points set by hand, the seed of the images.
    """
    if out.exists() and not out.is_dir():
        raise KitError(f"{out} is a file, and reports need a folder. Name another with --out.")
    others = out.is_dir() and any(path.name not in (BY_HAND, LATE, FIGURE_SEED) for path in out.iterdir())
    if others and not (out / MARK).is_file():
        raise KitError(f"{out} is not empty and not the folder of an earlier run. Name another with --out.")
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # names and grades are nobody else's business
        (out / MARK).touch()
    except OSError as error:
        raise KitError(f"{out} cannot be written: {error.strerror}. Name another with --out.") from error


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Hold a run's folder for this process; the hold ends with the process, however it ends.

    Raises:
        KitError: Another run works in it.
    """
    mark, lock = out / MARK, filelock.FileLock(out / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise KitError(
            f"Another run is grading into {out}, process {mark.read_text().strip() or 'unknown'}. Wait for it, stop it "
            "with Ctrl-C (what it has graded is kept), or name another folder with --out."
        ) from error
    try:
        mark.write_text(str(os.getpid()))
        for part in out.rglob(f"{PART}*"):
            part.unlink(missing_ok=True)  # of a run that was killed while it wrote
        yield
        mark.write_text("")
    finally:
        lock.release()

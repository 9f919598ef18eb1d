"""From the paths on a command line to submissions: whose, and which file.

A path is a notebook file, a zip, or a folder: nbgrader's `submitted/<student>/ps7/`, a Gradescope export
(`submission_<id>/`), or `<student>.ipynb|.py|.md|.zip` side by side. A student's folder may hold a zip in place of a
notebook. A zip that lies in a folder is one student's hand-in. Only a zip that is named on the command line may be a
class's, and what lies in it is then taken as in a folder: the zips in it are hand-ins, too. Nothing is unpacked to
disk, no symbolic link is followed, and no name that a student chose ever becomes a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from autograder.intake.found import (
    ZIP,
    Found,
    class_below,
    files_in_zip,
    found_below,
    found_in_zip,
    handed_in,
    is_everybodys,
)
from autograder.intake.submission import RESERVED as RESERVED
from autograder.intake.submission import Submission as Submission
from autograder.intake.submission import safe_key as safe_key
from autograder.intake.weights import find_weights
from autograder.intake.whose import Place, by_student, make, of_student, one_of, student_of
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError


def find_submissions(
    paths: Iterable[Path], notebook: str, assignment_id: str, weights: tuple[str, ...] = ()
) -> tuple[list[Submission], list[str]]:
    """All submissions under some paths, ordered by student.

    Args:
        paths: As given on the command line.
        notebook: Stem of the released notebook, preferred where a student handed in several.
        assignment_id: Name of nbgrader's folder within a student's.
        weights: Names of a file that may lie beside the notebook, the preferred one first.

    Returns:
        The submissions, among them such as cannot be graded; and a line for each path that holds none.
    """
    paths = list(paths)
    found: list[Submission] = []
    lines: list[str] = []
    one_each = hand_ins_by_name(paths, notebook, assignment_id)
    for path in paths:
        try:
            found += _under(path, notebook, assignment_id, one_each)
        except KitError as error:
            lines.append(str(error))
        except OSError as error:  # a name too long, a folder that may not be read
            lines.append(f"{path}: cannot be read ({error.strerror}).")
    by_key: dict[str, list[Submission]] = {}
    for submission in found:
        by_key.setdefault(submission.key, []).append(submission)
    kept = [one_of(same) for _, same in sorted(by_key.items())]
    return [with_weights(submission, notebook, weights) for submission in kept], lines


def submission_in(folder: Path, student: str, notebook: str, weights: tuple[str, ...] = ()) -> Submission:
    """The one submission of a folder whose files are all of one student.

    Args:
        folder: What was handed in: notebooks, or a zip with them.
        student: Whose.
        notebook: Stem of the released notebook, preferred where there are several.
        weights: Names of a file that may lie beside the notebook, the preferred one first.

    Returns:
        It, or one that says why it cannot be graded.
    """
    place = Place(folder, notebook, "")
    return with_weights(of_student(student, found_below(folder), place, own=True), notebook, weights)


def with_weights(submission: Submission, notebook: str, weights: tuple[str, ...]) -> Submission:
    """The same with the weights that lie beside its notebook, if there are any."""
    if submission.problem or not weights:
        return submission
    return replace(submission, weights=find_weights(submission.path, submission.member, notebook, weights))


def hand_ins_by_name(paths: list[Path], notebook: str, assignment_id: str) -> bool:
    """Whether a command line names hand-ins one by one, as `grade submitted/*` does: then no zip is a class's.

    Else the one zip among them that names its notebooks after others would take the others' grades.
    """
    return len(paths) > 1 and any(_is_hand_in(path, notebook, assignment_id) for path in paths)


def _is_hand_in(path: Path, notebook: str, assignment_id: str) -> bool:
    """Whether a path is one student's file. What cannot be read is not: it has its line elsewhere."""
    try:
        if path.suffix.lower() != ZIP or not path.is_file():
            return path.suffix.lower() in SUFFIXES and path.is_file()
        files = handed_in(files_in_zip(path))
    except (KitError, OSError):
        return False
    return not is_class(files, class_below(files, assignment_id, notebook), notebook, assignment_id)


def is_class(files: list[Found], below: list[Found], notebook: str, assignment_id: str) -> bool:
    """Whether what lies in a zip looks like a class's: several students' files or folders side by side.

    Args:
        files: In the zip: notebooks and zips.
        below: What `class_below` makes of them.
        notebook: Stem of the released notebook.
        assignment_id: Name of nbgrader's folder within a student's.
    """
    if below is not files:
        return True
    top = {file.parts[0] for file in files}
    released = any(len(file.parts) == 1 and is_everybodys(file, notebook, assignment_id) for file in files)
    alone = len(top) == 1 and all(len(file.parts) > 1 for file in files)
    return len(files) > 1 and not released and not alone


def _under(path: Path, notebook: str, assignment_id: str, one_each: bool) -> list[Submission]:
    if path.is_symlink():
        raise KitError(f"{path}: a symbolic link, not followed. Give the path it points to.")
    if path.is_dir():
        return _in_folder(path, notebook, assignment_id)
    if not path.exists():
        raise KitError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() == ZIP:
        return _in_zip(path, notebook, assignment_id, one_each)
    if path.suffix.lower() not in SUFFIXES:
        raise KitError(f"{path}: not a notebook. A submission is an .ipynb, .py or .md file, a zip or a folder.")
    return [make(_named(path, notebook, assignment_id), path)]


def _named(path: Path, notebook: str, assignment_id: str) -> str:
    """Whose a file is that stands on the command line."""
    return student_of(Found((path.name,), path), Place(path.resolve().parent, notebook, assignment_id))


def _in_folder(path: Path, notebook: str, assignment_id: str) -> list[Submission]:
    files = [file for file in found_below(path) if not (file.is_readme and len(file.parts) == 1)]
    below = class_below(files, assignment_id, notebook)
    root = path if below is files else path / files[0].parts[0]
    place = Place(root.resolve(), notebook, assignment_id)
    groups = by_student(below, place)
    groups = {folder.name: [] for folder in _student_folders(root, groups, assignment_id)} | groups
    if not groups:
        raise KitError(f"{path}: no notebook (.ipynb, .py, .md) or zip in this folder or in those of its students.")
    return [of_student(student, group, place) for student, group in groups.items()]


def _student_folders(path: Path, groups: dict[str, list[Found]], assignment_id: str) -> Iterator[Path]:
    """Folders of students who handed in no notebook: they must not be forgotten."""
    nested = any(len(file.parts) > 1 for files in groups.values() for file in files)
    for folder in sorted(path.iterdir()):
        plain = folder.is_dir() and not folder.is_symlink() and not folder.name.startswith((".", "__"))
        graded = (folder / ".fcoskit").is_file()  # an earlier run's reports
        if plain and not graded and nested and folder.name != assignment_id and folder.name not in groups:
            yield folder


def _in_zip(path: Path, notebook: str, assignment_id: str, one_each: bool) -> list[Submission]:
    """The submissions in a zip that stands on the command line: a class's, or one student's."""
    files = handed_in(files_in_zip(path))
    below = class_below(files, assignment_id, notebook)
    if one_each or not is_class(files, below, notebook, assignment_id):
        if len(files) == 1 and files[0].is_zip:
            zipped = files[0]  # a hand-in that was zipped once more
        else:
            found_in_zip(path)  # says it where there is no notebook
            zipped = Found((path.name,), path)
        owner = _named(path, notebook, assignment_id)
        return [of_student(owner, [zipped], Place(path.resolve().parent, notebook, assignment_id))]
    place = Place(Path("/") / path.stem, notebook, assignment_id)
    return [of_student(student, group, place) for student, group in by_student(below, place).items()]

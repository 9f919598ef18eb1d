"""From the paths on a command line to submissions: whose, and which file.

A path is a notebook file, a zip, or a folder: nbgrader's `submitted/<student>/ps7/`, a Gradescope export
(`submission_<id>/`), or `<student>.ipynb|.py|.md|.zip` side by side. A student's folder may hold a zip in place of a
notebook. A zip that lies in a folder is one student's hand-in. Only a zip that is named on the command line may be a
class's, and what lies in it is then taken as in a folder: the zips in it are hand-ins, too. Nothing is unpacked to
disk, no symbolic link is followed, and no name that a student chose ever becomes a path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from autograder.intake.found import (
    ZIP,
    Found,
    class_below,
    files_below,
    files_in_zip,
    found_below,
    found_in_zip,
    handed_in,
    is_everybodys,
)
from autograder.intake.kinds import HEAD, is_lfs_pointer, kind_by_content
from autograder.intake.labelled import labels_of, sort_out, submission_from
from autograder.intake.platforms import blackboard_label, brightspace_label, canvas_label, moodle_label
from autograder.intake.submission import RESERVED as RESERVED
from autograder.intake.submission import Submission as Submission
from autograder.intake.submission import safe_key as safe_key
from autograder.intake.untrusted import head_of
from autograder.intake.weights import Weights, find_weights
from autograder.intake.whose import Place, by_student, make, of_student, one_of, student_of
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError


@dataclass(frozen=True)
class Names:
    """What is handed in.

    Attributes:
        notebook: Stem of the released notebook.
        assignment_id: Name of nbgrader's folder within a student's.
        weights: Names of a file beside the notebook.
    """

    notebook: str
    assignment_id: str
    weights: tuple[str, ...] = ()

    @property
    def stems(self) -> tuple[str, ...]:
        """Of all that every student hands in by the same name."""
        return (self.notebook, f"{self.assignment_id}-submission", *(name.partition(".")[0] for name in self.weights))


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
    paths, names = list(paths), Names(notebook, assignment_id, weights)
    found: list[Submission] = []
    lines: list[str] = []
    one_each = hand_ins_by_name(paths, names)
    for path in paths:
        try:
            found += _under(path, names, one_each)
        except KitError as error:
            lines.append(str(error))
        except OSError as error:  # a name too long, a folder that may not be read
            lines.append(f"{path}: cannot be read ({error.strerror}).")
    by_key: dict[str, list[Submission]] = {}
    for submission in found:
        by_key.setdefault(submission.key, []).append(submission)
    kept = [one_of(same) for _, same in sorted(by_key.items())]
    return [with_weights(_looked_at(submission), notebook, weights) for submission in kept], lines


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
    return with_weights(_looked_at(of_student(student, found_below(folder), place, own=True)), notebook, weights)


def _looked_at(submission: Submission) -> Submission:
    """The same, with a problem where the file is plainly something else than its name says."""
    if submission.problem:
        return submission
    kind = kind_by_content(head_of(submission.path, submission.member, HEAD), submission.name)
    return replace(submission, problem=f"{submission.name} is {kind}.") if kind else submission


def with_weights(submission: Submission, notebook: str, weights: tuple[str, ...]) -> Submission:
    """The same with the weights that lie beside its notebook, if there are any."""
    if submission.problem or not weights:
        return submission
    wanted = (*weights, *(PurePosixPath(submission.name).stem + PurePosixPath(name).suffix for name in weights))
    flat = {file.parts[-1]: file for file in submission.beside}
    beside = next((flat[name] for name in wanted if name in flat), None)
    if beside is not None:
        found: Weights | None = Weights(beside.parts[-1], beside.path, beside.member)
    else:
        found = find_weights(submission.path, submission.member, notebook, weights)
    if found and not found.problem and is_lfs_pointer(head_of(found.path, found.member, HEAD)):
        found = replace(found, problem=f"{found.name} is a pointer of Git LFS, not the weights themselves.")
    return replace(submission, weights=found)


def hand_ins_by_name(paths: list[Path], names: Names) -> bool:
    """Whether a command line names hand-ins one by one, as `grade submitted/*` does: then no zip is a class's.

    Else the one zip among them that names its notebooks after others would take the others' grades.
    """
    return len(paths) > 1 and any(_is_hand_in(path, names) for path in paths)


def _is_hand_in(path: Path, names: Names) -> bool:
    """Whether a path is one student's file. What cannot be read is not: it has its line elsewhere."""
    try:
        if path.suffix.lower() != ZIP or not path.is_file():
            return path.suffix.lower() in SUFFIXES and path.is_file()
        files = handed_in(files_in_zip(path))
    except (KitError, OSError):
        return False
    return not is_class(files, class_below(files, names.assignment_id, names.notebook), names)


def is_class(files: list[Found], below: list[Found], names: Names) -> bool:
    """Whether what lies in a zip looks like a class's: several students' files or folders side by side.

    Args:
        files: In the zip: notebooks and zips.
        below: What `class_below` makes of them.
        names: What is handed in.
    """
    if below is not files:
        return True
    top = {file.parts[0] for file in files}
    released = any(len(file.parts) == 1 and is_everybodys(file, names.notebook, names.assignment_id) for file in files)
    if released:
        return False
    alone = len(top) == 1 and all(len(file.parts) > 1 for file in files)
    known = (canvas_label, moodle_label, brightspace_label, blackboard_label)
    platforms = any(label(name) for name in top for label in known)
    return platforms or (len(files) > 1 and not alone)


def _under(path: Path, names: Names, one_each: bool) -> list[Submission]:
    if path.is_symlink():
        raise KitError(f"{path}: a symbolic link, not followed. Give the path it points to.")
    if path.is_dir():
        return _in_folder(path, names)
    if not path.exists():
        raise KitError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() == ZIP:
        return _in_zip(path, names, one_each)
    if path.suffix.lower() not in SUFFIXES:
        raise KitError(f"{path}: not a notebook. A submission is an .ipynb, .py or .md file, a zip or a folder.")
    return [make(_named(path, names), path)]


def _named(path: Path, names: Names) -> str:
    """Whose a file is that stands on the command line."""
    place = Place(path.resolve().parent, names.notebook, names.assignment_id)
    return student_of(Found((path.name,), path), place)


def _in_folder(path: Path, names: Names) -> list[Submission]:
    every = files_below(path)
    files = [file for file in handed_in(every) if not (file.is_readme and len(file.parts) == 1)]
    below = class_below(files, names.assignment_id, names.notebook)
    root = path if below is files else path / files[0].parts[0]
    if below is not files:
        every = [replace(file, parts=file.parts[1:]) for file in every if len(file.parts) > 1]
    folders = [] if root.resolve().name == names.assignment_id else _folders(root, names.assignment_id)
    made = _of_class(every, below, folders, Place(root.resolve(), names.notebook, names.assignment_id), names)
    if not made:
        raise KitError(f"{path}: no notebook (.ipynb, .py, .md) or zip in this folder or in those of its students.")
    return made


def _of_class(
    every: list[Found], gradable: list[Found], folders: list[str], place: Place, names: Names
) -> list[Submission]:
    """The submissions of a class.

    Args:
        every: All its files.
        gradable: The notebooks and zips among them.
        folders: Names of the folders at its top.
        place: Where it lies.
        names: What is handed in.
    """
    labels = labels_of(every, place.root.name, names.stems)
    sorted_out = sort_out(every, folders, labels)
    made = [submission_from(student, sorted_out, place) for student in sorted_out.own]
    others = {(file.path, file.member) for file in sorted_out.rest}
    groups = by_student([file for file in gradable if (file.path, file.member) in others], place)
    if any(len(file.parts) > 1 for files in groups.values() for file in files):  # students' folders, and empty ones
        groups = {name: [] for name in folders if name not in groups and not labels.of_folder(name)} | groups
    return made + [of_student(student, group, place) for student, group in groups.items()]


def _folders(path: Path, assignment_id: str) -> list[str]:
    """Folders that may be students': one who handed in no notebook must not be forgotten."""
    found = []
    for folder in sorted(path.iterdir()):
        plain = folder.is_dir() and not folder.is_symlink() and not folder.name.startswith((".", "__"))
        graded = (folder / ".fcoskit").is_file()  # an earlier run's reports
        if plain and not graded and folder.name != assignment_id:
            found.append(folder.name)
    return found


def _in_zip(path: Path, names: Names, one_each: bool) -> list[Submission]:
    """The submissions in a zip that stands on the command line: a class's, or one student's."""
    every = files_in_zip(path)
    files = handed_in(every)
    below = class_below(files, names.assignment_id, names.notebook)
    if one_each or not is_class(files, below, names):
        if not any(file.is_zip for file in files):
            found_in_zip(path)  # says it where there is no notebook
        zipped = Found((path.name,), path)
        return [
            of_student(_named(path, names), [zipped], Place(path.resolve().parent, names.notebook, names.assignment_id))
        ]
    root = Path("/") / path.stem
    if below is not files:
        root = Path("/") / files[0].parts[0]
        every = [replace(file, parts=file.parts[1:]) for file in every if len(file.parts) > 1]
    return _of_class(every, below, [], Place(root, names.notebook, names.assignment_id), names)

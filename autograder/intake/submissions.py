"""From the paths on a command line to submissions: whose, and which file.

A path is a notebook file, a zip, or a folder: nbgrader's `submitted/<student>/ps7/`, a Gradescope export
(`submission_<id>/`), or `<student>.ipynb|.py|.md|.zip` side by side. A student's folder may hold a zip in place of a
notebook. Nothing is unpacked to disk, no symbolic link is followed, and no name that a student chose ever becomes
a path.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from autograder.intake.found import ZIP, Found, class_below, found_below, found_in_zip, is_everybodys
from autograder.intake.untrusted import read_member
from autograder.intake.weights import Weights, find_weights
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError, SubmissionError

RESERVED = {"grades.csv", "grade.log", "by-hand.csv", ""}
RESERVED |= {"class.html", "class.csv", "canvas.csv", "anonymous", "pseudonyms.key", "map.csv", "map.seed"}


@dataclass(frozen=True)
class Submission:
    """One student's submission.

    Attributes:
        student: As the file or folder is called.
        key: The same, safe as a folder name.
        path: The file on disk: the notebook, or the zip that holds it.
        member: Name within the zip, or "".
        problem: Why it cannot be graded, for whoever runs the grader; "" if it can.
        candidates: Files of which one has to be chosen, where the problem is that there are several.
        skip: Ids of exercises that are not graded: a proof needs only some. Always empty for students.
        weights: Handed in beside the notebook, where the assignment asks for them.
    """

    student: str
    key: str
    path: Path
    member: str = ""
    problem: str = ""
    candidates: tuple[str, ...] = field(default=())
    skip: tuple[str, ...] = ()
    weights: Weights | None = None

    @property
    def name(self) -> str:
        """The notebook's file name."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    def read(self, megabytes: int) -> bytes:
        """The notebook's bytes.

        Raises:
            SubmissionError: Too large, damaged, or a symbolic link.
        """
        limit = megabytes * 1024 * 1024
        if self.member:
            return read_member(self.path, self.member, limit)
        if self.path.is_symlink() or not self.path.is_file():
            raise SubmissionError(f"{self.path.name} is not a regular file.")
        if self.path.stat().st_size > limit:
            raise SubmissionError(f"The notebook is larger than {megabytes} MB: clear its outputs, hand in again.")
        return self.path.read_bytes()


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
    found: list[Submission] = []
    lines: list[str] = []
    for path in paths:
        try:
            found += _under(path, notebook, assignment_id)
        except KitError as error:
            lines.append(str(error))
        except OSError as error:  # a name too long, a folder that may not be read
            lines.append(f"{path}: cannot be read ({error.strerror}).")
    by_key: dict[str, list[Submission]] = {}
    for submission in found:
        by_key.setdefault(submission.key, []).append(submission)
    chosen = [_one_of(same) for _, same in sorted(by_key.items())]
    return [with_weights(submission, notebook, weights) for submission in chosen], lines


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
    files = found_below(folder)
    return with_weights(_of_student(student, files, folder, notebook, own=True), notebook, weights)


def with_weights(submission: Submission, notebook: str, weights: tuple[str, ...]) -> Submission:
    """The same with the weights that lie beside its notebook, if there are any."""
    if submission.problem or not weights:
        return submission
    return replace(submission, weights=find_weights(submission.path, submission.member, notebook, weights))


def safe_key(student: str) -> str:
    """A folder name for a student: letters and digits of any script, `-_.@+` and spaces, never a path.

    Where anything had to be changed, a digest of the original keeps different students apart.
    """
    name = unicodedata.normalize("NFC", student)
    key = "".join(c if c.isalnum() or c in "-_.@+ " else "_" for c in name).strip(" .")[:80]
    key = key.encode()[:200].decode(errors="ignore").rstrip(" .")  # file systems allow 255 bytes
    if key != name or key in RESERVED:
        digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:6]
        key = f"{key or 'student'}-{digest}"
    return key


def _under(path: Path, notebook: str, assignment_id: str) -> list[Submission]:
    if path.is_symlink():
        raise KitError(f"{path}: a symbolic link, not followed. Give the path it points to.")
    if path.is_dir():
        files = [file for file in found_below(path) if not (file.is_readme and len(file.parts) == 1)]
        below = class_below(files, assignment_id, notebook)
        root = path if below is files else path / files[0].parts[0]
        groups = _by_student(below, root.resolve(), notebook, assignment_id)
        groups = {folder.name: [] for folder in _student_folders(root, groups, assignment_id)} | groups
        if not groups:
            raise KitError(f"{path}: no notebook (.ipynb, .py, .md) or zip in this folder or in those of its students.")
        return [s for student, group in groups.items() for s in _group(student, group, root, notebook, assignment_id)]
    if not path.exists():
        raise KitError(f"{path}: there is no such file or folder.")
    if path.suffix.lower() == ZIP:
        return _in_zip(path, notebook, assignment_id)
    if path.suffix.lower() not in SUFFIXES:
        raise KitError(f"{path}: not a notebook. A submission is an .ipynb, .py or .md file, a zip or a folder.")
    return [_submission(_student_of(Found((path.name,), path), path.resolve().parent, notebook, assignment_id), path)]


def _submission(student: str, path: Path, member: str = "") -> Submission:
    return Submission(student, safe_key(student), path, member)


def _group(student: str, files: list[Found], root: Path, notebook: str, assignment_id: str) -> list[Submission]:
    """The submission of the files that go by one name; of a zip that lies beside others, maybe a whole class."""
    if len(files) == 1 and files[0].is_zip and len(files[0].parts) == 1:
        try:
            return _in_zip(files[0].path, notebook, assignment_id, student)
        except KitError as error:
            return [_unreadable(student, files[0].path, error)]
    return [_of_student(student, files, root, notebook)]


def _of_student(student: str, files: list[Found], root: Path, notebook: str, own: bool = False) -> Submission:
    """The submission among a student's files; a zip counts where no notebook lies beside it.

    Args:
        student: Whose.
        files: Theirs.
        root: The folder that was searched.
        notebook: Stem of the released notebook.
        own: That folder is the student's; else files at its top lie beside the student's folder.
    """
    loose = [file for file in files if not file.is_zip]
    zips = [file for file in files if file.is_zip and not (loose and (own or len(file.parts) > 1))]
    if not zips:
        return _chosen(student, loose, root, notebook, own)
    if loose:
        return _ambiguous(_submission(student, loose[0].path), [file.shown for file in files])
    try:
        pairs = [(zipped, file) for zipped in zips for file in found_in_zip(zipped.path)]
    except KitError as error:
        return _unreadable(student, zips[0].path, error)
    inside = [replace(file, parts=(*zipped.parts, *file.parts)) for zipped, file in pairs]
    return _chosen(student, inside, root, notebook, own=True)


def _unreadable(student: str, path: Path, error: KitError) -> Submission:
    problem = str(error).removeprefix(f"{path.parent}/")
    return replace(_submission(student, path), problem=problem)


def _student_folders(path: Path, groups: dict[str, list[Found]], assignment_id: str) -> Iterator[Path]:
    """Folders of students who handed in no notebook: they must not be forgotten."""
    nested = any(len(file.parts) > 1 for files in groups.values() for file in files)
    for folder in sorted(path.iterdir()):
        plain = folder.is_dir() and not folder.is_symlink() and not folder.name.startswith((".", "__"))
        graded = (folder / ".fcoskit").is_file()  # an earlier run's reports
        if plain and not graded and nested and folder.name != assignment_id and folder.name not in groups:
            yield folder


def _by_student(files: list[Found], root: Path, notebook: str, assignment_id: str) -> dict[str, list[Found]]:
    groups: dict[str, list[Found]] = {}
    for file in files:
        groups.setdefault(_student_of(file, root, notebook, assignment_id), []).append(file)
    return groups


def _student_of(file: Found, root: Path, notebook: str, assignment_id: str) -> str:
    """The student a file belongs to: the first folder below the path, or its own name.

    A file that goes by a name which everybody's has belongs to the folder it lies in.
    """
    if len(file.parts) > 1 and file.parts[0] != assignment_id:
        return file.parts[0]
    if is_everybodys(file, notebook, assignment_id):
        return root.parent.name if root.name == assignment_id else root.name
    return file.stem


def _chosen(student: str, files: list[Found], root: Path, notebook: str, own: bool = False) -> Submission:
    """The one file that counts, or a submission that says why there is none."""
    if not files:
        problem = "No notebook in this folder: nothing that can be graded was handed in."
        return replace(_submission(student, root / student), problem=problem)
    named = [file for file in files if file.stem == notebook]
    parted = not own and len({len(file.parts) > 1 for file in files}) > 1  # one in the student's folder, one beside it
    best = named if len(named) == 1 and not parted else files
    if len(best) == 1:
        return _submission(student, best[0].path, best[0].member)
    return _ambiguous(_submission(student, files[0].path, files[0].member), [file.shown for file in files])


def _one_of(same: list[Submission]) -> Submission:
    if len(same) == 1 or len({(s.path.resolve(), s.member) for s in same}) == 1:
        return same[0]
    return _ambiguous(same[0], [f"{s.path}{'!' + s.member if s.member else ''}" for s in same])


def _ambiguous(submission: Submission, candidates: list[str]) -> Submission:
    shown = ", ".join(candidates[:4]) + (", ..." if len(candidates) > 4 else "")
    problem = f"{len(candidates)} submissions ({shown}): keep the one that counts and grade again."
    return replace(submission, problem=problem, candidates=tuple(candidates))


def _in_zip(path: Path, notebook: str, assignment_id: str, student: str = "") -> list[Submission]:
    """The submissions in a zip: a class, or one student's; of `student`, if known, else of whom it is called after."""
    files = found_in_zip(path)
    below = class_below(files, assignment_id, notebook)
    if below is not files:
        groups = _by_student(below, Path("/") / path.stem, notebook, assignment_id)
        return [_chosen(one, group, path, notebook) for one, group in groups.items()]
    top = {file.parts[0] for file in files}
    released = any(len(file.parts) == 1 and is_everybodys(file, notebook, assignment_id) for file in files)
    if len(files) == 1 or released or (len(top) == 1 and all(len(file.parts) > 1 for file in files)):
        owner = student or _student_of(Found((path.name,), path), path.resolve().parent, notebook, assignment_id)
        return [_chosen(owner, files, path, notebook)]
    root = Path("/") / path.stem
    return [_chosen(s, f, path, notebook) for s, f in _by_student(files, root, notebook, assignment_id).items()]

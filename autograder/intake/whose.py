"""Whose a file is, and which of a student's files counts.

The file or folder at the level of the class says whose a hand-in is, and nothing below it: what lies in a student's
folder or zip is that student's, whatever it is called.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autograder.intake.found import Found, found_in_zip, is_everybodys
from autograder.intake.submission import Submission, safe_key
from autograder.intake.untrusted import shown_member
from autograder.runtime.errors import KitError

_MANY = 5  # notebooks in a zip from which on it may be that of a class


@dataclass(frozen=True)
class Place:
    """Where files were searched for, and what is everybody's name there.

    Attributes:
        root: The folder that was searched; for a zip a folder that is named after it.
        notebook: Stem of the released notebook.
        assignment_id: Name of nbgrader's folder within a student's.
    """

    root: Path
    notebook: str
    assignment_id: str

    @property
    def name(self) -> str:
        """Whom the folder is named after."""
        return self.root.parent.name if self.root.name == self.assignment_id else self.root.name

    def is_everybodys(self, file: Found) -> bool:
        """Whether every student's file is called so."""
        return is_everybodys(file, self.notebook, self.assignment_id)


def student_of(file: Found, place: Place) -> str:
    """The student a file belongs to: the first folder below the path, or its own name.

    A file that goes by a name which everybody's has belongs to the folder it lies in.
    """
    if len(file.parts) > 1 and file.parts[0] != place.assignment_id:
        return file.parts[0]
    return place.name if place.is_everybodys(file) else file.stem


def by_student(files: list[Found], place: Place) -> dict[str, list[Found]]:
    """Files by whose they are."""
    groups: dict[str, list[Found]] = {}
    for file in files:
        groups.setdefault(student_of(file, place), []).append(file)
    return groups


def of_student(student: str, files: list[Found], place: Place, own: bool = False) -> Submission:
    """The submission among a student's files; a zip counts where no notebook lies beside it.

    Args:
        student: Whose.
        files: Theirs: notebooks and zips. A zip is one hand-in, however many notebooks it holds.
        place: Where they were found.
        own: That is the student's own folder; else files at its top lie beside the student's folder.
    """
    loose = [file for file in files if not file.is_zip]
    zips = [file for file in files if file.is_zip and not (loose and (own or len(file.parts) > 1))]
    if not zips:
        return chosen(student, loose, place, own)
    if loose:
        return ambiguous(make(student, loose[0].path, loose[0].member), [file.shown for file in files])
    try:
        pairs = [(zipped, file) for zipped in zips for file in found_in_zip(zipped.path, zipped.member)]
    except KitError as error:
        return unreadable(student, zips[0], error)
    inside = [replace(file, parts=(*zipped.parts, *file.parts)) for zipped, file in pairs]
    return _perhaps_a_class(chosen(student, inside, place, own=True), zips)


def chosen(student: str, files: list[Found], place: Place, own: bool = False) -> Submission:
    """The one file that counts, or a submission that says why there is none."""
    if not files:
        problem = "No notebook in this folder: nothing that can be graded was handed in."
        return replace(make(student, place.root / student), problem=problem)
    named = [file for file in files if file.stem == place.notebook]
    parted = not own and len({len(file.parts) > 1 for file in files}) > 1  # one in the student's folder, one beside it
    best = named if len(named) == 1 and not parted else files
    if len(best) == 1:
        return make(student, best[0].path, best[0].member)
    return ambiguous(make(student, files[0].path, files[0].member), [file.shown for file in files])


def make(student: str, path: Path, member: str = "") -> Submission:
    """A submission of which nothing is known but whose it is and where."""
    return Submission(student, safe_key(student), path, member)


def unreadable(student: str, file: Found, error: KitError) -> Submission:
    """A submission whose file cannot be opened."""
    problem = str(error).removeprefix(f"{file.path.parent}/")
    return replace(make(student, file.path, file.member), problem=problem)


def one_of(same: list[Submission]) -> Submission:
    """One submission of several that go by one name, or one that says that there are several."""
    if len(same) == 1 or len({(s.path.resolve(), s.member) for s in same}) == 1:
        return same[0]
    return ambiguous(same[0], [shown_member(s.path, s.member) for s in same])


def ambiguous(submission: Submission, candidates: list[str]) -> Submission:
    """The same, with a problem: a human has to choose."""
    shown = ", ".join(candidates[:4]) + (", ..." if len(candidates) > 4 else "")
    problem = f"{len(candidates)} submissions ({shown}): keep the one that counts and grade again."
    return replace(submission, problem=problem, candidates=tuple(candidates))


def _perhaps_a_class(submission: Submission, zips: list[Found]) -> Submission:
    """With a word for staff where one zip holds so many notebooks that it may be a class's."""
    if len(submission.candidates) < _MANY or len(zips) > 1:
        return submission
    hint = " A zip in a folder is one student's: name a class's own zip on the command line, and nothing else."
    return replace(submission, problem=submission.problem + hint)

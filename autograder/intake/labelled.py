"""A platform's download, sorted: each student's files under that student, by the platform's own names at the top."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from autograder.course.origin import Origin
from autograder.intake import gradescope
from autograder.intake.found import Found, handed_in
from autograder.intake.kinds import kind_by_name
from autograder.intake.platforms import WHOLE_ATTEMPTS, Label, Labels
from autograder.intake.submission import Submission
from autograder.intake.untrusted import read_member, read_plain
from autograder.intake.whose import Place, make, of_student
from autograder.runtime.errors import SubmissionError


@dataclass
class Sorted:
    """Files of a class.

    Attributes:
        own: By student, the files that a platform named, `parts` beginning with the student.
        origins: By student, what the platform's names say.
        rest: Files of no platform's form.
    """

    own: dict[str, list[Found]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    rest: list[Found] = field(default_factory=list)


def labels_of(files: list[Found], folder: str, known: Iterable[str] = ()) -> Labels:
    """How the files of a class are named.

    Args:
        files: Of the class, all of them.
        folder: Name of the folder that they lie in.
        known: Stems of what is handed in.
    """
    at_top = [file for file in files if len(file.parts) == 1]
    listed = next((file for file in at_top if file.parts[0] == gradescope.FILE), None)
    people = gradescope.read_metadata(_read(listed)) if listed else {}
    return Labels([file.parts[0] for file in at_top], folder, people, known)


def sort_out(files: list[Found], folders: Iterable[str], labels: Labels) -> Sorted:
    """Each student's files.

    Args:
        files: Of a class, all of them.
        folders: Names of the folders at its top, the empty ones too: whoever handed in nothing is not forgotten.
        labels: From `labels_of`.
    """
    made = Sorted()
    best: dict[tuple[str, str], tuple[Label, Found]] = {}
    said: dict[str, list[tuple[bool, Label]]] = {}
    for name in folders:
        for label in labels.of_folder(name):
            made.own.setdefault(label.student, [])
            said.setdefault(label.student, []).append((False, label))
    for file in files:
        top = file.parts[0]
        found = labels.of_file(top) if len(file.parts) == 1 else labels.of_folder(top)
        if not found:
            made.rest.append(file)
        for label in found:
            own = replace(
                file, parts=(label.student, *((label.rest or top,) if len(file.parts) == 1 else file.parts[1:]))
            )
            said.setdefault(label.student, []).append((own.is_notebook or own.is_zip, label))
            place = (label.student, own.shown)
            if place not in best or best[place][0].order < label.order:
                best[place] = (label, own)
    counts = {student: _counting(labels) for student, labels in said.items()}
    for (student, _), (label, file) in best.items():
        if label.origin.platform not in WHOLE_ATTEMPTS or label.order == counts[student].order:
            made.own.setdefault(student, []).append(file)
    made.origins = {student: _origin(labels) for student, labels in said.items()}
    return made


def submission_from(student: str, sorted_out: Sorted, place: Place) -> Submission:
    """The submission of a student whose files a platform named; one that says what there is where it is no notebook."""
    files, origin = sorted_out.own[student], sorted_out.origins[student]
    gradable = handed_in(files)
    if gradable:
        made = of_student(student, gradable, place)
        flat = tuple(file for file in files if len(file.parts) == 2 and not file.is_notebook)
        return replace(made, origin=origin, beside=flat)
    path, member = (files[0].path, files[0].member) if files else (place.root / student, "")
    return replace(make(student, path, member), origin=origin, problem=_nothing(files))


def _nothing(files: list[Found]) -> str:
    if not files:
        return "Nothing was handed in: there is no file."
    shown = "; ".join(f"{file.parts[-1]} is {kind_by_name(file.parts[-1])}" for file in files[:3])
    more = f"; and {len(files) - 3} more" if len(files) > 3 else ""
    return f"No notebook (.ipynb, .py, .md) and no zip was handed in: {shown}{more}."


def _counting(said: list[tuple[bool, Label]]) -> Label:
    """Of all names for a student's files the newest that names a notebook."""
    return max(said, key=lambda pair: (pair[0], pair[1].order))[1]


def _origin(said: list[tuple[bool, Label]]) -> Origin:
    """What the name says that counts; late if any is."""
    label = _counting(said)
    flags = [one.origin.late for _, one in said]
    late = any(flags) if any(flag is not None for flag in flags) else None
    return replace(label.origin, late=late)


def _read(file: Found) -> bytes:
    try:
        if file.member:
            return read_member(file.path, file.member, gradescope.MAX_BYTES)
        return read_plain(file.path, gradescope.MAX_BYTES)
    except SubmissionError:
        return b""

"""Files that lie where submissions lie and are none: whoever handed them in must not be lost without a word.

Looked at is the level of the class: beside `<student>.ipynb`, beside students' folders, or the same in a zip. What lies
in a student's own folder is that student's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from autograder.intake.found import (
    ZIP,
    Found,
    class_below,
    files_below,
    files_in_zip,
    found_below,
    handed_in,
    is_everybodys,
    is_hidden,
)
from autograder.intake.kinds import kind_by_name
from autograder.intake.labelled import labels_of
from autograder.intake.platforms import Labels
from autograder.intake.submissions import RESERVED, Names, Submission, hand_ins_by_name, is_class
from autograder.parsing.cells import SUFFIXES
from autograder.runtime.errors import KitError

_SHOWN = 20  # lines for each path
# Names, with a suffix or without; Brightspace puts an index.html beside what it hands out.
_ABOUT = {"readme", "license", "licence", "thumbs.db", "desktop.ini", "index.html"}
_LISTS = {".csv", ".tsv", ".xls", ".xlsx", ".ods", ".yml", ".yaml", ".toml", ".ini", ".cfg", ".log", ".db"}
_ARCHIVES = {".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}


@dataclass
class Strays:
    """What a person should know of the files beside submissions.

    Attributes:
        left_out: A line for each file or folder that is in no submission and may be somebody's.
        notes: A line for each file that goes by a name which may not be its student's.
    """

    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    """A file or folder at the level of the class.

    Attributes:
        name: Its own.
        shown: For people: where it lies.
        kind: "file", "link", "folder", or "zipped folder".
    """

    name: str
    shown: str
    kind: str = "file"


def find_strays(paths: Iterable[Path], submissions: Iterable[Submission], notebook: str, assignment_id: str) -> Strays:
    """Look again where `find_submissions` looked.

    Args:
        paths: As given on the command line.
        submissions: What was found under them.
        notebook: Stem of the released notebook.
        assignment_id: Name of nbgrader's folder within a student's.
    """
    strays, found, paths = Strays(), list(submissions), list(paths)
    names = Names(notebook, assignment_id)
    one_each = hand_ins_by_name(paths, names)
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                _in_folder(path, found, notebook, assignment_id, strays)
            elif path.is_file() and path.suffix.lower() == ZIP:
                _in_zip(path, names, one_each, strays)
        except (OSError, KitError):
            continue  # `find_submissions` has a line for a path that cannot be read
    return strays


def _in_folder(path: Path, found: list[Submission], notebook: str, assignment_id: str, strays: Strays) -> None:
    files = found_below(path)
    below = class_below(files, assignment_id, notebook)
    root = path if below is files else path / files[0].parts[0]
    if root.resolve().name == assignment_id or any(file.parts[0] == assignment_id for file in below):
        return  # one student's, as nbgrader lays it out
    shared = [file for file in below if len(file.parts) == 1 and is_everybodys(file, notebook, assignment_id)]
    graded = {submission.path for submission in found if not submission.candidates}
    several = len(shared) < len(below)
    for file in shared:
        lost = several and len(shared) > 1 and file.path not in graded
        (strays.left_out if lost else strays.notes).append(_by_the_folder(file, root))
    if several or not shared:
        students, held = {submission.student for submission in found}, {file.parts[0] for file in below}
        listed = [
            entry for folder in dict.fromkeys((path, root)) for entry in _listed(folder) if folder / entry.name != root
        ]
        labels = labels_of(files_below(root, 1), root.resolve().name)
        entries = [entry for entry in listed if entry.name not in held and not _labelled(entry, labels)]
        strays.left_out += _few(_lines(entries, students), path)


def _in_zip(path: Path, names: Names, one_each: bool, strays: Strays) -> None:
    notebook, assignment_id = names.notebook, names.assignment_id
    every = files_in_zip(path)
    files = handed_in(every)
    below = class_below(files, assignment_id, notebook)
    level = 1 if below is files else 2
    if not one_each and is_class(files, below, names):
        held = {file.parts[:level] for file in files}
        students = {file.stem if len(file.parts) == level else file.parts[level - 1] for file in files}
        inside = [replace(file, parts=file.parts[level - 1 :]) for file in every if len(file.parts) >= level]
        labels, listed = labels_of(inside, ""), _listed_in_zip(path, level)
        entries = [entry for parts, entry in listed.items() if parts not in held and not _labelled(entry, labels)]
        strays.left_out += _few(_lines(entries, students), path)
    elif any(len(file.parts) == 1 and is_everybodys(file, notebook, assignment_id) for file in files):
        others = [file.shown for file in files if not is_everybodys(file, notebook, assignment_id)]
        strays.notes += [_one_students(path, others, notebook)] if others else []


def _labelled(entry: _Entry, labels: Labels) -> bool:
    """Whether a platform's own name says whose it is: then it is in a submission, or a row says what it is."""
    folder = "folder" in entry.kind
    return bool(labels.of_folder(entry.name) if folder else labels.of_file(entry.name))


def _listed(folder: Path) -> list[_Entry]:
    """What lies in a folder, but for runs of the kit and folders without anything in them."""
    entries = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            entries.append(_Entry(path.name, str(path), "link"))
        elif not path.is_dir():
            entries.append(_Entry(path.name, str(path)))
        elif not (path / ".fcoskit").is_file() and any(not is_hidden((one.name,)) for one in path.iterdir()):
            entries.append(_Entry(path.name, str(path), "folder"))
    return entries


def _listed_in_zip(path: Path, level: int) -> dict[tuple[str, ...], _Entry]:
    """What a zip holds in a folder that is so deep, by its parts; what lies above is there, too."""
    members = sorted({file.parts for file in files_in_zip(path)})
    entries = {}
    for parts in members:
        shown = f"{path}: {'/'.join(parts[:level])}"
        kind = "file" if len(parts) <= level else "zipped folder"
        entries[parts[:level]] = _Entry(parts[:level][-1], shown, kind)
    return entries


def _lines(entries: list[_Entry], students: set[str]) -> list[str]:
    """A line for each that may be somebody's of whom there is no submission."""
    return [
        f"{entry.shown}: {_why(entry)}"
        for entry in entries
        if not (is_hidden((entry.name,)) or _is_staffs(entry) or _named_after(entry.name, students))
    ]


def _is_staffs(entry: _Entry) -> bool:
    """Whether a file is staff's or a system's, by its name: lists of the class, READMEs, what a run writes."""
    name = PurePosixPath(entry.name.lower())
    known = entry.name in RESERVED or name.name in _ABOUT or name.stem in _ABOUT or name.suffix in _LISTS
    return "folder" not in entry.kind and (known or name.name.startswith("~$"))


def _named_after(name: str, students: set[str]) -> bool:
    """Whether a file is called after somebody of whom there is a submission: `alice.pdf` beside `alice.ipynb`."""
    parts = name.split(".")
    return any(".".join(parts[:n]) in students for n in range(1, len(parts) + 1))


def _why(entry: _Entry) -> str:
    """Why it is no submission, and what to do."""
    if "folder" in entry.kind:
        return "a folder without a notebook. Is it a student's?"
    if entry.kind == "link":
        return "a symbolic link, not followed. Put the file itself there."
    name = PurePosixPath(entry.name)
    if name.suffix.lower() in (*SUFFIXES, ZIP):
        return "not a regular file."
    inner = PurePosixPath(name.stem).suffix
    if inner.lower() in (*SUFFIXES, ZIP):
        return f"its name ends in {name.suffix}. If it is a notebook all the same, call it <student>{inner}."
    if name.suffix.lower() in _ARCHIVES:
        return "an archive that is not opened. Unpack it, or ask for a zip, and grade again."
    kind = kind_by_name(entry.name)
    what = "not a notebook" if kind.startswith("a file") else f"not a notebook but {kind}"
    return f"{what}. A submission is an .ipynb, .py or .md file, a zip or a folder."


def _by_the_folder(file: Found, root: Path) -> str:
    name, suffix = root.resolve().name, file.path.suffix
    return f"{file.shown} goes by the folder's name, {name!r}. If that is not its student, call it <student>{suffix}."


def _one_students(path: Path, others: list[str], notebook: str) -> str:
    shown = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
    return f"{path.name} goes for one student's, as {notebook} is in it; not graded: {shown}. Is it a class's?"


def _few(lines: list[str], path: Path) -> list[str]:
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"{path}: {more} more such files and folders."]

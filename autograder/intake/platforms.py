"""The names that learning platforms and GitHub's classrooms give to what they hand out: whose each hand-in is.

What stands at the top of a download is named by the platform. A student chooses the end of it at most, the name of the
uploaded file, so each form is read from its beginning. The forms, as the platforms' own sources write them, and of
Brightspace and Blackboard those who work with their downloads:

- Canvas, "Download Submissions": `<name>[_LATE]_<user>_<attachment>_<file>`, the sortable name in small letters without
  spaces and signs; with anonymous grading `[LATE_]anon_<id>_<attachment>_<file>`; for text that was typed in, or a
  link, `<name>[_LATE]_<user>_text.html` or `_link.html`. A file that is handed in again becomes `fcos-1.ipynb`.
- Moodle, "Download all submissions": a folder `<full name>_<participant>_assignsubmission_file_`, from 4.1 on without
  the last `_`, `Participant` for the name with anonymous grading; without folders the file's name follows. A full name
  holds no `_`. Text that was typed in lies in `..._assignsubmission_onlinetext_`.
- Brightspace, "Download" of all submissions: a folder `<id>-<id> - <full name> - Sep 24, 2024 926 PM` for each time
  that somebody handed in, or files with ` - <file>` behind that; and an `index.html`.
- Blackboard, "Assignment File Download": `<assignment>_<user>_attempt_<yyyy-mm-dd-hh-mm-ss>_<file>`, and one such
  name that ends in `.txt` behind the time for each attempt, with what was typed in.
- Gradescope, "Export Submissions": `submission_<id>/`, and `submission_metadata.yml` beside them says whose they are.
- GitHub Classroom: `<assignment>-submissions/<assignment>-<user>/`; Classroom 50: `<classroom>-<assignment>-<user>/` in
  `<classroom>-<assignment>_submissions_<time>/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autograder.course.origin import BLACKBOARD, BRIGHTSPACE, CANVAS, GITHUB, MOODLE, Origin
from autograder.intake.kinds import TYPED_IN

_CANVAS = re.compile(
    r"(?P<name>[^\s_.](?:[^\s.]*?[^\s_.])?)_(?P<late>LATE_)?(?P<user>\d+)_"
    r"(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text|link)\.html)",
    re.DOTALL,
)
_CANVAS_ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?anon_(?P<user>[A-Za-z0-9]{5})_(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text|link)\.html)",
    re.DOTALL,
)
_MOODLE = re.compile(r"(?P<name>[^_]+)_(?P<user>\d+)_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<rest>.*))?", re.DOTALL)
_BRIGHTSPACE = re.compile(
    r"(?P<handle>(?P<ids>\d+-\d+) - (?P<name>.+?) - (?P<month>[A-Z][a-z]{2}) (?P<day>\d\d?), (?P<year>\d{4}) "
    r"(?P<hour>\d\d?)(?P<minute>\d\d) (?P<half>[AP])M)(?: - (?P<rest>.+))?",
    re.DOTALL,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BLACKBOARD = re.compile(
    r"(?P<whose>_*[^_]+_.+?)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?:_(?P<rest>.+)|\.txt)",
    re.DOTALL,
)
# Of these a download has every attempt, and all files of each: the newest one with a notebook counts, whole.
WHOLE_ATTEMPTS = frozenset([BRIGHTSPACE, BLACKBOARD])
_GITHUB = re.compile(r"(?P<slug>.+?)(?:-submissions|_submissions_\d{4}_\d\d_\d\d_T_\d\d_\d\d_\d\d)")
_AGAIN = re.compile(r"(?P<stem>.+)-(?P<times>\d{1,3})")


@dataclass(frozen=True)
class Label:
    """What a name at the top of a download says.

    Attributes:
        student: Whose it is, for people: the platform's name and id of the student.
        origin: The same, taken apart.
        rest: The file's own name where the platform's form ends in it; "" for a folder.
        order: Grows with each attempt.
    """

    student: str
    origin: Origin
    rest: str = ""
    order: tuple[int, int] = (1, 0)


class Labels:
    """Whose the files and folders of one download are.

    Args:
        files: Names of the files at its top.
        folder: Name of the folder that they lie in.
        gradescope: By folder, whose it is; from `gradescope.read_metadata`.
        known: Stems of the files that are handed in: what follows one as "-1" is Canvas's own count of attempts.
    """

    def __init__(
        self,
        files: Iterable[str],
        folder: str,
        gradescope: Mapping[str, tuple[Label, ...]] | None = None,
        known: Iterable[str] = (),
    ) -> None:
        self._known = frozenset(known)
        self._gradescope = dict(gradescope or {})
        found = _GITHUB.fullmatch(folder)
        self._slug = f"{found['slug']}-".casefold() if found else ""
        names = list(files)
        in_form = sum(canvas_label(name) is not None for name in names)
        self._canvas = in_form > 0 and 2 * in_form >= len(names)  # one such name among others is a student's own
        whose = [found["whose"] for name in names if (found := _BLACKBOARD.fullmatch(name))]
        self._title = _title(whose) if whose and 2 * len(whose) >= len(names) else None

    def of_file(self, name: str) -> tuple[Label, ...]:
        """Whose a file at the top is; nobody's if the name is of no platform's form."""
        if name in self._gradescope:
            return self._gradescope[name]
        label = moodle_label(name) or brightspace_label(name)
        if label is None and self._title is not None:
            label = blackboard_label(name, self._title)
        elif label is None and self._canvas:
            label = canvas_label(name, self._known)
        return (label,) if label is not None and label.rest else ()

    def of_folder(self, name: str) -> tuple[Label, ...]:
        """Whose a folder at the top is; several students' where they handed in together."""
        if name in self._gradescope:
            return self._gradescope[name]
        label = moodle_label(name) or brightspace_label(name)
        if label is not None and not label.rest:
            return (label,)
        if self._slug and name.casefold().startswith(self._slug) and len(name) > len(self._slug):
            user = name[len(self._slug) :]
            return (Label(user, Origin(GITHUB, user, user, name)),)
        return ()


def canvas_label(name: str, known: Iterable[str] = ()) -> Label | None:
    """What the name of a file in Canvas's download says; None if it is of another form."""
    anonymous = _CANVAS_ANONYMOUS.fullmatch(name)
    found = anonymous or _CANVAS.fullmatch(name)
    if found is None:
        return None
    person = f"anon_{found['user']}" if anonymous else found["name"]
    student = person if anonymous else f"{person}_{found['user']}"
    user = "" if anonymous else found["user"]
    rest, attempt = _without_count(found["rest"] or f"{found['typed']}.html", known)
    origin = Origin(CANVAS, user, person, name, attempt, late=found["late"] is not None)
    return Label(student, origin, rest, (attempt, int((found["file"] or "0")[:18])))


def moodle_label(name: str) -> Label | None:
    """What the name of a folder, or of a file, in Moodle's download says; None if it is of another form."""
    found = _MOODLE.fullmatch(name)
    if found is None:
        return None
    rest = found["rest"] or ""
    handle = f"{found['name']}_{found['user']}_assignsubmission_{found['plugin']}_"
    return Label(f"{found['name']}_{found['user']}", Origin(MOODLE, found["user"], found["name"], handle), rest)


def brightspace_label(name: str) -> Label | None:
    """What the name of a folder, or of a file, in Brightspace's download says; None if it is of another form.

    What the two ids are is nowhere said: whoever has the same name and other ids is another student.
    """
    found = _BRIGHTSPACE.fullmatch(name)
    if found is None or found["month"] not in _MONTHS:
        return None
    hour = int(found["hour"]) % 12 + 12 * (found["half"] == "P")
    day = (int(found["year"]) * 12 + _MONTHS.index(found["month"])) * 31 + int(found["day"])
    origin = Origin(BRIGHTSPACE, found["ids"], found["name"], found["handle"])
    order = (day * 24 + hour) * 60 + int(found["minute"])
    return Label(f"{found['name']}_{found['ids']}", origin, found["rest"] or "", (order, 0))


def blackboard_label(name: str, title: str = "") -> Label | None:
    """What the name of a file in Blackboard's download says; None if it is of another form.

    Args:
        name: Of the file.
        title: The assignment's, with the `_` behind it, which all names of the download begin with.
    """
    found = _BLACKBOARD.fullmatch(name)
    if found is None or not found["whose"].startswith(title) or found["whose"] == title:
        return None
    user = found["whose"][len(title) :]
    origin = Origin(BLACKBOARD, user, user, f"{found['whose']}_attempt_{found['time']}")
    return Label(user, origin, found["rest"] or TYPED_IN, (int(found["time"].replace("-", "")), 0))


def _title(whose: list[str]) -> str:
    """What all of Blackboard's names begin with, up to a `_`: no two students become one, whatever has a `_` in it."""
    title = os.path.commonprefix(whose)  # noqa: RUF071 (character by character, as it should be)
    while title and (title[-1] != "_" or title in whose):
        title = title[:-1]
    return title


def _without_count(name: str, known: Iterable[str]) -> tuple[str, int]:
    """A file's name without Canvas's count, and which attempt it is: `fcos-1.ipynb` is the second `fcos.ipynb`."""
    stem, dot, suffix = name.partition(".")
    found = _AGAIN.fullmatch(stem)
    if found is None or found["stem"] not in known:
        return name, 1
    return f"{found['stem']}{dot}{suffix}", int(found["times"]) + 1

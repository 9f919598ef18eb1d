"""The names that Canvas, Moodle, Gradescope and GitHub's classrooms give to what they hand out: whose each hand-in is.

What stands at the top of a download is named by the platform. A student chooses the end of it at most, the name of the
uploaded file, so each form is read from its beginning. The forms, as the platforms' own sources write them:

- Canvas, "Download Submissions": `<name>[_LATE]_<user>_<attachment>_<file>`, the sortable name in small letters without
  spaces and signs; with anonymous grading `[LATE_]anon_<id>_<attachment>_<file>`; for text that was typed in, or a
  link, `<name>[_LATE]_<user>_text.html` or `_link.html`. A file that is handed in again becomes `fcos-1.ipynb`.
- Moodle, "Download all submissions": a folder `<full name>_<participant>_assignsubmission_file_`, from 4.1 on without
  the last `_`, `Participant` for the name with anonymous grading; without folders the file's name follows. A full name
  holds no `_`. Text that was typed in lies in `..._assignsubmission_onlinetext_`.
- Gradescope, "Export Submissions": `submission_<id>/`, and `submission_metadata.yml` beside them says whose they are.
- GitHub Classroom: `<assignment>-submissions/<assignment>-<user>/`; Classroom 50: `<classroom>-<assignment>-<user>/` in
  `<classroom>-<assignment>_submissions_<time>/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autograder.course.origin import CANVAS, GITHUB, MOODLE, Origin

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

    def of_file(self, name: str) -> tuple[Label, ...]:
        """Whose a file at the top is; nobody's if the name is of no platform's form."""
        if name in self._gradescope:
            return self._gradescope[name]
        label = moodle_label(name) or (canvas_label(name, self._known) if self._canvas else None)
        return (label,) if label is not None and label.rest else ()

    def of_folder(self, name: str) -> tuple[Label, ...]:
        """Whose a folder at the top is; several students' where they handed in together."""
        if name in self._gradescope:
            return self._gradescope[name]
        label = moodle_label(name)
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


def newest(labels: list[Label]) -> Label:
    """The last attempt; of two names for one student that which has more to say."""
    return max(labels, key=lambda label: (label.order, label.origin.handle))


def _without_count(name: str, known: Iterable[str]) -> tuple[str, int]:
    """A file's name without Canvas's count, and which attempt it is: `fcos-1.ipynb` is the second `fcos.ipynb`."""
    stem, dot, suffix = name.partition(".")
    found = _AGAIN.fullmatch(stem)
    if found is None or found["stem"] not in known:
        return name, 1
    return f"{found['stem']}{dot}{suffix}", int(found["times"]) + 1

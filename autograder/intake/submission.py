"""One student's submission: whose, which file, and a key that is safe as a folder's name."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from autograder.course.origin import Origin
from autograder.intake.found import Found
from autograder.intake.untrusted import last_name, read_member
from autograder.intake.weights import Weights
from autograder.runtime.errors import SubmissionError

RESERVED = {"grades.csv", "grade.log", "by-hand.csv", ""}
RESERVED |= {"late.csv", "hand-out"}
RESERVED |= {"class.html", "class.csv", "canvas.csv", "anonymous", "pseudonyms.key", "map.csv", "map.seed"}


@dataclass(frozen=True)
class Submission:
    """One student's submission.

    Attributes:
        student: As the file or folder is called.
        key: The same, safe as a folder name.
        path: The file on disk: the notebook, or the zip that holds it.
        member: Name within the zip, or ""; see `untrusted.INNER` for a zip within a zip.
        problem: Why it cannot be graded, for whoever runs the grader; "" if it can.
        candidates: Files of which one has to be chosen, where the problem is that there are several.
        skip: Ids of exercises that are not graded: a proof needs only some. Always empty for students.
        weights: Handed in beside the notebook, where the assignment asks for them.
        origin: What the platform's own name of it says; None where no platform named it.
        beside: Files that a platform put side by side with the notebook, by the names that the student gave them.
    """

    student: str
    key: str
    path: Path
    member: str = ""
    problem: str = ""
    candidates: tuple[str, ...] = field(default=())
    skip: tuple[str, ...] = ()
    weights: Weights | None = None
    origin: Origin | None = None
    beside: tuple[Found, ...] = ()

    @property
    def name(self) -> str:
        """The notebook's file name."""
        return last_name(self.member) if self.member else self.path.name

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

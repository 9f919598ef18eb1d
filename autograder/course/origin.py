"""Where a hand-in came from, in the words of the platform that gave it out: whose, which attempt, whether late."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CANVAS, MOODLE, GRADESCOPE, GITHUB = "canvas", "moodle", "gradescope", "github"
BRIGHTSPACE, BLACKBOARD = "brightspace", "blackboard"


@dataclass(frozen=True)
class Origin:
    """What a platform's own name of a file or folder says of a hand-in.

    Attributes:
        platform: `CANVAS`, `MOODLE`, `GRADESCOPE`, `GITHUB`, `BRIGHTSPACE` or `BLACKBOARD`.
        user: The platform's own id of the student, or of the hand-in where students are not named; "" if it has none.
        name: The student's name as the platform writes it there.
        handle: What a feedback file has to be called for the platform to know it again; see `report.hand_out`.
        attempt: Which one it is, from 1.
        late: Whether it came late; None where the name does not say.
        email: The student's, "" if it is not there.
        time: When it was handed in, ISO 8601; "" if it is not there.
    """

    platform: str
    user: str
    name: str
    handle: str
    attempt: int = 1
    late: bool | None = None
    email: str = ""
    time: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `report.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Origin | None:
        """Rebuild from `to_json`; None gives None.

        Raises:
            ValueError, TypeError: It is of another form.
        """
        if content is None:
            return None
        made = cls(**content)
        texts = (made.platform, made.user, made.name, made.handle, made.email, made.time)
        if not all(isinstance(text, str) for text in texts) or made.late not in (None, True, False):
            raise ValueError("not a report: the origin of its hand-in is not of that form")
        if not isinstance(made.attempt, int) or made.attempt < 1:
            raise ValueError("not a report: the attempt of its hand-in is no number from 1")
        return made

"""What `make_submission()` notes of the weights in a hand-in: which data set they were trained on, at which size.

A student can write anything there. So it is a hint, which whoever measures checks against the weights themselves.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from autograder import RECORD
from autograder.parsing.budget import reading_budget
from autograder.runtime.errors import SubmissionError

KEY = "weights"  # of the record in the notebook's metadata


@dataclass(frozen=True)
class Trained:
    """A note about weights.

    Attributes:
        data: Class of the data set, "ShapesDetection" say.
        image_size: What its images are brought to, pixels.
        sha256: Of the file with the weights that the note is about.
    """

    data: str
    image_size: int
    sha256: str


def trained_as(notebook: bytes, suffix: str) -> Trained | None:
    """The note in a notebook that `make_submission()` wrote; None where there is none, or it is not of that form.

    Args:
        notebook: The file's bytes, of a bounded size.
        suffix: Of its name.
    """
    if suffix != ".ipynb":
        return None
    try:
        with reading_budget():
            note = json.loads(notebook)["metadata"][RECORD][KEY]
            made = Trained(note["data"], note["image_size"], note["sha256"])
    except (SubmissionError, ValueError, KeyError, TypeError):
        return None
    return made if _well_formed(made.data, made.image_size, made.sha256) else None


def _well_formed(data: Any, image_size: Any, sha256: Any) -> bool:
    texts = isinstance(data, str) and isinstance(sha256, str)
    size = isinstance(image_size, int) and not isinstance(image_size, bool) and 0 < image_size < 10_000
    return texts and size and bool(re.fullmatch(r"[A-Za-z_]\w{0,60}", data) and re.fullmatch(r"[0-9a-f]{64}", sha256))

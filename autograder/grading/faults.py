"""Known faults, loaded as students: what fails a check just as one of them does, has that fault.

The book is the mutants of `cases.py` that are marked `learned`, each with the sentence that a student should
read. It is opened on staff's machines alone, and only where a check fails that no hypothesis explains.
"""

from __future__ import annotations

import contextlib
import io
import tomllib

from autograder.checks.student import Student
from autograder.course.assignment import Assignment
from autograder.grading.substitutes import load_solution
from autograder.runtime.errors import KitError


class FaultBook:
    """The known faults of an assignment.

    Args:
        assignment: Whose.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._loaded: dict[str, list[tuple[str, Student]]] = {}

    def of(self, exercise_id: str) -> list[tuple[str, Student]]:
        """The faults of an exercise: a sentence, and the solution with that fault; loaded once."""
        if exercise_id not in self._loaded:
            self._loaded[exercise_id] = list(self._load(exercise_id))
        return self._loaded[exercise_id]

    def _load(self, exercise_id: str) -> list[tuple[str, Student]]:
        exercise = self._assignment.exercise(exercise_id)
        found: list[tuple[str, Student]] = []
        for path in sorted((self._assignment.proof / "mutants").glob("*.toml")):
            for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", []):
                if entry.get("learned") is not True or entry["loses"] != [exercise_id]:
                    continue
                changes = tuple((change["old"], change["new"]) for change in entry["change"])
                with contextlib.suppress(KitError), contextlib.redirect_stdout(io.StringIO()):
                    found.append((str(entry["says"]), load_solution(self._assignment, exercise, changes=changes)))
        return found

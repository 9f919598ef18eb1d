"""Known faults, loaded as students: what answers a check just as one of them does, has that fault.

The book is the mutants of the proof, each a few changes of the solution. It is opened on staff's machines alone, in the
grading process and never where student code runs, and only where a check fails.
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from autograder.checks.student import LocalStudent
from autograder.course.assignment import Assignment, Exercise
from autograder.grading.proof_files import read_entries
from autograder.grading.substitutes import load_solution
from autograder.runtime.errors import KitError

Changes = tuple[tuple[str, str], ...]
_MOST_PLACES = 4  # changes of a fault that is tried in parts
_LARGE = 10**6  # numbers of a module


@dataclass(frozen=True)
class KnownFault:
    """A fault, a part of one, or two of them.

    Attributes:
        names: Of the mutants: one, or two for a pair.
        says: Words that the feedback of each must hold.
        learned: Whether those words are a sentence for the student.
        changes: Of the solution's text.
        common: Whether the fault is tried in parts, and together with others.
        part: Whether some of its changes are left out.
    """

    names: tuple[str, ...]
    says: tuple[str, ...]
    changes: Changes
    learned: bool = False
    common: bool = False
    part: bool = False


class _Copied(LocalStudent):
    """A fault whose modules are made once: each check gets a copy of a module as it was made.

    To make the pyramid's takes longer than to ask it for all that tells a fault apart.
    """

    def __init__(self, loaded: LocalStudent) -> None:
        super().__init__(loaded.workbench.namespace)
        self.workbench = loaded.workbench
        self._as_made: dict[str, torch.nn.Module | None] = {}

    def perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        """See `Student.do`."""
        if operation != "new":
            return super().perform(operation, arguments)
        key = repr(arguments)
        known = self._as_made.get(key)
        if known is not None:
            return self.workbench.keep(copy.deepcopy(known))
        number = super().perform(operation, arguments)
        if key not in self._as_made:
            self._as_made[key] = _copy_of(self.workbench.objects[number])
        return number


def _copy_of(module: torch.nn.Module) -> torch.nn.Module | None:
    """A copy of a small module, to be copied again; None where it is large or cannot be copied."""
    if sum(parameter.numel() for parameter in module.parameters()) > _LARGE:
        return None
    with contextlib.suppress(Exception):
        return copy.deepcopy(module)
    return None


@dataclass
class FaultBook:
    """The known faults of an assignment.

    Attributes:
        assignment: Whose.
    """

    assignment: Assignment
    _faults: dict[str, list[KnownFault]] = field(default_factory=dict)
    _loaded: dict[tuple[str, Changes], LocalStudent | None] = field(default_factory=dict)

    def of(self, exercise_id: str) -> list[KnownFault]:
        """The faults of an exercise, in the order of the proof; read once.

        Raises:
            KitError: A file of the proof cannot be read.
        """
        if exercise_id not in self._faults:
            self._faults[exercise_id] = [fault for fault, of in self._entries() if of == [exercise_id]]
        return self._faults[exercise_id]

    def parts_of(self, fault: KnownFault) -> Iterator[KnownFault]:
        """A fault in some of its places: with each choice of its changes that is neither none nor all."""
        if len(fault.changes) > _MOST_PLACES:
            return
        for count in range(len(fault.changes) - 1, 0, -1):
            for changes in itertools.combinations(fault.changes, count):
                yield KnownFault(fault.names, fault.says, changes, fault.learned, part=True)

    def pairs_of(self, faults: list[KnownFault]) -> Iterator[KnownFault]:
        """Each two faults at once, also either in some of its places, where they do not change the same text."""
        for one, other in itertools.combinations(faults, 2):
            for first, second in itertools.product((one, *self.parts_of(one)), (other, *self.parts_of(other))):
                if {old for old, _ in first.changes}.isdisjoint(old for old, _ in second.changes):
                    yield self.together(first, second)

    def together(self, one: KnownFault, other: KnownFault) -> KnownFault:
        """Two faults at once."""
        return KnownFault(one.names + other.names, one.says + other.says, one.changes + other.changes)

    def student(self, exercise_id: str, fault: KnownFault) -> LocalStudent | None:
        """The solution with a fault; None where that is no code that loads. Loaded once."""
        key = (exercise_id, fault.changes)
        if key not in self._loaded:
            self._loaded[key] = self._load(self.assignment.exercise(exercise_id), fault.changes)
        return self._loaded[key]

    def _load(self, exercise: Exercise, changes: Changes) -> LocalStudent | None:
        with contextlib.suppress(KitError), contextlib.redirect_stdout(io.StringIO()):
            return _Copied(load_solution(self.assignment, exercise, changes=changes))
        return None

    def _entries(self) -> Iterator[tuple[KnownFault, Any]]:
        for path in sorted((self.assignment.proof / "mutants").glob("*.toml")):
            for entry in read_entries(path):
                if "loses" in entry:
                    changes = tuple((change["old"], change["new"]) for change in entry["change"])
                    flags = entry.get("learned") is True, entry.get("common") is True
                    yield KnownFault((entry["name"],), (str(entry.get("says", "")),), changes, *flags), entry["loses"]

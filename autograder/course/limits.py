"""The `[limits]` table of an `assignment.toml`: what student code may use."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from autograder.course.toml_values import refuse_unknown


@dataclass(frozen=True)
class Limits:
    """What student code may use; hitting a limit ends the check, not the run.

    Seconds are CPU time, so that a busy machine takes no points; by the clock four times as many may pass.

    Attributes:
        load_seconds: Importing what the notebook imports and running its definitions.
        call_seconds: One call of one function.
        notebook_seconds: Running a whole notebook, where what it defines is not enough to tell.
        cell_seconds: One cell of it.
        train_seconds: One training run that a check asks for.
        exercise_seconds: All calls for one exercise together.
        submission_seconds: All calls for one submission together.
        restarts: How often an exercise gets a new process after the last one died.
        memory_megabytes: Resident memory of all its processes together.
        tmpfs_megabytes: All files in a scratch folder together.
        file_megabytes: One file.
        processes: Processes and threads at a time.
        descriptors: Files, pipes and sockets that a process has open.
        message_megabytes: The tensors of one answer.
        notebook_megabytes: The notebook's file.
        code_kilobytes: The code in it.
    """

    load_seconds: float = 60.0
    call_seconds: float = 5.0
    notebook_seconds: float = 60.0
    cell_seconds: float = 10.0
    train_seconds: float = 60.0
    exercise_seconds: float = 60.0
    submission_seconds: float = 600.0
    restarts: int = 3
    memory_megabytes: int = 4096
    tmpfs_megabytes: int = 256
    file_megabytes: int = 128
    processes: int = 128
    descriptors: int = 256
    message_megabytes: int = 128
    notebook_megabytes: int = 128
    code_kilobytes: int = 2048

    def whole_numbers(self) -> dict[str, Any]:
        """Those that are no seconds, by name: what a worker keeps to by itself."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, int)}


def read_limits(table: dict[str, Any]) -> Limits:
    """Build `Limits`: one that is no number, or none at all, is a slip of a TA's.

    Raises:
        ValueError: The table is not as it should be.
    """
    kinds = {entry.name: type(entry.default) for entry in fields(Limits)}
    refuse_unknown(table, kinds)
    for name, value in table.items():
        right = type(value) is int or (type(value) is float and kinds[name] is float and math.isfinite(value))
        if not right or value < 0 or (value == 0 and name != "restarts"):
            kind = "whole number" if kinds[name] is int else "number"
            raise ValueError(f"{name} in [limits] has to be a positive {kind}, not {value!r}")
    return Limits(**table)

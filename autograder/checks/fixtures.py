"""What the checks of a suite ask for by name: whose code, the solution, random numbers, stored tensors.

pytest gives them to a check as fixtures; a check that is called plainly (`plain_call.py`) gets the same from `given`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from autograder.checks.copies import Copies
from autograder.checks.numbers import CheckNumbers
from autograder.checks.student import Student
from autograder.checks.suite_imports import module_at
from autograder.checks.verdicts import exercise_of, is_public


def _asked(name: str) -> Any:
    """The fixture of a name, which pytest finds as an attribute of the plugin."""

    @pytest.fixture(name=name)
    def ask(self: SuiteFixtures, request: pytest.FixtureRequest) -> Any:
        return self.given(request.node)[name]()

    return ask


class SuiteFixtures:
    """The fixtures of the suites, of a plugin that derives from this.

    Args:
        reference: Folder with the stored tensors: `public/` and, on staff's machines, `hidden/`.
        solution: Gives the reference solution of an exercise, for hidden checks; None in a student's notebook.

    Attributes:
        student: Whose code the check at hand is about.
        seed: What its random numbers are drawn from.
        ours: Methods that it is to ask the solution for.
        numbers: The random numbers.
    """

    def __init__(self, reference: Path, solution: Callable[[str], Student] | None) -> None:
        self._reference, self._solution = reference, solution
        self._stored: dict[str, dict[str, torch.Tensor]] = {}
        self._solutions: dict[str, Student] = {}  # by exercise
        self.student: Student | None = None
        self.seed = 0
        self.ours: frozenset[str] = frozenset()
        self.numbers = CheckNumbers()

    def given(self, item: pytest.Item) -> dict[str, Callable[[], Any]]:
        """What gives each fixture that a check may ask for, by its name.

        `ours` are methods that lost points in an earlier exercise: the check asks the solution for what they would have
        done. In a student's notebook there are none, and where it is not `graded`, a check may point at what nobody
        takes points for. Nobody can foresee the numbers of `rng`, the same again from the same seed. The `stored`
        tensors of the check's exercise are copies of its own.
        """
        return {
            "student": lambda: self.student,
            "solution": lambda: self.solution_of(exercise_of(item)),
            "confirm": lambda: self._confirm_of(item),
            "ours": lambda: self.ours,
            "graded": lambda: self.graded,
            "rng": lambda: self.numbers.of(item.nodeid.rsplit("::", 1)[-1], self.seed),
            "stored": lambda: self._stored_of(item),
        }

    @property
    def graded(self) -> bool:
        """Whether this is a grader's run, with the solution at hand."""
        return self._solution is not None

    def solution_of(self, exercise: str) -> Student:
        """The reference solution of an exercise.

        Raises:
            RuntimeError: There is none here: this is a student's notebook.
        """
        if exercise not in self._solutions:
            if self._solution is None:
                raise RuntimeError("hidden checks run on staff's machines alone")
            self._solutions[exercise] = self._solution(exercise)
        return self._solutions[exercise]

    def _confirm_of(self, item: pytest.Item) -> Callable[..., None]:
        """Compare what a public check was told with the solution: `confirm("name of a function", ...)`.

        Some answers are facts about student code that its own process states, gradients say, and that process may
        lie. On staff's machines `hidden/confirm.py` beside the public suites holds them to the values that the
        solution gives; in a student's notebook, where nobody gains by lying, nothing is compared.
        """
        if not self.graded:
            return lambda *_: None
        confirm = module_at(item.path.parents[1] / "hidden" / "confirm.py")
        solution = self.solution_of(exercise_of(item))
        return lambda name, *told: getattr(confirm, name)(solution, *told)

    def _stored_of(self, item: pytest.Item) -> Mapping[str, torch.Tensor]:
        folder = "public" if is_public(item) else "hidden"
        key = f"{folder}/{exercise_of(item)}.safetensors"
        if key not in self._stored:
            self._stored[key] = safetensors.torch.load_file(self._reference / key)
        return Copies(self._stored[key])

    _student, _solution_fixture, _confirm = _asked("student"), _asked("solution"), _asked("confirm")
    _ours, _graded, _rng, _stored_fixture = _asked("ours"), _asked("graded"), _asked("rng"), _asked("stored")

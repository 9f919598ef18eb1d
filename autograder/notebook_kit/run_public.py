"""Runs the public checks on the code of a notebook, in the notebook's own process, and leaves no trace there."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.runner import SuitePlugin, collect
from autograder.checks.student import LocalStudent
from autograder.notebook_kit.handout import SHIPPED, Handout
from autograder.runtime.loading import bind, stand_in_module, unbind

# The last verdict on each exercise in this process, and the objects that it is about.
_LAST: dict[str, tuple[ExerciseResult, list[Any]]] = {}


def check_exercise(given: Handout, exercise: str, namespace: dict[str, Any]) -> ExerciseResult:
    """Run the public checks of one exercise on a notebook's globals, which are as they were afterwards."""
    task = given.tasks[exercise]
    result = ExerciseResult(exercise, task.title, task.points)
    with _random_state_kept():
        result.checks = run_public(exercise, namespace, list(task.canned), given.suites, given.reference)
    _LAST[exercise] = (result, _code(given, namespace))
    return result


def last_verdict(given: Handout, exercise: str, namespace: dict[str, Any]) -> ExerciseResult | None:
    """The last verdict on an exercise, if nothing of the notebook's code was defined anew since; else None."""
    result, seen = _LAST.get(exercise, (None, []))
    now = _code(given, namespace)
    same = len(now) == len(seen) and all(one is other for one, other in zip(now, seen, strict=True))
    return result if same else None


def run_public(
    exercise: str,
    namespace: dict[str, Any],
    canned: list[str],
    suites: Path = SHIPPED / "suites",
    reference: Path = SHIPPED / "reference",
) -> list[CheckResult]:
    """Run the public checks of one exercise on a namespace.

    Args:
        exercise: Its id.
        namespace: The notebook's globals; as they were again afterwards.
        canned: Names that `public/stand_ins.py` of the suites replaces meanwhile.
        suites: Folder of the suites.
        reference: Folder of their stored tensors.
    """
    results: list[CheckResult] = []

    def serve(plugin: SuitePlugin) -> None:
        results.extend(plugin.run(exercise, LocalStudent(namespace), seed=0))

    plugin = SuitePlugin(reference, serve)
    quiet = io.StringIO()
    before: dict[str, Any] = {}
    if canned:
        code = (suites / "public" / "stand_ins.py").read_text(encoding="utf-8")
        before = bind(namespace, stand_in_module({"code": code}), canned)
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            collect([suites / "public"], plugin)
    finally:
        unbind(namespace, before)
    return results


def _code(given: Handout, namespace: dict[str, Any]) -> list[Any]:
    """The objects that all of a student's names stand for: an exercise leans on earlier ones."""
    return [namespace.get(name) for name in given.names]


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """A check must not change what the notebook draws at random afterwards."""
    with torch.random.fork_rng(enabled=True):
        yield

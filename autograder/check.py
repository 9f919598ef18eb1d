"""`check("7.1d")`: the public checks, in the student's own notebook."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch

from autograder.loading import bind, stand_in_module, unbind
from autograder.panel import show_panel
from autograder.result import CheckResult, ExerciseResult
from autograder.student import LocalStudent
from autograder.suites.plugin import SuitePlugin, collect

PACKAGE = Path(__file__).resolve().parent


def check(exercise: str, namespace: dict[str, Any] | None = None) -> None:
    """Run the public checks of an exercise on the code of this notebook and show what they say.

    Args:
        exercise: Its id, such as "7.1d".
        namespace: Where the code lives; the caller's globals if left out.
    """
    known = _exercises()
    if exercise not in known:
        print(f'There is no graded exercise "{exercise}". There are: {", ".join(known)}.')
        return
    if namespace is None:
        namespace = sys._getframe(1).f_globals
    entry = known[exercise]
    result = ExerciseResult(exercise, entry["title"], entry["points"])
    with _random_state_kept():
        result.checks = run_public(exercise, namespace, entry["canned"])
    show_panel(result)


def run_public(exercise: str, namespace: dict[str, Any], canned: list[str]) -> list[CheckResult]:
    """Run the public checks of one exercise on a namespace.

    Args:
        exercise: Its id.
        namespace: The notebook's globals; as they were again afterwards.
        canned: Names that `suites/public/stand_ins.py` replaces meanwhile.
    """
    results: list[CheckResult] = []

    def serve(plugin: SuitePlugin) -> None:
        results.extend(plugin.run(exercise, LocalStudent(namespace), seed=0))

    plugin = SuitePlugin(_reference(), serve)
    quiet = io.StringIO()
    before: dict[str, Any] = {}
    if canned:
        code = (_suites() / "public" / "stand_ins.py").read_text(encoding="utf-8")
        before = bind(namespace, stand_in_module({"code": code}), canned)
    try:
        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            collect([_suites() / "public"], plugin)
    finally:
        unbind(namespace, before)
    return results


def _exercises() -> dict[str, Any]:
    """Title and points by id: from the students' wheel, or from the course where this is the full kit."""
    shipped = PACKAGE / "exercises.json"
    if shipped.is_file():
        return dict(json.loads(shipped.read_text(encoding="utf-8")))
    from autograder.assignment import load_assignment

    return {e.id: {"title": e.title, "points": e.points, "canned": list(e.canned)} for e in load_assignment().exercises}


def _suites() -> Path:
    return PACKAGE / "suites"


def _reference() -> Path:
    return PACKAGE / "reference"


@contextlib.contextmanager
def _random_state_kept():  # type: ignore[no-untyped-def]
    """A check must not change what the notebook draws at random afterwards."""
    with torch.random.fork_rng(enabled=True):
        yield

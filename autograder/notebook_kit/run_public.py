"""Runs the public checks on the code of a notebook, in the notebook's own process, and leaves no trace there."""

from __future__ import annotations

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import torch

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import LocalStudent
from autograder.notebook_kit.handout import SHIPPED, Handout
from autograder.notebook_kit.two_ways import one_verdict, warn_of_written_out, worth_another_run
from autograder.runtime.loading import stand_in_module
from autograder.runtime.notebook_device import default_device, notebook_device, on_the_cpu, random_state_kept
from autograder.runtime.stand_ins import Undo, bind, unbind

_CPU = torch.device("cpu")
_STOPPED = ("error", "missing")
# The last verdict on each exercise in this process, and the objects that it is about.
_LAST: dict[str, tuple[ExerciseResult, list[Any]]] = {}


def check_exercise(given: Handout, exercise: str, namespace: dict[str, Any]) -> ExerciseResult:
    """Run the public checks of one exercise on a notebook's globals, which are as they were afterwards."""
    task = given.tasks[exercise]
    result = ExerciseResult(exercise, task.title, task.points)
    with random_state_kept(notebook_device(namespace)):
        result.checks = run_public(exercise, namespace, list(task.canned), given.suites, given.reference)
    warn_of_written_out(result.checks, _code(given, namespace))
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
    device: torch.device | None = None,
) -> list[CheckResult]:
    """Run the public checks of one exercise on a namespace.

    In a notebook that works on a GPU they run twice, on the CPU and there, and come to one verdict, see `two_ways.py`:
    right code passes in whichever way it finds its device. Elsewhere they run once.

    Args:
        exercise: Its id.
        namespace: The notebook's globals; as they were again afterwards.
        canned: Names that `public/stand_ins.py` of the suites replaces meanwhile.
        suites: Folder of the suites.
        reference: Folder of their stored tensors.
        device: Where the checks are to run, once, if that is not for the notebook to say: the CPU, or a GPU that the
            notebook's globals name already.
    """
    once = functools.partial(_run_once, exercise, namespace, canned, suites, reference, device)
    results = once(own=False)
    if canned and any(result.status in _STOPPED for result in results):
        again = once(own=True)  # what is right may look into networks of its own, where the canned ones have nothing
        return max(results, again, key=lambda found: sum(result.earned for result in found))
    return results


def _run_once(
    exercise: str,
    namespace: dict[str, Any],
    canned: list[str],
    suites: Path,
    reference: Path,
    device: torch.device | None,
    *,
    own: bool,
) -> list[CheckResult]:
    """Run them with canned networks in place; with `own` these are made as the notebook's own classes make them."""
    results: list[CheckResult] = []

    def serve(plugin: SuitePlugin) -> None:
        results.extend(_served(plugin, exercise, namespace, device, default))

    plugin = SuitePlugin(reference, serve)
    quiet = io.StringIO()
    undo: Undo = []
    if canned:
        code = (suites / "public" / "stand_ins.py").read_text(encoding="utf-8")
        undo = bind(namespace, stand_in_module({"code": code}), canned, own=own)
    default = torch.get_default_device()
    try:
        # Suites make their own tensors on the CPU, whatever default the notebook has.
        with default_device(_CPU), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            collect([suites / "public"], plugin)
    finally:
        unbind(undo)
    return results


def _served(
    plugin: SuitePlugin,
    exercise: str,
    namespace: dict[str, Any],
    device: torch.device | None,
    default: torch.device,
) -> list[CheckResult]:
    """Run the checks where they are to run: in the one place given, or wherever the notebook has it."""
    there = notebook_device(namespace) if device is None else device
    if device is not None and device != _CPU:
        return plugin.run(exercise, LocalStudent(namespace, device, default), seed=0)
    with on_the_cpu(namespace):
        results = plugin.run(exercise, LocalStudent(namespace), seed=0)
    if there is None or there == _CPU:
        return results
    student, again = LocalStudent(namespace, there, default), {}
    for result in results:
        if worth_another_run(result):
            (again[result.name],) = plugin.run(exercise, student, seed=0, only=result.name)
    return one_verdict(results, again, there)


def _code(given: Handout, namespace: dict[str, Any]) -> list[Any]:
    """The objects that all of a student's names stand for: an exercise leans on earlier ones."""
    return [namespace.get(name) for name in given.names]

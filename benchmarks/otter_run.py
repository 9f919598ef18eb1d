"""Grading a few submissions: `otter run` against `fcoskit grade`, the same notebooks, in one run.

Otter runs a notebook's cells, which end in the public checks, and then a test of its own for each exercise: that the
exercise's names are defined. It takes one notebook a command, and has no sandbox outside Docker. We run the public and
the hidden checks, in a sandbox. Both are timed as a person would: from the command to the last grade.

otter-grader is no part of the kit's environment. It may be installed beside it, and is found through PYTHONPATH:
`pip install --target otter otter-grader`, then `PYTHONPATH=otter python benchmarks/otter_run.py`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbgrader_autograde import kit, small_notebook
from record import record

from autograder.course.assignment import Assignment, load_assignment

_TEST = """OK_FORMAT = True

test = {{
    "name": "{name}",
    "points": {points:g},
    "suites": [
        {{
            "cases": [{{"code": ">>> all(callable(f) for f in ({names},))\\nTrue", "hidden": False, "locked": False}}],
            "scored": True,
            "setup": "",
            "teardown": "",
            "type": "doctest",
        }}
    ],
}}
"""


def write_tests(assignment: Assignment, folder: Path) -> int:
    """One of Otter's test files for each quick exercise; returns how many."""
    folder.mkdir()
    quick = [exercise for exercise in assignment.exercises if not exercise.slow]
    for exercise in quick:
        name = exercise.grade_id.replace("-", "_")
        text = _TEST.format(name=name, points=exercise.points, names=", ".join(exercise.names))
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return len(quick)


def otter(assignment: Assignment, notebook: Any, folder: Path, copies: int) -> float:
    """Seconds of `otter run` over the notebooks, one after the other."""
    count = write_tests(assignment, folder / "tests")
    _otter(folder, "generate", "--tests-dir", "tests", "--output-path", "autograder.zip", "--no-environment")
    paths = []
    for copy in range(copies):
        paths.append(folder / "submitted" / f"student{copy:03d}" / assignment.id / f"{assignment.notebook}.ipynb")
        paths[-1].parent.mkdir(parents=True)
        nbformat.write(notebook, paths[-1])
    started = time.perf_counter()
    for path in paths:
        _otter(folder, "run", "--autograder", "autograder.zip", "--output-dir", str(path.parent), str(path))
    seconds = time.perf_counter() - started
    for path in paths:
        tests = json.loads((path.parent / "results.json").read_text(encoding="utf-8"))["tests"]
        passed = [test for test in tests if test.get("max_score") and test["score"] == test["max_score"]]
        assert len(passed) == count, f"Otter passes {len(passed)} of {count} tests"
    return seconds


def _otter(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "otter", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=1, help="slots of ours; Otter has one process")
    options = parser.parse_args()
    if importlib.util.find_spec("otter") is None:
        print("  skipped: otter-grader is not installed (pip install --target otter otter-grader; PYTHONPATH=otter)")
        return
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = otter(assignment, small_notebook(assignment), folder, options.copies)
        ours, _ = kit(assignment, folder / "submitted", folder / "out", options.jobs)
    print(f"{options.copies} submissions, 7.1 (j) left out")
    print(f"  otter run (cells and public checks, no sandbox): {theirs:.1f} s")
    print(f"  fcoskit grade --jobs {options.jobs} (all checks, sandboxed): {ours:.1f} s")
    print(f"  {theirs / ours:.1f} times as many a minute")
    results = {"submissions": options.copies, "otter_s": theirs, "kit_s": ours, "throughput_ratio": theirs / ours}
    record("otter_run", results)


if __name__ == "__main__":
    main()

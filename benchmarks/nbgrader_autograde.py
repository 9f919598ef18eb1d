"""Grading a class: `nbgrader autograde` as it comes against `fcoskit grade`, the same notebooks, in one run.

The notebooks are the solution without what trains, loads data or draws, and without 7.1 (j). nbgrader runs their
cells, which end in the public checks; we run the public and the hidden ones, in a sandbox. Both are timed as a
person would: from the command to the last grade, start-up included; and CPU seconds of all processes are counted.
Nearly all of nbgrader's start-up comes with each submission (a kernel, imports), ours once a run: so we grade a class
of the same size, and a larger one.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import psutil
from record import record

from autograder.course.assignment import Assignment, load_assignment
from autograder.course.notebook import solved_notebook
from autograder.intake.submissions import find_submissions
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import open_slots

_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
_STOCK = "c = get_config()\nc.CourseDirectory.db_url = 'sqlite:///gradebook.db'\n"


def small_notebook(assignment: Assignment) -> Any:
    """The solution's imports, constants, definitions and check cells, without those of slow exercises."""
    notebook = solved_notebook(assignment)
    slow = {f'check("{exercise.id}")' for exercise in assignment.exercises if exercise.slow}
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code" and _stays(cell.source, slow)]
    return notebook


def _stays(source: str, slow: set[str]) -> bool:
    if source.strip() in slow:
        return False
    tree = ast.parse(source).body
    constants = all(isinstance(node, ast.Assign) for node in tree[:-1]) and source.startswith("NUM_CLASSES")
    return all(isinstance(node, _DEFINES) for node in tree) or constants or source.startswith(("import", "check("))


def stock_nbgrader(notebook: Any, folder: Path, copies: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, of `nbgrader autograde` over a class."""
    (folder / "source" / "ps7").mkdir(parents=True)
    nbformat.write(notebook, folder / "source" / "ps7" / "fcos.ipynb")
    (folder / "nbgrader_config.py").write_text(_STOCK, encoding="utf-8")
    _nbgrader(folder, "generate_assignment", "ps7")
    for copy in range(copies):
        place = folder / "submitted" / f"student{copy:03d}" / "ps7"
        place.mkdir(parents=True)
        nbformat.write(notebook, place / "fcos.ipynb")
    started, before = time.perf_counter(), _children()
    _nbgrader(folder, "autograde", "ps7")
    return time.perf_counter() - started, _children() - before


def kit(assignment: Assignment, submitted: Path, out: Path, jobs: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, of our grading of the same class."""
    found, _ = find_submissions([submitted], assignment.notebook, assignment.id)
    slow = tuple(exercise.id for exercise in assignment.exercises if exercise.slow)
    found = [dataclasses.replace(submission, skip=slow) for submission in found]
    started, own = time.perf_counter(), time.process_time()
    with open_slots(assignment, "auto", out.parent / "grade.log", jobs) as slots:
        run = grade_submissions(assignment, found, out, slots=slots)
        seconds = time.perf_counter() - started
        family = psutil.Process().children(recursive=True)
        used = sum(sum(process.cpu_times()[:4]) for process in family)  # with children that have ended
    full = assignment.max_score - sum(exercise.points for exercise in assignment.exercises if exercise.slow)
    assert all(report.score == full for report in run.reports.values()), "the solution lost points"
    return seconds, used + time.process_time() - own


def enlarged(submitted: Path, folder: Path, size: int) -> Path:
    """A class of so many, of the same notebook."""
    data = next(submitted.glob("*/ps7/fcos.ipynb")).read_bytes()
    folder.mkdir()
    for copy in range(size):
        (folder / f"student{copy:04d}.ipynb").write_bytes(data)
    return folder


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _nbgrader(folder: Path, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # it calls alembic
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path}
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--times", type=int, default=10, help="how much larger our larger class is")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs, their_cpu = stock_nbgrader(small_notebook(assignment), folder / "course", arguments.copies)
        rows = [("nbgrader autograde (public checks, no sandbox)", arguments.copies, theirs, their_cpu)]
        what = f"fcoskit grade --jobs {arguments.jobs} (all checks, sandboxed)"
        for size in (arguments.copies, arguments.times * arguments.copies):
            submitted = enlarged(folder / "course" / "submitted", folder / f"class{size}", size)
            rows.append((what, size, *kit(assignment, submitted, folder / f"out{size}", arguments.jobs)))
    print(f"\n{'7.1 (j) left out':50} {'class':>6} {'seconds':>9} {'CPU seconds':>12} {'a minute':>9}")
    for what, size, seconds, cpu in rows:
        print(f"{what:50} {size:6} {seconds:9.1f} {cpu:12.1f} {60 * size / seconds:9.1f}")
    _, size, seconds, cpu = rows[0]
    results: dict[str, float] = {f"nbgrader_{size}_s": seconds, f"nbgrader_{size}_cpu_s": cpu}
    for _, our_size, our_seconds, our_cpu in rows[1:]:
        faster, cheaper = our_size / our_seconds * seconds / size, our_cpu / our_size / (cpu / size)
        print(f"  class of {our_size}: {faster:.1f} times as many a minute, for {cheaper:.2f} of the CPU time each")
        results |= {f"kit_{our_size}_s": our_seconds, f"kit_{our_size}_cpu_s": our_cpu}
        results |= {f"throughput_{our_size}_ratio": faster, f"cpu_each_{our_size}_ratio": cheaper}
    record("nbgrader_autograde", results)


if __name__ == "__main__":
    main()

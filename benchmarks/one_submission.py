"""From a submission to its verdict: one right notebook, graded by the command, and by a slot that is up already.

The command is what a student waits for on a service that starts a container for each upload; the slot what the last
one of a class waits for. Both by the clock, 7.1 (j) included unless `--quick`, in one run with the time that a process
takes to import torch and torchvision.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from classes import solutions
from record import record

from autograder.course.assignment import load_assignment
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import open_slots


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="leave 7.1 (j) out where a slot grades")
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    assignment = load_assignment("ps7", root)
    warm: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = solutions(assignment, folder / "class", 1)
        command = [
            sys.executable,
            "-m",
            "autograder.commands.cli",
            "grade",
            str(folder / "class"),
            "--out",
            str(folder / "cold"),
        ]
        cold = _seconds(command, root)
        imports = _seconds([sys.executable, "-c", "import torch, torchvision"], root)
        if not options.quick:
            found = [dataclasses.replace(submission, skip=()) for submission in found]
        with open_slots(assignment, "auto", folder / "grade.log", 1) as slots:
            for number in range(options.rounds + 1):
                started = time.perf_counter()
                run = grade_submissions(assignment, found, folder / f"out{number}", slots=slots)
                warm.append(time.perf_counter() - started)
                assert all(report.score for report in run.reports.values())
    ready = statistics.median(warm[1:])
    what = "without (j)" if options.quick else "all exercises"
    print(f"one right submission: {cold:.1f} s by the command, {ready:.1f} s in a slot that is up ({what})")
    print(f"  the command takes {cold / imports:.1f} times what importing torch and torchvision does ({imports:.1f} s)")
    print(f"  a slot that is up takes {ready / cold:.2f} of the command's time")
    results = {"command_s": cold, "slot_s": ready, "imports_s": imports, "command_to_imports_ratio": cold / imports}
    record("one_submission", results | {"slot_to_command_ratio": ready / cold, "slot_exercises": what})


def _seconds(command: list[str], root: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

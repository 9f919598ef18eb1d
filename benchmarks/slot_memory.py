"""Memory of a slot over 200 submissions: the grading process and its sandbox's preloader, early against late.

Right, blank, crashing, hoarding and littering submissions take turns, in all exercises but the one that trains.
Counted is memory that is a process's own (unique set size). The first fifth of them warms up; then the least of the
last tenth may be a twentieth more than the least of the tenth that follows. The least, because what a submission
leaves for the collector comes and goes.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import nbformat
import psutil
import torch
from record import record

from autograder.checks.collecting import collect
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import Assignment, load_assignment
from autograder.course.notebook import solved_notebook
from autograder.grading import engine
from autograder.grading.substitutes import load_solution
from autograder.report.blank import blank_report
from autograder.sandbox.host import Host

LIMIT = 1.05
SPOILED = """
def get_fpn_location_coords(*args, **kwargs):
    {}
"""
FAULTS = (
    "import os; os._exit(0)",
    "kept = [bytearray(2**22) for _ in range(50)]; raise ValueError('x' * 10**6)",
    "import os; os.makedirs('/tmp/a/b'); open('/tmp/a/b/c', 'wb').write(bytes(2**20)); print('y' * 10**6)",
)


def megabytes(process: psutil.Process) -> float:
    """What is this process's alone."""
    return float(process.memory_full_info().uss) / 2**20


def notebooks(assignment: Assignment) -> list[bytes]:
    """A right one, an empty one, and right ones with a function that misbehaves."""
    right = solved_notebook(assignment)
    made = [nbformat.writes(right).encode(), nbformat.writes(nbformat.v4.new_notebook()).encode()]
    for fault in FAULTS:
        spoiled = nbformat.from_dict({**right, "cells": [*right.cells]})
        spoiled.cells.append(nbformat.v4.new_code_cell(SPOILED.format(fault)))
        made.append(nbformat.writes(spoiled).encode())
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=200)
    count = parser.parse_args().submissions
    torch.set_num_threads(1)
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    assignment = dataclasses.replace(assignment, exercises=tuple(e for e in assignment.exercises if not e.slow))
    data = notebooks(assignment)
    slot: list[float] = []
    preloader: list[float] = []

    def serve(plugin: SuitePlugin) -> None:
        host = Host(assignment)
        host.clean(host.spawn())
        assert host.pid is not None
        first, ours = host.pid, psutil.Process()
        inside = psutil.Process(first).children(recursive=True)[-1]
        for number in range(count):
            report = blank_report(assignment, "ada", "fcos.ipynb", "", number)
            engine.grade_notebook(assignment, plugin, report, data[number % len(data)], ".ipynb", host)
            slot.append(megabytes(ours))
            preloader.append(megabytes(inside))
        assert host.pid == first, "the sandbox was replaced"
        host.close()

    plugin = SuitePlugin(assignment.reference, serve, lambda e: load_solution(assignment, assignment.exercise(e)))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    tenth = max(1, count // 10)
    results: dict[str, float] = {"submissions": count}
    for name, values in (("slot", slot), ("preloader", preloader)):
        early, late = min(values[2 * tenth : 3 * tenth]), min(values[-tenth:])
        print(f"\n{name}: {early:.0f} MB early, {late:.0f} MB after {count} submissions")
        print(f"  ratio {late / early:.3f}, at most {LIMIT:.2f} is asked")
        results |= {f"{name}_early_mb": early, f"{name}_late_mb": late, f"{name}_ratio": late / early}
    record("slot_memory", results)


if __name__ == "__main__":
    main()

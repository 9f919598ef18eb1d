"""CPU seconds that grading a right submission takes, without (j): against one second, and against importing torch.

Counted are the slot's process and all of the sandbox's, once both have imported what they need; the median of some
rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import torch
from record import record

from autograder.checks.collecting import collect
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import load_assignment
from autograder.course.notebook import solved_notebook
from autograder.grading import engine
from autograder.grading.substitutes import load_solution
from autograder.report.blank import blank_report
from autograder.sandbox.host import Host

LIMIT = 1.0


def sandbox_seconds(host: Host) -> float:
    """CPU seconds that a host's sandbox has used so far: the preloader, and all workers that it has reaped."""
    assert host.pid is not None
    preloader = psutil.Process(host.pid).children(recursive=True)[-1]
    return float(sum(preloader.cpu_times()[:4]))  # user, system, and the same of children


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    assignment = dataclasses.replace(assignment, exercises=tuple(e for e in assignment.exercises if not e.slow))
    data = nbformat.writes(solved_notebook(assignment)).encode()
    ours: list[float] = []
    theirs: list[float] = []

    def serve(plugin: SuitePlugin) -> None:
        host = Host(assignment)
        host.clean(host.spawn())
        for _ in range(rounds + 1):  # the first one warms up
            used, started = sandbox_seconds(host), time.process_time()
            report = blank_report(assignment, "ada", "fcos.ipynb", "", 1)
            engine.grade_notebook(assignment, plugin, report, data, ".ipynb", host)
            assert report.score == assignment.max_score, report.score
            ours.append(time.process_time() - started)
            theirs.append(sandbox_seconds(host) - used)
        host.close()

    plugin = SuitePlugin(assignment.reference, serve, lambda e: load_solution(assignment, assignment.exercise(e)))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    slot, student = statistics.median(ours[1:]), statistics.median(theirs[1:])
    least = min(map(sum, zip(ours[1:], theirs[1:], strict=True)))
    imports = _imports()
    print(f"\na right submission without (j): {slot + student:.2f} CPU s (slot {slot:.2f}, sandbox {student:.2f})")
    print(f"  {(slot + student) / LIMIT:.2f} of the limit of {LIMIT:g} s; in the least disturbed round {least:.2f} s")
    print(f"  {(slot + student) / imports:.2f} of what importing torch and torchvision takes ({imports:.2f} s)")
    results = {"slot_cpu_s": slot, "sandbox_cpu_s": student, "imports_cpu_s": imports}
    ratios = {"to_limit_ratio": (slot + student) / LIMIT, "to_imports_ratio": (slot + student) / imports}
    record("suites", results | ratios)


def _imports() -> float:
    """CPU seconds of a process that does nothing but import."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import torch, torchvision"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

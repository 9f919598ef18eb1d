"""CPU seconds that grading a right submission takes, without (j): against one second, and against importing torch.

Counted are the slot's process and the student's, once both have imported what they need; the median of some rounds.
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
import torch

from autograder import engine
from autograder.assignment import load_assignment
from autograder.follow import load_solution
from autograder.sandbox.host import Host
from autograder.source import solved_notebook
from autograder.suites.plugin import SuitePlugin, collect

LIMIT = 1.0


class CountingHost(Host):
    """A host that adds up what its workers have used."""

    used = 0.0
    _last = 0.0

    def cpu_seconds(self) -> float:
        """See `Host`; keeps the account."""
        now = super().cpu_seconds()
        self.used += now - self._last if now >= self._last else now  # a new worker starts from zero
        self._last = now
        return now


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
        host = CountingHost(assignment)
        for _ in range(rounds + 1):  # the first one warms up
            host.used, started = 0.0, time.process_time()
            report = engine.blank_report(assignment, "ada", "fcos.ipynb", "", 1)
            engine.grade_notebook(assignment, plugin, report, data, ".ipynb", host)
            assert report.score == assignment.max_score, report.score
            ours.append(time.process_time() - started)
            theirs.append(host.used)
        host.close()

    plugin = SuitePlugin(assignment.reference, serve, lambda e: load_solution(assignment, assignment.exercise(e)))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    slot, student = statistics.median(ours[1:]), statistics.median(theirs[1:])
    imports = _imports()
    print(
        f"\na right submission without (j): {slot + student:.2f} CPU s (slot {slot:.2f}, student's code {student:.2f})"
    )
    print(f"  {(slot + student) / LIMIT:.2f} of the limit of {LIMIT:g} s")
    print(f"  {(slot + student) / imports:.2f} of what importing torch and torchvision takes ({imports:.2f} s)")


def _imports() -> float:
    """CPU seconds of a process that does nothing but import."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import torch, torchvision"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

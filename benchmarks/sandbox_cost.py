"""What the sandbox costs: the same submission graded in bubblewrap and without a sandbox, turn by turn, in one run.

CPU seconds of the slot's process and of the sandbox's together, once both have imported what they need. Under a tenth
more is asked.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
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

LIMIT = 1.10


def preloader_seconds(host: Host) -> float:
    """CPU seconds of a host's preloader and of all workers that it has reaped."""
    assert host.pid is not None
    started = psutil.Process(host.pid)
    chain = [started, *started.children(recursive=True)]  # bubblewrap waits outside, PID 1 is the last
    return float(sum(chain[-1].cpu_times()[:4]))  # user, system, and the same of children


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    assignment = dataclasses.replace(assignment, exercises=tuple(e for e in assignment.exercises if not e.slow))
    data = nbformat.writes(solved_notebook(assignment)).encode()
    taken: dict[str, list[float]] = {"none": [], "bwrap": []}

    def serve(plugin: SuitePlugin) -> None:
        hosts = {kind: Host(assignment, kind) for kind in taken}
        for host in hosts.values():
            host.clean(host.spawn())
        for _ in range(rounds + 1):  # the first one warms up
            for kind, host in hosts.items():
                used, started = preloader_seconds(host), time.process_time()
                report = blank_report(assignment, "ada", "fcos.ipynb", "", 1)
                engine.grade_notebook(assignment, plugin, report, data, ".ipynb", host)
                assert report.score == assignment.max_score, report.score
                taken[kind].append(time.process_time() - started + preloader_seconds(host) - used)
        for host in hosts.values():
            host.close()

    plugin = SuitePlugin(assignment.reference, serve, lambda e: load_solution(assignment, assignment.exercise(e)))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    open_, closed = (statistics.median(taken[kind][1:]) for kind in ("none", "bwrap"))
    print(f"\na right submission without (j): {closed:.2f} CPU s in bubblewrap, {open_:.2f} without a sandbox")
    print(f"  ratio {closed / open_:.3f}, at most {LIMIT:.2f} is asked")
    record("sandbox_cost", {"bwrap_cpu_s": closed, "none_cpu_s": open_, "bwrap_to_none_ratio": closed / open_})


if __name__ == "__main__":
    main()

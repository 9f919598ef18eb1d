"""How grading scales: over slots of one process, and over workers of a Dask cluster on the same machine, in one run.

Right submissions without 7.1 (j); all slots are started before, so that the ratio says what a slot more is worth. Half
as many slots as cores, and all, by default. The cluster is measured where `distributed` is installed, and says what the
way over scheduler and bytes costs against as many slots of one process.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from classes import solutions
from record import record

from autograder.course.assignment import Assignment, load_assignment
from autograder.intake.submissions import Submission
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import open_slots


def in_slots(assignment: Assignment, found: list[Submission], folder: Path, count: int) -> float:
    """Submissions a second with that many slots."""
    with open_slots(assignment, "auto", folder / "grade.log", count) as slots:
        grade_submissions(assignment, found[:count], folder / f"warm{count}", slots=slots)
        started = time.perf_counter()
        run = grade_submissions(assignment, found, folder / f"slots{count}", slots=slots)
        seconds = time.perf_counter() - started
    assert run.exit_code == 0
    return len(found) / seconds


def on_cluster(assignment: Assignment, found: list[Submission], folder: Path, count: int) -> float:
    """The same with that many workers of one thread each."""
    with _workers(count) as address:
        grade_submissions(assignment, found[:count], folder / f"cold{count}", scheduler=address)
        started = time.perf_counter()
        run = grade_submissions(assignment, found, folder / f"workers{count}", scheduler=address)
        seconds = time.perf_counter() - started
    assert run.exit_code == 0
    return len(found) / seconds


@contextlib.contextmanager
def _workers(count: int) -> Iterator[str]:
    import distributed

    with distributed.LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def main() -> None:
    """Measure and print."""
    cores = os.cpu_count() or 2
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=12)
    parser.add_argument("--slots", type=int, nargs="+", default=sorted({1, max(1, cores // 2), cores}))
    parser.add_argument("--no-cluster", action="store_true")
    options = parser.parse_args()
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = solutions(assignment, folder / "class", options.submissions)
        rates = {count: in_slots(assignment, found, folder, count) for count in options.slots}
        first, most = options.slots[0], options.slots[-1]
        for count, rate in rates.items():
            gain = rate / rates[first]
            print(f"{count:3d} slots: {60 * rate:6.1f} submissions a minute, {gain:.2f} times as many as {first}")
            results |= {f"slots_{count}_per_minute": 60 * rate, f"slots_{count}_ratio": gain}
        if options.no_cluster or importlib.util.find_spec("distributed") is None:
            print('  no cluster: pip install "distributed>=2026.8"')
        else:
            rate = on_cluster(assignment, found, folder, most)
            print(f"{most:3d} workers of a cluster: {60 * rate:6.1f} a minute, {rate / rates[most]:.2f} of the slots'")
            results |= {f"workers_{most}_per_minute": 60 * rate, "workers_to_slots_ratio": rate / rates[most]}
    record("scaling", results)


if __name__ == "__main__":
    main()

"""What it takes until so many slots have graded something: forked from one process that has imported all, or each new.

By the clock, in CPU seconds of all our processes, and in memory that they hold together, shared pages counted once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path

import psutil
from classes import blanks
from record import record

from autograder.course.assignment import Assignment, load_assignment
from autograder.intake.submissions import Submission
from autograder.runs.slots import Slot
from autograder.sandbox import probe


def started(assignment: Assignment, found: list[Submission], folder: Path, forked: bool) -> tuple[float, float, float]:
    """Seconds, CPU seconds and bytes until as many slots as submissions have graded one each."""
    kind = probe.choose("auto").kind
    slots = [Slot(assignment, kind, folder / "grade.log", forked=forked) for _ in found]
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # the next one is started, and timed, anew
    began = time.perf_counter()
    with ThreadPoolExecutor(len(slots)) as pool:
        list(pool.map(Slot.start, slots))
        reports = list(pool.map(lambda slot, one: slot.grade(one, 1), slots, found))
    seconds = time.perf_counter() - began
    assert all(report.score is not None for report in reports)
    family = psutil.Process(os.getpid()).children(recursive=True)
    cpu = sum(sum(process.cpu_times()[:4]) for process in family)
    memory = sum(process.memory_full_info().pss for process in family)
    for slot in slots:
        slot.close()
    return seconds, cpu, memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=max(2, os.cpu_count() or 2))
    count = parser.parse_args().slots
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = blanks(assignment, folder / "class", count)
        new, forked = (started(assignment, found, folder, how) for how in (False, True))
    ratios = [ours / theirs for ours, theirs in zip(forked, new, strict=True)]
    for what, (seconds, cpu, memory) in {"each new": new, "forked": forked}.items():
        print(f"{count} slots, {what}: {seconds:.1f} s by the clock, {cpu:.1f} CPU s, {memory / 2**20:.0f} MB")
    print(f"  forked: {ratios[0]:.2f} of the clock, {ratios[1]:.2f} of the CPU time, {ratios[2]:.2f} of the memory")
    results = {"seconds": forked[0], "cpu_s": forked[1], "megabytes": forked[2] / 2**20}
    record("slot_start", results | dict(zip(("clock_ratio", "cpu_ratio", "memory_ratio"), ratios, strict=True)))


if __name__ == "__main__":
    main()

"""What the second reading costs: a class in which half lose points, read once and read twice, beside one that is right.

The wrong half transposes its locations; a cell that reaches names by text leaves the first reading in doubt, without it
that one is certain. All by the clock, in one slot and one run.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import nbformat
from record import record

from autograder.course.assignment import Assignment, load_assignment
from autograder.grading.samples import solved
from autograder.intake.submissions import Submission, find_submissions
from autograder.report.model import Report
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import SlotPool, open_slots

WRONG = ("torch.stack([grid_x, grid_y], dim=-1)", "torch.stack([grid_x.T, grid_y.T], dim=-1)")
IN_DOUBT = "globals()['MY_OWN'] = 1"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=8, help="students in each class")
    options = parser.parse_args()
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    kinds = {"right": (0.0, True), "once": (0.5, False), "twice": (0.5, True)}
    seconds: dict[str, float] = {}
    single: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, open_slots(assignment, "auto", Path(name) / "grade.log", 1) as slots:
        _grade(assignment, _class(assignment, Path(name) / "warm", 1, 0.0, doubt=False), Path(name) / "o", slots)
        for kind, (share, doubt) in kinds.items():
            students = _class(assignment, Path(name) / kind, options.size, share, doubt=doubt)
            seconds[kind], reports = _grade(assignment, students, Path(name) / f"out-{kind}", slots)
            lost = [report for report in reports if any(e.points < e.max_points for e in report.exercises)]
            assert len(lost) == int(share * options.size)
            assert all(any(e.readings for e in report.exercises) == (kind == "twice") for report in lost)
            single[kind] = statistics.median(report.seconds for report in lost) if lost else 0.0
    print(f"a class of {options.size}: {seconds['right']:.1f} s where all are right")
    print(f"  half lose points, read once: {seconds['once'] / seconds['right']:.2f} times that")
    print(f"  half lose points, read twice: {seconds['twice'] / seconds['right']:.2f} times that (limit 2)")
    print(f"  one of those, read twice: {single['twice'] - single['once']:.1f} s longer (limit 15)")
    record("two_readings", {"twice_to_right_ratio": seconds["twice"] / seconds["right"], **seconds})


def _class(assignment: Assignment, folder: Path, size: int, share: float, *, doubt: bool) -> list[Submission]:
    """A class of which a share is wrong; each file differs from the others by a comment."""
    folder.mkdir()
    for number in range(size):
        notebook = copy.deepcopy(solved(assignment))
        notebook.cells.append(nbformat.v4.new_code_cell(f"# student {number}"))
        if doubt:
            notebook.cells.append(nbformat.v4.new_code_cell(IN_DOUBT))
        if number < share * size:
            for cell in notebook.cells:
                cell.source = cell.source.replace(*WRONG)
        nbformat.write(notebook, folder / f"student{number:03d}.ipynb")
    found, _ = find_submissions([folder], assignment.notebook, assignment.id)
    return found


def _grade(
    assignment: Assignment, students: list[Submission], out: Path, slots: SlotPool
) -> tuple[float, list[Report]]:
    started = time.perf_counter()
    run = grade_submissions(assignment, students, out, slots=slots)
    return time.perf_counter() - started, list(run.reports.values())


if __name__ == "__main__":
    main()

"""What a submission costs in a class of 10, 100, 1000: grading it, and finding that it is graded already.

The notebooks define nothing and one exercise is asked for, so that nearly all that is measured is the run itself:
reading, sending, writing reports and pages, the class's table. The slot is started before. Flat is asked: in the
largest class a submission may take a quarter more than in the smallest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from classes import blanks
from record import record

from autograder.course.assignment import load_assignment
from autograder.runs.grade import grade_submissions
from autograder.runs.slot_pool import open_slots

LIMIT = 1.25


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--sandbox", default="auto")
    options = parser.parse_args()
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    graded: dict[int, float] = {}
    known: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_slots(assignment, options.sandbox, folder / "grade.log", 1) as slots:
            warm = blanks(assignment, folder / "warm", 3)
            grade_submissions(assignment, warm, folder / "out-warm", slots=slots)
            for size in options.sizes:
                found = blanks(assignment, folder / f"class{size}", size)
                for times in (graded, known):  # the second time all of it is there
                    started = time.perf_counter()
                    run = grade_submissions(assignment, found, folder / f"out{size}", slots=slots)
                    times[size] = (time.perf_counter() - started) / size
                    assert len(run.reports) == size and run.exit_code == 0
    first, last = options.sizes[0], options.sizes[-1]
    for size in options.sizes:
        print(f"{size:5d} submissions: {1e3 * graded[size]:7.1f} ms each, {1e3 * known[size]:6.2f} ms if known")
    print(f"  {graded[last] / graded[first]:.2f} times as long in the largest class, at most {LIMIT:g} is asked")
    results = {f"graded_{size}_s": seconds for size, seconds in graded.items()}
    results |= {f"known_{size}_s": seconds for size, seconds in known.items()}
    record("class_size", results | {"graded_ratio": graded[last] / graded[first]})


if __name__ == "__main__":
    main()

"""Mutate the instructor's solution with a generic tool, and list the mutants that every check lets pass.

Usage: pip install cosmic-ray==8.7.0; python data_scripts/survivors.py [--jobs N] [--out FILE.json]

cosmic-ray's operators are applied to every line of the solution, one at a time: another operator, another number,
a `not`, a loop that never runs. Each mutant is graded as a submission, without the slow exercises. A survivor is
either as right as the solution, or a fault that the suites miss: somebody has to look at each.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from autograder.commands.front import progress_bar
from autograder.course.assignment import Assignment, load_assignment
from autograder.course.notebook import parted_cells, source_notebook
from autograder.grading.cases import Case, write_case
from autograder.grading.samples import Sample, solved, touched_names
from autograder.runs.grade import grade_submissions

ARITHMETIC = ("Add", "Sub", "Mul", "Div")
OTHERS = (
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "NumberReplacer",
    "ZeroIterationForLoop",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Invert",
)


@dataclass(frozen=True)
class Mutant:
    """A cell of the solved notebook before and after."""

    operator: str
    before: str
    after: str

    @property
    def changed(self) -> list[str]:
        """The lines that differ, as in a diff."""
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def mutants(assignment: Assignment) -> Iterator[Mutant]:
    """Every mutant of a solution line."""
    import cosmic_ray.plugins as plugins
    from cosmic_ray.mutating import mutate_code

    notebook = source_notebook(assignment)
    for cell, parted in zip(solved(assignment).cells, parted_cells(assignment, notebook), strict=True):
        if not parted.solution or cell.cell_type != "code":
            continue
        own = {line.strip() for line in parted.solution}
        seen = {cell.source}
        for name in filter(_is_wanted, plugins.operator_names()):
            operator = plugins.get_operator(name)()
            for occurrence in range(1000):
                code = mutate_code(cell.source, operator, occurrence)
                if code is None:
                    break
                mutant = Mutant(name.removeprefix("core/"), cell.source, code)
                removed = [line[1:].strip() for line in mutant.changed if line.startswith("-")]
                if code not in seen and removed and all(line in own for line in removed):
                    seen.add(code)
                    yield mutant


def _is_wanted(name: str) -> bool:
    short = name.removeprefix("core/")
    if short.startswith("ReplaceBinaryOperator_"):
        return all(part in ARITHMETIC for part in short.split("_")[1:])
    return short.startswith("ReplaceComparisonOperator_") or short in OTHERS


def main() -> int:
    """Grade all mutants, print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="also write them as JSON")
    arguments = parser.parse_args()
    assignment, console = load_assignment("ps7"), Console(soft_wrap=True)
    found = list(mutants(assignment))
    samples = [Sample(f"m{i:04d}", m.operator, changes=((m.before, m.after),)) for i, m in enumerate(found)]
    slow = tuple(exercise.id for exercise in assignment.exercises if exercise.slow)
    with tempfile.TemporaryDirectory(prefix="fcoskit-survivors-") as name, progress_bar(console) as bar:
        written = [write_case(assignment, Case("mutant", s), Path(name) / "in") for s in samples]
        written = [replace(s, skip=tuple({*s.skip, *slow})) for s in written]
        task = bar.add_task("grading", total=len(written))
        run = grade_submissions(
            assignment,
            written,
            Path(name) / "out",
            jobs=arguments.jobs,
            seed=0,
            progress=lambda *_: bar.advance(task),
        )
        scores = [all(e.points == e.max_points for e in run.reports[s.key].exercises) for s in written]
    alive = [
        {"where": sorted(touched_names(assignment, s)), "operator": m.operator, "change": m.changed}
        for s, m, full in zip(samples, found, scores, strict=True)
        if full
    ]
    console.print(f"{len(found)} mutants, {len(found) - len(alive)} caught, {len(alive)} survive:")
    for entry in alive:
        console.print(f"\n{', '.join(entry['where'])}  {entry['operator']}", style="bold", highlight=False)
        for line in entry["change"]:
            console.print(line, markup=False, highlight=False)
    if arguments.out:
        arguments.out.write_text(json.dumps(alive, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

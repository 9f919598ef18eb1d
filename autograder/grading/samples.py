"""Sample submissions: the solved source with a named change each, and what grading must make of them.

`assignment/<id>/samples.toml` describes a small class. The demo grades it for people to look at; the tests
grade it and hold every report to what the file says.
"""

from __future__ import annotations

import ast
import copy
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course.assignment import Assignment
from autograder.course.jupyter import jupytext, nbformat
from autograder.course.notebook import solved_notebook
from autograder.report.files import write_whole
from autograder.report.model import Report
from autograder.runtime.errors import KitError

FORMS = ("ipynb", "py", "md", "release")


@dataclass(frozen=True)
class Sample:
    """One sample submission.

    Attributes:
        student: Its name, which says what it does.
        about: A sentence for people.
        form: One of `FORMS`.
        keeps: If any, the exercises that are done; all other solutions are as the release gives them.
        worthless: No point may be earned; `loses = "all"` says so.
        changes: Pairs of text in the solved source and what takes its place.
        loses: Exercises that must lose points.
        says: Words that the feedback of those exercises must hold.
    """

    student: str
    about: str
    form: str = "ipynb"
    changes: tuple[tuple[str, str], ...] = ()
    loses: frozenset[str] = frozenset()
    says: str = ""
    keeps: frozenset[str] = frozenset()
    worthless: bool = False


def load_samples(assignment: Assignment) -> list[Sample]:
    """Read `samples.toml`.

    Raises:
        KitError: It is not there or not as it should be.
    """
    path = assignment.folder / "samples.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return [read_sample(assignment, entry) for entry in table["sample"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise KitError(f"{path} cannot be used: {error}.") from error


def read_sample(assignment: Assignment, entry: dict[str, Any]) -> Sample:
    """Read one entry of a TOML file of samples, mutants or variants.

    Raises:
        KeyError, TypeError, ValueError: It is not as it should be.
    """
    loses = entry.get("loses", [])
    worthless = loses == "all"
    if worthless:
        loses = [exercise.id for exercise in assignment.exercises]
    form = entry.get("form", "ipynb")
    if form not in FORMS:
        raise ValueError(f"{entry['student']}: no form {form!r}")
    changes = tuple((change["old"], change["new"]) for change in entry.get("change", []))
    keeps = frozenset(entry.get("keeps", []))
    says = entry.get("says", "")
    return Sample(entry["student"], entry["about"], form, changes, frozenset(loses), says, keeps, worthless)


def changed_source(assignment: Assignment, sample: Sample, release: Path) -> Any:
    """The solved notebook with the sample's changes.

    Args:
        assignment: Whose source.
        sample: What to change.
        release: Folder of the release, for what the sample leaves as given.

    Raises:
        KitError: Some `old` does not stand in the source exactly once: the source has moved on.
    """
    notebook = solved(assignment)
    if sample.keeps:
        names = [name for exercise in assignment.exercises if exercise.id in sample.keeps for name in exercise.names]
        released = nbformat.read(release / f"{assignment.notebook}.ipynb", as_version=4)
        for cell, given in zip(notebook.cells, released.cells, strict=True):
            if not any(f"def {name}" in cell.source or f"class {name}" in cell.source for name in names):
                cell.source = given.source
    for old, new in sample.changes:
        holders = [cell for cell in notebook.cells if old in cell.source]
        if sum(cell.source.count(old) for cell in holders) != 1:
            found = sum(cell.source.count(old) for cell in holders)
            raise KitError(
                f"The change of {sample.student}: {old!r} stands {found} times in the solved source, not once. A TA "
                f"has to write it as {assignment.source.name} has it; it lies below {assignment.proof}, or in "
                "samples.toml."
            )
        holders[0].source = holders[0].source.replace(old, new)
    return notebook


def solved_code(assignment: Assignment) -> list[str]:
    """The code cells of the solved notebook."""
    return [cell.source for cell in _solved(assignment).cells if cell.cell_type == "code"]


def touched_names(assignment: Assignment, sample: Sample) -> set[str]:
    """What a sample's changes touch: wanted names, "FCOS.forward" for a method of one.

    Empty if a change lies elsewhere, or there are none.
    """
    touched: set[str] = set()
    cells = solved_code(assignment)
    for old, _ in sample.changes:
        names = {name for cell in cells if old in cell for name in _names_at(assignment, cell, old)}
        if not names or sample.keeps:
            return set()
        touched |= names
    return touched


def _names_at(assignment: Assignment, cell: str, text: str) -> set[str]:
    """The wanted definition that holds a text, with the method if it lies within one."""
    first = cell[: cell.index(text)].count("\n") + 1
    last = first + text.count("\n")
    for node in ast.parse(cell).body:
        if getattr(node, "name", "") in assignment.wanted and node.lineno <= first and last <= (node.end_lineno or 0):
            name = str(getattr(node, "name", ""))
            for part in getattr(node, "body", []) if isinstance(node, ast.ClassDef) else []:
                if isinstance(part, ast.FunctionDef) and part.lineno < first and last <= (part.end_lineno or 0):
                    return {f"{name}.{part.name}"}
            return {name}
    return set()


_SOLVED: dict[bytes, Any] = {}  # reading it takes longer than changing it


def solved(assignment: Assignment) -> Any:
    """A copy of the solved notebook."""
    return copy.deepcopy(_solved(assignment))


def _solved(assignment: Assignment) -> Any:
    """The solved notebook, not to be changed."""
    text = assignment.source.read_bytes()
    if text not in _SOLVED:
        _SOLVED.clear()
        _SOLVED[text] = solved_notebook(assignment)
    return _SOLVED[text]


def write_sample(assignment: Assignment, sample: Sample, folder: Path, release: Path) -> Path:
    """Write one submission as a student would hand it in, `<folder>/<student>.<suffix>`."""
    if sample.form == "release":
        target = folder / f"{sample.student}.ipynb"
        write_whole(target, (release / f"{assignment.notebook}.ipynb").read_bytes())
        return target
    notebook = changed_source(assignment, sample, release)
    write: dict[str, Callable[[Any], str]] = {
        "ipynb": nbformat.writes,
        "py": lambda node: str(jupytext.writes(node, fmt="py:percent")),
        "md": bare_markdown,
    }
    target = folder / f"{sample.student}.{sample.form}"
    write_whole(target, write[sample.form](notebook))
    return target


def bare_markdown(notebook: Any) -> str:
    """A notebook as Markdown with fenced Python and nothing else: no header, ids or metadata."""
    parts = [f"```python\n{c.source}\n```" if c.cell_type == "code" else c.source for c in notebook.cells]
    return "\n\n".join(parts) + "\n"


def unexpected(sample: Sample, report: Report) -> list[str]:
    """How a report differs from what the sample must get; empty if it does not."""
    wrong = []
    if report.score is None:
        return [f"{sample.student}: no score ({report.problem or report.status})"]
    for exercise in report.exercises:
        full = exercise.points == exercise.max_points
        said = " ".join(f"{check.diagnosis} {check.message} {check.details}" for check in exercise.checks)
        if exercise.id in sample.loses:
            if full:
                wrong.append(f"{sample.student}: keeps all points of {exercise.id}")
            elif sample.says and sample.says not in said:
                wrong.append(f"{sample.student}: the feedback of {exercise.id} does not say {sample.says!r}")
        elif not full:
            wrong.append(f"{sample.student}: {exercise.points:g} of {exercise.max_points:g} points for {exercise.id}")
    if sample.worthless and report.score != 0:
        wrong.append(f"{sample.student}: {report.score:g} points, expected 0")
    return wrong

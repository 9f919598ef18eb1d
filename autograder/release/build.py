"""The instructor's source -> the student release, through nbgrader's own assignment generator.

`release/<id>/` holds the notebook with stubs for solutions, the students' wheel and `MANIFEST.json`, and
depends on nothing but its input. A release that leaks, or whose own solution does not get full marks, is
refused and the old one stays as it is.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from rich.console import Console
from traitlets.config import Config

from autograder import __version__
from autograder.course.assignment import Assignment
from autograder.course.jupyter import nbformat
from autograder.runtime.errors import KitError
from autograder.runs.grade import grade_submissions
from autograder.release.imports import missing_imports
from autograder.release.leaks import find_leaks
from autograder.grading.record import refuse_failing
from autograder.grading.suite_rules import check_exercises
from autograder.report.terminal import first_fault
from autograder.runs.slot_pool import SlotPool
from autograder.course.markers import Parted
from autograder.course.notebook import check_cells, first_lines, parted_cells, solved_notebook, source_notebook
from autograder.intake.submissions import find_submissions
from autograder.parsing.cells import parse_cell
from autograder.release.wheel import build_wheel

STUB = (
    '# YOUR CODE HERE\nraise NotImplementedError("This part is still to be written: replace this line by your code.")'
)

_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


def build_release(
    assignment: Assignment,
    console: Console,
    jobs: int = 2,
    slots: SlotPool | None = None,
    same_version: bool = False,
) -> None:
    """Build `release/<id>/`, or leave the old one and say why.

    Args:
        assignment: Whose.
        console: For people.
        jobs: Of the proof's grading.
        slots: Of the proof's grading.
        same_version: The last release has not been handed out: its wheel may change under its version.

    Raises:
        KitError: The source is wrong, the release leaks, the solution does not get full marks, or the wheel is another
            under the version that students have.
    """
    with tempfile.TemporaryDirectory(prefix="fcoskit-") as name:
        made = Path(name) / "release"
        make_files(assignment, made, Path(name) / "work")
        if not same_version:
            _refuse_old_version(assignment, made)
        console.print("Leak check: nothing of the solution or the hidden checks is in any file.", highlight=False)
        _prove(assignment, made, Path(name) / "proof", jobs, slots, console)
        if warning := refuse_failing(assignment):
            console.print(warning, style="yellow", highlight=False)
        _swap(made, assignment.release)
    for path in sorted(assignment.release.iterdir()):
        line = f"  {path.relative_to(assignment.root)}  {path.stat().st_size:,} bytes"
        console.print(line, markup=False, highlight=False)


def _refuse_old_version(assignment: Assignment, made: Path) -> None:
    """Students who have a wheel of this version would keep it: pip takes the one for the other.

    Raises:
        KitError: The wheel has changed, and its version has not.
    """
    for wheel in made.glob("*.whl"):
        old = assignment.release / wheel.name
        if old.is_file() and old.read_bytes() != wheel.read_bytes():
            raise KitError(
                f"Release refused, the old one is untouched. {wheel.name} has changed, and students who have installed "
                f"it would keep the old one: pip goes by the version. Raise `version` in "
                f"{assignment.folder.relative_to(assignment.root)}/assignment.toml (and `__version__` of the helpers). "
                "If nobody has been given the last release yet: `fcoskit release --same-version`."
            )


def check_release(assignment: Assignment, console: Console) -> None:
    """Compare `release/<id>/` with what the source gives.

    Raises:
        KitError: They differ, or the source gives no release; says where.
    """
    with tempfile.TemporaryDirectory(prefix="fcoskit-") as name:
        made = Path(name) / "release"
        make_files(assignment, made, Path(name) / "work")
        wrong = differences(made, assignment.release)
    if wrong:
        shown = assignment.release.relative_to(assignment.root)
        raise KitError(
            f"{shown} is not what the source gives: {'; '.join(wrong)}. If the source is right, run "
            f"`fcoskit release {assignment.id}`; release/ is never edited by hand."
        )
    console.print(f"release/{assignment.id} is what the source gives.", highlight=False)


def make_files(assignment: Assignment, folder: Path, work: Path) -> None:
    """Make every file of the release in `folder`, and refuse leaks.

    Raises:
        KitError: See `build_release`.
    """
    notebook = source_notebook(assignment)
    check_cells(assignment, notebook)
    cells = parted_cells(assignment, notebook)
    _refuse_syntax_errors(assignment, cells)
    _refuse_two_versions(assignment)
    check_exercises(assignment)
    folder.mkdir(parents=True)
    (work / "wheel").mkdir(parents=True)
    _add_badge(assignment, notebook)
    _generate(assignment, notebook, folder, work / "course")
    _refuse_imports(assignment, build_wheel(assignment, folder, work / "wheel"))
    _write_manifest(assignment, folder)
    leaks = find_leaks(assignment, folder, cells)
    if leaks:
        shown = "\n  ".join(str(leak) for leak in leaks[:10])
        more = f"\n  and {len(leaks) - 10} more" if len(leaks) > 10 else ""
        raise KitError(f"Release refused, the old one is untouched. What must not be in it:\n  {shown}{more}")


def _refuse_imports(assignment: Assignment, wheel: Path) -> None:
    """A public check that imports what students do not have would stop `check()` for all of them.

    Raises:
        KitError: Says which imports.
    """
    if missing := missing_imports(wheel):
        shown = "".join(f"\n  {one}" for one in missing[:10])
        raise KitError(
            "Release refused, the old one is untouched. Students do not have what these files of "
            f"{assignment.suites.relative_to(assignment.root)} import, so `check()` would stop there: a TA has to do "
            f"without it, or to put it beside `public/` or into it.{shown}"
        )


def _refuse_syntax_errors(assignment: Assignment, cells: list[Parted]) -> None:
    """Before anything is built or graded: a cell that Python cannot read is a slip of the TA's.

    Raises:
        KitError: Says in which line of the source.
    """
    starts = first_lines(assignment.source.read_text(encoding="utf-8"), len(cells))
    for number, cell in enumerate(cells):
        problem = parse_cell(number + 1, cell.merged).problem if cell.is_code else None
        if problem is None:
            continue
        place, why = problem
        line = _line_of(place.text, assignment, starts[number] if starts else 0)
        where = f"line {line}" if line else f"cell {number + 1}"
        raise KitError(f"{assignment.source.name}, {where}: {why}: {place.text.strip()!r}. A TA has to mend that line.")


def _refuse_two_versions(assignment: Assignment) -> None:
    """A shipped package that says another version than the wheel is a slip.

    Raises:
        KitError: Says which, and both.
    """
    for entry in assignment.ship:
        module = assignment.root / entry / "__init__.py"
        text = module.read_text(encoding="utf-8") if module.is_file() else ""
        found = re.search(r"""^__version__\s*=\s*["']([^"']*)["']""", text, re.MULTILINE)
        if found and found[1] != assignment.version:
            raise KitError(
                f"{entry}/__init__.py says version {found[1]}, assignment.toml {assignment.version}. A TA has to bring "
                "the two together."
            )


def _line_of(text: str, assignment: Assignment, start: int) -> int:
    """The first line of the source from `start` on that holds a text, markers being left out of cells; 0 for none."""
    lines = assignment.source.read_text(encoding="utf-8").splitlines()
    wanted = text.strip()
    return next((n for n, line in enumerate(lines[start - 1 :], start) if start and wanted and wanted in line), 0)


def differences(made: Path, stored: Path) -> list[str]:
    """How two folders differ, a few words a file."""
    names = {p.relative_to(root).as_posix() for root in (made, stored) for p in root.rglob("*") if p.is_file()}
    wrong = []
    for name in sorted(names):
        if not (stored / name).is_file():
            wrong.append(f"{name} is missing")
        elif not (made / name).is_file():
            wrong.append(f"{name} should not be there")
        elif (made / name).read_bytes() != (stored / name).read_bytes():
            wrong.append(f"{name} differs")
    return wrong


def _add_badge(assignment: Assignment, notebook: Any) -> None:
    """Begin the first text with a badge that opens the notebook on Colab, where the course says how."""
    if assignment.colab:
        first = next(cell for cell in notebook.cells if cell.cell_type == "markdown")
        first.source = f"[![Open in Colab]({_BADGE})]({assignment.colab})\n\n{first.source}"


def _generate(assignment: Assignment, notebook: Any, folder: Path, course: Path) -> None:
    """Run nbgrader's generator on a source folder that holds the notebook alone."""
    source = course / "source" / assignment.id
    source.mkdir(parents=True)
    nbformat.write(notebook, source / f"{assignment.notebook}.ipynb")
    config = Config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.assignment_id = assignment.id
    # As `--no-db`: a gradebook that is thrown away would take most of the time, `alembic` started for it three seconds.
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False
    config.ClearSolutions.code_stub = {"python": STUB}
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    said = io.StringIO()
    converter.log = logging.Logger("nbgrader", logging.ERROR)
    converter.log.addHandler(logging.StreamHandler(said))
    try:
        converter.start()
    except Exception as error:  # nbgrader raises many kinds; each is about the source, the log says what
        lines = [line for line in said.getvalue().splitlines() if line.strip()] or [str(error)]
        raise KitError(f"nbgrader refuses the source: {' | '.join(lines[-3:])}") from error
    made = course / "release" / assignment.id / f"{assignment.notebook}.ipynb"
    node = nbformat.read(made, as_version=4)
    nbformat.write(node, folder / made.name)


def _write_manifest(assignment: Assignment, folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {
        "assignment": assignment.id,
        "title": assignment.title,
        "version": assignment.version,
        "made_with": f"fcoskit {__version__}",
        "points": {exercise.id: exercise.points for exercise in assignment.exercises},
        "files": files,
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _prove(assignment: Assignment, made: Path, work: Path, jobs: int, slots: SlotPool | None, console: Console) -> None:
    """Grade the solution, which must get every point, and the release as it is, which must get none."""
    work.mkdir()
    nbformat.write(solved_notebook(assignment), work / "solution.ipynb")
    shutil.copyfile(made / f"{assignment.notebook}.ipynb", work / "untouched.ipynb")
    found, _ = find_submissions([work], assignment.notebook, assignment.id)
    run = grade_submissions(assignment, found, work / "out", jobs=jobs, slots=slots)
    solution, untouched = run.reports["solution"], run.reports["untouched"]
    full = sum(exercise.points for exercise in assignment.exercises)  # no weights are handed in here
    if solution.score != full:
        raise KitError(
            f"Release refused, the old one is untouched. The source's own solution gets {solution.score} of "
            f"{full:g} points: {first_fault(solution)}"
        )
    if untouched.score != 0:
        raise KitError(f"Release refused. The notebook as released gets {untouched.score} points, not 0.")
    console.print(f"Proof: the solution gets {solution.score:g} points, the release as it is 0.", highlight=False)


def _swap(made: Path, target: Path) -> None:
    """Put the new folder in the old one's place; the old one is there until the new one is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(made, fresh)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)

"""Standing behind a grade: one exercise run again with everything shown."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.assignment import Assignment, load_assignment
from autograder.course.digests import suites_digest
from autograder.intake.submissions import Submission, safe_key, with_weights
from autograder.intake.untrusted import shown_member
from autograder.report.files import read_report, read_reports
from autograder.report.model import Report
from autograder.report.terminal import STYLES, printable, shown_figure
from autograder.runs.grade import grade_submissions
from autograder.runs.run_folder import need_folder
from autograder.runs.slot_pool import SlotPool
from autograder.runtime.errors import KitError, SubmissionError


def explain(
    out: Path,
    student: str,
    exercise_id: str,
    console: Console,
    *,
    sandbox: str = "auto",
    slots: SlotPool | None = None,
) -> int:
    """Run one exercise of one submission again with the recorded seed, and show all there is.

    Args:
        out: Folder of a run.
        student: As grades.csv has it.
        exercise_id: "7.1d".
        console: To print on; what it shows is for staff, expected numbers included.
        sandbox: As for `grade_submissions`.
        slots: Likewise; of the assignment that the report is of.

    Returns:
        Exit code: 0 if every check comes to what the report says, 1 if one does not.

    Raises:
        KitError: No such report or exercise, or the submission is not where it was.
    """
    report = _report_of(out, student)
    assignment = load_assignment(report.assignment)
    if assignment.map is not None and exercise_id == assignment.map.id:
        return _measure_again(assignment, report, console, sandbox, slots)
    exercise = assignment.exercise(exercise_id)
    submission = _submission_of(assignment, report)
    needed = {exercise.id, *(earlier for earlier, _ in exercise.follows)}
    submission = replace(submission, skip=tuple(e.id for e in assignment.exercises if e.id not in needed))
    with tempfile.TemporaryDirectory(prefix="fcoskit-explain-") as name:
        where = Path(name) / "out"
        run = grade_submissions(assignment, [submission], where, sandbox=sandbox, seed=report.seed, slots=slots)
    again = run.reports[submission.key]
    if again.problem:
        raise KitError(f"{printable(student, line=True)} cannot be graded again: {again.problem}")
    now = next(e for e in again.exercises if e.id == exercise_id)
    before = next((e for e in report.exercises if e.id == exercise_id), None)
    console.print(f"{exercise.id} {exercise.title}: {printable(report.student, line=True)}", style="bold", markup=False)
    where_from = printable(shown_member(submission.path, submission.member), line=True)
    console.print(where_from, markup=False, highlight=False, soft_wrap=True)
    same = "the same suites" if report.suites == suites_digest(assignment) else "the suites have changed since"
    console.print(f"seed {report.seed}, graded {report.started}, {same}\n", markup=False, highlight=False)
    for check in now.checks:
        _show(check, console)
    _show_readings(now, console)
    if now.printed.strip():
        console.print("What the code printed:", style="bold")
        console.print(printable(now.printed.strip()), markup=False, highlight=False)
    return _compare(before, now, console)


def _measure_again(
    assignment: Assignment, report: Report, console: Console, sandbox: str, slots: SlotPool | None
) -> int:
    """Measure the weights again on the same images; 0 if it comes to what the report says."""
    before = next((figure for figure in report.figures if figure.id == (assignment.map and assignment.map.id)), None)
    if before is None:
        raise KitError("This report has no figure for it: grade the submission again first.")
    submission = with_weights(_submission_of(assignment, report), assignment.notebook, assignment.weights)
    submission = replace(submission, skip=tuple(e.id for e in assignment.exercises))
    with tempfile.TemporaryDirectory(prefix="fcoskit-explain-") as name:
        out = Path(name) / "out"
        run = grade_submissions(assignment, [submission], out, sandbox=sandbox, figure_seed=before.seed, slots=slots)
    now = next(f for f in run.reports[submission.key].figures if f.id == before.id)
    student = printable(report.student, line=True)
    console.print(f"{before.id} {before.name} {shown_figure(now)}: {student}", markup=False, highlight=False)
    console.print(f"seed {now.seed}, {now.images} images, {now.seconds:g} s, {now.file or 'no weights'}", markup=False)
    for text in (now.message, now.details):
        if text.strip():
            console.print(printable(text.strip()), markup=False, highlight=False, soft_wrap=True)
    if now.sha256 != before.sha256:
        console.print("The weights have changed since they were graded.", style="yellow")
    same = (now.status, now.value) == (before.status, before.value)
    console.print("It comes to what the report says." if same else f"The report says {shown_figure(before)}.")
    return 0 if same else 1


def _report_of(out: Path, student: str) -> Report:
    need_folder(out)
    try:
        return read_report(out / safe_key(student))
    except (OSError, ValueError, KeyError, TypeError) as error:
        known = ", ".join(printable(report.student, line=True) for report in read_reports(out)[:8])
        there = f"There are: {known}." if known else "There are none: give the folder that `fcoskit grade` wrote."
        raise KitError(f"No report of {printable(student, line=True)!r} in {out}. {there}") from error


def _submission_of(assignment: Assignment, report: Report) -> Submission:
    """The file that the report was made from, unchanged."""
    submission = Submission(report.student, safe_key(report.student), Path(report.path), report.member)
    if not report.path:
        raise KitError("This report does not say where the submission lay: grade it again first.")
    try:
        data = submission.read(assignment.limits.notebook_megabytes)
    except (OSError, SubmissionError) as error:
        raise KitError(f"The submission cannot be read again: {error}. It was {report.path}.") from error
    if report.sha256 and hashlib.sha256(data).hexdigest() != report.sha256:
        raise KitError(f"{report.path} has changed since it was graded. Grade it again, then explain.")
    return submission


def _show(check: CheckResult, console: Console) -> None:
    mark = "passed" if check.status == "passed" else check.status.replace("_", " ")
    line = Text(f"{mark:12} ", style=STYLES.get(check.status, "red"))
    line.append(f"{check.earned:g}/{check.points:g}  {'public' if check.public else 'hidden'}  ", style="default")
    line.append(f"{check.sentence} [{check.name}]", style="default")
    console.print(line, soft_wrap=True)
    for text, style in ((check.diagnosis, "bold"), (check.message, ""), (check.details, "dim")):
        if text.strip():
            shown = "\n".join(f"    {row}" for row in printable(text.strip()).splitlines())
            console.print(shown, style=style, markup=False, highlight=False, soft_wrap=True)


def _show_readings(now: ExerciseResult, console: Console) -> None:
    """Why the notebook was read twice and which reading counts, and what of it did not run."""
    if now.readings:
        console.print(
            f"Read twice: {printable(now.readings, line=True)}.", markup=False, highlight=False, soft_wrap=True
        )
    if now.unloaded:
        console.print("What of the notebook did not run, or is not here:", style="bold")
    for text in now.unloaded:
        console.print(f"    {printable(text, line=True)}", markup=False, highlight=False, soft_wrap=True)


def _compare(before: ExerciseResult | None, now: ExerciseResult, console: Console) -> int:
    then = {check.name: check.status for check in before.checks} if before else {}
    changed = [c for c in now.checks if then.get(c.name) != c.status]
    console.print()
    if not changed:
        console.print(f"Every check comes to what the report says: {now.earned:g} of {now.max_points:g} points.")
        return 0
    for check in changed:
        was = then.get(check.name, "not there")
        console.print(f"{check.name}: the report says {was}, now it is {check.status}.", style="yellow", markup=False)
    return 1

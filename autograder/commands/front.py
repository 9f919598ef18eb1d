"""`fcoskit grade` as a person sees it: progress while it runs, a table, a line for what needs a human."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autograder.commands.follow_up import earlier_line, newer_python_line, old_pages_line, unreadable_line
from autograder.course.assignment import Assignment
from autograder.intake.found import ZIP
from autograder.intake.strays import find_strays
from autograder.intake.submissions import find_submissions
from autograder.report.files import read_class
from autograder.report.model import Report
from autograder.report.terminal import first_fault, grades_table, printable, shown_figure
from autograder.runs.by_hand import read_by_hand, unused
from autograder.runs.grade import LEADERBOARD, Run, grade_submissions, sandbox_line
from autograder.runs.lateness import read_late, unused_late
from autograder.runs.slot_pool import SlotPool


def grade_paths(
    assignment: Assignment,
    paths: list[Path],
    out: Path,
    jobs: int,
    sandbox: str,
    console: Console,
    slots: SlotPool | None = None,
    scheduler: str | None = None,
) -> int:
    """Grade what lies under some paths and show the outcome; see `grade_submissions` for the arguments.

    Returns:
        The exit code: 0 all graded, 1 a human has to look (a submission without a score, none that can be read, a
        file that may be somebody's), 2 a path that holds no submission.
    """

    def say(line: str) -> None:
        console.print(printable(line), style="dim", markup=False, highlight=False, soft_wrap=True)

    submissions, lines = find_submissions(paths, assignment.notebook, assignment.id, assignment.weights)
    strays = find_strays(paths, submissions, assignment.notebook, assignment.id)
    for line in [*(f"Left out: {line}" for line in (*lines, *strays.left_out)), *strays.notes]:
        _warn(line, console)
    if not submissions:
        console.print("There is nothing to grade.", style="red")
        return 2
    for path in paths:
        held = sum(submission.path == path for submission in submissions)
        if held > 1 and path.suffix.lower() == ZIP:
            say(f"{path.name} was opened as a class's, with {held} hand-ins. One student's is graded from a folder.")
    if not scheduler:
        say(sandbox_line(sandbox))
    with progress_bar(console) as bar:
        task = bar.add_task("grading", total=len(submissions))

        def step(report: Report, known: bool) -> None:
            bar.advance(task)
            if not console.is_terminal:
                console.print(_line(report, known), markup=False, highlight=False, soft_wrap=True)

        run = grade_submissions(
            assignment,
            submissions,
            out,
            jobs=jobs,
            sandbox=sandbox,
            progress=step,
            slots=slots,
            scheduler=scheduler,
            say=say,
        )
    show(assignment, run, console)
    there = read_class(out)[0]
    lines_after = [unreadable_line(run.reports, submissions), earlier_line(run.reports, (key for key, _ in there))]
    lines_after += [
        newer_python_line(run.reports),
        old_pages_line(out),
        *unused(read_by_hand(out, assignment), [report for _, report in there]),
        *unused_late(read_late(out), [report for _, report in there]),
    ]
    for line in filter(None, lines_after):
        _warn(line, console)
    if strays.left_out:
        _warn(f"Left out, see above: {len(strays.left_out)}. Is somebody missing?", console)
    return run.exit_code or (1 if strays.left_out else 2 if lines else 0)


def show(assignment: Assignment, run: Run, console: Console) -> None:
    """The table, who needs a look, and where the files are."""
    reports = [report for _, report in sorted(run.reports.items())]
    console.print(grades_table(assignment, reports, console))
    waiting = [printable(report.student, line=True) for report in reports if report.score is None]
    if waiting:
        console.print(f"No score yet, a human has to look: {', '.join(waiting)}", style="bold", markup=False)
    console.print(f"Grades: {run.out / 'grades.csv'}", markup=False, highlight=False, soft_wrap=True)
    if any(figure.status != "absent" for report in reports for figure in report.figures):
        console.print(f"Leaderboard: {run.out / LEADERBOARD}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"A student's page: {run.out}/<student>/feedback.html", markup=False, highlight=False, soft_wrap=True)


def _warn(line: str, console: Console) -> None:
    console.print(printable(line, line=True), style="yellow", markup=False, highlight=False, soft_wrap=True)


def progress_bar(console: Console) -> Progress:
    """A bar with count, rate and time left; nothing where output is piped."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn()]
    return Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=120
    )


def tenths(console: Console, total: int, what: str) -> Callable[[], None]:
    """Where output is piped, in place of a bar: called after each of so many, it prints a line for each tenth."""
    lines = 0 if console.is_terminal else min(10, total)
    ends = {round(total * part / lines) for part in range(1, lines + 1)}
    done = itertools.count(1)

    def say() -> None:
        if (number := next(done)) in ends:
            console.print(f"{number} of {total} {what}", highlight=False)

    return say


class RateColumn(ProgressColumn):
    """How many a minute, once that can be said."""

    def render(self, task: Task) -> Text:
        """See `rich.progress.ProgressColumn`."""
        rate = f"{60 * task.speed:.0f}/min" if task.speed else ""
        return Text(rate, style="progress.data.speed")


def _line(report: Report, known: bool) -> str:
    score = "no score" if report.score is None else f"{report.score:g}/{report.max_score:g}"
    words = [printable(report.student, line=True), score, report.status]
    words += [f"{figure.name} {shown_figure(figure)}" for figure in report.figures if figure.status != "absent"]
    if known:
        words.append("(graded before)")
    fault = first_fault(report, 100)
    return "  ".join([*words, fault]).rstrip()

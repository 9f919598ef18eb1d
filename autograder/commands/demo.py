"""`fcoskit demo`: the release, the solved notebook run, a small class graded, all on built-in data."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from rich.console import Console

from autograder.commands.class_report import report_class
from autograder.commands.demo_map import beside
from autograder.commands.execute import execute_notebook, printed, write_page
from autograder.commands.front import grade_paths, progress_bar
from autograder.course.assignment import Assignment
from autograder.course.jupyter import nbformat
from autograder.course.notebook import solved_notebook
from autograder.grading.samples import load_samples, unexpected, write_sample
from autograder.release.build import build_release
from autograder.report.files import read_report, write_whole
from autograder.runs.run_folder import LOG, alone_in, claim
from autograder.runs.slot_pool import open_slots

JOBS = 2


def run_demo(assignment: Assignment, out: Path, console: Console, *, quick: bool = False) -> int:
    """Run the demo.

    Args:
        assignment: Its `samples.toml` says who is in the class.
        out: Where notebook, submissions and reports go; emptied of an earlier demo first.
        console: To print on.
        quick: Leave out executing the solved notebook, which trains.

    Returns:
        Exit code: 0 if every sample got exactly what `samples.toml` says it must, and the notebook's mAP is ours.

    Raises:
        KitError: The release is refused, the notebook does not run, or `out` holds something else.
    """
    started, lines = time.monotonic(), list[str]()
    claim(out)
    with alone_in(out):
        _clear(out)
        with open_slots(assignment, "auto", out / LOG, JOBS) as slots:
            console.rule("1. The release")
            build_release(assignment, console, slots=slots, same_version=True)
            console.rule("2. A small class hands in")
            samples = load_samples(assignment)
            for sample in samples:
                path = write_sample(assignment, sample, out / "submitted", assignment.release)
                console.print(f"  {path.name:34} {sample.about}", highlight=False, soft_wrap=True)
            console.rule("3. Grading, each submission in a sandbox")
            code = grade_paths(assignment, [out / "submitted"], out / "graded", JOBS, "auto", console, slots)
        wrong = [
            line for sample in samples for line in unexpected(sample, read_report(out / "graded" / sample.student))
        ]
        console.rule("4. The class, for staff")
        report_class(out / "graded", console)
        console.rule("5. Was that right?")
        for line in wrong:
            console.print(f"  {line}", style="red", highlight=False)
        if not wrong:
            console.print(f"  Yes: {len(samples)} submissions, each got exactly what samples.toml says it must.")
        console.print(f"  The class was graded after {time.monotonic() - started:.0f} s.", highlight=False)
        one = min((s for s in samples if s.loses), key=lambda s: len(s.loses), default=samples[0])  # one clear mistake
        page = out / "graded" / one.student / "feedback.html"
        console.print(f"  A student's page: {page}", soft_wrap=True, highlight=False)
        console.rule("6. The solved notebook, executed")  # last: who tries the kit sees a graded class first
        if quick:
            console.print("  Left out (--quick): it trains for some minutes. So there is no mAP to show beside ours.")
        else:
            console.print("  It trains for minutes, on a busy machine for many. What is graded can be looked at now.")
            lines = _execute(assignment, out / "notebook", console)
    console.print(f"  The class: {out / 'graded' / 'class.html'}", soft_wrap=True, highlight=False)
    if not quick:
        console.print(f"  The notebook: {out / 'notebook' / 'solved.html'}", soft_wrap=True, highlight=False)
    agree = True
    if not quick:
        console.rule("7. Its mAP, by the notebook and by grading")
        agree = beside(assignment, lines, out / "notebook", out / "handed-in", console)
    console.print(f"  Took {time.monotonic() - started:.0f} s.", highlight=False)
    return code or int(bool(wrong) or not agree)


def _execute(assignment: Assignment, folder: Path, console: Console) -> list[str]:
    """Run the solved notebook in its short form, show progress; what it printed about its mAP."""
    notebook = solved_notebook(assignment)
    write_whole(folder / "solved.ipynb", nbformat.writes(notebook))  # what it hands in at its end
    with progress_bar(console) as bar:
        task = bar.add_task("cells of the notebook", total=len(notebook.cells))

        def hear(text: str) -> None:
            for line in text.splitlines():
                if line.startswith("[Iter "):  # minutes without a word would look like a hang
                    console.print(f"  {line}", style="dim", markup=False, highlight=False, soft_wrap=True)

        execute_notebook(notebook, folder, lambda done, _: bar.update(task, completed=done), hear=hear)
    write_page(notebook, folder / "solved", assignment.title)
    lines = printed(notebook, "mAP")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False)
    return lines


def _clear(out: Path) -> None:
    """Remove what an earlier demo made, and nothing else."""
    for name in ("submitted", "graded", "notebook", "handed-in"):
        shutil.rmtree(out / name, ignore_errors=True)

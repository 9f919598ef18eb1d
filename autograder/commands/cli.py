"""`fcoskit`: arguments and exit codes, nothing else."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autograder import __version__
from autograder.course.assignment import load_assignment
from autograder.runtime.errors import KitError

app = typer.Typer(
    help="Release and grade the FCOS assignment. Exit codes: 0 all is well, 1 something needs a human, 2 usage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _count(given: str | int) -> int:
    """How many at a time; the default comes as a number."""
    text = str(given)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise typer.BadParameter(f"{text!r} is not a whole number from 1 on. Give one, such as 4.")
    return int(text)


AssignmentId = Annotated[str | None, typer.Argument(help="Folder under assignment/; the only one if left out.")]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the kit's version.")] = False,
) -> None:
    if version:
        typer.echo(f"fcoskit {__version__}")
        raise typer.Exit


@app.command()
def release(
    assignment: AssignmentId = None,
    check: Annotated[
        bool, typer.Option("--check", help="Build nothing; fail if release/ is not what the source gives.")
    ] = False,
    same_version: Annotated[
        bool,
        typer.Option("--same-version", help="Nobody has the last release yet: the wheel may change under its version."),
    ] = False,
) -> None:
    """Build release/ from the instructor's source, and refuse one that leaks."""
    from autograder.release.build import build_release, check_release

    loaded = load_assignment(assignment)
    console = _console()
    if check:
        check_release(loaded, console)
    else:
        build_release(loaded, console, same_version=same_version)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The assignment's: small letters, digits, underscores.")],
) -> None:
    """Begin an assignment: the smallest one that releases, grades and validates, to be changed from there."""
    from autograder.release.new import begin

    begin(name, _console())


@app.command()
def grade(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Notebooks, zips or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Where reports and grades.csv go; an earlier run is continued.")],
    assignment: Annotated[str | None, typer.Option("--assignment", help="Folder under assignment/.")] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            parser=_count,
            metavar="N",
            help="Submissions graded at a time on this machine.",
            show_default="half of the processors",
        ),
    ] = max(1, (os.cpu_count() or 2) // 2),
    sandbox: Annotated[str, typer.Option("--sandbox", help="auto, bwrap, uid, or none for code you trust.")] = "auto",
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Grade on a Dask cluster: its scheduler, tcp://HOST:8786.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option("--python", metavar="PATH", help="Another Python that has the kit, to grade with: a newer one."),
    ] = None,
) -> None:
    """Grade submissions, each in a sandbox, into grades.csv and a report and feedback page each."""
    from autograder.commands.front import grade_paths

    if python is not None:
        from autograder.commands.other_python import run_with

        run_with(python, sys.argv[1:])

    loaded = load_assignment(assignment)
    raise typer.Exit(grade_paths(loaded, paths, out, jobs, sandbox, _console(), scheduler=scheduler))


@app.command()
def validate(
    assignment: AssignmentId = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", parser=_count, metavar="N", help="Cases graded at a time.", show_default="all processors"
        ),
    ] = max(1, os.cpu_count() or 2),
    seed: Annotated[int, typer.Option("--seed", help="What random inputs are drawn from.")] = 0,
    exercise: Annotated[str | None, typer.Option("--exercise", help="Only its cases, for a quick answer.")] = None,
) -> None:
    """Prove the suites: solution 100, blank 0, every mutant loses what it should, every variant nothing."""
    from autograder.commands.validate import validate as run

    raise typer.Exit(run(load_assignment(assignment), _console(), jobs=jobs, seed=seed, exercise=exercise))


@app.command()
def explain(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run: what --out named.")],
    student: Annotated[str, typer.Argument(help="As grades.csv has it.")],
    exercise: Annotated[str, typer.Argument(help="Its id, as the feedback page has it.")],
    sandbox: Annotated[str, typer.Option("--sandbox", help="auto, bwrap, uid, or none for code you trust.")] = "auto",
) -> None:
    """Run that exercise again with the recorded seed, everything shown; for staff."""
    from autograder.commands.regrade import explain as run

    raise typer.Exit(run(folder, student, exercise, _console(), sandbox=sandbox))


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run: what --out named.")],
    against: Annotated[Path | None, typer.Option("--against", help="An older run: who gained, who lost, why.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the files go; DIR if left out.")] = None,
    roster: Annotated[Path | None, typer.Option("--roster", help="A gradebook that Canvas exported.")] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="The assignment's column in it, if not its title.")
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="A form to share: no names, no numbers about a few. In DIR/anonymous.")
    ] = False,
    key: Annotated[Path | None, typer.Option("--key", help="Of pseudonyms; DIR/pseudonyms.key if left out.")] = None,
) -> None:
    """The class as a page, CSV and a file for Canvas; or who gained and lost after a change of suites."""
    from autograder.commands.class_report import report_class, share_class

    if against is not None:
        from autograder.commands.against import show_changes

        if out or roster or column or anonymous or key:
            raise KitError("--against compares two runs and prints it: it takes no other option.")
        show_changes(folder, against, _console())
    elif anonymous:
        if roster or column:
            raise KitError("--anonymous has no use for --roster and --column: nobody is named.")
        raise typer.Exit(share_class(folder, _console(), out=out, key=key))
    else:
        if key:
            raise KitError("--key belongs to --anonymous.")
        raise typer.Exit(report_class(folder, _console(), out=out, roster=roster, column=column))


@app.command("hand-out")
def hand_out(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a run: what --out named.")],
    roster: Annotated[Path | None, typer.Option("--roster", help="A gradebook that Canvas exported.")] = None,
    worksheet: Annotated[Path | None, typer.Option("--worksheet", help="Moodle's grading worksheet, to fill.")] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="The column of the grades in either of them.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the files go; OUT/hand-out if left out.")] = None,
) -> None:
    """The feedback pages as one zip that Canvas and Moodle take back, and the grades for their gradebooks."""
    from autograder.commands.hand_out import hand_out_class

    raise typer.Exit(
        hand_out_class(folder, _console(), out=out, roster=roster, worksheet_file=worksheet, column=column)
    )


@app.command()
def evaluate(
    ground_truth: Annotated[Path, typer.Option("--ground-truth", help="Folder of <id>.txt: class x1 y1 x2 y2.")],
    detections: Annotated[Path, typer.Option("--detections", help="Folder of <id>.txt: class score x1 y1 x2 y2.")],
    metric: Annotated[str, typer.Option("--metric", help="voc10: area under the curve; voc07: 11 points.")] = "voc10",
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder that gets plots.")] = None,
    images: Annotated[Path | None, typer.Option("--images", help="Folder of <id>.jpg: the worst misses, too.")] = None,
    assignment: Annotated[str | None, typer.Option("--assignment", help="Folder under assignment/.")] = None,
) -> None:
    """Average precision of each class and their mean, at IoU 0.5, over all images of --ground-truth."""
    from autograder.commands.evaluate import evaluate_folders

    evaluate_folders(load_assignment(assignment), ground_truth, detections, metric, _console(), plots, images)


@app.command()
def gradescope(
    out: Annotated[Path, typer.Option("--out", help="The zip; one that this command wrote before is replaced.")],
    assignment: Annotated[str | None, typer.Option("--assignment", help="Folder under assignment/.")] = None,
) -> None:
    """Write the zip that is uploaded to Gradescope as the autograder."""
    from autograder.gradescope.bundle import write_bundle

    write_bundle(load_assignment(assignment), out, _console())


@app.command()
def demo(
    assignment: AssignmentId = None,
    out: Annotated[Path, typer.Option("--out", help="Where to put it all.")] = Path("demo-out"),
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the solved notebook, which trains.")] = False,
) -> None:
    """All of it on built-in data: the release, the notebook run, a small class graded, a report."""
    from autograder.commands.demo import run_demo

    raise typer.Exit(run_demo(load_assignment(assignment), out, _console(), quick=quick))


def _console() -> Console:
    return Console(soft_wrap=False, width=None if sys.stdout.isatty() else 140)


def main() -> None:
    """Entry point: no traceback reaches a user, and each error has its exit code."""
    logging.captureWarnings(True)
    try:
        app(standalone_mode=True)
    except KitError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("Stopped. What was graded is kept; the same command continues.")
        sys.exit(130)


if __name__ == "__main__":
    main()

"""`fcoskit evaluate`: detections in text files against the truth, with the evaluator that students are given."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.course.assignment import Assignment
from autograder.report.terminal import printable
from autograder.runtime.errors import KitError


def evaluate_folders(
    assignment: Assignment,
    ground_truth: Path,
    detections: Path,
    metric: str,
    console: Console,
    plots: Path | None = None,
    images: Path | None = None,
) -> None:
    """Print a table of average precisions, and draw plots if asked.

    Args:
        assignment: Its helpers evaluate.
        ground_truth: Folder of one text file per image.
        detections: The same for detections; a missing file means that nothing was found.
        metric: `voc10` or `voc07`.
        console: To print on.
        plots: Gets precision against recall, average precisions and, with `images`, the worst misses.
        images: Folder of the pictures.

    Raises:
        KitError: Folders, files or metric are not what they should be.
    """
    if images is not None and plots is None:
        raise KitError("--images needs --plots: the folder that the pictures of the worst misses go to.")
    helpers = _helpers(assignment, "evaluation_files")
    try:
        result = helpers.evaluate_folders(ground_truth, detections, metric=metric)
        _print(result, metric, console)
        if plots is not None:
            _plot(assignment, result, (ground_truth, detections), plots, images, console)
    except (ValueError, OSError) as error:
        raise KitError(str(error)) from error


def _helpers(assignment: Assignment, name: str) -> Any:
    """A module of what the students' wheel ships.

    Raises:
        KitError: This assignment's wheel has no such module.
    """
    whole = f"{assignment.wheel}.{name}"
    try:
        return importlib.import_module(whole)
    except ModuleNotFoundError as error:
        if error.name not in (assignment.wheel, whole):
            raise
        raise KitError(
            f"{assignment.id} ships no helpers that evaluate detections: there is no module {whole}. Name an "
            "assignment that does with --assignment, or list its package under `ship` in assignment.toml."
        ) from error


def _print(result: Any, metric: str, console: Console) -> None:
    table = Table(title=f"Average precision at IoU 0.5 ({metric})", title_justify="left")
    table.add_column("class")
    for heading in ("objects", "detections", "found", "AP"):
        table.add_column(heading, justify="right")
    for name, ap in sorted(result.ap.items()):
        curve = result.curves[name]
        found = f"{curve.recall[-1]:.1%}" if len(curve.recall) else "0.0%"
        table.add_row(
            Text(printable(name, line=True)), str(curve.positives), str(len(curve.recall)), found, f"{ap:.2%}"
        )
    table.add_section()
    table.add_row("mAP", str(sum(c.positives for c in result.curves.values())), "", "", f"{result.mean_ap:.2%}")
    console.print(table)


def _plot(
    assignment: Assignment, result: Any, folders: tuple[Path, Path], out: Path, images: Path | None, console: Console
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    draw = _helpers(assignment, "evaluation_plots")
    figures = {
        "precision-recall.png": draw.draw_precision_recall(result),
        "average-precision.png": draw.draw_average_precision(result),
    }
    if images is not None:
        misses = draw.worst_misses(*draw.read_folders(*folders))
        figures["worst-misses.png"] = draw.draw_misses(misses, draw.images_in(images))
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / name, dpi=110, bbox_inches="tight")
        console.print(f"  {out / name}", markup=False, highlight=False, soft_wrap=True)

"""The results as JSON, as a page of Markdown, and as a plot, written together or not at all."""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from autograder.report.files import PART
from ps7_helpers import LossHistory
from ps7_helpers.losses import draw_losses

JSON, PAGE, PLOT = "results.json", "report.md", "losses.png"
_MOST_ROWS = 40  # of a table; all are in the JSON
PRETENDED = (
    "> **Pretended: there was no GPU.** The CPU stood in its place, with small numbers of everything. No figure on "
    "this page is one of a GPU."
)


def write_results(folder: Path, results: dict[str, Any]) -> None:
    """Write the three files. An error, or a kill before the last moment, leaves those of an earlier run as they were.

    Raises:
        OSError: There is no room, or no right to write.
    """
    content = {PLOT: loss_plot(results), JSON: json_text(results).encode(), PAGE: page(results).encode()}
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=PART) as scratch:
            for name, data in content.items():
                (Path(scratch) / name).write_bytes(data)
            for name in content:
                (Path(scratch) / name).replace(folder / name)
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise


def json_text(results: dict[str, Any]) -> str:
    """The results as JSON: six digits of each number, and null for one that is not finite."""
    return json.dumps(_plain(results), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def loss_plot(results: dict[str, Any]) -> bytes:
    """The losses of the overfit run and of each recipe beside each other, a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = {"overfit run": results["overfit"].get("losses", {})}
    curves |= {f"recipe {name}": run["losses"] for name, run in results["recipes"].get("recipes", {}).items()}
    figure = Figure(figsize=(5 * len(curves), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, losses) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        axes.set_title(name)
        if any(losses.values()):
            draw_losses(axes, LossHistory(losses))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    return picture.getvalue()


def page(results: dict[str, Any]) -> str:
    """The report, Markdown."""
    lines = ["# The kit on a GPU machine", ""]
    if results["pretended"]:
        lines += [PRETENDED, ""]
    minutes, seconds = divmod(round(results["seconds"]), 60)
    lines += [f"{results['started']}; it took {minutes} min {seconds} s of {results['minutes']:g} min.", ""]
    lines += _sentences("What differs", results["differs"], "Nothing: all verdicts are the CPU's, and all else held.")
    lines += _sentences("What was cut", results["cut"], "Nothing.")
    for title, name, part in (
        ("The machine", "machine", _machine),
        ("Verdicts", "verdicts", _verdicts),
        ("The overfit run", "overfit", _overfit),
        ("An iteration beside a plain loop", "timing", _timing),
        ("The recipes", "recipes", _recipes),
        ("A forced NaN", "nan", _nan),
    ):
        data = results[name]
        lines += [f"## {title}", ""]
        lines += [f"This part stopped: {data['stopped']}"] if "stopped" in data else part(data)
        lines.append("")
    return "\n".join(lines)


def _sentences(title: str, sentences: Sequence[str], otherwise: str) -> list[str]:
    return [f"## {title}", "", *([f"- {s}" for s in sentences] or [otherwise]), ""]


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table of Markdown, cut off where it is very long."""
    cells = [[_cell(value) for value in row] for row in rows]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in cells[:_MOST_ROWS]]
    more = len(cells) - _MOST_ROWS
    return lines if more <= 0 else [*lines, "", f"{more} more are in `{JSON}`."]


def _cell(value: object) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if len(text) <= 160 else f"{text[:157]}..."


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "not measured" if value is None or not math.isfinite(value) else f"{value:{form}}{unit}"


def _milliseconds(seconds: float | None) -> str:
    return _number(None if seconds is None else 1e3 * seconds, ".1f", " ms")


def _memory(megabytes: float | None) -> str:
    return _number(megabytes, ".0f", " MB")


def _machine(machine: dict[str, Any]) -> list[str]:
    rows = ((name.replace("_", " "), "none" if value == "" else value) for name, value in machine.items())
    return _table(("what", "which"), rows)


def _verdicts(data: dict[str, Any]) -> list[str]:
    kinds = ", ".join(f"{count} {kind}" for kind, count in data["kinds"].items())
    lines = [
        f"{data['cases']} of {data['all_cases']} cases ({kinds}), each in its own exercises: {data['done']} of "
        f"{data['jobs']} jobs done, {data['checks']} verdicts of `check()` compared with the CPU's, TF32 off and on.",
        "",
        f"**Verdicts that differ: {len(data['differences'])}.**",
    ]
    if data["differences"]:
        heads = ("case", "kind", "exercise", "check", "TF32", "CPU", "device", "what it says")
        lines += ["", *_table(heads, (list(row.values()) for row in data["differences"]))]
    if data["other_words"]:
        lines += ["", "The same verdict, but another fault is named (no harm to points, but look why):", ""]
        names = ("case", "kind", "exercise", "check", "TF32", "CPU names", "device names")
        lines += _table(names, (list(row.values())[:7] for row in data["other_words"]))
    if data["broke_the_device"]:
        broke = "After these the device did not compute any more until the process ended, so nothing was compared with "
        lines += ["", f"{broke}TF32 on. A student has to restart the kernel there:"]
        lines += ["", *(f"- {name}" for name in data["broke_the_device"])]
    if data["right_that_fail"]:
        lines += ["", "Right code that fails on the CPU already:", ""]
        lines += [f"- {_cell(line)}" for line in data["right_that_fail"]]
    return lines


def _overfit(data: dict[str, Any]) -> list[str]:
    return _table(
        ("iterations", "images", "channels", "first loss", "last loss", "an iteration, loading included", "memory"),
        [
            (
                f"{data['iterations']} of {data['wanted_iterations']}",
                data["images"],
                data["channels"],
                _number(data["first_loss"], ".3f"),
                _number(data["last_loss"], ".3f"),
                _milliseconds(data["seconds_an_iteration"]),
                _memory(data["peak_mb"]),
            )
        ],
    )


def _timing(data: dict[str, Any]) -> list[str]:
    rows = (
        (
            way["name"],
            _milliseconds(way["seconds_an_iteration"]),
            f"{way['to_plain_loop_ratio']:.2f}",
            _memory(way["peak_mb"]),
        )
        for way in data["ways"]
    )
    return [
        f"Batches of {data['batch']}, {data['channels']} channels, ready in memory; medians. Rounds: {data['rounds']}.",
        "",
        *_table(("loop", "an iteration", "of the plain loop's", "peak memory"), rows),
    ]


def _recipes(data: dict[str, Any]) -> list[str]:
    train, val = data["images"]
    rows = (
        (
            name,
            f"{run['iterations']} of {run['planned_iterations']}",
            _milliseconds(run["seconds_an_iteration"]),
            _memory(run["peak_mb"]),
            _number(run["losses"].get("loss", [math.nan])[-1], ".3f"),
            f"{_number(run['map'], '.1%')} over {run['map_images']} images",
        )
        for name, run in data["recipes"].items()
    )
    heads = ("recipe", "iterations", "an iteration, loading included", "peak memory", "last loss", "mAP")
    return [
        f"On {data['data']} ({train} images to train on, {val} to validate on). First weights: {data['weights']}. mAP "
        "at an overlap of 0.5, scores from 0.05 on, NMS 0.6.",
        "",
        *_table(heads, rows),
        "",
        f"![Losses of the overfit run and of both recipes]({PLOT})",
    ]


def _nan(data: dict[str, Any]) -> list[str]:
    lines = []
    for name, found in data.items():
        if not found["said"]:
            lines += [f"By {name}: nothing was said, and the training went on.", ""]
            continue
        left = "" if found["poisoned"] else f" with weights that are{'' if found['weights_finite'] else ' not'} finite"
        lines += [f"By {name}: it stopped at iteration {found['iteration']}{left}. What is said:", ""]
        lines += ["```text", found["said"].replace("```", "'''"), "```", ""]
    return lines

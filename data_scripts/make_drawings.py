"""Make the drawings of the notebook: `assignment/ps7/images/*.png`.

Usage: python data_scripts/make_drawings.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from autograder.course.assignment import load_assignment

INK, BLUE, GREEN, RED, GREY = "#1c2430", "#2b6cb0", "#2f855a", "#c05621", "#718096"


def architecture() -> plt.Figure:
    """Image -> backbone maps -> pyramid -> one prediction network for all levels."""
    figure, axes = plt.subplots(figsize=(9.6, 4.6))
    axes.set(xlim=(0, 9.6), ylim=(-0.35, 4.6))
    axes.axis("off")
    _box(axes, 0.1, 0.35, 1.1, 1.1, "image\n224 x 224", GREY)
    rows = {5: (3.15, 0.55, 7), 4: (1.9, 0.75, 14), 3: (0.4, 1.0, 28)}
    for level, (y, side, cells) in rows.items():
        _box(axes, 2.0, y, 0.6 + side * 0.5, side, f"c{level}\n{cells} x {cells}", BLUE)
        _box(axes, 4.35, y, 0.6 + side * 0.5, side, "+" if level < 5 else "", GREEN)
        _box(axes, 6.4, y, 0.6 + side * 0.5, side, f"p{level}\nstride {2**level}", GREEN)
        middle = y + side / 2
        _arrow(axes, (2.6 + side * 0.5, middle), (4.35, middle), "1 x 1")
        _arrow(axes, (4.95 + side * 0.5, middle), (6.4, middle), "3 x 3")
        _arrow(axes, (7.0 + side * 0.5, middle), (8.2, 2.25), "")
    _arrow(axes, (1.2, 0.9), (2.0, 0.9), "")
    _arrow(axes, (2.45, 1.4), (2.45, 1.9), "")
    _arrow(axes, (2.45, 2.65), (2.45, 3.15), "")
    _arrow(axes, (4.8, 3.15), (4.8, 2.65), "enlarge x 2", RED)
    _arrow(axes, (4.8, 1.9), (4.8, 1.4), "enlarge x 2", RED)
    _box(axes, 8.2, 1.45, 1.3, 1.6, "the same\nnetwork on\nevery level:\nclasses, box,\ncenterness", RED)
    for x, text in ((2.4, "backbone"), (4.7, "top-down sums"), (6.75, "pyramid"), (8.85, "predictions")):
        axes.text(x, 4.25, text, ha="center", color=INK, fontsize=12, weight="bold")
    axes.text(2.4, -0.2, "finer: where", ha="center", color=GREY, fontsize=9)
    axes.text(2.4, 3.95, "coarser: what", ha="center", color=GREY, fontsize=9)
    return figure


def deltas() -> plt.Figure:
    """A location on the grid of stride 8 and its four distances to the edges of a box."""
    figure, axes = plt.subplots(figsize=(6.4, 4.4))
    axes.set(xlim=(0, 96), ylim=(66, -2), aspect="equal")
    for x in range(0, 97, 8):
        axes.axvline(x, color="#e2e8f0", linewidth=0.8, zorder=0)
    for y in range(0, 65, 8):
        axes.axhline(y, color="#e2e8f0", linewidth=0.8, zorder=0)
    centres = [(x, y) for x in range(4, 96, 8) for y in range(4, 64, 8)]
    axes.scatter(*zip(*centres, strict=True), s=5, color="#a0aec0", zorder=1)
    x1, y1, x2, y2, x, y = 14, 9, 86, 59, 36, 28
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=BLUE, linewidth=2.5))
    for end, name, at in (
        ((x1, y), "left", (24, 26)),
        ((x, y1), "top", (37, 17)),
        ((x2, y), "right", (58, 26)),
        ((x, y2), "bottom", (37, 46)),
    ):
        arrow = FancyArrowPatch((x, y), end, arrowstyle="-|>", mutation_scale=14, color=RED, linewidth=2, zorder=3)
        axes.add_patch(arrow)
        axes.text(*at, name, color=RED, fontsize=12, weight="bold", zorder=4)
    axes.scatter([x], [y], s=55, color=INK, zorder=5)
    axes.text(38, 33, "(xc, yc)", color=INK, fontsize=11)
    axes.text(x1, y1 - 1.5, "(x1, y1)", color=BLUE, fontsize=11, ha="center")
    axes.text(x2, y2 + 4, "(x2, y2)", color=BLUE, fontsize=11, ha="center")
    axes.set_xlabel("x, in pixels; every cell of stride 8 has its location in the middle")
    axes.set_ylabel("y")
    return figure


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    style = "round,pad=0.02,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour + "22", edgecolor=colour))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=INK, fontsize=9.5)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str, colour: str = INK) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.3))
    upright = start[0] == end[0]
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    offset = (0.08, 0.0) if upright else (0.0, 0.06)
    place = {"ha": "left", "va": "center"} if upright else {"ha": "center", "va": "bottom"}
    axes.text(x + offset[0], y + offset[1], text, color=colour, fontsize=8.5, **place)


def main() -> None:
    """Write both drawings."""
    folder = load_assignment("ps7").folder / "images"
    folder.mkdir(exist_ok=True)
    for make in (architecture, deltas):
        figure = make()
        path = Path(folder / f"{make.__name__}.png")
        figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white", metadata={"Software": None})
        plt.close(figure)
        print(f"wrote {path.name} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()

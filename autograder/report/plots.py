"""The plots of a class as inline SVG: drawn by Matplotlib, coloured by the page's style sheet.

Every plot has a text that says what it shows. Kinds differ by hatching or shape besides colour; colours are
classes, so that a page in the dark, on paper, or under a strict policy for styles shows them all the same.
"""

from __future__ import annotations

import io
import re
import statistics
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import Any

import markupsafe
from matplotlib import rc_context
from matplotlib.figure import Figure

from autograder.report.summary import ClassSummary

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_WIDTH = 4.6  # inches: text of 11 pt stays readable where a phone shows the whole figure
# Stand-ins for the style sheet's colours; the plots know no others.
_INK, _SOFT, _PAPER, _ONE, _TWO, _THREE = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
_CLASSES = {_INK: "ink", _SOFT: "soft", _PAPER: "paper", _ONE: "one", _TWO: "two", _THREE: "three"}
_BEHIND = {"facecolor": _PAPER, "edgecolor": "none", "pad": 1}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fcoskit",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _SOFT,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "hatch.color": _INK,
    "hatch.linewidth": 0.6,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def score_plot(summary: ClassSummary) -> markupsafe.Markup:
    """How many students lie in each range of scores."""
    scores = summary.scores
    with rc_context(_STYLE):
        figure, axes = _figure(2.9)
        for one in scores.bins:
            axes.bar(one.low, one.count, one.high - one.low, align="edge", color=_ONE, edgecolor=_PAPER, linewidth=1.5)
            if one.count:
                middle = ((one.low + one.high) / 2, one.count)
                above = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center", "va": "bottom"}
                axes.annotate(str(one.count), middle, bbox=_BEHIND, **above)
        if scores.median is not None:
            axes.axvline(scores.median, color=_INK, linestyle="--", linewidth=1.5, zorder=0.5)
            side = "right" if scores.median > scores.most / 2 else "left"
            where = ("data", "axes fraction")
            axes.annotate(f"median {round(scores.median, 1):g}", (scores.median, 1.04), xycoords=where, ha=side)
        axes.set_xlim(0, max(scores.most, 1e-9))
        axes.set_ylim(0, max([one.count for one in scores.bins], default=0) * 1.12 + 0.5)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("score")
        axes.set_ylabel("students")
        told = ", ".join(f"{b.low:g} to {b.high:g}: {b.count}" for b in scores.bins if b.count)
        return _svg(figure, f"Histogram of scores. Students by range of points: {told or 'none'}.")


def exercise_plot(summary: ClassSummary) -> markupsafe.Markup:
    """For each exercise: how many got all points, some, none."""
    kinds = (("all points", "full", _ONE, ""), ("some", "part", _TWO, "///"), ("none", "none", _THREE, ""))
    exercises = summary.exercises
    names = [exercise.id for exercise in exercises]
    with rc_context(_STYLE):
        figure, axes = _figure(1.1 + 0.36 * len(names))
        left = [0.0] * len(names)
        for label, field, colour, hatch in kinds:
            counts = [getattr(exercise, field) for exercise in exercises]
            axes.barh(names, counts, left=left, color=colour, hatch=hatch, edgecolor=_PAPER, height=0.72, label=label)
            left = [start + count for start, count in zip(left, counts, strict=True)]
        axes.invert_yaxis()
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("students")
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0, handlelength=1.4)
        told = "; ".join(f"{e.id}: {e.full} all, {e.part} some, {e.none} none" for e in exercises)
        return _svg(figure, f"Students by exercise, with all points, some, or none. {told}.")


def item_plot(summary: ClassSummary) -> markupsafe.Markup | None:
    """Difficulty against discrimination; None where no check has both."""
    items = [
        (item.public, 100 * item.difficulty, item.discrimination)
        for item in summary.items
        if item.difficulty is not None and item.discrimination is not None
    ]
    if not items:
        return None
    with rc_context(_STYLE):
        figure, axes = _figure(3.2)
        axes.axhline(0, color=_SOFT, linewidth=1)
        for public, marker, colour, label in ((True, "o", _ONE, "public"), (False, "^", _TWO, "only when graded")):
            xs, ys = [x for kind, x, _ in items if kind is public], [y for kind, _, y in items if kind is public]
            axes.plot(xs, ys, marker, color=colour, markersize=7, markeredgecolor=_PAPER, label=label)
        axes.set_xlim(-3, 103)
        axes.set_ylim(min([-0.1, *(y for _, _, y in items)]) - 0.08, 1.05)
        axes.set_xlabel("students that passed (%)")
        axes.set_ylabel("discrimination")
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0, handletextpad=0.2)
        low = sum(y < 0 for _, _, y in items)
        words = f"{len(items)} checks, {low or 'none'} of them below zero"
        return _svg(figure, f"Each check by its share of passes and its discrimination: {words}.")


def cost_plot(summary: ClassSummary) -> markupsafe.Markup | None:
    """Seconds and peak memory of each exercise, a box over the students; None where nothing was measured."""
    exercises = [exercise for exercise in summary.exercises if exercise.seconds]
    if not exercises:
        return None
    names = [exercise.id for exercise in exercises]
    memory = any(exercise.megabytes for exercise in exercises)
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 1.0 + 0.36 * len(names)), layout="constrained")
        panels: Any = figure.subplots(1, 2 if memory else 1, sharey=True, squeeze=False)[0]
        _boxes(panels[0], [exercise.seconds for exercise in exercises], names, "seconds")
        panels[0].set_xscale("log")
        panels[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panels[0].xaxis.set_minor_formatter(lambda value, _: "")
        if memory:
            _boxes(panels[1], [exercise.megabytes for exercise in exercises], names, "peak memory, MB")
            panels[1].set_xlim(left=0)
        panels[0].invert_yaxis()
        told = "; ".join(f"{e.id}: {statistics.median(e.seconds):.2g} s" for e in exercises)
        return _svg(figure, f"Wall clock and peak memory of each exercise over the students. Median seconds: {told}.")


def _boxes(axes: Any, values: Sequence[Sequence[float]], names: list[str], label: str) -> None:
    line = {"color": _INK, "linewidth": 1.1}
    axes.boxplot(
        values,
        orientation="horizontal",
        tick_labels=names,
        widths=0.55,
        patch_artist=True,
        boxprops={"facecolor": _ONE, "edgecolor": _INK},
        whiskerprops=line,
        capprops=line,
        medianprops={"color": _PAPER, "linewidth": 2},
        flierprops={"marker": "o", "markersize": 4, "markerfacecolor": _PAPER, "markeredgecolor": _INK},
    )
    axes.set_xlabel(label)


def _figure(height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, words: str) -> markupsafe.Markup:
    """The figure as an SVG element without style of its own; ids are made its own, for several share a page."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(stream.getvalue())  # noqa: S314 (Matplotlib's own)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}style", f"{_SVG}metadata"):
                parent.remove(child)
    prefix = re.sub("[^a-z]+", "-", words.lower())[:24]
    for element in root.iter():
        _restyle(element, prefix)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {"viewBox": box, "role": "img", "aria-label": words}
    return markupsafe.Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (escaped by ElementTree)


def _restyle(element: Any, prefix: str) -> None:
    """Turn `style` into attributes and classes, and make ids differ from those of other plots."""
    element.tag = element.tag.removeprefix(_SVG)
    attributes = dict(element.attrib)
    for entry in attributes.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in entry.partition(":"))
        if name == "font-size":
            attributes[name] = value.removesuffix("px")
        elif name and not name.startswith("font"):  # the page's own font
            attributes[name] = value
    classes = []
    for name in ("fill", "stroke"):
        if attributes.get(name) in _CLASSES:
            classes.append(f"{name}-{_CLASSES[attributes.pop(name)]}")
    if element.tag == "text" and not classes:
        classes.append("fill-ink")
    if classes:
        attributes["class"] = " ".join(classes)
    if _LINK in attributes:
        attributes["href"] = "#" + prefix + attributes.pop(_LINK).removeprefix("#")
    if "id" in attributes:
        attributes["id"] = prefix + attributes["id"]
    attributes = {name: value.replace("url(#", f"url(#{prefix}") for name, value in attributes.items()}
    element.attrib.clear()
    element.attrib |= attributes

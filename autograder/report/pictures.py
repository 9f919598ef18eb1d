"""A `Picture` as inline SVG: made of numbers alone, drawn in shapes that tell apart without colour.

What a check expected is drawn solid and round, what student code gave dashed and square. Colours are classes of
the page's style sheet; words stand in the caption and in the text for screen readers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import markupsafe

from autograder.checks.result import Picture

_SIDE = 300.0  # units of the drawing's longer side
_PATH = 40  # rows whose order is drawn
_BOXES = 6
_REACH = {
    "points": 3.0,
    "boxes": 1.5,
}  # how far beyond the expected numbers the view goes to follow the student's, in their extents
_WORDS = 3  # rows that are spelt out


@dataclass(frozen=True)
class _View:
    """The part of the plane that is drawn, in pixels of the image, and units a pixel."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def scale(self) -> float:
        return _SIDE / max(self.right - self.left, self.bottom - self.top)

    @property
    def size(self) -> tuple[float, float]:
        return (self.right - self.left) * self.scale, (self.bottom - self.top) * self.scale

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lands, in units; far ones are held near the edge of what a browser can draw."""
        far = 4 * _SIDE
        x, y = (x - self.left) * self.scale, (y - self.top) * self.scale
        return min(max(x, -far), far), min(max(y, -far), far)

    def holds(self, row: list[float]) -> bool:
        xs, ys = row[0::2], row[1::2]
        return self.left <= min(xs) and max(xs) <= self.right and self.top <= min(ys) and max(ys) <= self.bottom


def drawable(picture: Picture | None) -> bool:
    """Whether there is something to draw: a stored report may hold anything."""
    if picture is None or picture.kind not in ("points", "boxes"):
        return False
    columns = 2 if picture.kind == "points" else 4
    rows = [*picture.expected, *picture.got]
    return bool(picture.expected) and all(len(row) == columns and all(map(math.isfinite, row)) for row in rows)


def drawing(picture: Picture) -> markupsafe.Markup:
    """The SVG elements of a picture that is `drawable`."""
    view = _view(picture)
    if picture.kind == "points":
        panels = [("Expected", "want", picture.expected), ("Your code", "have", picture.got)]
        return markupsafe.Markup("\n").join(
            _svg(view, f"{name}: {_in_words(picture, rows)}", _points(view, rows, css), name)
            for name, css, rows in panels
        )
    words = f"Expected: {_in_words(picture, picture.expected)} Your code: {_in_words(picture, picture.got)}"
    return _svg(view, words, _boxes(view, picture), "")


def beyond(picture: Picture) -> int:
    """How many rows that student code gave cannot be seen whole."""
    view = _view(picture)
    shown = picture.got if picture.kind == "points" else picture.got[:_BOXES]
    return picture.dropped + sum(not view.holds(row) for row in shown)


def _view(picture: Picture) -> _View:
    rows = [[0.0, 0.0, picture.width, picture.height]] if picture.width and picture.height else []
    rows += picture.expected if picture.kind == "points" else picture.expected[:_BOXES]
    got = picture.got if picture.kind == "points" else picture.got[:_BOXES]
    sides = []
    for axis in (0, 1):
        wanted = [value for row in rows for value in row[axis::2]]
        low, high = min(wanted), max(wanted)
        reach = _REACH[picture.kind] * max(high - low, 1.0)
        given = [min(max(value, low - reach), high + reach) for row in got for value in row[axis::2]]
        low, high = min([low, *given]), max([high, *given])
        sides.append((low, high))
    margin = 0.06 * max(high - low for low, high in sides) + 1.0
    (left, right), (top, bottom) = [(low - margin, high + margin) for low, high in sides]
    narrow = 0.3 * max(right - left, bottom - top)  # a row of points is no thinner than this
    if bottom - top < narrow:
        top, bottom = (top + bottom - narrow) / 2, (top + bottom + narrow) / 2
    if right - left < narrow:
        left, right = (left + right - narrow) / 2, (left + right + narrow) / 2
    return _View(left, top, right, bottom)


def _svg(view: _View, words: str, body: markupsafe.Markup, name: str) -> markupsafe.Markup:
    width, height = view.size
    head = markupsafe.Markup('<text class="name" x="0" y="-6">{}</text>').format(name) if name else ""
    above = 20 if name else 2
    return markupsafe.Markup(
        '<svg role="img" aria-label="{}" viewBox="-2 {} {:.0f} {:.0f}">{}'
        '<rect class="sheet" x="0" y="0" width="{:.1f}" height="{:.1f}"/>'
        '<svg x="0" y="0" width="{:.1f}" height="{:.1f}">{}</svg></svg>'
    ).format(words, -above, width + 4, height + above + 2, head, width, height, width, height, body)


def _points(view: _View, rows: list[list[float]], css: str) -> markupsafe.Markup:
    """A dot for each row, and a line through the first ones in their order, from a ring to an arrow head."""
    if not rows:
        return markupsafe.Markup("")
    spots = [view.place(x, y) for x, y in rows]
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots)
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots[:_PATH])
    first = markupsafe.Markup('<circle class="start {}" cx="{:.1f}" cy="{:.1f}" r="6"/>').format(css, *spots[0])
    return (
        markupsafe.Markup('<path class="dots" d="{}"/><path class="order {}" d="{}"/>').format(dots, css, line)
        + first
        + _arrow(spots[:_PATH], css)
    )


def _arrow(spots: list[tuple[float, float]], css: str) -> markupsafe.Markup:
    """A head at the end of the line, pointing where it goes."""
    (x, y) = spots[-1]
    before = next((spot for spot in reversed(spots) if spot != (x, y)), None)
    if before is None:
        return markupsafe.Markup("")
    angle = math.atan2(y - before[1], x - before[0])
    corners = [(x + 9 * math.cos(angle + turn), y + 9 * math.sin(angle + turn)) for turn in (0, 2.5, -2.5)]
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"
    return markupsafe.Markup('<path class="head {}" d="{}"/>').format(css, path)


def _boxes(view: _View, picture: Picture) -> markupsafe.Markup:
    """The image's frame, the expected boxes with their numbers, and over them the student's."""
    parts = []
    if picture.width and picture.height:
        parts.append(_box(view, [0.0, 0.0, picture.width, picture.height], "frame"))
    for css, rows in (("want", picture.expected), ("have", picture.got)):
        for number, row in enumerate(rows[:_BOXES]):
            parts.append(_box(view, row, f"box {css}"))
            x, y = view.place(min(row[0], row[2]), min(row[1], row[3]))
            x, y = min(max(x, 0), view.size[0] - 16), min(max(y, 0), view.size[1] - 16)
            shift = 4 if css == "want" else 16
            parts.append(
                markupsafe.Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(
                    css, x + shift, y + 13, number if css == "want" else f"{number}\u2032"
                )
            )
    return markupsafe.Markup("").join(parts)


def _box(view: _View, row: list[float], css: str) -> markupsafe.Markup:
    (left, top), (right, bottom) = view.place(row[0], row[1]), view.place(row[2], row[3])
    x, y, width, height = min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)
    return markupsafe.Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        css, x, y, max(width, 0.5), max(height, 0.5)
    )


def _in_words(picture: Picture, rows: list[list[float]]) -> str:
    if not rows:
        return "nothing that can be drawn."
    told = ", ".join("(" + ", ".join(f"{value:g}" for value in row) + ")" for row in rows[:_WORDS])
    return f"{picture.what}: {told}{', and so on' if len(rows) > _WORDS else ''}."

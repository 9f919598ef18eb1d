"""Draws the scenes of the built-in data set: textured backgrounds with a few objects on them.

What an object *is* follows from its outline alone. Its colours are drawn without looking at the class, and
the background and the sizes too, so a detector has to learn shapes.

All randomness comes from the generator handed in, so one seed gives one picture.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Box = tuple[float, float, float, float]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Scene:
    """A picture and what is on it: class names and boxes ``(x1, y1, x2, y2)`` in pixels."""

    image: Image.Image
    names: list[str]
    boxes: list[Box]


@dataclass(frozen=True)
class _Outline:
    """A shape in the unit square: filled polygons in drawing order, and width over height."""

    aspect: float
    body: list[Points]
    detail: list[Points]


def _ellipse(cx: float, cy: float, rx: float, ry: float) -> Points:
    """An ellipse as a polygon of 24 corners."""
    angles = [2 * math.pi * k / 24 for k in range(24)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> Points:
    """An upright rectangle."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


_AEROPLANE = _Outline(
    aspect=1.0,  # seen from above
    body=[
        _ellipse(0.5, 0.5, 0.08, 0.5),
        [(0.5, 0.3), (1.0, 0.6), (1.0, 0.72), (0.5, 0.55), (0.0, 0.72), (0.0, 0.6)],
        [(0.5, 0.8), (0.74, 0.94), (0.74, 1.0), (0.5, 0.94), (0.26, 1.0), (0.26, 0.94)],
    ],
    detail=[_ellipse(0.5, 0.14, 0.045, 0.07)],
)
_BOTTLE = _Outline(
    aspect=0.36,
    body=[
        [
            (0.34, 0.0),
            (0.66, 0.0),
            (0.66, 0.24),
            (1.0, 0.42),
            (1.0, 1.0),
            (0.0, 1.0),
            (0.0, 0.42),
            (0.34, 0.24),
        ]
    ],
    detail=[_rectangle(0.0, 0.55, 1.0, 0.8)],
)
_CAR = _Outline(
    aspect=2.0,
    body=[[(0.0, 0.8), (0.0, 0.47), (0.18, 0.42), (0.32, 0.0), (0.7, 0.0), (0.84, 0.42), (1.0, 0.5), (1.0, 0.8)]],
    detail=[
        [(0.27, 0.42), (0.36, 0.1), (0.49, 0.1), (0.49, 0.42)],
        [(0.53, 0.42), (0.53, 0.1), (0.66, 0.1), (0.76, 0.42)],
        _ellipse(0.23, 0.78, 0.11, 0.22),
        _ellipse(0.77, 0.78, 0.11, 0.22),
    ],
)
_TVMONITOR = _Outline(
    aspect=1.25,
    body=[
        _rectangle(0.0, 0.0, 1.0, 0.78),
        _rectangle(0.43, 0.78, 0.57, 0.92),
        _rectangle(0.24, 0.9, 0.76, 1.0),
    ],
    detail=[_rectangle(0.08, 0.09, 0.92, 0.69)],
)

_OUTLINES: dict[str, _Outline] = {
    "aeroplane": _AEROPLANE,
    "bottle": _BOTTLE,
    "car": _CAR,
    "tvmonitor": _TVMONITOR,
}

DRAWN_CLASSES: tuple[str, ...] = tuple(_OUTLINES)
"""The classes that can appear, a few of VOC's twenty."""

MAX_DRAWN = 3  # objects in a scene: 1 to this many
SIZE_RANGE = (0.35, 0.75)  # longer edge of an object, as a part of the scene's shorter edge
MAX_OVERLAP = 0.15  # of the smaller of two boxes, that may be covered by the other
MIN_VISIBLE = 0.85  # of an object's width and height inside the picture
MIN_CONTRAST = 120.0  # distance in RGB between an object's colours and what is behind it
_SUPERSAMPLING = 2
_PLACEMENTS = 12  # tries to find room for one object


def draw_scene(rng: np.random.Generator, width: int, height: int) -> Scene:
    """Draw one picture with 1 to ``MAX_DRAWN`` objects.

    Args:
        rng: Where all randomness comes from.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        The picture (RGB) with its objects; a box holds what the picture shows of its object as if nothing
        covered it, and lies within the picture.
    """
    image = _background(rng, width, height)
    names: list[str] = []
    boxes: list[Box] = []
    for _ in range(int(rng.integers(1, MAX_DRAWN + 1))):
        name = DRAWN_CLASSES[int(rng.integers(len(DRAWN_CLASSES)))]
        outline = _OUTLINES[name]
        place = _find_place(rng, outline, width, height, boxes)
        if place is None:
            continue
        body, detail, box = place
        _draw_object(rng, image, body, detail)
        names.append(name)
        boxes.append(box)
    return Scene(_add_noise(rng, image), names, boxes)


def _background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Soft patches around some pale colour, and a faint stripe pattern."""
    cells = int(rng.integers(2, 5))
    tint = rng.integers(60, 196) + rng.integers(-25, 26, size=3)
    patches = tint + rng.integers(-15, 16, size=(cells, cells, 3))
    image = Image.fromarray(patches.clip(0, 255).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    angle, period = rng.uniform(0, math.pi), rng.uniform(0.05, 0.2) * min(width, height)
    phase_x = np.arange(width) * (math.cos(angle) * 2 * math.pi / period)
    phase_y = np.arange(height) * (math.sin(angle) * 2 * math.pi / period)
    stripes = np.sin(phase_y[:, None] + phase_x[None, :]).astype(np.float32)  # (H, W)
    pixels = np.asarray(image, dtype=np.float32) + stripes[:, :, None] * np.float32(rng.uniform(0, 6))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _add_noise(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """The grain of a camera: every channel of every pixel moves a little."""
    pixels = np.asarray(image).astype(np.int16)
    pixels += rng.integers(-10, 11, size=pixels.shape, dtype=np.int8)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _contrasting_color(rng: np.random.Generator, others: list[Color]) -> Color:
    """A colour at some distance from others; after some tries the most distant one seen."""
    candidates = rng.integers(0, 256, size=(16, 3))
    distances = np.min([np.linalg.norm(candidates - np.array(other), axis=1) for other in others], axis=0)
    enough = distances >= MIN_CONTRAST
    chosen = candidates[int(enough.argmax()) if enough.any() else int(distances.argmax())]
    return int(chosen[0]), int(chosen[1]), int(chosen[2])


def _find_place(
    rng: np.random.Generator, outline: _Outline, width: int, height: int, taken: list[Box]
) -> tuple[list[Points], list[Points], Box] | None:
    """A random size, turn and place for an outline that covers little of what is there, or None."""
    for _ in range(_PLACEMENTS):
        small, large = SIZE_RANGE
        edge = min(width, height) * small * (large / small) ** rng.uniform()
        aspect = outline.aspect * rng.uniform(0.85, 1.18)
        w, h = (edge, edge / aspect) if aspect >= 1 else (edge * aspect, edge)
        center = rng.uniform(0, width), rng.uniform(0, height)
        turn, mirror = math.radians(rng.uniform(-12, 12)), bool(rng.integers(2))
        body = [_transform(p, w, h, center, turn, mirror) for p in outline.body]
        detail = [_transform(p, w, h, center, turn, mirror) for p in outline.detail]
        full = _bounds(body + detail)
        box = max(full[0], 0.0), max(full[1], 0.0), min(full[2], float(width)), min(full[3], float(height))
        visible = min((box[2] - box[0]) / (full[2] - full[0]), (box[3] - box[1]) / (full[3] - full[1]))
        if visible >= MIN_VISIBLE and all(_overlap(box, other) <= MAX_OVERLAP for other in taken):
            return body, detail, box
    return None


def _transform(
    points: Points, width: float, height: float, center: tuple[float, float], turn: float, mirror: bool
) -> Points:
    """Carry points of the unit square into the picture."""
    cos, sin = math.cos(turn), math.sin(turn)
    result: Points = []
    for u, v in points:
        x = (0.5 - u if mirror else u - 0.5) * width
        y = (v - 0.5) * height
        result.append((center[0] + x * cos - y * sin, center[1] + x * sin + y * cos))
    return result


def _bounds(polygons: list[Points]) -> Box:
    """The smallest box around some polygons."""
    xs = [x for polygon in polygons for x, _ in polygon]
    ys = [y for polygon in polygons for _, y in polygon]
    return min(xs), min(ys), max(xs), max(ys)


def _overlap(a: Box, b: Box) -> float:
    """The part of the smaller box that the other one covers."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(w, 0.0) * max(h, 0.0) / smaller


def _draw_object(rng: np.random.Generator, image: Image.Image, body: list[Points], detail: list[Points]) -> None:
    """Draw the polygons in two colours that differ from what is behind them and from each other."""
    x1, y1, x2, y2 = _bounds(body + detail)
    left, top = math.floor(x1), math.floor(y1)
    size = math.ceil(x2) - left + 1, math.ceil(y2) - top + 1
    behind = image.crop((max(left, 0), max(top, 0), min(left + size[0], image.width), min(top + size[1], image.height)))
    mean = np.asarray(behind).reshape(-1, 3).mean(axis=0)
    first = _contrasting_color(rng, [(int(mean[0]), int(mean[1]), int(mean[2]))])
    second = _contrasting_color(rng, [(int(mean[0]), int(mean[1]), int(mean[2])), first])
    k = _SUPERSAMPLING
    patch = Image.new("RGBA", (size[0] * k, size[1] * k), (*first, 0))
    draw = ImageDraw.Draw(patch)
    for polygons, color in ((body, first), (detail, second)):
        for polygon in polygons:
            draw.polygon([((x - left) * k, (y - top) * k) for x, y in polygon], fill=(*color, 255))
    patch = patch.reduce(k)
    image.paste(patch, (left, top), patch)

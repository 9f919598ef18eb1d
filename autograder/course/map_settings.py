"""The `[map]` table of an `assignment.toml`: how the weights that students hand in are verified.

What stands there is all that the engine knows of a detector: which files hold its weights, which class makes it,
with which arguments, and how it is called.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from autograder.course.toml_values import flag, refuse_unknown, subtable, text, texts

SEED_BITS = 63  # of what picks the images


@dataclass(frozen=True)
class Way:
    """How weights were made that fit some arguments, and so how they are measured.

    Attributes:
        arguments: What the class is made with.
        data: Class of the data set that they are trained on; "" where that may be any.
        image_size: Length of the shorter edge that images are brought to, pixels.
        call: Keyword arguments of a call of the detector, besides the images.
    """

    arguments: tuple[Any, ...]
    data: str
    image_size: int
    call: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class MapSettings:
    """How a mean average precision (mAP) is measured.

    Attributes:
        id: Of the part of the assignment that asks for it, in reports.
        title: A few words for reports.
        files: Names of the file with the weights, beside the notebook; the first that is there counts. A name that
            ends in `.safetensors` is read as such, any other as what `torch.save` writes.
        make: The class that the notebook defines and that is trained.
        arguments: What the class is made with: one list, or several, of which the first that the weights fit counts.
        call: Keyword arguments of a call of the detector, besides the images.
        weights_megabytes: A larger file is refused.
        images: How many are looked at.
        image_size: Length of the shorter edge that images are brought to, pixels.
        folder: Images in VOC's layout; the built-in data set if None.
        seconds: CPU time for all of it.
        detections: The most that are kept for an image, by score.
        points: Points for it; 0: a figure and nothing else.
        marks_at: mAP from which on an equal share of the points is given, in (0, 1], rising.
        short_names: Whether the leaderboard shows pseudonyms.
        trained: What differs for weights that fit some of the arguments: see `ways`.
        trained_with: Name that the notebook gives the data set it trains on: `make_submission()` notes what it is.
        drawn: Class of the data set whose like the built-in images are.
    """

    id: str
    title: str
    files: tuple[str, ...]
    make: str
    arguments: tuple[tuple[Any, ...], ...] = ((),)
    call: tuple[tuple[str, Any], ...] = ()
    weights_megabytes: int = 128
    images: int = 200
    image_size: int = 224
    folder: Path | None = None
    seconds: float = 300.0
    detections: int = 1000
    points: float = 0.0
    marks_at: tuple[float, ...] = ()
    short_names: bool = False
    trained: tuple[Way, ...] = ()
    trained_with: str = ""
    drawn: str = ""

    @property
    def ways(self) -> tuple[Way, ...]:
        """How weights are measured, one way for each of `arguments`."""
        plain = (Way(made, "", self.image_size, self.call) for made in self.arguments)
        return tuple(next((own for own in self.trained if own.arguments == way.arguments), way) for way in plain)

    @property
    def wanted(self) -> str:
        """The files' names for people."""
        return " or ".join(f"`{name}`" for name in self.files)


def read_map_settings(table: dict[str, Any], root: Path) -> MapSettings:
    """Build `MapSettings` from a parsed table; `folder` is taken from the course's folder if it is relative.

    Raises:
        KeyError, TypeError, ValueError: The table is not as it should be.
    """
    unknown = set(table) - {entry.name for entry in fields(MapSettings)}
    if unknown:
        raise ValueError(f"[map] has unknown keys {', '.join(sorted(unknown))}")
    files, arguments = texts(table, "files", "[map]"), table.get("arguments", [])
    if not files or any(Path(name).name != name or name.startswith(".") for name in files):
        raise ValueError("[map] files must be names of files, without folders")
    marks = table.get("marks_at", [])
    if not isinstance(arguments, list) or not isinstance(marks, list) or not all(map(_is_number, marks)):
        raise ValueError("[map] arguments must be a list, marks_at a list of numbers")
    several = bool(arguments) and all(isinstance(entry, list) for entry in arguments)
    call, size = subtable(table, "call", "[map]"), table.get("image_size", MapSettings.image_size)
    made = MapSettings(
        id=text(table, "id", "[map]", r"\w[\w.-]*", "letters, digits, dots and dashes"),
        title=text(table, "title", "[map]"),
        files=files,
        make=text(table, "make", "[map]"),
        arguments=tuple(tuple(entry) for entry in arguments) if several else (tuple(arguments),),
        call=tuple(call.items()),
        folder=root / text(table, "folder", "[map]") if table.get("folder") else None,
        marks_at=tuple(float(value) for value in marks),
        short_names=flag(table, "short_names", "[map]"),
        trained=_ways(table.get("trained", []), size, call),
        trained_with=text(table, "trained_with", "[map]") if "trained_with" in table else "",
        drawn=text(table, "drawn", "[map]") if "drawn" in table else "",
        **{name: table[name] for name in _NUMBERS if name in table},
    )
    _check(made)
    return made


def _ways(entries: Any, image_size: Any, call: dict[str, Any]) -> tuple[Way, ...]:
    """The entries of `trained`; what one leaves out is as in `[map]`."""
    where = "trained of [map]"
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{where} has to be a list of tables, a table for each of arguments")
    made = []
    for entry in entries:
        refuse_unknown(entry, {"arguments", "data", "image_size", "call"})
        if not isinstance(entry["arguments"], list):
            raise ValueError(f"arguments in {where} has to be a list, as in [map]")
        own_call = subtable(entry, "call", where) if "call" in entry else call
        size = entry.get("image_size", image_size)
        made.append(Way(tuple(entry["arguments"]), text(entry, "data", where), size, tuple(own_call.items())))
    return tuple(made)


_NUMBERS = ("weights_megabytes", "images", "image_size", "seconds", "detections", "points")


def _check(made: MapSettings) -> None:
    """ValueError where a number makes no sense."""
    for name in _NUMBERS:
        value = getattr(made, name)
        if not _is_number(value):
            raise ValueError(f"[map] {name} must be a number")
        if name in ("weights_megabytes", "images", "image_size", "detections") and not isinstance(value, int):
            raise ValueError(f"[map] {name} must be a whole number")
        if value < 0 or (value == 0 and name != "points"):
            raise ValueError(f"[map] {name} must be {'0 or more' if name == 'points' else 'positive'}")
    for way in made.trained:
        if way.arguments not in made.arguments:
            raise ValueError(
                f"trained of [map] has arguments {list(way.arguments)}, which [map] arguments does not have"
            )
        if not isinstance(way.image_size, int) or isinstance(way.image_size, bool) or way.image_size <= 0:
            raise ValueError("image_size in trained of [map] must be a whole number, positive")
    rising = all(low < high for low, high in zip((0.0, *made.marks_at), made.marks_at, strict=False))
    if not rising or any(value > 1 for value in made.marks_at):
        raise ValueError("[map] marks_at must rise, above 0 and up to 1: a mAP of 40% is 0.4")
    if bool(made.points) != bool(made.marks_at):
        raise ValueError("[map] points and marks_at belong together: points, and the mAP from which they are given")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

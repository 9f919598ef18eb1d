"""On what weights are measured: images of the kind and the size that they were trained on, or none.

A detector that was trained on drawings of 64 pixels finds nothing in drawings of 224, and one that was trained on
photographs finds nothing in drawings. The student's note says what the weights were trained on. It counts where it is
about this very file and its size is the one that the weights' own architecture tells; else the architecture counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.course.map_settings import MapSettings, Way
from autograder.intake.trained import Trained


@dataclass(frozen=True)
class Plan:
    """What weights are measured on.

    Attributes:
        data: Class of the data set that they were trained on; "" where that is not known and does not matter.
        folder: The course's images; None for drawn ones.
        image_size: Pixels.
        call: Keyword arguments of a call of the detector, besides the images.
        drawn: Class of the data set whose like drawn images are.
        problem: Why they are not measured, for the student; "" if they are.
        doubt: Why the student's note does not count; "" if it does, or there is none.
    """

    data: str
    folder: Path | None
    image_size: int
    call: tuple[tuple[str, Any], ...]
    drawn: str = ""
    problem: str = ""
    doubt: str = ""

    def told(self, images: int) -> str:
        """On what and at which size, over how many images; a sentence or two for the student."""
        if self.folder is not None:
            what = "of the course's own"
        else:
            what = f"drawn as `{self.drawn}` draws them" if self.drawn else "drawn for this"
        told = f"These are {images} images {what}, at {self.image_size} pixels."
        return f"{told} {self.doubt}".rstrip()


def plan_for(settings: MapSettings, way: Way, trained: Trained | None, sha256: str) -> Plan:
    """What to measure weights on.

    Args:
        settings: The `[map]` table.
        way: Of the arguments that the weights fit.
        trained: The student's note, if there is one.
        sha256: Of the file with the weights.

    Returns:
        A plan. Where the weights count for points, all are measured on the same kind of images; else each on its own.
    """
    doubt = _doubt(way, trained, sha256)
    data = way.data
    if trained is not None and not doubt and (not settings.points or trained.data == settings.drawn):
        data = trained.data  # for points a note never says that there are no images: that would hold a score up
    is_drawn = bool(settings.drawn) and data == settings.drawn
    folder = None if is_drawn and not settings.points else settings.folder
    plan = Plan(data, folder, way.image_size, way.call, settings.drawn, doubt=doubt)
    if folder is not None or is_drawn or not data or not settings.drawn:
        return plan
    ours = "That is ours to mend: staff will look." if settings.points else "It costs you nothing."
    problem = (
        f"Not measured: these weights were trained on `{data}`, and the course keeps no such images to measure them by "
        f"(`folder` in the table `[map]` of assignment.toml). {ours}"
    )
    return Plan(data, None, way.image_size, way.call, settings.drawn, problem, doubt)


def _doubt(way: Way, trained: Trained | None, sha256: str) -> str:
    """Why a note does not count."""
    if trained is None:
        return ""
    if trained.sha256 != sha256:
        return "The note on how weights were made is about another file, so it does not count."
    if trained.image_size != way.image_size:
        return (
            f"The note says that they were made at {trained.image_size} pixels; such weights come from training at "
            f"{way.image_size}, which counts."
        )
    return ""

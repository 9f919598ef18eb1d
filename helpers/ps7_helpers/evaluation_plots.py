"""Pictures of an evaluation: precision against recall, average precision of each class, the worst mistakes.

``draw_...`` gives a figure, ``plot_...`` shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from PIL import Image
from torch.utils.data import Subset

from ps7_helpers.evaluation import Evaluation
from ps7_helpers.evaluation_files import read_folders
from ps7_helpers.figures import show
from ps7_helpers.misses import Miss, worst_misses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#718096"
_MARGIN = 0.5  # of a mistake's box, that is shown around it on each side


def plot_precision_recall(evaluation: Evaluation) -> None:
    """Show :func:`draw_precision_recall`."""
    draw_precision_recall(evaluation)
    show()


def plot_average_precision(evaluation: Evaluation) -> None:
    """Show :func:`draw_average_precision`."""
    draw_average_precision(evaluation)
    show()


def plot_worst_misses(
    ground_truth_dir: str | Path, detections_dir: str | Path, dataset: HasPictures | Subset[object], count: int = 8
) -> None:
    """Show the worst mistakes in two folders of text files, each where it is in its image.

    Args:
        ground_truth_dir: As for :func:`~ps7_helpers.evaluation_files.evaluate_folders`.
        detections_dir: The same.
        dataset: The data set that was evaluated, or a subset of it.
        count: How many.
    """
    owner: object = dataset
    while isinstance(owner, Subset):
        owner = owner.dataset
    if not isinstance(owner, HasPictures):
        raise TypeError(
            f"{type(owner).__name__} has no original_image(image_id), so there is nothing to draw on. Use "
            "VOC2007Detection or ShapesDetection (or a Subset of one), or add that method."
        )
    misses = worst_misses(*read_folders(ground_truth_dir, detections_dir), count)
    if misses:
        draw_misses(misses, owner.original_image)
        show()
    else:
        print("No mistakes: every object was found, and nothing else.")


@runtime_checkable
class HasPictures(Protocol):
    """A data set that can give an image as it is before resizing and cropping."""

    def original_image(self, image_id: str) -> Image.Image:
        """The image whose file is named ``image_id``, RGB."""
        ...


def draw_precision_recall(evaluation: Evaluation) -> Figure:
    """A small plot per class: precision against recall as the score threshold falls, and what AP is the area of.

    Args:
        evaluation: What :func:`~ps7_helpers.evaluation.evaluate_detections` gave.
    """
    import matplotlib.pyplot as plt

    names = sorted(evaluation.ap)
    columns = min(5, max(1, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    size = (2.3 * columns + 0.6, 2.1 * rows + 0.5)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        curve = evaluation.curves[name]
        falling = np.maximum.accumulate(curve.precision[::-1])[::-1]
        recall = np.concatenate([[0.0], curve.recall])
        axes.fill_between(recall, np.concatenate([falling[:1], falling]), step="pre", color=_BLUE, alpha=0.2)
        axes.plot(curve.recall, curve.precision, color=_BLUE, linewidth=1.4)
        axes.set_title(f"{name} {evaluation.ap[name]:.1%}", fontsize=10)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(names) :]:
        axes.axis("off")
    figure.supxlabel("recall: part of the objects that is found", fontsize=10)
    figure.supylabel("precision: part that is right", fontsize=10)  # has to fit beside a single row
    return figure


def draw_average_precision(evaluation: Evaluation) -> Figure:
    """A bar per class, best first, with the number of its objects; a line marks the mean.

    Args:
        evaluation: What :func:`~ps7_helpers.evaluation.evaluate_detections` gave.
    """
    import matplotlib.pyplot as plt

    names = sorted(evaluation.ap, key=lambda name: (evaluation.ap[name], name))  # barh counts from below
    figure, axes = plt.subplots(figsize=(7, 0.28 * len(names) + 1.2), layout="constrained")
    values = [100 * evaluation.ap[name] for name in names]
    bars = axes.barh(names, values, color=_BLUE, height=0.7)
    labels = [f"{v:.1f}%, {_objects(evaluation.curves[n].positives)}" for n, v in zip(names, values, strict=True)]
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.bar_label(bars, labels, padding=4, fontsize=8, color=_GREY, bbox=ground)
    axes.margins(y=0.01)
    if names:
        axes.axvline(100 * evaluation.mean_ap, color=_ORANGE, linestyle="--", linewidth=1.4, zorder=0)
        axes.set_title(f"mAP {evaluation.mean_ap:.2%}", color=_ORANGE, fontsize=11)
    axes.set(xlim=(0, 118), xticks=range(0, 101, 20), xlabel="average precision, in percent")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _objects(count: int) -> str:
    """``1 object``, ``2 objects``."""
    return f"{count} object" if count == 1 else f"{count} objects"


def draw_misses(misses: Sequence[Miss], open_image: Callable[[str], Image.Image]) -> Figure:
    """Each mistake as a picture: the place in its image, with a solid box if missed and a dashed one if invented.

    Args:
        misses: What :func:`~ps7_helpers.misses.worst_misses` gave.
        open_image: Gives the image of an id, in the coordinates of the boxes.
    """
    import matplotlib.pyplot as plt

    columns = min(4, max(1, len(misses)))
    rows = max(1, math.ceil(len(misses) / columns))
    figure, grid = plt.subplots(rows, columns, figsize=(2.7 * columns, 2.9 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, miss in zip(grid.flat, misses, strict=False):
        _draw_miss(axes, miss, open_image(miss.image_id))
    return figure


def _draw_miss(axes: Axes, miss: Miss, image: Image.Image) -> None:
    """One mistake with its surroundings."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = miss.box
    color, style = (_BLUE, "solid") if miss.kind == "missed" else (_ORANGE, "dashed")
    axes.imshow(image, extent=(0, image.width, image.height, 0))
    axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=2, linestyle=style))
    reach = max(x2 - x1, y2 - y1) * (0.5 + _MARGIN)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    axes.set_xlim(max(0, cx - reach), min(image.width, cx + reach))
    axes.set_ylim(min(image.height, cy + reach), max(0, cy - reach))
    said = "not found" if miss.kind == "missed" else f"not there, score {miss.badness:.2f}"
    axes.set_title(f"{miss.class_name}: {said}\n{miss.image_id}", fontsize=8, color=color)


def images_in(folder: str | Path) -> Callable[[str], Image.Image]:
    """Opens images by id from a folder of picture files, for :func:`draw_misses`.

    Raises:
        FileNotFoundError: When called: there is no picture of that id.
    """
    files: Mapping[str, Path] = {
        path.stem: path for path in sorted(Path(folder).glob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    }

    def open_image(image_id: str) -> Image.Image:
        if image_id not in files:
            raise FileNotFoundError(
                f"{folder} has no picture {image_id}.jpg or .png. Give the folder of the images that were evaluated, "
                "such as VOCdevkit/VOC2007/JPEGImages."
            )
        with Image.open(files[image_id]) as image:
            return image.convert("RGB")

    return open_image

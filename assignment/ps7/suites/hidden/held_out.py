"""Images that students do not have, and the mean average precision of what a detector finds in them.

The built-in images are drawn anew from a seed that nobody can know: a scene follows from `(seed, split, index)`, so a
student's code that draws scenes itself (`ShapesDetection` is installed where it runs) would have to guess that seed
among 2^63. With a folder of images that are public, such as VOC's own, code or weights may hold their boxes by heart,
and no way of running them can tell: use images that students do not have.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from autograder.checks.bounded import shapes_text
from autograder.runtime.errors import StudentError
from ps7_helpers.dataset import VOC2007Detection
from ps7_helpers.evaluation import ImageDetections, ImageTruth, evaluate_detections
from ps7_helpers.shapes import ShapesDetection
from ps7_helpers.voc import VOC_CLASSES, list_name, read_annotation, write_list

Detections = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # boxes (N, 4), classes (N,), scores (N,)


class HeldOut:
    """A secret choice of images.

    Args:
        folder: VOC's layout: `Annotations`, `JPEGImages` and `ImageSets/Main`, or a folder above `VOCdevkit/VOC2007`.
            Its images are those of `test.txt` in the last or, without one, of `val.txt`; without either, all that
            have annotations. None: the built-in data set.
        images: How many; all there are if the folder has fewer.
        image_size: As for the helpers' data sets.
        seed: What picks or draws them.

    Raises:
        ValueError, OSError: The folder is not as it should be; for a TA.
    """

    def __init__(self, folder: Path | None, images: int, image_size: int, seed: int) -> None:
        self._truth: dict[str, ImageTruth] = {}
        self._data: ShapesDetection | VOC2007Detection
        if folder is None:
            self._data = ShapesDetection("val", image_size=image_size, length=images, seed=seed)
        else:
            self._data = _picked(_voc_below(folder), images, image_size, seed, self._truth)
        self._paths: list[str] = []

    def __len__(self) -> int:
        return len(self._data)

    def batches(self, size: int) -> Iterator[list[torch.Tensor]]:
        """The images in order, `(3, H, W)` each, as validation images are; nothing else of them."""
        for start in range(0, len(self), size):
            batch = []
            for index in range(start, min(start + size, len(self))):
                path, image, boxes = self._data[index]
                self._paths.append(path)
                if path not in self._truth:  # drawn: truth comes with the scene, `(x1, y1, x2, y2, class)`
                    rows = boxes[boxes[:, 4] >= 0]
                    names = [VOC_CLASSES[int(label)] for label in rows[:, 4]]
                    self._truth[path] = ImageTruth(names, rows[:, :4].numpy())
                batch.append(image)
            yield batch

    def mean_ap(self, found: list[Detections]) -> float:
        """VOC's mean average precision at an IoU of 0.5, over all images, in the images' original coordinates.

        Args:
            found: `checked` detections of each image, in the order of `batches`.
        """
        detections = {path: self._original(path, *three) for path, three in zip(self._paths, found, strict=True)}
        return evaluate_detections(self._truth, detections).mean_ap

    def _original(self, path: str, boxes: torch.Tensor, classes: torch.Tensor, scores: torch.Tensor) -> ImageDetections:
        """Detections in the original image; what lies outside of it is left out, as in the notebook's own figure."""
        boxes = self._data.to_original(path, boxes)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        names = [VOC_CLASSES[int(label)] for label in classes[inside]]
        return ImageDetections(names, scores[inside].numpy(), boxes[inside].numpy())


def checked(answer: Any, most: int) -> tuple[Detections, int]:
    """What a detector gave for one image, held to its form.

    Args:
        answer: Written by the student's process.
        most: So many detections are kept, those with the highest scores.

    Returns:
        The detections, float64, and how many were left out because a number in them was NaN or infinite or the
        class is none of the data set's.

    Raises:
        StudentError: They are not boxes `(N, 4)`, classes `(N,)` and scores `(N,)`.
    """
    form = "boxes (N, 4), classes (N,) and scores (N,), three tensors"
    tensors = isinstance(answer, (tuple, list)) and len(answer) == 3 and all(torch.is_tensor(t) for t in answer)
    if not tensors:
        raise StudentError("error", f"In eval mode the detector must return {form}, for one image.")
    shapes = [tuple(part.shape) for part in answer]
    count = answer[2].numel()
    if shapes != [(count, 4), (count,), (count,)] and any(part.numel() for part in answer):
        raise StudentError(
            "error", f"In eval mode the detector must return {form}; the shapes are {shapes_text(shapes)}."
        )
    boxes, classes, scores = (part.to(torch.float64) for part in answer)
    boxes, classes, scores = boxes.reshape(-1, 4), classes.reshape(-1), scores.reshape(-1)
    good = boxes.isfinite().all(dim=1) & scores.isfinite() & (classes >= 0) & (classes < len(VOC_CLASSES))
    kept = good.nonzero().flatten()
    kept = kept[scores[kept].argsort(descending=True, stable=True)[:most]]
    return (boxes[kept], classes[kept].floor(), scores[kept]), int((~good).sum())


def _voc_below(folder: Path) -> Path:
    for place in (folder, folder / "VOCdevkit" / "VOC2007", folder / "VOC2007"):
        if (place / "Annotations").is_dir() and (place / "JPEGImages").is_dir():
            return place
    raise FileNotFoundError(f"{folder} is not in VOC's layout: it needs Annotations and JPEGImages.")


def _picked(voc: Path, images: int, image_size: int, seed: int, truth: dict[str, ImageTruth]) -> VOC2007Detection:
    """A data set of some of the images; fills in their truth, difficult objects marked."""
    ids = _ids(voc)
    if not ids:
        raise ValueError(f"{voc} holds no images.")
    chosen = random.Random(seed).sample(ids, min(images, len(ids)))  # noqa: S311 (the seed is the secret)
    paths = [str((voc / "JPEGImages" / f"{image_id}.jpg").resolve()) for image_id in chosen]
    for image_id, path in zip(chosen, paths, strict=True):
        objects = read_annotation(voc / "Annotations" / f"{image_id}.xml")
        if unknown := {o.name for o in objects} - set(VOC_CLASSES):
            raise ValueError(f"{image_id}.xml in {voc} names {sorted(unknown)}, none of VOC's twenty classes.")
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path} is missing.")
        truth[path] = ImageTruth([o.name for o in objects], [o.xyxy for o in objects], [o.difficult for o in objects])
    with tempfile.TemporaryDirectory(prefix="fcoskit-held-out-") as name:
        write_list([(path, []) for path in paths], Path(name) / list_name("val"))
        return VOC2007Detection(name, "val", image_size=image_size)


def _ids(voc: Path) -> list[str]:
    for split in ("test", "val"):
        path = voc / "ImageSets" / "Main" / f"{split}.txt"
        if path.is_file():
            return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return sorted(path.stem for path in (voc / "Annotations").glob("*.xml"))

"""Evaluates detections that lie in text files, one pair of files per image.

``ground-truth/<id>.txt`` has a line ``class x1 y1 x2 y2`` per object, with ``difficult`` behind it where
that is so; ``detection-results/<id>.txt`` a line ``class score x1 y1 x2 y2`` per detection.
"""

import math
from pathlib import Path

from ps7_helpers.evaluation import Evaluation, ImageDetections, ImageTruth, Metric, evaluate_detections


def evaluate_folders(
    ground_truth_dir: str | Path,
    detections_dir: str | Path,
    iou_threshold: float = 0.5,
    metric: Metric = "voc10",
    inclusive: bool = True,
) -> Evaluation:
    """Compute the average precision of every class from two folders of text files, over all images.

    Args:
        ground_truth_dir: One ``<id>.txt`` per image, an empty one for an image without objects.
        detections_dir: Files of the same names; a missing or empty file means that nothing was found.
        iou_threshold: See :func:`~ps7_helpers.evaluation.evaluate_detections`, also for the rest.
        metric: ``"voc10"`` or ``"voc07"``.
        inclusive: Whether coordinates name first and last pixels.

    Returns:
        Average precisions and their mean.

    Raises:
        FileNotFoundError: A folder is missing, or the first has no text file.
        ValueError: A line cannot be read (file and line are named), or an image has detections but no ground
            truth file.
    """
    truth, found = read_folders(ground_truth_dir, detections_dir)
    return evaluate_detections(truth, found, iou_threshold, metric, inclusive)


def read_folders(
    ground_truth_dir: str | Path, detections_dir: str | Path
) -> tuple[dict[str, ImageTruth], dict[str, ImageDetections]]:
    """Read two folders of text files: objects and detections by image id. Arguments and errors as above."""
    truth_files = _text_files(Path(ground_truth_dir))
    if not truth_files:
        raise FileNotFoundError(
            f"{ground_truth_dir} has no .txt file, so there is nothing to compare with. Write it with "
            "inference_with_detector(..., output_dir=...)."
        )
    truth = {image_id: _read_truth(path) for image_id, path in truth_files.items()}
    found = {image_id: _read_detections(path) for image_id, path in _text_files(Path(detections_dir)).items()}
    return truth, found


def _text_files(folder: Path) -> dict[str, Path]:
    """Image id to file, sorted by id."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder. Give the one that holds a text file per image.")
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}


def _read_truth(path: Path) -> ImageTruth:
    """The objects of one image."""
    classes, boxes, difficult = [], [], []
    for number, words in _lines(path):
        hard = len(words) == 6 and words[5] == "difficult"
        if len(words) != 5 and not hard:
            raise ValueError(_unreadable(path, number, "class x1 y1 x2 y2 [difficult]"))
        classes.append(words[0])
        boxes.append(_floats(path, number, words[1:5]))
        difficult.append(hard)
    return ImageTruth(classes, boxes, difficult)


def _read_detections(path: Path) -> ImageDetections:
    """The detections in one image."""
    classes, scores, boxes = [], [], []
    for number, words in _lines(path):
        if len(words) != 6:
            raise ValueError(_unreadable(path, number, "class score x1 y1 x2 y2"))
        score, *box = _floats(path, number, words[1:])
        classes.append(words[0])
        scores.append(score)
        boxes.append(box)
    return ImageDetections(classes, scores, boxes)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not blank, numbered from 1, split into words."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]


def _floats(path: Path, number: int, words: list[str]) -> list[float]:
    """Words as finite numbers."""
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(_unreadable(path, number, "numbers")) from error
    if not all(math.isfinite(value) for value in values):
        raise ValueError(_unreadable(path, number, "finite numbers"))
    return values


def _unreadable(path: Path, number: int, expected: str) -> str:
    """What is wrong with a line."""
    return f"{path}, line {number}: expected {expected}. Write the files again, or correct the line."

"""Runs a detector over a data set: draws what it finds, or writes it to text files for the evaluation."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from ps7_helpers.images import denormalize
from ps7_helpers.progress import progress
from ps7_helpers.visualizer import detection_visualizer

Batch = tuple[Sequence[str], Tensor, Tensor]

TRUTH_FOLDER = "ground-truth"
DETECTIONS_FOLDER = "detection-results"


@runtime_checkable
class HasOriginals(Protocol):
    """A data set that knows where the boxes of an item lie in the image before resizing and cropping."""

    def to_original(self, image_path: str, boxes: Tensor) -> Tensor:
        """Carry ``(N, 4)`` boxes from the item's image to the original one, clamped to it."""
        ...


def inference_with_detector(
    detector: nn.Module,
    test_loader: DataLoader[Batch],
    idx_to_class: Mapping[int, str],
    score_thresh: float,
    nms_thresh: float,
    output_dir: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> None:
    """Detect objects in all images of a loader, one image at a time, and draw or write what is found.

    Without ``output_dir`` every image is shown with its true and predicted boxes. With it, two text files are
    written per image, named after it, also where there is nothing to write: ``detection-results/<id>.txt``
    with a line ``class score x1 y1 x2 y2`` per detection, and ``ground-truth/<id>.txt`` with ``class x1 y1
    x2 y2``. Coordinates are pixels of the *original* image, before resizing. Text files of an earlier run
    in these two folders are deleted first. In the end the time that all of it took is printed.

    Args:
        detector: Called as ``detector(images, test_score_thresh=..., test_nms_thresh=...)`` with ``(1, 3,
            H, W)``, it returns boxes ``(N, 4)``, class indices ``(N,)`` and scores ``(N,)``. It is moved to
            ``dtype`` and ``device`` and left there, in eval mode.
        test_loader: Gives batches ``(image_paths, images (B, 3, H, W), gt_boxes (B, N, 5))``.
        idx_to_class: Class index to name.
        score_thresh: Detections with a lower score are left out.
        nms_thresh: Overlap above which of two detections of a class only one is kept.
        output_dir: Where to write; the folder is made if needed.
        dtype: Floating type of images and detector.
        device: Where to compute.

    Raises:
        TypeError: The detector returns something else than three tensors, or ``output_dir`` is given and the
            data set cannot tell original coordinates.
        ValueError: The three tensors differ in length, or two images have the same id.
    """
    detector.to(device=device, dtype=dtype).eval()
    writer = None if output_dir is None else _Writer(Path(output_dir), _originals(test_loader), idx_to_class)
    start = time.perf_counter()
    batches: Iterable[Batch] = test_loader
    if writer is not None:
        batches = progress(test_loader, len(test_loader), "inference")
    for paths, images, gt_boxes in batches:
        for path, image, boxes in zip(paths, images, gt_boxes, strict=True):
            truth = boxes[boxes[:, 4] >= 0]  # (N, 5)
            found = detect_one(detector, image.to(device, dtype), score_thresh, nms_thresh)  # (M, 6)
            if writer is None:
                detection_visualizer(denormalize(image), idx_to_class, truth, found)
            else:
                writer.write(path, truth, found)
    print(f"Total inference time: {time.perf_counter() - start:.1f}s")


@torch.no_grad()
def detect_one(detector: nn.Module, image: Tensor, score_thresh: float, nms_thresh: float) -> Tensor:
    """Run the detector on one ``(3, H, W)`` image; ``(M, 6)`` of box, class, score, float32 on the CPU."""
    result = detector(image.unsqueeze(0), test_score_thresh=score_thresh, test_nms_thresh=nms_thresh)
    if not (isinstance(result, tuple | list) and len(result) == 3 and all(isinstance(r, Tensor) for r in result)):
        raise TypeError(
            "Expected the detector to return three tensors, boxes (N, 4), classes (N,) and scores (N,), got "
            f"{_described(result)}. In eval mode, forward() has to return what inference() gives."
        )
    boxes, classes, scores = (r.detach().float().cpu() for r in result)
    boxes, classes, scores = boxes.reshape(-1, 4), classes.reshape(-1, 1), scores.reshape(-1, 1)
    if not len(boxes) == len(classes) == len(scores):
        raise ValueError(
            f"The detector returned {len(boxes)} boxes, {len(classes)} classes and {len(scores)} scores. "
            "All three have to be filtered with the same mask."
        )
    return torch.cat([boxes, classes, scores], dim=1)  # (M, 6)


def _described(result: object) -> str:
    """What a detector returned, in a few words."""
    if isinstance(result, tuple | list):
        return f"{type(result).__name__} of ({', '.join(type(r).__name__ for r in result)})"
    return f"a {type(result).__name__}"


def _originals(loader: DataLoader[Batch]) -> HasOriginals:
    """The data set under a loader, below any subsets, that knows the original coordinates."""
    dataset: object = loader.dataset
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    if not isinstance(dataset, HasOriginals):
        raise TypeError(
            f"Results are written in the coordinates of the original images, but {type(dataset).__name__} "
            "has no to_original(image_path, boxes). Use VOC2007Detection or ShapesDetection (or a Subset "
            "of one), or add that method."
        )
    return dataset


class _Writer:
    """Writes the two text files of each image."""

    def __init__(self, folder: Path, originals: HasOriginals, idx_to_class: Mapping[int, str]) -> None:
        self.originals = originals
        self.idx_to_class = idx_to_class
        self.written: set[str] = set()
        self.truth_dir, self.detections_dir = folder / TRUTH_FOLDER, folder / DETECTIONS_FOLDER
        for directory in (self.truth_dir, self.detections_dir):
            directory.mkdir(parents=True, exist_ok=True)
            for old in directory.glob("*.txt"):
                old.unlink()

    def write(self, image_path: str, truth: Tensor, found: Tensor) -> None:
        """Write the boxes ``(N, 5)`` and detections ``(M, 6)`` of one image."""
        image_id = Path(image_path).stem
        if image_id in self.written:
            raise ValueError(
                f"Two images have the id {image_id!r}, and their results would overwrite each other. Run "
                "inference on one data set at a time, each image once."
            )
        self.written.add(image_id)
        truth, found = self._original(image_path, truth), self._original(image_path, found)
        lines = [f"{self._name(c)} {_numbers(xyxy)}\n" for *xyxy, c in truth.tolist()]
        (self.truth_dir / f"{image_id}.txt").write_text("".join(lines), encoding="utf-8")
        found = found[found[:, 5].argsort(descending=True, stable=True)]
        lines = [f"{self._name(c)} {score:.6f} {_numbers(xyxy)}\n" for *xyxy, c, score in found.tolist()]
        (self.detections_dir / f"{image_id}.txt").write_text("".join(lines), encoding="utf-8")

    def _original(self, image_path: str, rows: Tensor) -> Tensor:
        """Rows with their boxes carried to the original image; those that lie outside of it are left out."""
        boxes = self.originals.to_original(image_path, rows[:, :4])
        rows = torch.cat([boxes, rows[:, 4:]], dim=1)
        return rows[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]

    def _name(self, class_id: float) -> str:
        """The class name, or the number where there is no name."""
        return self.idx_to_class.get(int(class_id), str(int(class_id)))


def _numbers(xyxy: Sequence[float]) -> str:
    """Coordinates to a hundredth of a pixel."""
    return " ".join(f"{value:.2f}" for value in xyxy)

"""The evaluator against torchmetrics with its fastest backend: 2500 images, 7000 boxes, made at random.

torchmetrics computes COCO's mAP, so it is told to do as little as it can: one IoU threshold, no area ranges beyond its
own. Both get the same boxes; ours from tensors, as its function takes them.

The peer is no part of the kit's environment, nothing else here needs it. Without it the script says how to get it and
measures ours alone. Where faster-coco-eval is there, the slower pycocotools is left out (`--all` measures it, too).
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from record import record

from ps7_helpers import ImageDetections, ImageTruth, evaluate_detections

WANTED = 10.0
BACKENDS = {"faster_coco_eval": "faster-coco-eval==1.8.0", "pycocotools": "pycocotools==2.0.11"}  # quickest first
PEER = "torchmetrics==1.9.0"
IMAGES, BOXES, CLASSES = 2500, 7000, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="measure every backend that is installed (minutes)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    truth, found = _random_case()
    ours = _best(lambda: evaluate_detections(truth, found, inclusive=False), options.rounds)
    print(f"{IMAGES} images, {BOXES} true boxes and as many detections: ours {ours:.3f} s")
    times: dict[str, float] = {}
    for backend in BACKENDS:
        if times and not options.all:
            break
        missing = _missing(backend)
        if missing:
            print(f"  torchmetrics with {backend}: not measured, {' and '.join(missing)} cannot be imported here")
            continue
        times[backend] = _best(_torchmetrics(truth, found, backend), options.peer_rounds)
        print(f"  torchmetrics with {backend}: {times[backend]:.2f} s, {times[backend] / ours:.1f} times as long")
    if not times:
        print(f"  Nothing to compare with. To compare: pip install {PEER} {BACKENDS['faster_coco_eval']}")
        return
    ratio = min(times.values()) / ours
    print(f"  {ratio:.1f} times as fast as the fastest (wanted: {WANTED:g})")
    results = {"ours_s": ours, "fastest_to_ours_ratio": ratio}
    record("evaluator", results | {f"{backend}_s": seconds for backend, seconds in times.items()})


def _random_case() -> tuple[dict[str, ImageTruth], dict[str, ImageDetections]]:
    """Boxes spread over the images, each detected once with some error, some of them as another class."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (BOXES, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 200, (BOXES, 2))], axis=1)
    moved = boxes + rng.normal(0, 10, boxes.shape)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    classes = rng.integers(0, CLASSES, BOXES)
    guessed = np.where(rng.uniform(size=BOXES) < 0.8, classes, rng.integers(0, CLASSES, BOXES))
    scores, image = rng.uniform(size=BOXES), rng.integers(0, IMAGES, BOXES)
    truth, found = {}, {}
    for i in range(IMAGES):
        rows = image == i
        truth[f"{i:06d}"] = ImageTruth([str(c) for c in classes[rows]], torch.tensor(boxes[rows]))
        found[f"{i:06d}"] = ImageDetections(
            [str(c) for c in guessed[rows]], torch.tensor(scores[rows]), torch.tensor(moved[rows])
        )
    return truth, found


def _missing(backend: str) -> list[str]:
    """The packages that torchmetrics with this backend needs and that cannot be imported."""
    missing = []
    for name in ("torchmetrics.detection", backend):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name.partition(".")[0])
    return missing


def _torchmetrics(
    truth: dict[str, ImageTruth], found: dict[str, ImageDetections], backend: str
) -> Callable[[], object]:
    """The same with torchmetrics."""
    from torchmetrics.detection import MeanAveragePrecision

    targets = [{"boxes": t.boxes.float(), "labels": torch.tensor([int(c) for c in t.classes])} for t in truth.values()]
    guesses = [
        {"boxes": f.boxes.float(), "scores": f.scores.float(), "labels": torch.tensor([int(c) for c in f.classes])}
        for f in found.values()
    ]

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metric = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True, backend=backend)
            metric.update(guesses, targets)
            return metric.compute()

    return run


def _best(call: Callable[[], object], rounds: int) -> float:
    """Seconds of the quickest round."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()

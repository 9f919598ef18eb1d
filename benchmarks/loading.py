"""Images a second of the training split, against plain PIL: the full images, packed, and from the cache.

Plain PIL opens, resizes the whole image, crops and normalises in float32. Drawn scenes in VOC's layout, 500 pixels
wide, stand in for VOC unless --data names a folder.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from record import record
from torch.utils.data import DataLoader, Dataset

from ps7_helpers import VOC2007Detection, download_packed_voc2007, write_voc
from ps7_helpers.images import IMAGENET_MEAN, IMAGENET_STD, pad_boxes
from ps7_helpers.packed import lists_of, write_packed


class PlainPil(Dataset[tuple[str, torch.Tensor, torch.Tensor]]):
    """The obvious way to make the same items."""

    def __init__(self, dataset: VOC2007Detection) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        path, objects = self.dataset.instances[index]
        image = Image.open(path).convert("RGB")
        scale = 224 / min(image.size)
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255.0)
        pixels = (pixels - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
        boxes = torch.tensor([o["xyxy"] for o in objects]).reshape(-1, 4) * scale
        boxes = (boxes - torch.tensor([left, top, left, top])).clamp(0, 224)
        classes = torch.tensor([self.dataset.class_to_idx[o["name"]] for o in objects])
        return path, pixels.permute(2, 0, 1).contiguous(), pad_boxes(boxes, classes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with VOCdevkit and both lists")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root = options.data or Path(scratch) / "voc"
        if options.data is None:
            write_voc(root, train=options.images, val=1)
        archive, packed = Path(scratch) / "packed.tar", Path(scratch) / "packed"
        list(write_packed(root, lists_of(root), archive, 224))
        download_packed_voc2007(
            packed, hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest(), url=archive.as_uri()
        )
        full = VOC2007Detection(root, "train")
        datasets: dict[str, Dataset[tuple[str, torch.Tensor, torch.Tensor]]] = {
            "plain PIL": PlainPil(full),
            "full images": full,
            "packed": VOC2007Detection(packed, "train"),
            "cached": VOC2007Detection(root, "train", cache=Path(scratch) / "cache"),
        }
        results: dict[str, float] = {}
        for workers in (0, 1, 2):
            speeds = {name: _images_a_second(d, workers, options.rounds) for name, d in datasets.items()}
            print(f"{workers} workers:" if workers else "no workers:")
            for name, speed in speeds.items():
                print(f"  {name:12} {speed:6.0f} images/s, {speed / speeds['plain PIL']:.2f} of plain PIL")
                results[f"{name} with {workers} workers, images_per_s"] = speed
                results[f"{name} with {workers} workers, to_pil_ratio"] = speed / speeds["plain PIL"]
        record("loading", results)


def _images_a_second(dataset: Dataset[tuple[str, torch.Tensor, torch.Tensor]], workers: int, rounds: int) -> float:
    """Of the best round, once the workers run and the cache is filled."""
    loader = DataLoader(dataset, batch_size=16, num_workers=workers, persistent_workers=workers > 0)
    count = sum(len(paths) for paths, _, _ in loader)
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in loader:
            pass
        times.append(time.perf_counter() - started)
    return count / min(times)


if __name__ == "__main__":
    main()

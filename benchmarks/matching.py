"""Matcher and centerness for a batch of 16, against going image by image and level by level.

What takes part: 224 x 224 pixels, three levels, 1029 locations, up to 40 boxes in rows padded with -1.
"""

from __future__ import annotations

import argparse
import time

import torch
from record import record
from torch import Tensor

from ps7_helpers import ShapesDetection, fcos_make_centerness_targets, fcos_match_batch

WANTED = 10.0
STRIDES = {"p3": 8, "p4": 16, "p5": 32}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dataset = ShapesDetection("train")
    boxes = torch.stack([dataset[i][2] for i in range(16)])  # (16, 40, 5)
    grids = {level: _grid(224 // stride, stride) for level, stride in STRIDES.items()}
    wanted, found = _loop(grids, boxes), _batch(grids, boxes)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(wanted, found, strict=True)), "the two do not agree"
    ours, loop = (_best(lambda f=f: f(grids, boxes), options.rounds) for f in (_batch, _loop))
    print(f"batch: {1e3 * ours:.2f} ms; image by image, level by level: {1e3 * loop:.1f} ms")
    print(f"  {loop / ours:.1f} times as fast (wanted: {WANTED:g})")
    record("matching", {"batch_s": ours, "loop_s": loop, "loop_to_batch_ratio": loop / ours})


def _batch(grids: dict[str, Tensor], boxes: Tensor) -> list[Tensor]:
    """As the helpers do it: the whole batch at once, both targets."""
    found = []
    for level, rows in fcos_match_batch(grids, STRIDES, boxes).items():
        deltas = torch.cat([grids[level] - rows[..., :2], rows[..., 2:4] - grids[level]], dim=-1) / STRIDES[level]
        deltas = torch.where(rows[..., 4:] < 0, -1.0, deltas)
        found += [rows, fcos_make_centerness_targets(deltas.view(-1, 4)).view(len(boxes), -1)]
    return found


def _loop(grids: dict[str, Tensor], boxes: Tensor) -> list[Tensor]:
    """The obvious way: for each image and level, every location against every box of the image."""
    smallest, largest = min(STRIDES.values()), max(STRIDES.values())
    found = []
    for level, stride in STRIDES.items():
        lower = 0.0 if stride == smallest else 4.0 * stride
        upper = float("inf") if stride == largest else 8.0 * stride
        matched, centerness = [], []
        for of_image in boxes:
            left_top = grids[level][:, None] - of_image[None, :, :2]  # (L, N, 2)
            right_bottom = of_image[None, :, 2:4] - grids[level][:, None]
            distances = torch.cat([left_top, right_bottom], dim=2)  # (L, N, 4)
            farthest = distances.max(dim=2).values
            fits = (distances.min(dim=2).values > 0) & (farthest >= lower) & (farthest < upper)
            areas = (of_image[:, 2] - of_image[:, 0]) * (of_image[:, 3] - of_image[:, 1])
            areas = torch.where(fits, areas[None], float("inf"))
            best = areas.min(dim=1).indices
            background = ~fits.any(dim=1)
            rows = of_image[best]
            rows[background] = -1.0
            deltas = torch.cat([grids[level] - rows[:, :2], rows[:, 2:4] - grids[level]], dim=1) / stride
            deltas[background] = -1.0
            across, along = deltas[:, (0, 2)], deltas[:, (1, 3)]
            inside = across.min(dim=1).values * along.min(dim=1).values
            targets = (inside / (across.max(dim=1).values * along.max(dim=1).values)).sqrt()
            targets[background] = -1.0
            matched.append(rows)
            centerness.append(targets)
        found += [torch.stack(matched), torch.stack(centerness)]
    return found


def _grid(cells: int, stride: int) -> Tensor:
    centres = (torch.arange(cells) + 0.5) * stride
    return torch.cartesian_prod(centres, centres).flip(1)


def _best(call, rounds: int) -> float:
    """Seconds of the quickest round: what else runs on the machine only adds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()

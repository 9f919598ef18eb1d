"""mAP on the built-in shapes of the strong recipe against the plain one: the notebook's short run, seed by seed.

The detector is the instructor's solution, from scratch; both recipes see the same images for as many iterations. A
training takes two to three minutes, so there are two a seed, or three with `--last`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import torch
from record import record
from torch.utils.data import DataLoader

from autograder.course.assignment import load_assignment
from autograder.grading.substitutes import load_solution
from ps7_helpers import (
    ShapesDetection,
    evaluate_folders,
    inference_with_detector,
    recipes,
    reset_seed,
    train_detector,
)

SIZE, CHANNELS = 64, 64
UNAVERAGED = "strong, its last weights"


def mean_average_precision(solution: dict[str, Any], recipe: str, seed: int, iterations: int) -> float:
    """Train as the notebook's short run does, and evaluate on all validation images."""
    reset_seed(seed)
    train, val = (ShapesDetection(split, image_size=SIZE, keep=True) for split in ("train", "val"))
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as scratch:
        detector = solution["FCOS"](num_classes=20, fpn_channels=CHANNELS, stem_channels=[CHANNELS, CHANNELS])
        loader = DataLoader(train, batch_size=16, shuffle=True)
        train_detector(
            detector, loader, learning_rate=2e-2, max_iters=iterations, max_grad_norm=3.0, recipe=recipe, log_period=400
        )
        inference_with_detector(
            detector, DataLoader(val), val.idx_to_class, score_thresh=0.05, nms_thresh=0.6, output_dir=scratch
        )
        return evaluate_folders(f"{scratch}/ground-truth", f"{scratch}/detection-results").mean_ap


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--iterations", type=int, default=800)
    parser.add_argument("--last", action="store_true", help="what strong comes to without averaged weights, as well")
    options = parser.parse_args()
    torch.set_num_threads(2)
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    solution = load_solution(assignment, assignment.exercise("7.1j")).workbench.namespace
    recipes.RECIPES[UNAVERAGED] = dataclasses.replace(recipes.RECIPES["strong"], average=0.0)
    names = ["plain", "strong", *([UNAVERAGED] if options.last else [])]
    results: dict[str, float] = {"iterations": options.iterations}
    for seed in options.seeds:
        for name in names:
            found = results[f"{name}_seed_{seed}_map"] = mean_average_precision(
                solution, name, seed, options.iterations
            )
            ratio = found / max(results[f"plain_seed_{seed}_map"], 1e-6)
            print(f"seed {seed}, {name}: mAP {found:.1%}, {ratio:.2f} of plain's", flush=True)
            results[f"{name}_seed_{seed}_to_plain_ratio"] = ratio
    record("recipes", results)


if __name__ == "__main__":
    main()

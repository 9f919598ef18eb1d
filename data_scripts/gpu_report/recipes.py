"""The plain and the strong recipe: an iteration beside a plain loop, then a training of each with its mAP."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from data_scripts.gpu_report.plan import Part, Setting
from data_scripts.gpu_report.training import (
    GRAD_NORM,
    RATE,
    Batch,
    Data,
    Timed,
    make_detector,
    peak_megabytes,
    train,
    weights_of,
)
from ps7_helpers import evaluate_folders, inference_with_detector, infinite_loader, train_detector

RECIPES = ("plain", "strong")
PLAIN_LOOP = "plain loop"
SCORE, NMS = 0.05, 0.6  # of mAP
_TINY_RATE = 1e-5  # of what is only timed
_READY = 4  # batches that are held in memory for the timing
_FOR_MAP = 0.15  # share of the time that inference is expected to take


def plain_loop(detector: nn.Module, batches: Timed, count: int, device: torch.device) -> None:
    """The obvious loop: forward, backward, step, and the loss as a number."""
    detector.to(device).train()
    optimizer = torch.optim.SGD(detector.parameters(), _TINY_RATE, 0.9, weight_decay=1e-4)
    for _, images, boxes in itertools.islice(infinite_loader(batches), count):
        losses = detector(images.to(device), boxes.to(device))
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()


def timing(solution: dict[str, Any], data: Data, setting: Setting, deadline: float) -> Part:
    """An iteration of `train_detector` beside the plain loop's, on batches that lie ready in memory."""
    sizes, device = setting.sizes, setting.device
    detector = make_detector(solution, sizes.channels)
    loader = DataLoader(data.train, batch_size=sizes.batch)
    batches: list[Batch] = list(itertools.islice(loader, _READY))
    ways: dict[str, Callable[[nn.Module, Timed], object]] = {
        PLAIN_LOOP: lambda net, timed: plain_loop(net, timed, sizes.timed_iterations, device)
    }
    for name, options in {
        "train_detector, plain": {},
        "train_detector, strong": {"recipe": "strong"},
        "train_detector, plain, half precision": {"precision": "half"},
    }.items():
        ways[name] = lambda net, timed, options=options: train_detector(  # type: ignore[misc]
            net, timed, _TINY_RATE, max_iters=sizes.timed_iterations, log_period=10**6, device=device, **options
        )
    took: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, float | None] = {}
    rounds = 0
    while rounds < sizes.timed_rounds and (rounds == 0 or time.monotonic() < deadline):
        for name, way in ways.items():
            network = copy.deepcopy(detector)  # half precision changes how weights lie in memory
            peak_megabytes(device, start=True)
            timed = Timed(batches)
            with contextlib.redirect_stdout(io.StringIO()):
                way(network, timed)
            timed.ended = time.monotonic()
            took[name] += timed.iterations()
            peaks[name] = peak_megabytes(device)
        rounds += 1
    plain = statistics.median(took[PLAIN_LOOP])
    rows = [
        {
            "name": name,
            "seconds_an_iteration": statistics.median(seconds),
            "to_plain_loop_ratio": statistics.median(seconds) / plain,
            "iterations": len(seconds),
            "peak_mb": peaks[name],
        }
        for name, seconds in took.items()
    ]
    part = Part({"batch": sizes.batch, "channels": sizes.channels, "rounds": rounds, "ways": rows})
    if rounds < sizes.timed_rounds:
        part.cut.append(f"Timing: {rounds} of {sizes.timed_rounds} rounds, then the time was up.")
    return part


def recipes(solution: dict[str, Any], data: Data, setting: Setting, deadline: float, an_iteration: float) -> Part:
    """Train with each recipe for as many iterations as there is time for, the same number each, and evaluate.

    Args:
        solution: The names of the solved notebook.
        data: What to train on.
        setting: Where, and how much.
        deadline: On `time.monotonic`'s clock.
        an_iteration: Seconds that one of the training alone takes, for the plan.
    """
    sizes, device = setting.sizes, setting.device
    loader = DataLoader(
        data.train,
        batch_size=sizes.batch,
        shuffle=True,
        num_workers=sizes.workers,
        persistent_workers=sizes.workers > 0,
        pin_memory=device.type == "cuda",
    )
    slower = max(an_iteration, _seconds_a_batch(loader, deadline))
    each = (1 - _FOR_MAP) * (deadline - time.monotonic()) / len(RECIPES)
    planned = max(1, min(sizes.recipe_iterations, int(each / (1.1 * slower))))
    part = Part({"data": data.name, "images": data.images, "recipes": {}})
    if planned < sizes.recipe_iterations:
        part.cut.append(f"Recipes: {planned} iterations each in place of {sizes.recipe_iterations}, for want of time.")
    for number, recipe in enumerate(RECIPES):
        started = time.monotonic()
        until = started + (deadline - started) / (len(RECIPES) - number) * (1 - _FOR_MAP)
        detector = make_detector(solution, sizes.channels)
        peak_megabytes(device, start=True)
        options = {"learning_rate": RATE, "max_grad_norm": GRAD_NORM, "recipe": recipe}
        history, timed = train(detector, loader, planned, setting, until, **options)
        trained = time.monotonic()
        peak = peak_megabytes(device)
        mean_ap, images = _mean_ap(detector, data, setting)
        part.data["recipes"][recipe] = {
            "iterations": len(history),
            "planned_iterations": planned,
            "seconds_an_iteration": timed.seconds(),
            "seconds": trained - started,
            "peak_mb": peak,
            "map": mean_ap,
            "map_images": images,
            "map_seconds": time.monotonic() - trained,
            "losses": {name: list(values) for name, values in history.losses.items()},
        }
        if timed.over:
            part.cut.append(f"Recipe {recipe}: {len(history)} of {planned} iterations, then the time was up.")
    part.data["weights"] = weights_of(solution)
    return part


def _seconds_a_batch(loader: DataLoader[Any], deadline: float) -> float:
    """What the loader takes for a batch when nobody else holds it up; the first ones start its workers."""
    timed = Timed(loader, deadline)
    with contextlib.suppress(KeyboardInterrupt):
        for _ in itertools.islice(timed, 12):
            pass
    return statistics.mean(timed.iterations() or [0.0])


def _mean_ap(detector: nn.Module, data: Data, setting: Setting) -> tuple[float, int]:
    """The mAP at an overlap of 0.5 over the first validation images, and how many these are."""
    count = min(setting.sizes.val_images, data.images[1])
    loader = DataLoader(Subset(data.val, range(count)), batch_size=1, num_workers=setting.sizes.workers)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        inference_with_detector(
            detector, loader, data.val.idx_to_class, SCORE, NMS, output_dir=folder, device=setting.device
        )
        evaluation = evaluate_folders(f"{folder}/ground-truth", f"{folder}/detection-results")
    return evaluation.mean_ap, count

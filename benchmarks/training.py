"""An iteration of `train_detector` against the plain loop, batch 16 at 224 pixels, and where its time goes.

The plain loop: zero_grad, forward, backward, step, losses printed by `.item()`; images through plain PIL. The detector
is the instructor's solution. On a CPU, CPU seconds are counted, loading included; on a GPU the clock, and half
precision is measured as well, with the memory that each takes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from loading import PlainPil
from record import record
from torch import Tensor, nn
from torch.profiler import profile
from torch.utils.data import DataLoader

from autograder.course.assignment import load_assignment
from autograder.grading.substitutes import load_solution
from ps7_helpers import VOC2007Detection, train_detector, write_voc

WANTED = 0.7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="on idle cores: waiting for a busy one counts")
    parser.add_argument("--workers", type=int, default=2, help="of the loaders, on a GPU")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    workers = options.workers if device.type == "cuda" else 0  # then their CPU seconds are ours
    assignment = load_assignment("ps7", Path(__file__).resolve().parents[1])
    solution = load_solution(assignment, assignment.exercise("7.1j")).workbench.namespace
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        write_voc(scratch, train=64, val=1)
        detector = solution["FCOS"](num_classes=20, fpn_channels=128, stem_channels=[128, 128])
        data = VOC2007Detection(scratch, "train")
        cached = VOC2007Detection(scratch, "train", cache=Path(scratch) / "cache")
        plain_loader, loader = (
            DataLoader(d, batch_size=16, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
            for d in (PlainPil(data), cached)
        )
        for _ in itertools.chain(loader, plain_loader):
            pass  # the workers are up, the cache is filled
        detectors = [copy.deepcopy(detector) for _ in range(3)]  # half precision changes how weights lie in memory
        ways: dict[str, Callable[[int], None]] = {
            "plain": lambda n: _plain(detectors[0], plain_loader, n, device),
            "ours": lambda n: _ours(detectors[1], loader, n, device, "float32"),
        }
        if device.type == "cuda":
            ways["ours, half precision"] = lambda n: _ours(detectors[2], loader, n, device, "half")
        measured = _measure(ways, options.iterations, options.rounds, device)
        parts = _parts(detector, next(iter(loader))) if device.type == "cpu" else []
    plain = measured["plain"][0]
    for name, (seconds, memory) in measured.items():
        took = f", {memory:.0f} MB of GPU memory" if memory else ""
        print(f"{name}: {1e3 * seconds:.0f} ms an iteration{took}, {seconds / plain:.2f} of the plain loop's")
    print(f"  (wanted: {WANTED:g})")
    for line in parts:
        print(line)
    results = {f"{name}_s": seconds for name, (seconds, _) in measured.items()}
    results |= {f"{name}_gpu_mb": memory for name, (_, memory) in measured.items() if memory}
    record("training", results | {f"{name}_to_plain_ratio": s / plain for name, (s, _) in measured.items()})


def _plain(detector: nn.Module, loader: DataLoader[object], count: int, device: torch.device) -> None:
    detector.to(device).train()
    optimizer = torch.optim.SGD(detector.parameters(), 1e-5, 0.9, weight_decay=1e-4)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for _, images, boxes in itertools.islice(batches, count):  # type: ignore[misc]  # triples
        losses = detector(images.to(device), boxes.to(device))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        print({name: loss.item() for name, loss in losses.items()})


def _ours(detector: nn.Module, loader: DataLoader[object], count: int, device: torch.device, precision: str) -> None:
    train_detector(detector, loader, learning_rate=1e-5, max_iters=count, device=device, precision=precision)  # type: ignore[arg-type]


def _measure(
    ways: dict[str, Callable[[int], None]], count: int, rounds: int, device: torch.device
) -> dict[str, tuple[float, float]]:
    """Seconds an iteration, what comes once left out, and peak memory of a GPU in MB; the ways take turns."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    quickest: dict[tuple[str, int], float] = {}
    memory = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            for iterations in (1, count + 1):
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                started = clock()
                way(iterations)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                    memory[name] = torch.cuda.max_memory_allocated() / 1e6
                took = clock() - started
                quickest[name, iterations] = min(took, quickest.get((name, iterations), took))
    return {name: ((quickest[name, count + 1] - quickest[name, 1]) / count, memory[name]) for name in ways}


def _parts(detector: nn.Module, batch: tuple[list[str], Tensor, Tensor]) -> list[str]:
    """Which operations the time of a forward and backward pass goes to."""
    _, images, boxes = batch
    with profile() as watch:
        sum(detector.train()(images, boxes).values()).backward()
    events = sorted(watch.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(e.self_cpu_time_total for e in events)
    return [f"  {e.self_cpu_time_total / total:5.1%} {e.key}" for e in events[:6]]


if __name__ == "__main__":
    main()

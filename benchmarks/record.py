"""Keeps what a benchmark found: a JSON file in `.fcoskit/bench/` (git ignores it), with the machine's description.

Numbers of different machines, or of different days on one machine, do not compare; ratios within one file do.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from autograder import __version__

FOLDER = Path(__file__).resolve().parents[1] / ".fcoskit" / "bench"


def machine() -> dict[str, Any]:
    """The machine, as far as it matters to timings; its name and owner do not."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": [round(value, 1) for value in os.getloadavg()],  # above the cores: others were at work, too
        "niceness": os.nice(0),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "fcoskit": __version__,
    }


def record(name: str, results: dict[str, Any]) -> Path:
    """Write what was measured, and print where.

    Args:
        name: Of the benchmark.
        results: Numbers by what they are, the unit at the end of the name (`_s`, `_cpu_s`, `_mb`, `_ratio`).
    """
    now = datetime.datetime.now(datetime.UTC)
    content = {
        "benchmark": name,
        "when": now.isoformat(timespec="seconds"),
        "arguments": sys.argv[1:],
        "machine": machine(),
        "results": {key: round(value, 4) if isinstance(value, float) else value for key, value in results.items()},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"  kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def _processor() -> str:
    """Its model, as /proc/cpuinfo has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

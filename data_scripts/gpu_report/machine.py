"""The machine that figures are from: nothing measured means anything without it."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import torch
import torchvision

from benchmarks.record import machine as without_driver


def machine(device: torch.device) -> dict[str, Any]:
    """Of a CUDA device its name, memory, driver, CUDA and cuDNN; then versions, processor and memory."""
    found = without_driver()
    found["torchvision"] = torchvision.__version__
    del found["gpu"]
    return _gpu(device) | found if device.type == "cuda" else {"gpu": ""} | found


def _gpu(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "gpu_memory_gib": round(properties.total_memory / 2**30, 1),
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "tf32_in_trainings": f"matrix products {_on(torch.backends.cuda.matmul.allow_tf32)}, "
        f"convolutions {_on(torch.backends.cudnn.allow_tf32)}",
    }


def _on(value: bool) -> str:
    return "on" if value else "off"


def _driver() -> str:
    """The driver's version, as `nvidia-smi` says; "not known" where there is none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "not known"
    asked = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "not known"
    return done.stdout.strip().partition("\n")[0] or "not known"

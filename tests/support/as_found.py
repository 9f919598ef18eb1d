"""What a test may change in its process and has to put back, so that no later test depends on who came before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import torch

# By what a reader calls it.
SETTINGS: dict[str, Callable[[], object]] = {
    "whether torch's backends are frozen": torch.backends.flags_frozen,
    "TF32 in convolutions": lambda: torch.backends.cudnn.allow_tf32,
    "TF32 in matrix products": lambda: torch.backends.cuda.matmul.allow_tf32,
    "torch's default dtype": torch.get_default_dtype,
    "torch's default device": torch.get_default_device,
    "torch's threads": torch.get_num_threads,
    "whether torch records gradients": torch.is_grad_enabled,
    "whether torch is deterministic": torch.are_deterministic_algorithms_enabled,
    "the working folder": os.getcwd,
}
# What pytest and Jupyter, where it starts a kernel, change themselves.
THEIRS = {"PYTEST_CURRENT_TEST", "PATH"}
# Beginnings of variables that count where they are new: libraries add others when they are first imported.
OURS = ("$FCOSKIT_", "$PYTHON")


def as_found() -> dict[str, object]:
    """All of them as they are now, with a line for each variable of the environment and each entry of `sys.path`."""
    found = {name: read() for name, read in SETTINGS.items()}
    found |= {f"sys.path, {path}": True for path in sys.path if "site-packages" not in path}
    return found | {f"${name}": value for name, value in os.environ.items() if name not in THEIRS}


def not_put_back(before: dict[str, object]) -> list[str]:
    """A line for each that is not what it was."""
    now = as_found()
    known = [name for name in now if name in before or not name.startswith("$") or name.startswith(OURS)]
    changed = [name for name in dict.fromkeys([*before, *known]) if before.get(name) != now.get(name)]
    return [f"{name}: {before.get(name)!r} before, {now.get(name)!r} now" for name in changed]

"""Training state on disk: written whole or not at all, read without running anything."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Any]


def plain_attributes(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Numbers and tensors that the modules keep as ordinary attributes, by module name.

    ``state_dict()`` does not hold them, but a running average such as FCOS's ``_normalizer`` is one.
    """
    found = {}
    for name, part in module.named_modules():
        if type(part).__module__.startswith("torch."):
            continue  # a layer's sizes, which never change
        values = {k: v for k, v in vars(part).items() if isinstance(v, int | float | Tensor) and type(v) is not bool}
        if values:
            found[name] = {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in values.items()}
    return found


def set_plain_attributes(module: nn.Module, state: dict[str, dict[str, Any]]) -> None:
    """Put back what :func:`plain_attributes` gave."""
    parts = dict(module.named_modules())
    for name, values in state.items():
        for key, value in values.items():
            old = vars(parts[name]).get(key)
            setattr(parts[name], key, value.to(old.device) if isinstance(old, Tensor) else value)


def write_checkpoint(state: State, path: Path) -> None:
    """Write a checkpoint beside its place and move it there when it is whole, so that an older one is not lost.

    Raises:
        OSError: There is no room, or no right to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_checkpoint(path: Path) -> State:
    """Read a checkpoint. Weights only: nothing in the file is run.

    Raises:
        ValueError: The file is no checkpoint of a training.
    """
    try:
        state: State = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "training" not in state:
            raise ValueError("it holds something else")
    except Exception as error:  # torch.load's errors have no common base
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is not a checkpoint of a training ({why}). Delete it to begin anew, or name another file."
        ) from error
    return state


def check_same_training(path: Path, there: State, here: State) -> None:
    """Refuse to go on with a checkpoint that was made with other settings.

    Raises:
        ValueError: They differ; each difference is named.
    """
    differ = [f"{k} is {there.get(k)} there and {v} here" for k, v in here.items() if there.get(k) != v]
    if differ:
        raise ValueError(
            f"{path} is the checkpoint of another training: {'; '.join(differ)}. Delete it to begin anew, name "
            "another file, or use the settings it was made with."
        )

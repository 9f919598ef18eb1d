"""Training state on disk: written whole or not at all, read without running anything."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Subset

State = dict[str, Any]

MAY_CHANGE = ("learning_rate", "max_grad_norm")  # what a training that met NaN is to be taken up with


def plain_number(value: Any) -> Any:
    """A number of numpy as Python's own, since files are read without numpy's types; anything else as it is."""
    return value.item() if isinstance(value, np.number) else value


def data_of(loader: object) -> State:
    """What tells the data of one training from those of another, as far as a loader says."""
    dataset = getattr(loader, "dataset", None)
    if dataset is None:
        return {}
    found: State = {"number of images": len(dataset)} if hasattr(dataset, "__len__") else {}
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    found["data set"] = type(dataset).__name__
    for name, owner in (("image_size", dataset), ("batch_size", loader)):
        found[name] = str(getattr(owner, name, None))
    return found


def plain_attributes(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Numbers and tensors that the modules keep as ordinary attributes, by module name.

    ``state_dict()`` does not hold them, but a running average such as FCOS's ``_normalizer`` is one.
    """
    found = {}
    for name, part in module.named_modules():
        if type(part).__module__.startswith("torch."):
            continue  # a layer's sizes, which never change
        held = {k: plain_number(v) for k, v in vars(part).items()}
        values = {k: v for k, v in held.items() if isinstance(v, int | float | Tensor) and type(v) is not bool}
        if values:
            found[name] = {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in values.items()}
    return found


def set_plain_attributes(module: nn.Module, state: dict[str, dict[str, Any]], device: torch.device) -> None:
    """Put back what :func:`plain_attributes` gave, a tensor where the one in its place is, otherwise on ``device``.

    A number may have become a tensor in between, or a tensor a number.
    """
    parts = dict(module.named_modules())
    for name, values in state.items():
        for key, value in values.items():
            old = vars(parts[name]).get(key)
            if isinstance(value, Tensor):
                value = value.to(old.device if isinstance(old, Tensor) else device)
            setattr(parts[name], key, value)


def moving_parts(module: nn.Module, device: torch.device) -> State:
    """What a forward pass changes: buffers, numbers kept as attributes, torch's random generators.

    Args:
        module: The detector.
        device: Where it computes: of a GPU the generator is kept, too.
    """
    return {
        "buffers": {name: buffer.clone() for name, buffer in module.named_buffers()},
        "plain": plain_attributes(module),
        "random": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def put_back(module: nn.Module, before: State, device: torch.device) -> None:
    """Undo a forward pass: give the module and the generators back what :func:`moving_parts` gave for them."""
    for name, buffer in module.named_buffers():
        buffer.data.copy_(before["buffers"][name])
    set_plain_attributes(module, before["plain"], device)
    torch.set_rng_state(before["random"])
    if before["cuda"] is not None:
        torch.cuda.set_rng_state(before["cuda"], device)


def make_folder(path: Path) -> None:
    """Make the folder of a checkpoint, but not the one above: where that is missing, a disk is.

    Raises:
        FileNotFoundError: It is.
    """
    try:
        path.parent.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"There is no folder {path.parent.parent}, so the checkpoint {path} could not be kept. Make it; if it is "
            'on your Google Drive, mount that: from google.colab import drive; drive.mount("/content/drive").'
        ) from error


def write_checkpoint(state: State, path: Path) -> None:
    """Write a checkpoint beside its place and move it there when it is whole, so that an older one is not lost.

    Raises:
        OSError: There is no room, or no right to write.
    """
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


def check_same_training(path: Path, there: State, here: State, may_change: Sequence[str] = ()) -> list[str]:
    """Refuse to go on with a checkpoint that was made with other settings or data.

    Args:
        path: The checkpoint, for the message.
        there: Its settings.
        here: Those of now.
        may_change: Settings that may differ.

    Returns:
        Of those, the ones that do, a few words each.

    Raises:
        ValueError: Others differ; each difference is named.
    """
    differ = {k: f"{k} is {there.get(k)} there and {v} here" for k, v in here.items() if there.get(k) != v}
    if not differ.keys() <= set(may_change):
        raise ValueError(
            f"{path} is the checkpoint of another training: {'; '.join(differ.values())}. Delete it to begin anew, "
            "name another file, or use the settings and data it was made with."
        )
    return list(differ.values())

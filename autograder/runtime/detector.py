"""A trained detector in the student's process: its weights are opened here and nowhere else, and it is run here.

Whatever a file with weights holds stays in this process. It is never unpickled: `torch.load` is held to tensors
(`weights_only`), and whatever it might still be talked into happens where a student's own code runs anyway.
"""

from __future__ import annotations

import io
from typing import Any

import torch

from autograder.runtime.errors import StudentError

_SHOWN = 3
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints keep the weights


def load_weights(module: torch.nn.Module, content: torch.Tensor, safetensors: bool, made: str) -> None:
    """Load a state dict into a module that was made for it.

    Args:
        module: The detector.
        content: The file's bytes, `(N,)`, uint8.
        safetensors: Whether it is of that format; otherwise it is what `torch.save` writes.
        made: How the module was made, for messages.

    Raises:
        StudentError: It is no state dict, or not one of this module; says which tensors do not fit.
    """
    state = _state_dict(_opened(content.numpy().tobytes(), safetensors))
    own = module.state_dict()
    if problem := _misfit(state, own, made):
        raise StudentError("error", problem, kind="WeightsRefused")
    module.load_state_dict(state)


def _opened(data: bytes, safetensors: bool) -> Any:
    try:
        if safetensors:
            from safetensors.torch import load

            return load(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # damaged and hostile files make both raise many kinds
        if "can't allocate memory" in str(error):
            raise
        how = "save_file(detector.state_dict(), ...)" if safetensors else "torch.save(detector.state_dict(), ...)"
        raise StudentError(
            "error",
            f"The file with the weights cannot be read ({type(error).__name__}): it is damaged or cut short, or it "
            f"holds more than tensors, which is never loaded. Write it with `{how}`.",
            kind="WeightsRefused",
        ) from None


def _state_dict(found: Any) -> dict[str, torch.Tensor]:
    """The tensors by name, also where a checkpoint wraps them."""
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    tensors = isinstance(found, dict) and all(isinstance(value, torch.Tensor) for value in found.values())
    if not tensors or not found or not all(isinstance(name, str) for name in found):
        raise StudentError(
            "error",
            "The file holds no state dict (names and their tensors). Write it with "
            "`torch.save(detector.state_dict(), ...)`.",
            kind="WeightsRefused",
        )
    return dict(found)


def _misfit(state: dict[str, torch.Tensor], own: dict[str, Any], made: str) -> str:
    """Why the weights do not fit, in plain words; "" if they do."""
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    sizes = [
        f"{name[:100]} ({_size(state[name])} in the file, {_size(value)} in your detector)"
        for name, value in own.items()
        if name in state and isinstance(value, torch.Tensor) and state[name].shape != value.shape
    ]
    if not (missing or unknown or sizes):
        return ""
    lines = [f"The weights do not fit {made} of your notebook."]
    if sizes:
        lines.append(f"{len(sizes)} of {len(own)} tensors have another size: {_few(sizes)}.")
    if missing:
        lines.append(f"{len(missing)} of {len(own)} tensors are not in the file: {_few(missing)}.")
    if unknown:
        lines.append(f"The file has {len(unknown)} that your detector does not have: {_few(unknown)}.")
    lines.append("Was it trained with other sizes?" if sizes else "Was it trained with another version of your code?")
    return " ".join(lines)


def _size(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _few(names: list[str]) -> str:
    shown = ", ".join(name[:220] for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def detect(module: torch.nn.Module, images: list[torch.Tensor], kwargs: dict[str, Any], most: int) -> list[Any]:
    """Run a detector on images, one after the other, in eval mode.

    Args:
        module: Called with `(1, 3, H, W)` and `kwargs`; gives boxes `(N, 4)`, classes `(N,)` and scores `(N,)`.
        images: `(3, H, W)` each.
        kwargs: Further arguments of the call.
        most: So many detections are kept of an image, those with the highest scores.

    Returns:
        What it gave for each image; not checked, but for what is cut off.
    """
    module.eval()
    with torch.no_grad():
        return [_strongest(module(image.unsqueeze(0), **kwargs), most) for image in images]


def _strongest(found: Any, most: int) -> Any:
    three = isinstance(found, (tuple, list)) and len(found) == 3 and all(isinstance(t, torch.Tensor) for t in found)
    if not three or found[2].dim() != 1 or len(found[2]) <= most or any(len(t) != len(found[2]) for t in found):
        return found
    scores = found[2].nan_to_num(nan=-torch.inf)
    kept = scores.argsort(descending=True, stable=True)[:most]
    return tuple(part[kept] for part in found)

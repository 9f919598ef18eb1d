"""The student's process: loads one slice of one notebook, then answers requests about it.

Forked by the preloader, in a sandbox with nothing in reach that is worth taking. It knows no expected
value. The first frame in is the slice, then comes one request at a time.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import socket
import sys
import tempfile
import types
from typing import Any

import torch

from autograder.errors import StudentError
from autograder.loading import load
from autograder.sandbox import wire
from autograder.values import ValueRefused, pack, unpack
from autograder.workbench import Workbench, explain


def main(descriptor: int) -> None:
    """Serve until the other side hangs up."""
    os.chdir(tempfile.gettempdir())
    sys.stdin = io.StringIO()
    torch.set_num_threads(1)
    connection = socket.socket(fileno=descriptor)
    connection.settimeout(None)
    request, tensors = wire.receive(connection)
    _limit(unpack(request["limits"], tensors))
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    _offline_weights()
    workbench, problems = load(unpack(request["value"], tensors), module)
    wire.send(connection, {"value": pack(problems)[0]}, [])
    while True:
        try:
            request, tensors = wire.receive(connection)
        except wire.WireError:
            return
        wire.send(connection, *answer(workbench, request, tensors))


def answer(
    workbench: Workbench, request: dict[str, Any], tensors: list[torch.Tensor]
) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """The frame to send back for one request."""
    try:
        result = workbench.do(request["op"], **unpack(request["value"], tensors))
        tree, out = pack(result)
        return {"value": tree}, out
    except StudentError as error:
        return {"error": describe(error)}, []
    except ValueRefused as error:
        return {"error": describe(explain(error))}, []


def describe(error: StudentError) -> dict[str, Any]:
    """A `StudentError` as JSON."""
    place = error.place
    return {
        "status": error.status,
        "message": error.message,
        "kind": error.kind,
        "public_text": error.public_text,
        "place": [place.cell, place.line, place.text] if place else None,
    }


def _offline_weights() -> None:
    """Answer torchvision's weight download with seeded weights: notebooks ask for them by name."""
    import torchvision.models._api as api

    made: dict[str, dict[str, torch.Tensor]] = {}

    def get_state_dict(self: Any, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        if type(self).__name__ not in made:
            made[type(self).__name__] = seeded(self)
        return {name: tensor.clone() for name, tensor in made[type(self).__name__].items()}

    def seeded(self: Any) -> dict[str, torch.Tensor]:
        builder = next(
            getattr(torchvision_models, name)
            for name in dir(torchvision_models)
            if name.lower() == type(self).__name__.removesuffix("_Weights").lower()
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            state: dict[str, torch.Tensor] = builder(weights=None).state_dict()
            return state

    import torchvision.models as torchvision_models

    api.WeightsEnum.get_state_dict = get_state_dict


def _limit(limits: dict[str, int]) -> None:
    """Bound what this process may use; both soft and hard, so that no code in it can raise them again."""
    megabyte = 1024 * 1024
    for kind, value in (
        (resource.RLIMIT_DATA, limits["memory_megabytes"] * megabyte),
        (resource.RLIMIT_FSIZE, limits["tmpfs_megabytes"] * megabyte),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))

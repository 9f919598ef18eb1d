"""Frames on the socket between slot and worker: a length-prefixed JSON object and a safetensors blob.

4 bytes  length of the JSON, big endian
4 bytes  length of the blob, big endian
JSON     a request {"id": ..., "op": ..., "value": <tree of values.py>}, or an answer to it: its "id", which
         nobody can know beforehand, and either "value" or "error"
blob     safetensors of the tensors that the tree refers to, named "0", "1", ...; empty if there are none
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

import safetensors
import safetensors.torch
import torch

from autograder.runtime.values import MAX_DIMENSIONS, Tree

_HEADER = struct.Struct(">II")
MAX_JSON = 16 * 1024 * 1024
MAX_NAMES = 4 * 1024 * 1024  # of the blob's own header: room for some 50,000 tensors


class WireError(Exception):
    """The other side sent something that is not a frame, or is gone."""


class WireGone(WireError):
    """The other side has hung up."""


class WireTooLarge(WireError):
    """A message of our own is larger than a frame may be: nothing of it was sent."""


class WireTimeout(WireError):
    """Nothing, or not all of it, came in time."""


def send(connection: socket.socket, message: dict[str, Any], tensors: list[torch.Tensor]) -> None:
    """Send one frame.

    Args:
        connection: A stream socket.
        message: JSON.
        tensors: As `values.pack` gives them.

    Raises:
        WireGone: The other side has hung up.
        WireTooLarge: The message is too large, or too deep: a question that is handed on may be as deep as could just
            be read.
    """
    try:
        text = json.dumps(message).encode()
    except RecursionError as error:
        raise WireTooLarge("the message is nested too deeply to send") from error
    blob = safetensors.serialize({str(i): _spec(t) for i, t in enumerate(tensors)}) if tensors else b""
    if len(text) > MAX_JSON or len(blob) >= 2**32:
        raise WireTooLarge("the message is too large to send")
    try:
        connection.sendall(_HEADER.pack(len(text), len(blob)) + text + blob)
    except TimeoutError as error:
        raise WireTimeout("the other side does not read") from error
    except OSError as error:
        raise WireGone("the other side is gone") from error


def receive(
    connection: socket.socket, wait: Callable[[], None] | None = None, max_bytes: int = 2**31
) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """Receive one frame.

    Args:
        connection: A stream socket.
        wait: Waits until there is something to read, and raises `WireTimeout` to give up; None waits for ever.
        max_bytes: A longer blob is refused before it is read.

    Raises:
        WireTimeout: `wait` gave up.
        WireGone: The other side has hung up.
        WireError: What came is not a frame.
    """
    json_length, blob_length = _HEADER.unpack(_exactly(connection, _HEADER.size, wait))
    if json_length > MAX_JSON or blob_length > max_bytes:
        raise WireError(f"an answer of {(json_length + blob_length) // 2**20} MB is too large")
    text = _exactly(connection, json_length, wait)
    blob = _exactly(connection, blob_length, wait)
    try:
        message = json.loads(text)
        tensors = _tensors(blob)
    except Exception as error:  # a forged header makes safetensors and torch raise many kinds
        raise WireError("an answer that is not a frame") from error
    if not isinstance(message, dict):
        raise WireError("an answer that is not a frame")
    return message, tensors


def shorten(tree: Tree, length: int) -> str:
    """A string from a message that may be forged: text only, at most `length` characters."""
    return tree[:length] if isinstance(tree, str) else ""


def _spec(tensor: torch.Tensor) -> safetensors.TensorSpec:
    """Where a tensor's bytes lie: `safetensors.torch.save` takes twenty times as long to find out for a small one."""
    name = str(tensor.dtype).removeprefix("torch.")
    return safetensors.TensorSpec(dtype=name, shape=tensor.shape, data_ptr=tensor.data_ptr(), data_len=tensor.nbytes)


def _tensors(blob: bytes) -> list[torch.Tensor]:
    if not blob:
        return []
    length = int.from_bytes(blob[:8], "little")
    if length > MAX_NAMES:
        raise WireError("an answer of too many tensors")
    _hold_to_dimensions(json.loads(blob[8 : 8 + length]))
    named = safetensors.torch.load(blob)
    return [named[str(index)] for index in range(len(named))]


def _hold_to_dimensions(header: dict[str, Any]) -> None:
    """Look at shapes before anything is made of them: torch takes a time that grows with the square of dimensions."""
    if any(len(entry["shape"]) > MAX_DIMENSIONS for entry in header.values()):
        raise WireError(f"a tensor of more than {MAX_DIMENSIONS} dimensions")


def _exactly(connection: socket.socket, count: int, wait: Callable[[], None] | None) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        if wait is not None:
            wait()
        try:
            part = connection.recv(min(count - len(parts), 1 << 20))
        except TimeoutError as error:
            raise WireTimeout("no answer in time") from error
        except OSError as error:
            raise WireGone("the other side is gone") from error
        if not part:
            raise WireGone("the other side is gone")
        parts += part
    return bytes(parts)

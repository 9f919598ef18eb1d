"""The way to a Dask scheduler: what can be wrong with an address, certificates or the package, each in a sentence."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from autograder.runtime.errors import KitError

INSTALL = 'pip install "distributed>=2026.8"'
CONNECT_SECONDS = 10.0
_KNOCK_SECONDS = 0.5
_SETTINGS = {"distributed.admin.large-graph-warning-threshold": "1TB"}  # our tasks are large: they hold a submission


def connected(address: str) -> Any:
    """A client of the scheduler at an address.

    Raises:
        KitError: No `distributed`, no scheduler there, or certificates that are missing or cannot be read.
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        raise KitError(
            f"--scheduler needs the package distributed, which is not installed here: {INSTALL}. Without --scheduler "
            "this machine grades alone."
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said in a sentence
    dask.config.set(_SETTINGS)
    security = _security(address)
    _knock(address)
    try:
        return distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, name="fcoskit", security=security
        )
    except Exception as error:  # Dask raises many kinds
        raise KitError(f"What answers at {address} is no scheduler that this machine can use: {said(error)}") from error


def _security(address: str) -> Any:
    """Dask's settings for a connection; certificates are theirs to name."""
    import distributed

    parts = urlsplit(address)
    try:
        usable = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:
        usable = False
    if not usable:
        raise KitError(f"{address} is not the address of a scheduler: tcp://HOST:8786, or tls:// with certificates.")
    try:
        security = distributed.Security()
        certified = security.get_connection_args("client").get("ssl_context") is not None
    except OSError as error:
        raise KitError(f"The certificates that Dask's settings name cannot be read: {error}.") from error
    if parts.scheme == "tls" and not certified:
        raise KitError(
            f"{address} asks for certificates, and Dask's settings name none for a client: see docs/scale.md, "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and its like."
        )
    return security


def _knock(address: str) -> None:
    """See that something listens: a scheduler may be a moment late. Dask itself would take a minute to say no."""
    parts = urlsplit(address)
    last = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((str(parts.hostname), int(parts.port or 0)), CONNECT_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > last:
                raise KitError(
                    f"No scheduler answers at {address} ({error.strerror or error}). Start one with `dask scheduler`, "
                    "see that this machine may reach it, and give the address that it prints."
                ) from error
        time.sleep(_KNOCK_SECONDS)


def said(error: object) -> str:
    """The first line of an error, short."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__

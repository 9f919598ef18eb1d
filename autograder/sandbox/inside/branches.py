"""A worker that has run a whole notebook forks once for each exercise.

So the notebook runs once, and each exercise has a process of its own.

What an exercise changes in its process, another never sees. Both use the same socket, one at a time: the forked
process answers until it is told to leave, its parent waits.
"""

from __future__ import annotations

import os
import signal
import socket
import warnings
from collections.abc import Callable
from typing import Any

from autograder.runtime.values import pack, unpack
from autograder.sandbox.inside import wire

BRANCH, LEAVE = "branch", "leave"


def serve_branches(
    connection: socket.socket,
    prepare: Callable[[dict[str, Any]], Any],
    serve: Callable[[socket.socket, Any], None],
) -> None:
    """Fork on request, until the other side hangs up.

    Args:
        connection: The worker's.
        prepare: Makes the forked process ready for an exercise, and gives what is served there.
        serve: Answers the requests of the exercise until it is to leave.
    """
    while True:
        try:
            request, tensors = wire.receive(connection)
        except wire.WireError:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # threads of a notebook's own are gone in the fork: what fails tells it
            child = os.fork()
        if child == 0:
            asked = [request["id"], unpack(request["value"], tensors)]
            del request, tensors  # student code can look into the frames above its own
            _exercise(connection, asked, prepare, serve)
        _, status = os.waitpid(child, 0)
        if status:
            _end_like(status)


def _exercise(
    connection: socket.socket,
    asked: list[Any],
    prepare: Callable[[dict[str, Any]], Any],
    serve: Callable[[socket.socket, Any], None],
) -> None:
    """The forked process; it takes the request out of `asked`, so that nobody holds it any more."""
    code = 1
    try:
        served = prepare(asked.pop())
        wire.send(connection, {"id": asked.pop(), "value": pack(None)[0]}, [])
        serve(connection, served)
        code = 0
    except BaseException:  # whatever happens, it never returns into its parent's loop
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _end_like(status: int) -> None:
    """End as the forked process did: the other side learns from it why nothing answers."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):  # nobody can catch these
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code > 0 else 1)

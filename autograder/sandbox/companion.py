"""The instructor's functions beside a student's code: in the same sandbox, in a process of their own.

What stands in for earlier exercises asks (`runtime/asking.py`), and this process answers: no line of the solution runs
where student code does. It never was where student code could look into it: forked from the preloader, which cannot be
looked into, it stays so (`PR_SET_DUMPABLE`). Its limits are the student's, so that nobody asks for more than they may
have; a student who ends it has nobody to ask any more.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any

from autograder.course.assignment import Assignment
from autograder.parsing.slicing import Slice
from autograder.runtime.values import pack, unpack
from autograder.sandbox.host import Host
from autograder.sandbox.inside import wire
from autograder.sandbox.launch import SandboxFailed

_LOAD_SECONDS = 60.0  # by the clock; a twentieth of a second's work


class Companion:
    """A process that answers for the instructor's functions, as long as it is open.

    Args:
        assignment: Its limits.
        piece: The slice that defines the functions.
        host: The sandbox; it is started there at once, before the student's own worker where there is none yet.

    Raises:
        SandboxFailed: It does not start, or the functions do not load: ours.
    """

    def __init__(self, assignment: Assignment, piece: Slice, host: Host) -> None:
        self._host = host
        self._line = host.beside()
        limits = pack(assignment.limits.whole_numbers())[0]
        value = pack(piece.to_json(assignment.globals) | {"stand_ins": []})[0]
        reply, _ = self._exchange({"op": "load", "value": value, "limits": limits}, [], None)
        if problems := unpack(reply.get("value"), []):
            raise SandboxFailed(f"the instructor's functions do not load in the sandbox: {problems[0]}")

    def answer(
        self, question: Any, tensors: list[Any], wait: Callable[[socket.socket], None], max_bytes: int
    ) -> tuple[dict[str, Any], list[Any]]:
        """Hand a question on.

        Args:
            question: As it came from a worker: it may be forged, and is not opened here.
            tensors: That it names.
            wait: Waits for something to read on a line, and raises `WireTimeout` to give up.
            max_bytes: Of the answer's tensors.

        Returns:
            What goes back to the worker but for its number, and tensors.

        Raises:
            WireTimeout, WireGone: It does not answer, or no more: somebody in there has seen to that.
        """
        reply, found = self._exchange({"op": "answer", "value": question}, tensors, wait, max_bytes)
        return {"value": reply["value"]} if "value" in reply else {"error": {}}, found

    def close(self) -> None:
        """End it."""
        self._line.close()
        self._host.drop()

    def _exchange(
        self,
        message: dict[str, Any],
        tensors: list[Any],
        wait: Callable[[socket.socket], None] | None,
        max_bytes: int = 2**20,
    ) -> tuple[dict[str, Any], list[Any]]:
        number = secrets.token_hex(8)
        line = self._line
        line.settimeout(_LOAD_SECONDS)
        try:
            wire.send(line, {"id": number, **message}, tensors)
            reply, found = wire.receive(line, (lambda: wait(line)) if wait else None, max_bytes)
        except wire.WireError as error:
            if wait is not None:
                raise
            self.close()
            raise SandboxFailed(f"the instructor's functions do not load in the sandbox: {error}") from error
        if reply.get("id") != number:
            raise wire.WireGone("an answer to a question that was not asked")
        return reply, found

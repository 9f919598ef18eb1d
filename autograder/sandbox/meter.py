"""What one request to a worker costs, watched from the first wait to the last byte of the answer."""

from __future__ import annotations

import select
import socket
import time

from autograder.sandbox.host import Host
from autograder.sandbox.inside.wire import WireGone, WireTimeout
from autograder.sandbox.launch import SandboxFailed

PATIENCE = 4.0  # limits are CPU seconds; a wall clock may run so many times longer on a busy machine
_GLANCE = 0.25  # seconds between looks at what a slow call has used
_STALL = 2.0  # a glance that takes longer by so much: we have not run ourselves, stopped (Ctrl-Z) or with the machine


class Meter:
    """Waits for the bytes of one answer and keeps account of what the worker computes meanwhile.

    How busy a machine is must not decide a grade, so CPU seconds count; code that only sleeps must not hold up the
    class, so a `PATIENCE`th of the clock counts, too. Time in which this process itself was stopped does not.

    Args:
        line: Socket to the worker.
        host: The worker's sandbox, which knows the CPU time.
        used: CPU seconds of the worker when last looked at.
        seconds: How many more it may use.
    """

    def __init__(self, line: socket.socket, host: Host, used: float, seconds: float) -> None:
        self._line, self._host, self._seconds = line, host, seconds
        self._before = self.used = used
        self._started = time.monotonic()
        self._stalled = 0.0
        self._looked = 0.0  # on our clock
        self.charge = 0.0

    @property
    def clock(self) -> float:
        """Seconds since the request, without those in which this process did not run."""
        return time.monotonic() - self._started - self._stalled

    def wait(self, line: socket.socket | None = None) -> None:
        """Wait until there is something to read, from the worker or on another line.

        Raises:
            WireTimeout: The seconds are used up. An answer that has begun is none yet: who sends its first byte
                early and computes on is charged like anybody else.
            WireGone: The sandbox is gone.
        """
        while True:
            at = time.monotonic()
            answered = bool(select.select([line or self._line], [], [], _GLANCE)[0])
            late = time.monotonic() - at - _GLANCE
            self._stalled += late if late > _STALL else 0.0
            if self.clock - self._looked >= _GLANCE:
                self._look()
            if answered:
                return

    def settle(self) -> None:
        """The answer is there: charge what has not been charged yet."""
        since = self.clock - self._looked
        if since >= _GLANCE:
            self._look()
            return
        self.used += since  # not worth asking
        self.charge = max(self.charge + since, self.used - self._before)

    def _look(self) -> None:
        self._looked = self.clock
        try:
            self.used = self._host.cpu_seconds()
        except SandboxFailed as error:
            if self._host.died:
                raise WireGone("the sandbox is gone") from error
            self.charge = self._seconds  # student code may have choked it: that ends this call
        else:
            self.charge = max(self.used - self._before, self._looked / PATIENCE)
        if self.charge >= self._seconds:
            raise WireTimeout("no answer in time")

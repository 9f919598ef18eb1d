"""A limit on what our own process computes over something hostile: a text that Python's tools take too long to read."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_AGAIN = 1.0  # seconds


class OutOfTimeError(Exception):
    """The seconds are used up."""


class Stopped(BaseException):
    """Raised where the seconds are used up. No `Exception`: nobody on the way may take it for one of their own."""


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Stop the code within after so many CPU seconds of this process, however busy the machine is.

    Signals reach the main thread alone; in another one nothing is limited.

    Raises:
        OutOfTimeError: They are used up.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    armed = True

    def stop(_: int, __: FrameType | None) -> None:
        if armed:
            raise Stopped

    before = signal.signal(signal.SIGPROF, stop)
    again = max(seconds, _AGAIN)  # should somebody swallow the first; never while we are still at putting all back
    signal.setitimer(signal.ITIMER_PROF, seconds, again)
    try:
        try:
            yield
        finally:
            armed = False  # from here on nothing is raised, so that the rest is always done
    except Stopped as error:
        raise OutOfTimeError(f"{seconds:g} s of computing are used up") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)

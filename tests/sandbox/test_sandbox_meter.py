"""The meter: computing is charged from the request to the answer's last byte, whenever its first byte comes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from autograder.sandbox import meter as meters
from autograder.sandbox.inside.wire import WireGone, WireTimeout
from autograder.sandbox.launch import SandboxFailed
from autograder.sandbox.meter import Meter


class Sandbox:
    """A host that says what it is told to.

    Args:
        seconds: CPU seconds used at each look; None where it does not answer.
        died: What it says of itself then.
    """

    def __init__(self, *seconds: float | None, died: bool = False) -> None:
        self._seconds, self.died = iter(seconds), died

    def cpu_seconds(self) -> float:
        """CPU seconds used so far."""
        seconds = next(self._seconds)
        if seconds is None:
            raise SandboxFailed("no answer")
        return seconds


class Clock:
    """Stands for the modules `time` and `select`: waits take no time, and as long as the test says.

    Args:
        line: On which there is something to read, or not.
        waits: How long each wait takes, and whether an answer has come by then.
    """

    def __init__(self, *waits: tuple[float, bool]) -> None:
        self._waits, self._now = iter(waits), 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self._now

    def select(self, read: list[socket.socket], *_: object) -> tuple[list[socket.socket], list[None], list[None]]:
        """Wait as long as the test says."""
        seconds, answered = next(self._waits)
        self._now += seconds
        return (read if answered else []), [], []


@pytest.fixture(name="line")
def _line() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    yield ours
    ours.close()
    theirs.close()


def metered(
    monkeypatch: pytest.MonkeyPatch, line: socket.socket, sandbox: Sandbox, *waits: tuple[float, bool]
) -> Meter:
    """A meter with five seconds of computing left, of a worker that has used one."""
    clock = Clock(*waits)
    monkeypatch.setattr(meters, "time", clock)
    monkeypatch.setattr(meters, "select", clock)
    return Meter(line, sandbox, 1.0, 5.0)  # type: ignore[arg-type]


def test_a_quick_answer_is_charged_by_the_clock(monkeypatch, line):
    """Who answers at once is not asked what it used."""
    meter = metered(monkeypatch, line, Sandbox(), (0.01, True))
    meter.wait()
    meter.settle()
    assert (meter.charge, meter.used) == (pytest.approx(0.01), pytest.approx(1.01))


def test_computing_is_charged(monkeypatch, line):
    """What all of a worker's processes have used counts, not how long it took."""
    meter = metered(monkeypatch, line, Sandbox(1.6, 2.2), (0.25, False), (0.25, True))
    meter.wait()
    meter.settle()
    assert (meter.charge, meter.used) == (pytest.approx(1.2), 2.2)


def test_sleeping_is_charged_a_quarter(monkeypatch, line):
    """A call that only sleeps ends by the clock, four times as late."""
    meter = metered(monkeypatch, line, Sandbox(*[1.0] * 80), *[(0.25, False)] * 80)
    with pytest.raises(WireTimeout):
        meter.wait()
    assert meter.clock == pytest.approx(20.0)


def test_the_first_byte_does_not_stop_the_meter(monkeypatch, line):
    """An answer that begins at once and goes on for ever, byte by byte, is cut off by what it computes."""
    meter = metered(monkeypatch, line, Sandbox(3.0, 5.0, 7.0), *[(0.1, True)] * 20)
    with pytest.raises(WireTimeout):
        for _ in range(20):
            meter.wait()
    assert meter.charge == 6.0 and meter.clock == pytest.approx(0.9)


def test_time_in_which_we_did_not_run_does_not_count(monkeypatch, line):
    """A laptop that slept during a call costs the student nothing."""
    meter = metered(monkeypatch, line, Sandbox(1.1, 1.2), (3600.0, False), (0.25, True))
    meter.wait()
    meter.settle()
    assert meter.charge == pytest.approx(0.2) and meter.clock < 1


def test_a_sandbox_that_does_not_answer_ends_the_call(monkeypatch, line):
    """Choked by student code, it is a timeout; gone, it is ours."""
    with pytest.raises(WireTimeout):
        metered(monkeypatch, line, Sandbox(None), (0.25, False)).wait()
    with pytest.raises(WireGone):
        metered(monkeypatch, line, Sandbox(None, died=True), (0.25, False)).wait()

"""Imports torch once, then forks a worker whenever it is asked to.

Started as `python preloader.py <control fd> <settings>`, the settings in JSON (see `Settings`). On the control
socket come these requests:

- `spawn`, with two descriptors (the worker's socket, and where its output goes): fork a worker on them.
- `trainer`, with the same: fork one that has torch's compiler, which optimizers import, without importing it itself.
- `beside`, with the same: fork a companion, which is to the others as this process is: none can look into it.
- `drop`: end the companion, and nothing else.
- `usage`: how much CPU time the worker and all that it started have used so far, in seconds.
- `clean`: kill all of that, reap it, empty the scratch folders. The answer says how the worker ended, and
  whether this process and its place are as they were at the start; a sandbox that is not is thrown away by the
  other side. `collect` is the same for a worker that is on its way out: it waits a moment to learn how it ended.

While there is a worker, it looks every `watch.LOOK_SECONDS` at what all its processes use together, and ends
them where that is over a limit: the worker's socket closes, and `collect` says which limit it was.

What keeps it out of its children's reach depends on its home (`home.py`): PID 1 of its own namespace is
undumpable (no ptrace, no /proc/1/mem or /proc/1/fd) and has every signal at its default (so it is deaf to those
from inside); with a uid of the workers' own it is root, and they are not. It runs no tensor operation itself,
since a forked child of a process that has used torch's thread pool hangs.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from autograder.sandbox.inside import huge_pages
from autograder.sandbox.inside.home import Alone, Apart, Home
from autograder.sandbox.inside.limit_messages import ENDED
from autograder.sandbox.inside.watch import LOOK_SECONDS, Account, Caps, over_limit, used

COMPILER, _COMPILED = "torch._dynamo", "TORCHINDUCTOR_CACHE_DIR"
GATHER_AFTER = 64  # forks: only then what large pages save is more than it takes to make them
MANY = 16  # processes, from which on they stand still while they are looked at
MOST = (512, 64, 64)  # processes and threads, files in each scratch folder: how far a worker may move their numbers


def main(descriptor: int, settings: dict[str, Any]) -> None:
    """Serve until the other side hangs up.

    Args:
        descriptor: The control socket.
        settings: "home": arguments of the home, and its "kind"; "caps": of `watch.Caps`; "modules": what to
            import before the first fork.
    """
    gc.disable()  # what imports make stays, and looking for garbage in it takes a tenth of the start
    import torch

    torch.set_num_threads(1)
    from autograder.runtime import torchvision_alone  # noqa: F401 (before anything else imports torchvision)
    from autograder.sandbox.inside import worker

    for name in settings["modules"]:
        importlib.import_module(name)
    worker.prepare()
    home = _make_home(**settings["home"])
    home.settle()
    home.empty()
    preloader = Preloader(socket.socket(fileno=descriptor), home, Caps(**settings["caps"]), worker.main)
    gc.freeze()  # children share these pages as long as the collector leaves them alone
    gc.enable()
    preloader.serve()


class Preloader:
    """The loop.

    Args:
        control: The slot's requests.
        home: Where workers live.
        caps: What all of a worker's processes together may use.
        run_worker: Called in a forked child with its socket; may return.
    """

    def __init__(self, control: socket.socket, home: Home, caps: Caps, run_worker: Any) -> None:
        self._control, self._home, self._caps, self._run_worker = control, home, caps, run_worker
        self._start = home.condition()
        self._child = self._beside = 0
        self._counters: list[int] = []
        self._account = Account()
        self._passed = ""  # the limit that ended the worker
        self._peak = 0  # kB that the largest of its processes had
        self._next_look = 0.0
        self._forks, self._gathered = 0, False

    def serve(self) -> None:
        """Answer until the other side hangs up; then nothing of the worker is left."""
        self._control.sendall(b"ready")
        try:
            while True:
                if not self._wait():
                    continue
                request, descriptors, _, _ = socket.recv_fds(self._control, 16, 2)
                if request == b"trainer":
                    _import_compiler()
                if request in (b"spawn", b"trainer", b"beside") and len(descriptors) == 2:
                    self._spawn(*descriptors, hidden=request == b"beside")
                elif request == b"drop":
                    self._drop()
                elif request == b"usage":
                    cpu = used(self._home.members(*self._children), self._account).cpu_seconds
                    self._control.sendall(json.dumps(cpu).encode())
                elif request in (b"clean", b"collect"):
                    self._clean(patient=request == b"collect")
                else:
                    return
        finally:
            self._home.end_all(*self._children)
            self._home.empty()

    @property
    def _children(self) -> list[int]:
        return [child for child in (self._child, self._beside) if child]

    def _wait(self) -> bool:
        """Wait for a request, looking after the worker meanwhile; False where it is time to wait again."""
        if not self._children:
            return bool(select.select([self._control], [], [])[0])
        asked = select.select([self._control], [], [], max(0.0, self._next_look - time.monotonic()))[0]
        if time.monotonic() >= self._next_look:  # also where requests come thick and fast
            self._look()
            self._next_look = time.monotonic() + LOOK_SECONDS
        return bool(asked)

    def _spawn(self, connection: int, output: int, *, hidden: bool) -> None:
        if not self._children:
            self._passed, self._peak, self._next_look = "", 0, time.monotonic() + LOOK_SECONDS
            self._counters, self._account = self._home.counters(), Account()
        self._forks += 1
        child = os.fork()
        if child == 0:
            _become_worker(self._home, self._caps, self._run_worker, connection, output, hidden=hidden)
        if hidden:
            self._beside = child
        else:
            self._child = child
        os.close(connection)
        os.close(output)
        self._control.sendall(b"spawned")

    def _drop(self) -> None:
        """End the companion; where a limit has ended it, it is gone already."""
        if self._beside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._beside, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._beside, 0)
        self._beside = 0
        self._control.sendall(b"dropped")

    def _look(self) -> None:
        """End the worker's processes if together they use more than they may."""
        if self._passed:
            return
        home = self._home
        members = home.members(*self._children)
        if _has_ended(self._child):  # what it has started may keep its socket open, and has nobody left to answer for
            for pid in set(members) - set(self._children):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        with home.still() if len(members) > MANY else contextlib.nullcontext():
            members = home.members(*self._children)
            passed = over_limit(members, self._caps, home.scratch, self._beside, self._account, home.rights_to_look)
            if passed:
                self._passed, self._peak = passed, home.end_all(*self._children)

    def _clean(self, *, patient: bool) -> None:
        ended, peak = _end_of(self._child, patient=patient and not self._passed)
        peak = max(peak, self._peak, self._home.end_all(*self._children))
        self._home.empty()
        if self._passed:
            ended = ENDED + self._passed
        self._child, self._beside, self._passed = 0, 0, ""
        intact = self._home.condition() == self._start and not self._worn()
        reply = {"ended": ended, "intact": intact, "peak": peak}
        self._control.sendall(json.dumps(reply).encode())
        self._gather()

    def _gather(self) -> None:
        """Have this process's memory in large pages, once that is worth it: while nobody waits for an answer."""
        if self._forks >= GATHER_AFTER and not self._gathered:
            self._gathered = True
            huge_pages.collapse()

    def _worn(self) -> bool:
        """Whether a worker has moved the kernel's counters so far that the next could read something from them."""
        risen = [now - before for now, before in zip(self._home.counters(), self._counters, strict=True)]
        return any(number > most for number, most in zip(risen, MOST, strict=False))


def _import_compiler() -> None:
    """Import what workers forked from now on have; again, it costs nothing.

    It would make a folder to compile into, where workers write: one that is there already is none of theirs.
    """
    if COMPILER in sys.modules:
        return
    os.environ[_COMPILED] = "/"
    gc.disable()
    try:
        importlib.import_module(COMPILER)
    finally:
        os.environ.pop(_COMPILED, None)
        gc.freeze()
        gc.enable()


def _become_worker(home: Home, caps: Caps, run_worker: Any, connection: int, output: int, *, hidden: bool) -> None:
    """The rest of a forked child's life."""
    code = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)  # as Python has them
        home.enter(caps.tasks, hidden=hidden)
        _close_all_but(connection)
        run_worker(connection)
        code = 0
    except BaseException:  # whatever happens, the child never returns into the preloader's loop
        with contextlib.suppress(BaseException):
            import traceback

            traceback.print_exc()
    finally:
        os._exit(code)


def _close_all_but(connection: int) -> None:
    """Standard streams and the worker's own socket are all that a worker has; no control socket, no locks."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (as fast as can be: it is a worker's start)
        if int(name) > 2 and int(name) != connection:
            with contextlib.suppress(OSError):  # the one that listed the folder is closed already
                os.close(int(name))


def _make_home(kind: str, **arguments: Any) -> Home:
    kinds: dict[str, type[Home]] = {"alone": Alone, "apart": Apart, "open": Home}
    return kinds[kind](**arguments)


def _has_ended(child: int) -> bool:
    """Whether a process is there no more but for its end, which is left for whoever asks how it was."""
    try:
        return bool(child) and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _end_of(child: int, *, patient: bool) -> tuple[str, int]:
    """How the worker has ended by itself ("exit 3", "signal 11", "" if it still runs), and its peak in kB.

    Args:
        child: Its process, or 0.
        patient: Wait a moment for it: its socket is closed already.
    """
    deadline = time.monotonic() + (1.0 if patient else 0.0)
    while child:
        with contextlib.suppress(ChildProcessError):
            pid, status, usage = os.wait4(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return (f"exit {code}" if code >= 0 else f"signal {-code}"), usage.ru_maxrss
        if time.monotonic() >= deadline:
            break
        time.sleep(0.005)
    return "", 0


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))

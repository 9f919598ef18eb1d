"""PID 1 of a sandbox: imports torch once, then forks a worker whenever it is asked to.

Started as `python preloader.py <control fd> <mode> <module>...`. On the control socket come these requests:

- `spawn`, with two descriptors (the worker's socket, and where its output goes): fork a worker on them.
- `usage`: how much CPU time everything else in this PID namespace has used so far, in seconds.
- `clean`: kill everything else in this PID namespace, reap it, empty the tmpfs. The answer says how the
  worker ended, and whether this process and its namespaces are as they were at the start; a sandbox that is
  not is thrown away by the other side. `collect` is the same for a worker that is on its way out: it waits a
  moment to learn how it ended.

What keeps it out of its children's reach: it is undumpable (no ptrace, no /proc/1/mem or /proc/1/fd), every
signal is at its default (PID 1 is deaf to those from its own namespace), and it runs no tensor operation
itself, since a forked child of a process that has used torch's thread pool hangs.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_DUMPABLE = 4
_SCRATCH = ("/tmp", "/dev/shm")
_KINDS = [value for name, value in vars(resource).items() if name.startswith("RLIMIT_")]


def main(descriptor: int, *, alone: bool, modules: list[str]) -> None:
    """Serve until the other side hangs up.

    Args:
        descriptor: The control socket.
        alone: Whether this is PID 1 of its own namespace; without a sandbox it is not.
        modules: What to import before the first fork.
    """
    import torch

    torch.set_num_threads(1)
    from autograder.sandbox import worker

    for name in modules:
        importlib.import_module(name)
    _harden(alone)
    control = socket.socket(fileno=descriptor)
    _empty_scratch(alone)
    start = _condition(alone)
    gc.collect()
    gc.freeze()  # children share these pages as long as the collector leaves them alone
    control.sendall(b"ready")
    child = 0
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 16, 2)
        if request == b"spawn" and len(descriptors) == 2:
            child = os.fork()
            if child == 0:
                control.close()
                _become_worker(worker.main, *descriptors)
            for each in descriptors:
                os.close(each)
            control.sendall(b"spawned")
        elif request == b"usage":
            control.sendall(json.dumps(_cpu_seconds(alone, child)).encode())
        elif request in (b"clean", b"collect"):
            ended = _end_of(child, patient=request == b"collect")
            _kill_all(alone, child)
            _empty_scratch(alone)
            reply = {"ended": ended, "intact": _condition(alone) == start}
            control.sendall(json.dumps(reply).encode())
            child = 0
        else:
            return


def _become_worker(serve: Any, connection: int, output: int) -> None:
    """The rest of a forked child's life."""
    code = 1
    try:
        os.setsid()
        _dumpable(True)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        serve(connection)
        code = 0
    except BaseException:  # whatever happens, the child never returns into the preloader's loop
        with contextlib.suppress(BaseException):
            import traceback

            traceback.print_exc()
    finally:
        os._exit(code)


def _harden(alone: bool) -> None:
    if not alone:
        return
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    _dumpable(False)


def _dumpable(yes: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(yes), 0, 0, 0)


def _end_of(child: int, *, patient: bool) -> str:
    """How the worker has ended by itself: "exit 3", "signal 11", or "" if it still runs.

    Args:
        child: Its process, or 0.
        patient: Wait a moment for it: its socket is closed already.
    """
    deadline = time.monotonic() + (1.0 if patient else 0.0)
    while child:
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return f"exit {code}" if code >= 0 else f"signal {-code}"
        if time.monotonic() >= deadline:
            break
        time.sleep(0.005)
    return ""


def _cpu_seconds(alone: bool, child: int) -> float:
    """CPU time of all other processes, those included that have ended and were waited for by another one."""
    ticks = 0
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid() or not (alone or int(folder.name) == child):
            continue
        with contextlib.suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def _kill_all(alone: bool, child: int) -> None:
    """Kill every other process and reap it."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            if alone:
                os.kill(-1, signal.SIGKILL)
            elif child:
                os.killpg(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _empty_scratch(alone: bool) -> None:
    """Remove what a worker left in the folders that it may write to."""
    if not alone:
        return
    for folder in _SCRATCH:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                _open_up(entry.path)
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _open_up(folder: str) -> None:
    """Give back the permissions that a worker may have taken from folders of its own."""
    with contextlib.suppress(OSError):
        Path(folder).chmod(stat.S_IRWXU)
        for path, names, _ in os.walk(folder):
            for name in names:
                Path(path, name).chmod(stat.S_IRWXU)


def _condition(alone: bool) -> list[Any]:
    """All that a child could have changed about this process or left in its namespaces."""
    if not alone:
        return []
    left = [len(Path("/proc/sysvipc", kind).read_text().splitlines()) for kind in ("shm", "sem", "msg")]
    limits = [resource.getrlimit(kind) for kind in _KINDS]
    scratch = [sorted(entry.name for entry in os.scandir(folder)) for folder in _SCRATCH]
    scheduling = [
        os.sched_getscheduler(0),
        os.getpriority(os.PRIO_PROCESS, 0),
        sorted(os.sched_getaffinity(0)),
    ]
    return [left, limits, scratch, scheduling]


if __name__ == "__main__":
    main(int(sys.argv[1]), alone=sys.argv[2] == "alone", modules=sys.argv[3:])

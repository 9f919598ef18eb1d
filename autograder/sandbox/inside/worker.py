"""The student's process: loads one slice of one notebook, then answers requests about it.

Forked by the preloader, in a sandbox with nothing in reach that is worth taking. It knows no expected
value. The first frame in is the slice, then comes one request at a time.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import socket
import sys
import tempfile
import threading
import types
from collections.abc import Iterator
from typing import Any

import torch

from autograder.runtime.asking import AskedError
from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.loading import bind_all, broken_name, load, stand_in_modules
from autograder.runtime.offline_weights import answer_weight_downloads
from autograder.runtime.values import pack, unpack
from autograder.runtime.whole_notebook import run_notebook
from autograder.runtime.workbench import Workbench
from autograder.sandbox.inside import limit_messages, wire
from autograder.sandbox.inside.branches import LEAVE, serve_branches
from autograder.sandbox.inside.eager_torch import run_eagerly

_WHOLE = ("new", "detect")  # what may run a whole backbone


def prepare() -> None:
    """What every worker would do first, done once before the first is forked. It runs no tensor operation."""
    torch.set_num_threads(1)
    tempfile.gettempdir()  # which writes there to find it, and keeps what it has found
    # oneDNN would compile a kernel for each new shape, which takes longer than what checks compute with it.
    torch.backends.mkldnn.set_flags(_enabled=False)  # type: ignore[no-untyped-call]
    answer_weight_downloads()
    run_eagerly()
    linecache.clearcache()  # of the sources that imports have looked at; workers clear it, too
    _out_of_sight()


def main(descriptor: int) -> None:
    """Serve until the other side hangs up."""
    _take_up_threads()
    os.chdir(tempfile.gettempdir())
    sys.stdin = io.StringIO()
    connection = socket.socket(fileno=descriptor)
    connection.settimeout(None)
    request, tensors = wire.receive(connection)
    limit_messages.apply(unpack(request["limits"], tensors))
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    line = _Line(connection)
    line.number = request["id"]
    whole, value = request["op"] == "run", unpack(request["value"], tensors)
    workbench, problems = _run_whole(value, module) if whole else load(value, module, line.ask)
    wire.send(connection, {"id": request["id"], "value": pack(problems)[0]}, [])
    del request, tensors, value  # student code can look into the frames above its own, and stand-ins have a text
    if whole:
        serve_branches(connection, lambda exercise: _bound(workbench, exercise, line), lambda c, b: _serve(line, b))
    else:
        _serve(line, workbench)


def _take_up_threads() -> None:
    """Make torch's pool of threads anew, as a forked process has to."""
    torch.set_num_threads(1)  # where two threads of a student's come to it first, one finds none and fails


class _Line:
    """The socket of a worker: requests come by it, and questions of what stands in go the other way meanwhile.

    Args:
        connection: The socket.

    Attributes:
        number: Of the request that is being answered.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.number = ""
        self._one_at_a_time = threading.Lock()

    def ask(self, question: dict[str, Any]) -> Any:
        """Put a question of `asking.py`; the other side hands it on.

        Raises:
            AskedError: What was asked raised an exception.
            ValueRefused: Something in the question may not cross.
        """
        tree, tensors = pack(question, copy=False)
        with self._one_at_a_time:
            wire.send(self.connection, {"id": self.number, "ask": tree}, tensors)
            told, found = wire.receive(self.connection)
        if "value" not in told:
            raise AskedError("RuntimeError", "What stands in for your earlier exercises could not be asked this.")
        return unpack(told["value"], found)


def _serve(line: _Line, workbench: Workbench) -> None:
    """Answer one request after the other."""
    connection = line.connection
    while True:
        try:
            request, tensors = wire.receive(connection)
        except wire.WireError:
            return
        if request["op"] == LEAVE:
            wire.send(connection, {"id": request["id"], "value": pack(None)[0]}, [])
            return
        line.number = request["id"]
        message, out = answer(workbench, request, tensors)
        wire.send(connection, {"id": request["id"], **message}, out)


def _run_whole(request: dict[str, Any], module: types.ModuleType) -> tuple[Workbench, list[str]]:
    with _onednn():
        return run_notebook(request, module)


def _bound(workbench: Workbench, exercise: dict[str, Any], line: _Line) -> Workbench:
    """A whole notebook's workbench, made ready for an exercise in a process of its own."""
    _take_up_threads()
    namespace = workbench.namespace
    unread = {n: broken_name(*problem) for n, problem in exercise["broken"].items() if n not in namespace}
    workbench.missing, workbench.broken = exercise["missing"], unread | workbench.broken
    bind_all(namespace, stand_in_modules(exercise["stand_ins"], line.ask))
    return workbench


def answer(
    workbench: Workbench, request: dict[str, Any], tensors: list[torch.Tensor]
) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """The frame to send back for one request."""
    try:
        with _onednn() if request["op"] in _WHOLE else contextlib.nullcontext():
            result = workbench.do(request["op"], **unpack(request["value"], tensors))
        tree, out = pack(result, copy=False)  # sent before anything else runs
        return {"value": tree}, out
    except StudentError as error:
        return {"error": describe(error)}, []
    except BaseException as error:  # a value that may not cross, and whatever student code can raise
        return {"error": describe(_explained(error))}, []


@contextlib.contextmanager
def _onednn() -> Iterator[None]:
    """Switch oneDNN on for a while; `flags` of torch sets more, and warns of that where a student's print goes."""
    set_flags = torch.backends.mkldnn.set_flags
    before = set_flags(_enabled=True)[0]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        set_flags(_enabled=before)  # type: ignore[no-untyped-call]


def _explained(error: BaseException) -> StudentError:
    try:
        return explain(error)
    except BaseException:  # an exception's class may be hostile too
        return StudentError("error", "Your code raised an exception that cannot even be named.")


def _out_of_sight() -> None:
    """Student code that imports the kit gets a copy of its own: what it changes there is not what answers.

    Whoever looks for the worker's own functions in memory still finds them: this is no wall, the socket is.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == "autograder"]:
        del sys.modules[name]


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

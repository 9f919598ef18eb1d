"""Runs a slice in a namespace: in the sandbox for a student, in this process for the reference solution."""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import linecache
import re
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from autograder.runtime.absent import (
    MOST_STUBS,
    AbsentError,
    AbsentFinder,
    missing_module,
    stand_for_targets,
    without_absent_decorators,
)
from autograder.runtime.asking import Ask, asking_module
from autograder.runtime.errors import Place, StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.not_run import NotRun
from autograder.runtime.stand_ins import bind
from autograder.runtime.workbench import Workbench
from autograder.runtime.workbench_gpu import needs_a_gpu

StandInModule = tuple[types.ModuleType, list[str], bool]
_ASKS = re.compile(r"cuda|accelerator", re.IGNORECASE)  # in code that binds a name only where there is a GPU


def load(request: dict[str, Any], module: types.ModuleType, ask: Ask | None = None) -> tuple[Workbench, list[str]]:
    """Run a slice in a fresh module.

    A statement that fails costs only the names it would have bound.

    Args:
        request: As `slicing.Slice.to_json` gives it.
        module: Its namespace is where the student's names will live.
        ask: For stand-ins that ask another process.

    Returns:
        The workbench over the namespace, and a line for each statement that did not run.
    """
    namespace = module.__dict__
    absent = AbsentFinder()
    failed = _define(request, namespace, absent)
    wants_gpu = wants_a_gpu(failed.values()) or _asks_for_one(request, namespace)
    broken = {name: broken_name(*problem) for name, problem in request["broken"].items() if name not in namespace}
    broken |= {name: error for name, error in failed.items() if name in request["wanted"]}
    stand_ins = stand_in_modules(request.get("stand_ins", []), ask)
    bind_all(namespace, stand_ins)
    own = {key: value for key, value in request.items() if key != "stand_ins"}  # their text is not to be kept

    def reload() -> dict[str, Any]:
        fresh = types.ModuleType(module.__name__)
        with _in_place_of(module, fresh):
            again = _define(own, fresh.__dict__, absent, "cuda")
        lost = {name for name in own["wanted"] if name in namespace and name not in fresh.__dict__}
        if lost or not set(again) <= set(failed):
            raise RuntimeError("what loads on the CPU does not load on a GPU")
        bind_all(fresh.__dict__, stand_ins)
        return fresh.__dict__

    bench = Workbench(namespace, request["missing"], broken, reload=reload, wants_gpu=wants_gpu)
    bench.answers_for = frozenset(request["wanted"])
    problems = [error.message for error in failed.values()]
    problems += [f"The notebook imports {name}, which is not here." for name in sorted(absent.packages)]
    return bench, problems


def _define(
    request: dict[str, Any], namespace: dict[str, Any], absent: AbsentFinder, gpu: str = ""
) -> dict[str, StudentError]:
    """Run a slice's statements; gives, for each name that is not defined then, the error of its statement."""
    namespace["__builtins__"] = builtins
    namespace.update({name: NotRun(reason) for name, reason in request["not_run"].items()})
    bind_given(namespace, request["given"], gpu)
    failed: dict[str, StudentError] = {}
    for cell, line, source, binds in request["statements"]:
        error = _run(namespace, cell, line, source, _future_flags(request["features"], cell), absent, binds)
        for name in binds:
            failed.pop(name, None)
            if error:
                failed[name] = error
        bind_given(namespace, request["given"], gpu)
    if any(name in failed or name not in namespace for name in request["wanted"]):
        _run_whole_cells(namespace, request, failed, absent, gpu)
    return failed


def wants_a_gpu(failed: Iterable[StudentError]) -> bool:
    """Whether something of a notebook that was just loaded failed, or would fail now, because there is no GPU.

    A default device that nothing can be made on is taken back: what is not the student's goes on.
    """
    try:
        torch.empty(0)
    except Exception:  # each kind of GPU has its own way of saying that it is not there
        torch.set_default_device(None)
        dtype = torch.get_default_dtype()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old function, and what undoes it
            torch.set_default_tensor_type(torch.FloatTensor)
        torch.set_default_dtype(dtype)
        return True
    return any(needs_a_gpu(error) for error in failed)


def _asks_for_one(request: dict[str, Any], namespace: dict[str, Any]) -> bool:
    """Whether a wanted name is not there, and may be where there is a GPU."""
    absent = any(name not in namespace for name in request["wanted"])
    return absent and any(_ASKS.search(source) for _, _, source, _ in request["statements"])


@contextlib.contextmanager
def _in_place_of(module: types.ModuleType, other: types.ModuleType) -> Iterator[None]:
    """As long as it is open, `import __main__` finds the other module, if it finds this one else."""
    here = sys.modules.get(module.__name__) is module
    if here:
        sys.modules[module.__name__] = other
    try:
        yield
    finally:
        if here:
            sys.modules[module.__name__] = module


def stand_in_module(stand_in: dict[str, Any], ask: Ask | None = None) -> types.ModuleType:
    """The module that a stand-in's names come from.

    Args:
        stand_in: "names", and "code", a text; without it they are functions that ask.
        ask: Whom.
    """
    if not stand_in["code"]:
        assert ask is not None
        return asking_module(stand_in["names"], ask)
    module = types.ModuleType("stand_ins")
    exec(compile(stand_in["code"], "<stand-ins>", "exec"), module.__dict__)  # noqa: S102
    return module


def stand_in_modules(stand_ins: list[dict[str, Any]], ask: Ask | None = None) -> list[StandInModule]:
    """The modules of stand-ins, the names of each, and whether objects are made as the student's own class makes them.

    Those that come later find those before them, too.
    """
    made: list[StandInModule] = []
    for stand_in in stand_ins:
        module = stand_in_module(stand_in, ask)
        for other, names, _ in made:
            bind(module.__dict__, other, names)
        made.append((module, stand_in["names"], stand_in.get("own") is True))
    return made


def bind_all(namespace: dict[str, Any], stand_ins: list[StandInModule]) -> None:
    """Bind stand-ins over a notebook's names."""
    for module, names, own in stand_ins:
        bind(namespace, module, names, own=own)


def _run(
    namespace: dict[str, Any], cell: int, line: int, source: str, flags: int, absent: AbsentFinder, binds: list[str]
) -> StudentError | None:
    """Run a piece of a cell under the cell's own line numbers; a package that is not here is stood for.

    Not one whose name is bound already: then an import tried before has found its substitute.
    """
    name = f"<code cell {cell}>"
    padded = "\n" * (line - 1) + source
    _remember(name, padded)
    for _ in range(MOST_STUBS):
        error = _once(namespace, name, padded, flags)
        package = missing_module(error)
        if not package or any(bound in namespace for bound in binds):
            break
        absent.stand_for(package)
    if isinstance(error, AbsentError):
        if (rest := without_absent_decorators(padded, namespace)) is not None:
            error = _once(namespace, name, rest, flags)
        else:
            stand_for_targets(padded, namespace, error.used)
    return None if error is None else explain(error)


def _once(namespace: dict[str, Any], name: str, padded: str | ast.Module, flags: int) -> BaseException | None:
    """Run a piece of a cell; what it raised, if anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(padded, name, "exec", flags=flags, dont_inherit=True), namespace)  # noqa: S102
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # student code may raise what `Exception` does not cover
        return error
    return None


def _remember(name: str, padded: str) -> None:
    """Let tracebacks show the student's lines; pieces of one cell are laid over each other."""
    lines = padded.splitlines(keepends=True)
    known = linecache.cache.get(name)
    old = list(known[2]) if known and len(known) == 4 else []
    old += ["\n"] * (len(lines) - len(old))
    merged = [new if new.strip() else old[index] for index, new in enumerate(lines)] + old[len(lines) :]
    linecache.cache[name] = (len("".join(merged)), None, merged, name)


def _run_whole_cells(
    namespace: dict[str, Any],
    request: dict[str, Any],
    failed: dict[str, StudentError],
    absent: AbsentFinder,
    gpu: str,
) -> None:
    """The slice did not give every name: run the cells that seem to define the wanted ones as they stand."""
    before = set(namespace)
    for cell, source in request["whole_cells"]:
        _run(namespace, cell, 1, source, _future_flags(request["features"], cell), absent, [])
        bind_given(namespace, request["given"], gpu)
    for name in request["wanted"]:
        if name in namespace and name not in before:
            failed.pop(name, None)


def broken_name(cell: int, line: int, text: str, why: str) -> StudentError:
    """The error for a name whose cell Python cannot read."""
    place = Place(cell, line, text)
    message = f"Python cannot read the cell that defines this: {why} ({place})."
    public = f"Python cannot read code cell {cell}: a syntax error in line {line}."
    return StudentError("error", message, kind="SyntaxError", place=place, public_text=public)


def given_value(value: Any, now: Any = None, gpu: str = "") -> Any:
    """A global that the assignment fixes; `{"device": "cpu"}` stands for a `torch.device`.

    Args:
        value: As `assignment.toml` has it.
        now: What the notebook bound to the name, if anything: a device that is a text there stays one.
        gpu: What devices name instead ("cuda"), for code that runs as on a GPU; one that does so already stays.
    """
    if not isinstance(value, dict) or set(value) != {"device"}:
        return value
    if gpu and isinstance(now, (str, torch.device)) and str(now).startswith(gpu):
        return now
    name = gpu or value["device"]
    return name if isinstance(now, str) else torch.device(name)


def bind_given(namespace: dict[str, Any], given: dict[str, Any], gpu: str = "") -> None:
    """Bind the globals that the assignment fixes over what a notebook has just bound."""
    namespace.update({name: given_value(value, namespace.get(name), gpu) for name, value in given.items()})


def _future_flags(features: list[tuple[int, str]], cell: int) -> int:
    """The compiler's flags for a cell: a kernel has them from the cell on that asks for them."""
    flags = 0
    for since, name in features:
        if since <= cell and name in __future__.all_feature_names:
            flags |= getattr(__future__, name).compiler_flag
    return flags

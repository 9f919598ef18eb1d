"""Runs a slice in a namespace: in the sandbox for a student, in this process for the reference solution."""

from __future__ import annotations
import __future__

import builtins
import contextlib
import functools
import linecache
import re
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from autograder.runtime.errors import Place, StudentError
from autograder.runtime.given import Given
from autograder.runtime.notebook_device import usable
from autograder.runtime.workbench import NotRun, Workbench, explain
from autograder.runtime.workbench_gpu import needs_a_gpu

_ASKS = re.compile(r"cuda|accelerator", re.IGNORECASE)  # in code that binds a name only where there is a GPU


def load(request: dict[str, Any], module: types.ModuleType) -> tuple[Workbench, list[str]]:
    """Run a slice in a fresh module.

    A statement that fails costs only the names it would have bound.

    Args:
        request: As `slicing.Slice.to_json` gives it.
        module: Its namespace is where the student's names will live.

    Returns:
        The workbench over the namespace, and a line for each statement that did not run.
    """
    namespace = module.__dict__
    failed = _define(request, namespace, Given(request["given"]))
    wants_gpu = _kept_from_a_gpu(failed, request, namespace)
    broken = {name: _broken(*problem) for name, problem in request["broken"].items() if name not in namespace}
    broken |= {name: error for name, error in failed.items() if name in request["wanted"]}
    stand_ins = _made(request.get("stand_ins", []))
    _bind_all(namespace, stand_ins)

    def reload() -> dict[str, Any]:
        fresh = types.ModuleType(module.__name__)
        with _in_place_of(module, fresh):
            again = _define(request, fresh.__dict__, Given(request["given"], "cuda"))
        absent = {name for name in request["wanted"] if name in namespace and name not in fresh.__dict__}
        if absent or not set(again) <= set(failed):
            raise RuntimeError("what loads on the CPU does not load on a GPU")
        _bind_all(fresh.__dict__, stand_ins)
        return fresh.__dict__

    bench = Workbench(namespace, request["missing"], broken, reload=reload, wants_gpu=wants_gpu)
    return bench, [error.message for error in failed.values()]


def _define(request: dict[str, Any], namespace: dict[str, Any], given: Given) -> dict[str, StudentError]:
    """Run a slice's statements; gives, for each name that is not defined then, the error of its statement."""
    namespace["__builtins__"] = builtins
    namespace.update({name: NotRun(reason) for name, reason in request["not_run"].items()})
    given.bind(namespace)
    failed: dict[str, StudentError] = {}
    flags = _future_flags(request["features"])
    for cell, line, source, binds in request["statements"]:
        error = _run(namespace, cell, line, source, flags)
        for name in binds:
            failed.pop(name, None)
            if error:
                failed[name] = error
        given.bind(namespace)
    if any(name in failed or name not in namespace for name in request["wanted"]):
        _run_whole_cells(namespace, request, failed, flags, given)
    return failed


def _kept_from_a_gpu(failed: dict[str, StudentError], request: dict[str, Any], namespace: dict[str, Any]) -> bool:
    """Whether something is not defined, or not as it should be, because there is no GPU.

    A default device that nothing can be made on is taken back: what is not the student's goes on.
    """
    default = torch.get_default_device()
    if default.type != "cpu" and not usable(default):
        torch.set_default_device(None)
        return True
    absent = any(name not in namespace for name in request["wanted"])
    asks = any(_ASKS.search(source) for _, _, source, _ in request["statements"])
    return any(needs_a_gpu(error) for error in failed.values()) or (absent and asks)


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


def stand_in_module(stand_in: dict[str, Any]) -> types.ModuleType:
    """The module that a stand-in's names come from.

    Args:
        stand_in: "names", and "code" (a text) or "slice" (as for `load`).
    """
    module = types.ModuleType("stand_ins")
    if stand_in["code"]:
        exec(compile(stand_in["code"], "<stand-ins>", "exec"), module.__dict__)  # noqa: S102
    else:
        load(stand_in["slice"], module)
        linecache.clearcache()
    return module


def _made(stand_ins: list[dict[str, Any]]) -> list[tuple[types.ModuleType, list[str]]]:
    """The modules of stand-ins, each with the names that it stands in for."""
    return [(stand_in_module(stand_in), stand_in["names"]) for stand_in in stand_ins]


def _bind_all(namespace: dict[str, Any], stand_ins: list[tuple[types.ModuleType, list[str]]]) -> None:
    """Bind stand-ins over a notebook's names, and each over those of the next: a solution's method finds them, too."""
    for number, (module, names) in enumerate(stand_ins):
        for other, others_names in stand_ins[:number]:
            bind(module.__dict__, other, others_names)
        bind(namespace, module, names)


def bind(namespace: dict[str, Any], module: types.ModuleType, names: list[str]) -> dict[str, Any]:
    """Bind stand-ins over a notebook's own names; "FCOS.forward" replaces a method of its class.

    Returns:
        What the names were bound to before, to be put back by `unbind`.
    """
    before: dict[str, Any] = {}
    for name in names:
        holder, _, attribute = name.partition(".")
        if not attribute:
            before[name] = namespace.get(name)
            namespace[name] = module.__dict__[name]
        elif isinstance(namespace.get(holder), type):
            before[name] = namespace[holder].__dict__.get(attribute)
            setattr(
                namespace[holder], attribute, _moved(module.__dict__[holder].__dict__[attribute], namespace[holder])
            )
    return before


def _moved(value: Any, holder: type) -> Any:
    """A method as if another class had defined it: `super()` asks for the class that it was written in."""
    if not isinstance(value, types.FunctionType) or "__class__" not in value.__code__.co_freevars:
        return value
    cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
    closure = tuple(types.CellType(holder) if name == "__class__" else cell for name, cell in cells)
    made = types.FunctionType(value.__code__, value.__globals__, value.__name__, value.__defaults__, closure)
    made.__kwdefaults__ = value.__kwdefaults__
    return functools.wraps(value)(made)


def unbind(namespace: dict[str, Any], before: dict[str, Any]) -> None:
    """Put back what `bind` replaced; names that were not there are taken away again."""
    for name, value in before.items():
        if value is None:
            namespace.pop(name, None)
        else:
            namespace[name] = value


def _run(namespace: dict[str, Any], cell: int, line: int, source: str, flags: int) -> StudentError | None:
    """Run a piece of a cell under the cell's own line numbers."""
    name = f"<code cell {cell}>"
    padded = "\n" * (line - 1) + source
    _remember(name, padded)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(padded, name, "exec", flags=flags, dont_inherit=True), namespace)  # noqa: S102
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # student code may raise what `Exception` does not cover
        return explain(error)
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
    flags: int,
    given: Given,
) -> None:
    """The slice did not give every name: run the cells that seem to define the wanted ones as they stand."""
    before = set(namespace)
    for cell, source in request["whole_cells"]:
        _run(namespace, cell, 1, source, flags)
        given.bind(namespace)
    for name in request["wanted"]:
        if name in namespace and name not in before:
            failed.pop(name, None)


def _broken(cell: int, line: int, text: str, why: str) -> StudentError:
    place = Place(cell, line, text)
    message = f"Python cannot read the cell that defines this: {why} ({place})."
    public = f"Python cannot read code cell {cell}: a syntax error in line {line}."
    return StudentError("error", message, kind="SyntaxError", place=place, public_text=public)


def _future_flags(features: list[str]) -> int:
    flags = 0
    for name in features:
        if name in __future__.all_feature_names:
            flags |= getattr(__future__, name).compiler_flag
    return flags

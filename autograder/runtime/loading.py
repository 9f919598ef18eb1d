"""Runs a slice in a namespace: in the sandbox for a student, in this process for the reference solution."""

from __future__ import annotations
import __future__

import builtins
import linecache
import types
import warnings
from typing import Any

import torch

from autograder.runtime.absent import AbsentFinder, missing_module
from autograder.runtime.errors import Place, StudentError
from autograder.runtime.stand_ins import bind
from autograder.runtime.workbench import NotRun, Workbench, explain

_MOST_STUBS = 20  # packages that one piece imports and that are not here


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
    namespace["__builtins__"] = builtins
    given = request["given"]
    namespace.update({name: NotRun(reason) for name, reason in request["not_run"].items()})
    bind_given(namespace, given)
    failed: dict[str, StudentError] = {}
    flags, absent = _future_flags(request["features"]), AbsentFinder()
    for cell, line, source, binds in request["statements"]:
        error = _run(namespace, cell, line, source, flags, absent)
        for name in binds:
            failed.pop(name, None)
            if error:
                failed[name] = error
        bind_given(namespace, given)
    if any(name in failed or name not in namespace for name in request["wanted"]):
        _run_whole_cells(namespace, request, failed, flags, absent)
    broken = {name: broken_name(*problem) for name, problem in request["broken"].items() if name not in namespace}
    broken |= {name: error for name, error in failed.items() if name in request["wanted"]}
    bind_all(namespace, request.get("stand_ins", []))
    problems = [error.message for error in failed.values()]
    problems += [f"The notebook imports {name}, which is not here." for name in sorted(absent.packages)]
    return Workbench(namespace, request["missing"], broken), problems


def stand_in_module(stand_in: dict[str, Any]) -> types.ModuleType:
    """The module that a stand-in's names come from.

    Args:
        stand_in: "names", and "code" (a text) or "slice" (as for `load`).
    """
    module = types.ModuleType("stand_ins")
    if stand_in["code"]:
        exec(compile(stand_in["code"], "<stand-ins>", "exec"), module.__dict__)  # noqa: S102
    else:
        before = dict(linecache.cache)
        load(stand_in["slice"], module)
        linecache.cache.clear()  # the solution's lines go by the same names as the notebook's
        linecache.cache.update(before)
    return module


def bind_all(namespace: dict[str, Any], stand_ins: list[dict[str, Any]]) -> None:
    """Bind stand-ins over a notebook's names, and each over those of the next: a solution's method finds them, too."""
    bound: list[tuple[types.ModuleType, list[str]]] = []
    for stand_in in stand_ins:
        module = stand_in_module(stand_in)
        for other, names in bound:
            bind(module.__dict__, other, names)
        bind(namespace, module, stand_in["names"])
        bound.append((module, stand_in["names"]))


def _run(
    namespace: dict[str, Any], cell: int, line: int, source: str, flags: int, absent: AbsentFinder
) -> StudentError | None:
    """Run a piece of a cell under the cell's own line numbers; a package that is not here is stood for."""
    name = f"<code cell {cell}>"
    padded = "\n" * (line - 1) + source
    _remember(name, padded)
    for _ in range(_MOST_STUBS):
        error = _once(namespace, name, padded, flags)
        package = missing_module(error)
        if not package:
            break
        absent.stand_for(package)
    return None if error is None else explain(error)


def _once(namespace: dict[str, Any], name: str, padded: str, flags: int) -> BaseException | None:
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
    flags: int,
    absent: AbsentFinder,
) -> None:
    """The slice did not give every name: run the cells that seem to define the wanted ones as they stand."""
    before = set(namespace)
    for cell, source in request["whole_cells"]:
        _run(namespace, cell, 1, source, flags, absent)
        bind_given(namespace, request["given"])
    for name in request["wanted"]:
        if name in namespace and name not in before:
            failed.pop(name, None)


def broken_name(cell: int, line: int, text: str, why: str) -> StudentError:
    """The error for a name whose cell Python cannot read."""
    place = Place(cell, line, text)
    message = f"Python cannot read the cell that defines this: {why} ({place})."
    public = f"Python cannot read code cell {cell}: a syntax error in line {line}."
    return StudentError("error", message, kind="SyntaxError", place=place, public_text=public)


def given_value(value: Any, now: Any = None) -> Any:
    """A global that the assignment fixes; `{"device": "cpu"}` stands for a `torch.device`.

    Args:
        value: As `assignment.toml` has it.
        now: What the notebook bound to the name, if anything: a device that is a text there stays one.
    """
    if isinstance(value, dict) and set(value) == {"device"}:
        return value["device"] if isinstance(now, str) else torch.device(value["device"])
    return value


def bind_given(namespace: dict[str, Any], given: dict[str, Any]) -> None:
    """Bind the globals that the assignment fixes over what a notebook has just bound."""
    namespace.update({name: given_value(value, namespace.get(name)) for name, value in given.items()})


def _future_flags(features: list[str]) -> int:
    flags = 0
    for name in features:
        if name in __future__.all_feature_names:
            flags |= getattr(__future__, name).compiler_flag
    return flags

"""Notebooks given as cells, cut and loaded as the grader does, or run whole as a kernel would."""

from __future__ import annotations

import types
from typing import Any

from autograder.checks.student import LocalStudent
from autograder.parsing.cells import Cell, parse_cell
from autograder.parsing.slicing import Slice, make_slice
from autograder.runtime.loading import load

NOT_RUN = frozenset({"train", "DataLoader", "show"})


def parsed(*sources: str) -> list[Cell]:
    """A notebook's cells."""
    return [parse_cell(number, source) for number, source in enumerate(sources, start=1)]


def cut(*sources: str, wanted: tuple[str, ...] = ("f",), **rest: Any) -> Slice:
    """The slice for some names."""
    return make_slice(parsed(*sources), wanted, NOT_RUN, **rest)


def kept(piece: Slice) -> list[str]:
    """What stays, as texts."""
    return [statement.source for statement in piece.statements]


def by_slice(*sources: str, name: str = "a_slice") -> Any:
    """What the wanted `f()` gives when its slice is loaded."""
    module = types.ModuleType(name)
    student = LocalStudent(module.__dict__)
    student.workbench, _ = load(cut(*sources).to_json({}), module)
    return student.call("f")


def by_running(*sources: str) -> Any:
    """What `f()` gives when the cells run from top to bottom, one that fails costing its own rest."""
    namespace: dict[str, Any] = {"__name__": "a_notebook", "train": lambda *_, **__: 0, "DataLoader": list}
    for cell in parsed(*sources):
        if cell.binds_nothing:
            continue
        try:
            exec(compile(cell.tree, f"<cell {cell.number}>", "exec", dont_inherit=True), namespace)
        except Exception:  # as a student passes over it
            continue
    return namespace["f"]()

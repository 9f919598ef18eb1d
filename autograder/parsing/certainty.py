from __future__ import annotations
from dataclasses import dataclass
from autograder.parsing.cells import Cell
from autograder.parsing.links import Links

@dataclass(frozen=True)
class Cut:
    cells: tuple[Cell, ...]
    notebook: Links
    kept: frozenset[int]
    names: frozenset[str]
    wanted: tuple[str, ...]
    lost: tuple[str, ...]
    absent: tuple[str, ...]
    released: frozenset[str]

def doubt_of(cut: Cut) -> str:
    return ""

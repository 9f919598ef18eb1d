"""Hostile submissions, read from the TOML files beside this one.

To add one, write an entry into the file whose subject it is:

    [[attack]]
    name = "exit-zero"             what it tries, in a few words
    about = "..."                  a sentence for people
    base = "zeros"                 the notebook it is put into, by its name in bases.toml; default "zeros"
    on = "call"                    where the code runs, see below; default "call"
    code = '''...'''               the hostile code
    status = ["error"]             what the attacked exercise may come to; default ["failed"]
    says = "ended by itself"       words that the feedback must hold; default "", anything
    stored = "7.1d"                an exercise whose tensors in the students' package the code has as `STORED`, typed in
    slow = false                   takes many seconds: marked slow

A base is the solved notebook with a cell at its end that defines the name in `attacked` anew, wrongly but plainly.
An attack is its base with one more cell, which replaces that name by `attack(name)`. So what the base earns is the
honest score of the attack. `on` says what `attack` is:

    call    runs `code`, which sees `args` and `kwargs`, then the honest function, each time it is called
    load    runs `code` once, when the notebook is loaded, and gives the honest thing back
    whole   is defined by `code` itself
    text    nothing: `code` is the cell as it stands

Code stands between three apostrophes, where TOML takes a backslash as it is: one is what Python's own escapes need.

`uid.toml` says what comes to something else with the uid kind of sandbox, and what is not defended there.
"""

from __future__ import annotations

import base64
import textwrap
import tomllib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat

from autograder.course.assignment import Assignment
from autograder.grading.samples import solved
from autograder.intake.submissions import Submission, safe_key
from autograder.report.files import write_whole

HERE = Path(__file__).parent
STORED = HERE.parents[1] / "assignment" / "ps7" / "reference" / "public"  # what the students' package holds
_CALL = """
def attack(honest):
    import functools
    @functools.wraps(honest)
    def hostile(*args, **kwargs):
{code}
        return honest(*args, **kwargs)
    return hostile
"""
_TYPED_IN = """
import base64, zlib, safetensors.torch
STORED = safetensors.torch.load(zlib.decompress(base64.b85decode({text!r})))
"""
_LOAD = """
def attack(honest):
{code}
    return honest
"""


@dataclass(frozen=True)
class Base:
    """An honest notebook, wrong on purpose.

    Attributes:
        name: As attacks call it.
        exercise: The exercise that is graded.
        attacked: The name that the attack replaces.
        code: The cell that defines it; "" for the solution's own.
    """

    name: str
    exercise: str
    attacked: str
    code: str


@dataclass(frozen=True)
class Attack:
    """One hostile submission; the module's docstring says what the fields mean."""

    name: str
    about: str
    code: str
    base: Base
    on: str = "call"
    status: tuple[str, ...] = ("failed",)
    says: str = ""
    stored: str = ""
    slow: bool = False

    @property
    def cell(self) -> str:
        """The hostile cell."""
        if self.stored:
            content = zlib.compress((STORED / f"{self.stored}.safetensors").read_bytes(), 9)
            return _TYPED_IN.format(text=base64.b85encode(content).decode()) + self._plainly
        return self._plainly

    @property
    def _plainly(self) -> str:
        if self.on == "text":
            return self.code
        shapes = {"call": (_CALL, 8), "load": (_LOAD, 4), "whole": ("{code}", 0)}
        template, indent = shapes[self.on]
        made = template.format(code=textwrap.indent(self.code.strip("\n"), " " * indent))
        return f"{made}\n{self.base.attacked} = attack({self.base.attacked})\n"


def load_bases() -> dict[str, Base]:
    """The bases by name."""
    table = tomllib.loads((HERE / "bases.toml").read_text(encoding="utf-8"))
    return {entry["name"]: Base(**entry) for entry in table["base"]}


def load_attacks() -> list[Attack]:
    """Every attack.

    Raises:
        ValueError: Two have one name.
        KeyError, TypeError: An entry is not as it should be.
    """
    bases, found = load_bases(), []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("attack", []):
            fields = entry | {"base": bases[entry.get("base", "zeros")]}
            found.append(Attack(**fields | {"status": tuple(entry.get("status", ["failed"]))}))
    names = [attack.name for attack in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two attacks are called {twice!r}")
    if masked := next((attack.name for attack in found if "\\\\" in attack.code), None):
        raise ValueError(f"{masked}: a doubled backslash is two in Python, too, and the escape comes to nothing")
    return found


def load_uid() -> dict[str, dict[str, Any]]:
    """What `uid.toml` says, by attack.

    Raises:
        ValueError: There is no attack of that name.
    """
    table: dict[str, dict[str, Any]] = tomllib.loads((HERE / "uid.toml").read_text(encoding="utf-8"))
    if unknown := table.keys() - {attack.name for attack in load_attacks()}:
        raise ValueError(f"uid.toml names {sorted(unknown)}: no such attack")
    return table


def expected_with(sandbox: str) -> list[Attack]:
    """Every attack, with what it comes to in a kind of sandbox.

    Args:
        sandbox: "bwrap" or "uid".
    """
    other = load_uid() if sandbox == "uid" else {}
    found = []
    for attack in load_attacks():
        entry = other.get(attack.name, {})
        status, says = tuple(entry.get("status", attack.status)), entry.get("says", attack.says)
        found.append(replace(attack, status=status, says=says))
    return found


def write_notebook(assignment: Assignment, name: str, folder: Path, exercise: str, *cells: str) -> Submission:
    """The solved notebook with more cells at its end, as a submission of which one exercise is graded.

    Args:
        assignment: Whose.
        name: The student's.
        folder: Where to write it.
        exercise: The one that is graded; "" for all but the slow ones.
        cells: Sources; empty ones are left out.
    """
    notebook = solved(assignment)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells if cell]
    path = folder / f"{name}.ipynb"
    write_whole(path, nbformat.writes(notebook))
    graded = {exercise} if exercise else {e.id for e in assignment.exercises if not e.slow}
    skip = tuple(e.id for e in assignment.exercises if e.id not in graded)
    return Submission(name, safe_key(name), path, skip=skip)

"""The smallest assignment that releases, grades and validates: what `fcoskit new` begins with."""

from __future__ import annotations

import keyword
import re
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from autograder.runtime.errors import KitError

TEMPLATES = Path(__file__).parent / "beginning"
_SUFFIX = ".template"


def begin(name: str, console: Console, start: Path | None = None) -> None:
    """Write a new assignment into the course at or above a folder, or into that folder, and say what to do next.

    Raises:
        KitError: See `make_new`.
    """
    here = (start or Path.cwd()).resolve()
    root = next((folder for folder in (here, *here.parents) if (folder / "assignment").is_dir()), here)
    folder = make_new(root, name)
    for path in sorted(folder.rglob("*.*")):
        console.print(f"  {path.relative_to(root)}", markup=False, highlight=False)
    console.print(
        f"One function, its checks, two wrong solutions and a right one that differs. Change {folder.name}.py first; then:\n"
        f"  fcoskit release {name}     the notebook and the wheel that students get, in release/{name}\n"
        f"  fcoskit validate {name}    what is wrong is caught, what is right keeps its points\n"
        f"  fcoskit grade PATH --assignment {name} --out grades-{name}\n"
        "docs/tas.md says how checks, faults and limits are written.",
        markup=False,
        highlight=False,
    )


def make_new(root: Path, name: str) -> Path:
    """Write `assignment/<name>/`: a notebook of one function, its checks, two wrong solutions and a right one that differs.

    Args:
        root: The course's folder; `assignment/` is made in it where there is none.
        name: The assignment's, and its folder's.

    Returns:
        The folder.

    Raises:
        KitError: The name cannot be one, or there is such an assignment already. Nothing is written then.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or keyword.iskeyword(name):
        raise KitError(
            f'"{name}" cannot be the name of an assignment: it becomes a folder, a notebook and a package. Take small '
            'letters, digits and underscores, a letter first, such as "ps8".'
        )
    folder = root / "assignment" / name
    if folder.exists():
        raise KitError(f"{folder} is there already. Take another name, or move that folder away.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as work:
        made = Path(work) / name
        for path in sorted(TEMPLATES.rglob(f"*{_SUFFIX}")):
            target = made / path.relative_to(TEMPLATES).with_suffix("")
            if target.name == "notebook.py":
                target = target.with_name(f"{name}.py")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8").replace("@NAME@", name).replace("@WHEEL@", f"{name}_checks")
            target.write_text(text, encoding="utf-8")
        shutil.move(made, folder)
    return folder

"""Small files and zips where a class hands in, for the tests of what is found there."""

from __future__ import annotations

import zipfile
from pathlib import Path

CODE = b"x = 1\n"


def tree(root: Path, *names: str) -> Path:
    """A folder with files of these names; a name that ends in a slash is an empty folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(CODE)
    return root


def zipped(path: Path, *names: str) -> Path:
    """A zip with files of these names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, CODE)
    return path

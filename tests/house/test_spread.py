"""Tests that share what they prepare stay together (`tests/support/spread.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.attacks.cases import load_attacks
from tests.conftest import ROOT
from tests.support.spread import part_of

CONFTEST = "from tests.conftest import pytest_xdist_make_scheduler  # what this project's own tests are spread by"
THREE = """
import os, pathlib, pytest

@pytest.mark.parametrize("given", range(3))
def test_where(given):
    pathlib.Path(f"ran-{__name__}-{given}-{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""


def test_a_file_is_one_part() -> None:
    """Whatever its tests are given."""
    path = "tests/runtime/test_values.py"
    assert {part_of(f"{path}::{name}") for name in ("test_a", "test_b[colab]", "test_b[zeros-1]")} == {path}


def test_runtimes_are_a_part_each() -> None:
    """What a runtime's tests share is its run of the notebook."""
    path = "tests/journeys/test_runtimes.py"
    colab, again, lock = (part_of(f"{path}::{name}") for name in ("test_a[colab]", "test_b[colab]", "test_a[lock]"))
    assert colab == again != lock and part_of(f"{path}::test_c") == path


def test_attacks_on_one_notebook_stay_together() -> None:
    """But for those on the zeros, which are too many."""
    parts: dict[str, set[str]] = {}
    for attack in load_attacks():
        parts.setdefault(attack.base.name, set()).add(
            part_of(f"tests/attacks/test_attacks.py::test_attack[{attack.name}]")
        )
    assert len(parts.pop("zeros")) == 2
    assert parts and all(found == {"tests/attacks/test_attacks.py on others"} for found in parts.values())


def test_workers_keep_to_it(tmp_path: Path) -> None:
    """Two workers, two files: the tests of each are run by one of them, though xdist would spread them one by one."""
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(THREE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "load", "-p", "no:cacheprovider", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "6 passed" in done.stdout, done.stdout
    ran = [path.name.split("-") for path in tmp_path.glob("ran-*")]
    assert len(ran) == 6 and len({(name, worker) for _, name, _, worker in ran}) == 2

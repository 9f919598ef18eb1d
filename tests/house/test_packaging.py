"""What goes into a wheel of the kit, and what `make clean` leaves alone."""

from __future__ import annotations

import re
import tomllib

from tests.conftest import ROOT


def test_a_wheel_of_the_kit_would_be_whole():
    """Every file that is no Python, templates and tensors say, is listed: without it an installed kit breaks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["autograder"]
    kit = ROOT / "autograder"
    listed = {path for pattern in patterns for path in kit.glob(pattern)}
    others = {path for path in kit.rglob("*") if path.is_file() and path.suffix != ".py"}
    others = {path for path in others if "__pycache__" not in path.parts and not path.name.startswith(".")}
    assert others and others - listed == set()


def test_cleaning_keeps_what_cannot_be_made_again():
    """`.fcoskit` has staff's reports of nbgrader's runs, a secret seed and timings: `make clean` does not touch it."""
    rule = re.search(r"^clean:.*\n((?:\t.*\n?)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert rule is not None and "rm -rf" in rule[1] and ".fcoskit" not in rule[1]

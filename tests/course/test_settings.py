"""A TA's slip in `assignment.toml` is told in a sentence that names the setting; nothing is guessed."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.course.assignment import load_assignment
from autograder.runtime.errors import KitError
from tests.conftest import ROOT

TOML = (ROOT / "assignment" / "ps7" / "assignment.toml").read_text(encoding="utf-8")
SLIPS = [
    ('title = "Problem set 7.1', 'title = 7 # "', "title has to be a text, not 7"),
    ('notebook = "fcos"', 'notebook = "../fcos"', "notebook has to be a file's name without folder"),
    ('version = "0.1.0"', "version = 0.1", "version has to be a version"),
    ("[grading]\n", '[grading]\nnotrun = ["x"]\n', 'unknown setting "notrun"'),
    ("[grading]\n", "[grading]\nsuites = 3\n", "suites in .grading. has to be a text"),
    ("[grading]\n", '[grading]\nsuites = "../elsewhere"\n', "lies outside the course"),
    ("[grading]\n", '[grading]\nreference = "nowhere"\n', 'names the reference "nowhere", but there is no'),
    ("load_seconds = 60 ", "load_seconds = nan ", "load_seconds in .limits. has to be a positive number"),
    ("restarts = 2 ", "restart = 2 ", 'unknown setting "restart"'),
    ('ship = ["helpers/ps7_helpers"]', 'ship = "helpers"', "ship in .wheel. has to be a list of texts"),
    ('name = "ps7_helpers"', 'name = "ps7_helpers"\nversion = "1"', 'unknown setting "version"'),
    ('name = "ps7_helpers"', 'name = "../ps7"', "name in .wheel. has to be the name of a package"),
    ('id = "7.1d"', 'id = "7/1d"', "id in ..exercise.. has to be letters"),
    ('id = "7.1d"', 'id = "7-1c"', "two exercises have the same id"),
    ("points = 10\n", "points = -4\n", "points in .* has to be a number, 0 or more, not -4"),
    ("points = 10\n", "points = nan\n", "points in .* not nan"),
    ("points = 10\n", "points = true\n", "points in .* not True"),
    ('names = ["get_fpn_location_coords"]', 'names = "softmax"', "names in .* has to be a list of texts"),
    ('names = ["get_fpn_location_coords"]', "names = []", "names in .* is empty"),
    ('solved = ["get_fpn_location_coords",', 'solved = ["get_location_coords",', 'has the name "get_location_coords"'),
    ('canned = ["DetectorBackboneWithFPN",', 'canned = ["FCOS",', 'no earlier exercise has the name "FCOS"'),
    ("slow = true", 'slow = "yes"', "slow in .* has to be true or false"),
    ('follows = { "7.1i-losses"', 'follows = { "7.1i-loss"', 'there is no earlier exercise "7.1i-loss"'),
    ('follows = { "7.1i-losses" = "FCOS.__init__" }', 'follows = ["a"]', "a table"),
    (
        'files = ["fcos_detector.safetensors", "fcos_detector.pt"]',
        'files = "weights"',
        "files in .map. has to be a list",
    ),
    ("seconds = 300  ", "seconds = nan  ", "seconds must be a number"),
    ("# short_names = true ", 'short_names = "no" ', "short_names in .map. has to be true or false"),
    ("points = 0  ", 'points = 1\nmarks_at = ["x"] #', "marks_at a list of numbers"),
    ("call = { test_score_thresh = 0.4, test_nms_thresh = 0.6 }", 'call = ["x"]', "call in .map. has to be a table"),
]


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> Path:
    """A course that holds nothing but its settings."""
    (tmp_path / "assignment" / "ps7").mkdir(parents=True)
    shutil.copy(ROOT / "assignment" / "ps7" / "assignment.toml", tmp_path / "assignment" / "ps7")
    return tmp_path


@pytest.mark.parametrize(("old", "new", "said"), SLIPS)
def test_a_slip_is_told(root, edit, old, new, said):
    """What is wrong, with which setting."""
    edit(root / "assignment" / "ps7" / "assignment.toml", old, new)
    with pytest.raises(KitError, match=said):
        load_assignment("ps7", root)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each table or list within a value, with each key of it."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


@pytest.mark.parametrize("wrong", [3, -1.5, "text", "", [], [3], ["a"], True, {"a": 1}, {}], ids=repr)
def test_no_wrong_type_gives_a_traceback(root, monkeypatch, wrong):
    """Each setting in turn with a value of each other type: it is taken or refused in words, and nothing else."""
    table = tomllib.loads(TOML)
    table["leaks"] = {"allow": ["a line of code"]}
    monkeypatch.setattr("autograder.course.assignment.tomllib.loads", lambda text: table)
    load_assignment("ps7", root)
    refused = 0
    for holder, key in list(_places(table)):
        right, holder[key] = holder[key], wrong
        try:
            load_assignment("ps7", root)
        except KitError as error:
            refused += "is not a valid assignment" in str(error)
        holder[key] = right
    assert refused > 30

"""What suites import: files of their own assignment by `suites.*`, the kit's modules by their names of before."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

from autograder.checks.collecting import collect
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import LocalStudent
from autograder.checks.suite_imports import importable

SUITE = """
import pytest
from autograder.student import Student
from autograder.suites import drawings
from autograder.suites.compare import CheckFailed, expect_shape
from autograder.suites.gpu import expect_right
from suites.numbers import NUMBER

@pytest.mark.exercise("1a")
@pytest.mark.points(1)
def test_number_{number}(student: Student) -> None:
    "The number is {number}."
    assert NUMBER == {number} and CheckFailed.__module__ == "autograder.checks.compare"
"""


@pytest.fixture(name="made")
def _made(tmp_path):
    """Two assignments whose suites have the same names and different contents."""
    for number in (1, 2):
        public = tmp_path / str(number) / "suites" / "public"
        public.mkdir(parents=True)
        (public / "test_1a.py").write_text(SUITE.format(number=number), encoding="utf-8")
        (public.parent / "numbers.py").write_text(f"NUMBER = {number}\n", encoding="utf-8")
    return [tmp_path / str(number) / "suites" for number in (1, 2)]


def names_of(suites) -> list[str]:
    """Collect some suites, run them, and say what passed."""
    passed: list[str] = []

    def serve(plugin):
        found = plugin.run("1a", LocalStudent({}), seed=0)
        passed.extend(result.sentence for result in found if result.status == "passed")

    collect([suites / "public"], SuitePlugin(suites.parent / "reference", serve))
    return passed


@pytest.mark.parametrize("packages", [False, True], ids=["folders", "packages"])
def test_two_assignments_do_not_meet(made, packages):
    """Each finds its own file beside `public/`, in one process, in turn; by former names it finds the kit's."""
    for folder in made if packages else []:
        (folder / "__init__.py").touch()
        (folder / "public" / "__init__.py").touch()
    assert [names_of(made[index]) for index in (0, 1, 0)] == [
        ["The number is 1."],
        ["The number is 2."],
        ["The number is 1."],
    ]


def test_a_package_of_the_students_own_is_put_back(made, monkeypatch):
    """A module `suites` that a notebook imported is there again afterwards, and nothing of ours is left."""
    mine = types.ModuleType("suites")
    monkeypatch.setitem(sys.modules, "suites", mine)
    with importable(made[0]):
        assert importlib.import_module("suites.numbers").NUMBER == 1
    assert sys.modules["suites"] is mine
    assert not {"suites.numbers", "autograder.student", "autograder.suites"} & set(sys.modules)


def test_an_error_leaves_nothing_behind(made):
    """Also where what runs within raises."""
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError), importable(made[0]):
        raise ZeroDivisionError
    assert {name for name in set(sys.modules) - before if "suites" in name.split(".")} == set()


def test_suites_that_are_not_there_are_told(tmp_path):
    """A folder that is missing is named, not pytest's exit code."""
    with pytest.raises(RuntimeError, match=r"there is no .*nowhere/public: the checks"):
        collect([tmp_path / "nowhere" / "public"], SuitePlugin(tmp_path, lambda plugin: None))

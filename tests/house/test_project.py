"""The house itself: what is declared in two places agrees."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autograder import __version__
from autograder.checks.result import CheckResult
from autograder.course.assignment import load_assignment
from autograder.gradescope.bundle import PYTHONS
from autograder.runtime.errors import KitError
from data_scripts.check_lock import pythons
from tests.conftest import ROOT


def project() -> dict:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, str]:
    """Name and exact version of every line of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = [re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line) for line in lines if line and line[0] not in " #"]
    assert all(found), "every line of the lock names an exact version"
    return {match[1].lower().replace("_", "-"): match[2] for match in found if match}


def test_the_lock_satisfies_what_the_project_asks_for():
    """Each dependency of pyproject.toml, those of the other extras too, is in the lock with a version it allows."""
    table = project()["project"]
    versions, extras = locked(), table["optional-dependencies"]
    for text in [*table["dependencies"], *extras["dev"], *extras["cluster"], *extras["colab"]]:
        requirement = Requirement(text)
        assert versions[requirement.name.lower()] in requirement.specifier, text


def test_environment_yml_is_in_step():
    """Conda's file asks for a Python that the project allows, and for the lock itself."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = next(entry for entry in content["dependencies"] if str(entry).startswith("python="))
    assert python.split("=")[1] in SpecifierSet(project()["project"]["requires-python"])
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock", "-e ."]


def test_the_same_pythons_are_named_everywhere():
    """Classifiers, requires-python, the guides, Gradescope's image and ruff name the same Pythons; 3.13 is the best."""
    table = project()
    minors = [int(python.split(".")[1]) for python in pythons()]
    assert minors == list(range(minors[0], minors[-1] + 1))
    allowed = SpecifierSet(table["project"]["requires-python"])
    assert [minor for minor in range(30) if f"3.{minor}.0" in allowed] == minors
    assert table["tool"]["ruff"]["target-version"] == f"py3{minors[0]}"
    assert sorted(PYTHONS) == [(3, minor) for minor in minors]
    assert all(PYTHONS[3, minor].startswith(f"3.{minor}.") for minor in minors)
    spoken = f"Python 3.{minors[0]} to 3.{minors[-1]}"
    for guide in ("README.md", "CONTRIBUTING.md", "docs/instructors.md", "data_scripts/make_venv.sh"):
        text = (ROOT / guide).read_text(encoding="utf-8")
        assert spoken in text and "3.13" in text, guide
    assert "python=3.13" in (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_versions_agree():
    """The kit's version stands in one place more than it should have to, and is the same there."""
    assert project()["project"]["version"] == __version__


def test_the_wheel_is_of_the_helpers_version(assignment):
    """The students' wheel and the helpers in it say the same version."""
    import ps7_helpers

    assert ps7_helpers.__version__ == assignment.version


@pytest.fixture(scope="module")
def checks() -> list[CheckResult]:
    """All checks of both halves, not yet run: points, sentence, and of the hidden ones the hint as their message."""
    from autograder.checks.collecting import collect
    from autograder.checks.runner import SuitePlugin

    seen: list[CheckResult] = []
    assignment = load_assignment("ps7", ROOT)
    plugin = SuitePlugin(assignment.reference, lambda plugin: seen.extend(plugin.checks()))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    assert {check.public for check in seen} == {True, False}
    return seen


def test_points_add_up_to_what_the_notebook_says(assignment, checks):
    """The assignment's exercises are worth what the checks of both halves add up to."""
    from autograder.grading.suite_rules import check_points

    check_points(assignment, checks)
    assert [check.name for check in checks if not check.sentence.endswith(".")] == []


def test_every_hidden_check_has_a_hint(checks):
    """Where numbers are hidden, a student gets a hint instead."""
    assert [check.name for check in checks if not (check.public or check.message.strip())] == []


def test_a_check_that_says_nothing_is_refused(assignment, checks):
    """No sentence, or no hint where numbers are hidden: told by the check's name, before anybody is graded."""
    from autograder.grading.suite_rules import check_points

    public = next(check for check in checks if check.public)
    hidden = next(check for check in checks if not check.public)
    for wrong, said in (
        (replace(public, sentence=f"test_{public.name}"), f"public check test_{public.name} of .* has no docstring"),
        (replace(hidden, message=""), f"hidden check test_{hidden.name} of .* has no hint"),
    ):
        with pytest.raises(KitError, match=said.replace("[", r"\[").replace("]", r"\]")):
            check_points(assignment, [wrong if check.name == wrong.name else check for check in checks])

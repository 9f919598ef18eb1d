"""The house itself: what is declared in two places agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from autograder import __version__
from autograder.course.assignment import load_assignment
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
    """Each dependency of pyproject.toml, dev ones too, is in the lock with a version that it allows."""
    table = project()["project"]
    versions = locked()
    for text in [*table["dependencies"], *table["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        assert versions[requirement.name.lower()] in requirement.specifier, text


def test_environment_yml_is_in_step():
    """Conda's file asks for a Python that the project allows, and for the lock itself."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = next(entry for entry in content["dependencies"] if str(entry).startswith("python="))
    assert python.split("=")[1] in SpecifierSet(project()["project"]["requires-python"])
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.lock", "-e ."]


def test_versions_agree():
    """The kit's version stands in one place more than it should have to, and is the same there."""
    assert project()["project"]["version"] == __version__


def test_the_wheel_is_of_the_helpers_version(assignment):
    """The students' wheel and the helpers in it say the same version."""
    import ps7_helpers

    assert ps7_helpers.__version__ == assignment.version


def test_points_add_up_to_what_the_notebook_says(assignment):
    """The assignment's exercises are worth what the checks of both halves add up to."""
    from autograder.checks.runner import SuitePlugin, collect
    from autograder.grading.engine import check_points

    seen = []
    plugin = SuitePlugin(assignment.reference, lambda plugin: seen.extend(plugin.checks()))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    check_points(load_assignment("ps7", ROOT), seen)
    assert all(check.sentence.endswith(".") for check in seen)


def test_every_hidden_check_has_a_hint(assignment):
    """Where numbers are hidden, a student gets a hint instead."""
    for path in (assignment.suites / "hidden").glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\ndef test_") == text.count("@pytest.mark.hint(")


@pytest.mark.slow
def test_stored_tensors_are_what_the_script_makes():
    """`assignment/ps7/reference` is made by its script, from the solution, byte for byte."""
    script = ROOT / "data_scripts" / "make_reference.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""`requirements.lock` on every Python that the kit is for, as far as it can be told without a network."""

from __future__ import annotations

import sys
from importlib.metadata import distributions

import pytest
from packaging.utils import canonicalize_name

from data_scripts import check_lock
from data_scripts.check_lock import Release, environment, locked, misfits, pythons, versions_of


@pytest.fixture(scope="module")
def installed() -> dict[tuple[str, str], Release]:
    """What the releases of this environment say of themselves, by name and version."""
    return {
        (canonicalize_name(each.name), each.version): Release(
            each.metadata.get("Requires-Python") or "", tuple(each.requires or ())
        )
        for each in distributions()
    }


@pytest.mark.parametrize("python", pythons())
def test_the_lock_fits_together_on_each_python(python, installed):
    """On each of its patch levels a name has one line at most, and what each installed release needs has its line."""
    known = 0
    for version in versions_of(python):
        versions, twice = locked(environment(version))
        releases = {name: installed[name, pin] for name, pin in versions.items() if (name, pin) in installed}
        assert (twice, misfits(versions, releases, environment(version))) == ([], []), version
        known = max(known, len(releases))
    assert known > 180, "an environment made by `make` has most of them"


def test_this_environment_is_the_lock(installed):
    """Every line that applies to the Python that runs is installed in that version."""
    version = ".".join(map(str, sys.version_info[:3]))
    assert locked(environment(version))[0].items() <= set(installed)


# The check itself, on small projects


PROJECT = """
[build-system]
requires = []
[project]
requires-python = ">=3.11,!=3.14.1,<3.15"
classifiers = [
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.14",
    "Framework :: Jupyter",
]
dependencies = ["first"]
optional-dependencies = { dev = [], colab = [] }
"""


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A project that needs `first`: give its lock, and what its releases say, to learn what is wrong on a Python."""

    def faults(lock: str, releases: dict[str, Release], version: str) -> list[str]:
        (tmp_path / "requirements.lock").write_text("# A lock\n" + lock)
        versions, twice = locked(environment(version))
        return twice + misfits(versions, releases, environment(version))

    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.setattr(check_lock, "ROOT", tmp_path)
    return faults


LOCK = "first==1.0  # via small\nsecond==2.0 ; python_version >= '3.12'  # via first\n"


def test_the_pythons_are_those_of_the_project(small):
    """Classifiers name them; requires-python says which of their patch levels."""
    assert pythons() == ["3.11", "3.14"]
    assert versions_of("3.14")[:3] == ["3.14.0", "3.14.2", "3.14.3"]


def test_a_line_for_a_part_of_the_pythons(small):
    """A need with a marker is met by a line with the same one; without it the line is missing or needless."""
    here = {"first": Release(">=3.11", ("second>=2; python_version >= '3.12'",)), "second": Release("", ())}
    assert small(LOCK, here, "3.11.4") == small(LOCK, here, "3.14.0") == []
    always = here | {"first": Release(">=3.11", ("second>=2",))}
    assert small(LOCK, always, "3.14.0") == []
    assert small(LOCK, always, "3.11.4") == ["first 1.0 needs second, which has no line"]
    never = here | {"first": Release(">=3.11", ())}
    assert small(LOCK, never, "3.14.0") == ["nothing needs second"]


def test_a_version_that_does_not_do(small):
    """Too old for who needs it, or not for that Python."""
    old = {"first": Release("!=3.14.2,>=3.11", ("second>=2.1",)), "second": Release(">=3.12,<3.14", ())}
    assert small(LOCK, old, "3.14.2") == [
        "first 1.0 is for Python !=3.14.2,>=3.11",
        "first 1.0 needs second>=2.1, the line says 2.0",
        "second 2.0 is for Python >=3.12,<3.14",
    ]
    assert small(LOCK, old, "3.13.0") == ["first 1.0 needs second>=2.1, the line says 2.0"]


def test_extras_bring_their_own_needs(small):
    """Also where the package was met without them before."""
    lock = "first==1.0\nsecond==2.0\nThird.One==3.0\n"
    releases = {
        "first": Release("", ("second", "third-one", "second[more]")),
        "second": Release("", ("fourth; extra == 'more'", "fifth; extra == 'other'")),
        "third-one": Release("", ()),
    }
    assert small(lock, releases, "3.11.0") == ["second 2.0 needs fourth, which has no line"]


def test_two_lines_of_one_name(small):
    """Markers that overlap are told, on the Pythons where they do."""
    lock = "first==1.0 ; python_version < '3.13'\nfirst==1.1 ; python_version >= '3.11'\n"
    assert small(lock, {}, "3.11.0") == ["two lines of first apply"]
    assert small(lock, {}, "3.14.0") == []

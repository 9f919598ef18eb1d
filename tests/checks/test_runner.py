"""Which checks run, and in which way: those that only explain, and one check at a time for known faults."""

from __future__ import annotations

import pytest

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import EndedEarly, LocalStudent

SUITE = """
import pytest
from autograder.checks.compare import CheckFailed

pytestmark = pytest.mark.exercise("1a")

@pytest.fixture
def seven():
    return 7

@pytest.mark.points(0)
def test_it_is_a_number(student):
    "It is a number."
    if not isinstance(student.call("f"), int):
        raise CheckFailed("It is no number.", "Is a `return` missing?")

@pytest.mark.points(1)
@pytest.mark.parametrize("number", [7])
def test_it_is_right(student, number, rng):
    "It is 7."
    if student.call("f") != number:
        raise CheckFailed("It is not 7.")

@pytest.mark.points(1)
def test_by_a_fixture_of_its_own(student, seven):
    "It is seven."
    assert student.call("f") == seven
"""


@pytest.fixture(name="asked")
def _asked(tmp_path):
    """Collect that suite, and use it."""
    public = tmp_path / "suites" / "public"
    public.mkdir(parents=True)
    (public / "test_1a.py").write_text(SUITE, encoding="utf-8")

    def ask(use):
        found = []
        collect([public], SuitePlugin(tmp_path / "reference", lambda plugin: found.append(use(plugin))))
        return found[0]

    return ask


def student(value) -> LocalStudent:
    """Code whose `f` gives a value."""
    return LocalStudent({"f": lambda: value})


def names(results: list[CheckResult]) -> list[str]:
    """Of checks, in their order."""
    return [result.name for result in results]


ALL = ["it_is_a_number", "it_is_right[7]", "by_a_fixture_of_its_own"]


def test_what_only_explains_runs_where_something_fails(asked):
    """In the order of the suite; not where all that counts passes, unless everything is asked for."""
    assert names(asked(lambda plugin: plugin.run("1a", student(7), 0, needed=True))) == ALL[1:]
    assert names(asked(lambda plugin: plugin.run("1a", student(7), 0))) == ALL
    results = asked(lambda plugin: plugin.run("1a", student(None), 0, needed=True))
    assert names(results) == ALL and {result.status for result in results} == {"failed"}
    assert results[0].diagnosis == "Is a `return` missing?"


HIDDEN = """
import pytest

pytestmark = pytest.mark.exercise("1a")

@pytest.mark.points(1)
@pytest.mark.hint("Larger numbers.")
def test_it_is_right_for_others(student):
    "It is 8."
    assert student.call("f") == 8

@pytest.mark.points(1)
@pytest.mark.hint("Larger numbers.")
def test_it_stays(student):
    "It stays."
    assert student.call("f") == 7
"""


def test_what_explains_runs_after_a_hidden_check_has_failed(tmp_path):
    """It comes next, of another file than the checks before and after it, and to its own verdict."""
    for half, text in (("public", SUITE), ("hidden", HIDDEN)):
        (tmp_path / "suites" / half).mkdir(parents=True)
        (tmp_path / "suites" / half / "test_1a.py").write_text(text, encoding="utf-8")
    found: list[CheckResult] = []
    plugin = SuitePlugin(
        tmp_path, lambda p: found.extend(p.run("1a", student(7), 0, needed=True)), lambda _: student(7)
    )
    collect([tmp_path / "suites" / "public", tmp_path / "suites" / "hidden"], plugin)
    assert {check.name: check.status for check in found} == {
        **dict.fromkeys(ALL, "passed"),
        "it_is_right_for_others": "failed",
        "it_stays": "passed",
    }


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [7, 8, None])
def test_a_check_alone_comes_to_what_it_comes_to_among_others(asked, name, value):
    """With a fixture of its suite's own, too, which is pytest's business."""

    def both(plugin):
        among = {result.name: result for result in plugin.run("1a", student(value), 0)}
        return among[name], plugin.again("1a", name, student(value), 0, [])

    among, alone = asked(both)
    assert (alone.status, alone.message, alone.diagnosis) == (among.status, among.message, among.diagnosis)
    assert alone.status in ("passed", "failed")


def test_who_listens_may_end_a_check(asked):
    """Then it has come to nothing, and the next one runs as ever."""

    class Impatient(list):
        def append(self, heard):
            raise EndedEarly

    def ended(plugin):
        first = plugin.again("1a", ALL[1], student(7), 0, Impatient())
        return first, plugin.again("1a", ALL[1], student(7), 0, [])

    first, second = asked(ended)
    assert (first.status, second.status) == ("", "passed")

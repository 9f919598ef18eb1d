"""What suites have to keep to before anybody is graded by them; points and hints are in tests/house/test_project.py."""

import pytest

from autograder.checks.collecting import collect
from autograder.checks.runner import SuitePlugin
from autograder.grading.suite_rules import check_attributes
from autograder.runtime.errors import KitError


def test_the_suites_ask_for_attributes_that_the_solution_has(assignment):
    """Every `GIVEN_ATTRIBUTES` of the real suites, as they are collected, is found there."""
    found: list[dict[str, object]] = []
    plugin = SuitePlugin(assignment.reference, lambda plugin: found.append(plugin.given_attributes()))
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    (given,) = found
    assert len(given) >= 5 and ("backbone", "pred_net") in given.values()
    check_attributes(assignment, given)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("backbone", "stem_clz"), "test_x.py names `stem_clz`, but no class in .* has such an attribute"),
        (("stem",), "names `stem`"),  # the beginning of an attribute is none
        ("backbone", "is 'backbone'. A TA has to write a tuple of names"),  # the comma is missing
        ((1,), "tuple of names"),
    ],
)
def test_attributes_that_nobody_has_are_refused(assignment, names, said):
    """A misspelt name would be found in no student's code: told by file and name, before anything is graded."""
    with pytest.raises(KitError, match=said):
        check_attributes(assignment, {"test_x.py": names})

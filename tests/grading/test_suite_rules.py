"""What suites have to keep to before anybody is graded by them; points and hints are in tests/house/test_project.py."""

import re
from dataclasses import replace

import pytest

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult
from autograder.checks.runner import SuitePlugin
from autograder.grading.substitutes import load_solution
from autograder.grading.suite_rules import check_attributes, check_exercises, check_marks, check_names
from autograder.runtime.errors import KitError

CHECK = CheckResult("7.1d", "rows", "The rows are right.", 1.0, "", public=True, message="")


def collected(assignment) -> SuitePlugin:
    """The suites of an assignment, collected."""
    found: list[SuitePlugin] = []
    plugin = SuitePlugin(assignment.reference, found.append)
    collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
    return found[0]


def test_the_suites_ask_for_attributes_that_the_solution_has(assignment):
    """Every `GIVEN_ATTRIBUTES` of the real suites, as they are collected, is found there."""
    given = collected(assignment).given_attributes()
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


def test_the_suites_keep_the_rules_of_marks_and_names(assignment):
    """Each real check is marked with points, those that explain with none; every name that is asked for is there."""
    plugin = collected(assignment)
    assert any(not check.points for check in plugin.checks())
    check_marks(plugin.checks(), plugin.without_points())
    check_names(assignment)


def test_a_check_without_a_mark_of_points_is_found(course, edit):
    """A forgotten mark is told by the check's name; it would be worth nothing in silence."""
    edit(course.suites / "hidden" / "test_7_1d.py", "@pytest.mark.points(0.5)\n", "")
    plugin = collected(course)
    (unmarked, *_) = plugin.without_points()
    said = f"The hidden check test_{unmarked.name} of 7.1d is not marked with its points"
    with pytest.raises(KitError, match=re.escape(said)):
        check_marks(plugin.checks(), plugin.without_points())


def test_a_hidden_check_that_is_worth_nothing_is_refused():
    """A public one may explain; a hidden one would tell nobody anything."""
    check_marks([replace(CHECK, points=0.0)], [])
    with pytest.raises(KitError, match=r"The hidden check test_rows of 7\.1d is worth 0 points"):
        check_marks([CHECK, replace(CHECK, points=0.0, public=False)], [])


def test_a_renamed_function_is_found_in_every_file(course, edit):
    """Where a suite asks for the old name is told by file and line, before anything is graded."""
    check_names(course)
    for path in (course.source, course.folder / "assignment.toml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("get_fpn_location_coords", "locations_of_levels"), encoding="utf-8")
    text = (course.suites / "hidden" / "learning.py").read_text(encoding="utf-8")
    line = next(n for n, one in enumerate(text.splitlines(), 1) if 'solution.call("get_fpn_location_coords"' in one)
    with pytest.raises(KitError, match=r"ask for names that fcos\.py does not have") as caught:
        check_names(course)
    assert f"hidden/learning.py, line {line}: `get_fpn_location_coords`" in str(caught.value)


def test_a_name_that_the_solution_lacks_is_our_fault(assignment):
    """However a check asks for it: no student loses a point by it."""
    solution = load_solution(assignment, assignment.exercise("7.1d"))
    with pytest.raises(KitError, match="asks the solution for `grid`, which it does not have"):
        solution.call("grid")
    with pytest.raises(KitError, match="asks the solution for `Grid`"):
        solution.new("Grid")


def test_a_suite_of_an_exercise_that_is_gone_is_not_released(assignment):
    """Taken out of the settings alone, its checks would go on shipping to students."""
    check_exercises(assignment)
    fewer = replace(assignment, exercises=assignment.exercises[:-1])
    with pytest.raises(KitError, match=r"suites/public/test_7_1j\.py has checks of '7\.1j', which is no exercise"):
        check_exercises(fewer)

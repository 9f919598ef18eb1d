"""A failure in the detector finds out which of its parts it comes from."""

import pytest

from autograder.check import check
from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.handout import Handout, handout_of
from tests.support.solution import whole_solution

CORNERS = ("torch.arange(height, dtype=dtype, device=device) + 0.5", "torch.arange(height, dtype=dtype, device=device)")
EXCHANGED = ("torch.cat([left_top, right_bottom], dim=1)", "torch.cat([left_top, right_bottom.flip(1)], dim=1)")
SHOWN = {"7.1d": CORNERS, "7.1f": EXCHANGED}


def notebook(assignment, exercise=""):
    """The solved notebook's names; those of one exercise with a fault."""
    names = dict(whole_solution(assignment))
    if exercise:
        text = assignment.source.read_text(encoding="utf-8").replace(*SHOWN[exercise])
        wrong = load_solution(assignment, assignment.exercise(exercise), text).workbench.namespace
        for name in assignment.exercise(exercise).names:
            names[name] = wrong[name]
            names["FCOS"].forward.__globals__[name] = wrong[name]
    return names


@pytest.mark.parametrize(("exercise", "spoken"), [("7.1d", "7.1 (d)"), ("7.1f", "7.1 (f)")])
def test_the_losses_point_home(assignment, capsys, exercise, spoken):
    """With right answers in the place of the exercise that is wrong the losses are right, and the panel says so."""
    check("7.1i-losses", notebook(assignment, exercise))
    said = capsys.readouterr().out
    assert f" ! Look at {spoken}" in said and "with right answers in its place" in said
    assert said.count(" ! ") == 1


def test_a_right_detector_is_left_alone(assignment, capsys):
    """Nothing is said of earlier exercises where nothing fails."""
    check("7.1i-losses", notebook(assignment))
    said = capsys.readouterr().out
    assert "all 10 checks pass" in said and " ! " not in said


def test_a_fault_of_the_detector_own_is_not_blamed_on_its_parts(assignment, capsys):
    """Where the parts are right the fault is named as before."""
    names = notebook(assignment)
    old = names["FCOS"]._cat_across_fpn_levels

    class Turned(names["FCOS"]):
        """Joins the levels in the wrong order in one place."""

        calls = 0

        def _cat_across_fpn_levels(self, levels, dim=1):
            Turned.calls += 1
            return old(levels, dim) * (0.5 if Turned.calls % 5 == 4 else 1)

    check("7.1i-losses", names | {"FCOS": Turned})
    said = capsys.readouterr().out
    assert " ! " not in said and "checks pass" in said and "all 8" not in said


def test_what_an_exercise_leans_on_is_handed_out(assignment):
    """Its handout names the exercises whose own code its public checks run."""
    given = handout_of(assignment)
    assert given.tasks["7.1i-losses"].leans == ("7.1d", "7.1f") and given.tasks["7.1d"].leans == ()
    assert set(given.tasks["7.1j"].leans) == set(given.tasks) - {"7.1j"}
    assert Handout.from_json(given.to_json()).tasks == given.tasks

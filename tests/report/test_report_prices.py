"""Prices of faults: what an exercise comes to, and the lines that say so."""

import json
from dataclasses import replace

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.course.rubric import Fault, Rubric, read_rubric
from autograder.report.bill import bill, without
from autograder.report.prices import apply_rubric
from autograder.runtime.errors import KitError
from tests.conftest import ROOT


def check(name, points, *faults, status="failed", message="", line=0):
    """A check of some points, explained by faults."""
    made = CheckResult("7.1d", name, f"{name} is right.", points, status, True, message, faults=list(faults))
    return replace(made, cell=3, line=line) if line else made


def exercise(*checks, dearest=None):
    """An exercise of these checks."""
    return ExerciseResult("7.1d", "Locations", sum(c.points for c in checks), list(checks), dearest=dearest or {})


def rubric(**prices):
    """A rubric with these prices."""
    return Rubric({name: Fault((name,), f"It is {name}.", price, "So much.") for name, price in prices.items()}, {})


def test_a_fault_is_paid_once():
    """Three checks of seven points, a price of two: five are kept."""
    made = exercise(check("a", 1, "swap"), check("b", 2, "swap"), check("c", 4, "swap"), check("d", 3, status="passed"))
    assert apply_rubric(made, rubric(swap=2)) and (made.points, made.costs) == (8, [2])
    assert [(line.points, line.says, line.checks) for line in bill(made)] == [(2, "It is swap.", 3)]
    assert without(made, bill(made)) == "Without this the exercise would have got 10 of 10 points."


def test_no_price_is_more_than_its_checks_are_worth():
    """A price of ten for checks of three points costs three, and what nothing explains costs all it is worth."""
    made = exercise(check("a", 1, "swap"), check("b", 2, "swap"), check("c", 4))
    apply_rubric(made, rubric(swap=10))
    assert made.points == 0 and [line.points for line in bill(made)] == [3, 4]


def test_two_faults_cost_their_sum_up_to_that():
    """Checks that two faults explain together are worth no more for it."""
    made = exercise(check("a", 3, "swap", "half"), check("b", 2, "half"), check("c", 5, status="passed"))
    apply_rubric(made, rubric(swap=3, half=1))
    assert made.points == 6 and [line.points for line in bill(made)] == [3, 1]
    apply_rubric(made, rubric(swap=4, half=4))
    assert made.points == 5 and [line.points for line in bill(made)] == [4, 1]


def test_without_a_price_a_fault_costs_its_dearest_check():
    """Grading has noted what that is."""
    made = exercise(check("a", 1, "swap"), check("b", 2, "swap"), dearest={"swap": 2.0})
    apply_rubric(made, Rubric({}, {}))
    assert made.points == 1


def test_another_price_needs_no_grading():
    """A report that was read again takes the price of the day; one of before there were prices keeps its points."""
    made = exercise(check("a", 4, "swap"), check("b", 6, status="passed"))
    apply_rubric(made, rubric(swap=3))
    again = ExerciseResult.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made and not apply_rubric(again, rubric(swap=3))
    assert apply_rubric(again, rubric(swap=1)) and again.points == 9
    old = made.to_json()
    for name in ("dearest", "charges"):
        del old[name]
    for entry in old["checks"]:
        del entry["faults"]
    assert ExerciseResult.from_json(old).points == 6


def test_what_is_left_as_given_shares_a_line():
    """Checks that are all not done, or all stop in one place, are told once."""
    stopped = "Your code raised ValueError in code cell 3, line 4: no. A hint of its own"
    made = exercise(
        check("a", 1, status="missing", message="As given."),
        check("b", 2, status="missing", message="As given, a hint."),
        check("c", 3, status="error", message=f"{stopped} 1"),
        check("d", 4, status="error", message=f"{stopped} 2"),
    )
    assert [(line.points, line.says) for line in bill(made)] == [
        (3, "As given."),
        (7, "Your code raised ValueError in code cell 3, line 4."),
    ]


def test_a_cell_that_python_cannot_read_shares_a_line():
    """A hidden check says it in other words than a public one; mending that one line gives both."""
    told = "Python cannot read the cell that defines this: '[' was never closed (code cell 3, line 4: x = [)."
    hidden = "Your code raised SyntaxError in code cell 3, line"
    made = exercise(
        check("a", 1, status="error", message=told, line=4),
        check("b", 2, status="error", message=f"{hidden} 4. A hint.", line=4),
        check("c", 4, status="error", message=f"{hidden} 9. A hint.", line=9),
    )
    assert [(line.points, line.says) for line in bill(made)] == [(3, told), (4, f"{hidden} 9.")]


def test_points_set_by_hand_and_faults_of_ours_have_no_lines():
    """There the lines would not add up to what the exercise lost."""
    by_hand = exercise(check("a", 1))
    by_hand.by_hand = 0.5
    assert not bill(by_hand) and not bill(exercise(check("a", 1, status="grader_error")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[fault]]\nmutants = ["a"]\nsays = "b"\nprice = -1\nwhy = "c"', "price in a has to be a number"),
        ('[[fault]]\nmutants = ["a"]\nsays = "b"\nprice = 1', "has no 'why'"),
        ('[[fault]]\nmutants = []\nsays = "b"\nprice = 1\nwhy = "c"', "names no mutants"),
        ('[[in_full]]\nmutants = ["a", "a"]\nwhy = "c"', '"a" has two entries'),
        ('[[fualt]]\nmutants = ["a"]', 'unknown setting "fualt"'),
    ],
)
def test_a_slip_in_the_rubric_is_told(tmp_path, text, words):
    """Which entry, and what is wrong with it; a TA has to mend the file."""
    (tmp_path / "rubric.toml").write_text(text)
    with pytest.raises(KitError, match=r"rubric\.toml is not a valid rubric") as caught:
        read_rubric(tmp_path)
    assert words in str(caught.value) and "TA has to mend" in str(caught.value)


def test_the_rubric_of_ps7_can_be_read():
    """Every fault has a sentence that ends, and a reason."""
    read = read_rubric(ROOT / "assignment" / "ps7")
    assert read.faults and all(f.says.endswith(".") and f.why.endswith(".") for f in read.faults.values())

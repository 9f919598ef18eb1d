"""Proof and rubric are held together."""

from autograder.commands.price_proof import Cost, price_lines, price_problems
from autograder.course.rubric import Fault, Rubric

SWAP = Fault(("swap", "swop"), "Swapped.", 4, "One line.")
DEAR = Fault(("dear",), "Dear.", 8, "All of it.")
RUBRIC = Rubric({"swap": SWAP, "swop": SWAP}, {"stops": "It stops."})
KNOWN = frozenset({"swap", "swop", "stops", "other", "dear"})


def cost(mutant, points):
    """What a mutant lost of ten points."""
    return Cost(mutant, "7.1d", points, 10)


def test_costs_at_their_prices_are_no_problem():
    """What costs in full may cost all, and what has no price up to a half."""
    costs = [cost("swap", 4), cost("swop", 4), cost("stops", 10), cost("other", 5)]
    assert not price_problems(costs, RUBRIC, KNOWN)


def test_each_difference_is_told():
    """Another cost than the price, more than half without a word, a price that nobody pays, a name of no mutant."""
    found = price_problems([cost("swap", 9), cost("swop", 9), cost("other", 6)], RUBRIC, frozenset({"swap", "swop"}))
    assert found == [
        "rubric.toml prices stops: there is no such mutant",
        "swap costs 9 of 10; its price is 4",
        "swop costs 9 of 10; its price is 4",
        "other costs 6 of 10, and rubric.toml does not say why",
        "no mutant costs the price of swap, 4",
    ]


def test_a_price_above_half_needs_words():
    """`half` says why; with it the price stands."""
    found = price_problems([cost("dear", 8)], Rubric({"dear": DEAR}, {}), KNOWN)
    assert found == ["dear has a price of 8 of 10, and `half` does not say why"]
    spoken = Fault(("dear",), "Dear.", 8, "All of it.", "Nothing is left.")
    assert not price_problems([cost("dear", 8)], Rubric({"dear": spoken}, {}), KNOWN)


def test_median_largest_and_the_list_are_printed():
    """In a few lines, an exercise a line."""
    lines = price_lines([cost("swap", 4), cost("other", 1), cost("stops", 10)], RUBRIC)
    assert lines[0].startswith("A fault costs 40% of its exercise in the median, 100% at most; 1 of 3 cost more")
    assert lines[-1] == "7.1d, of 10: 1: other; 4: swap; 10: stops"

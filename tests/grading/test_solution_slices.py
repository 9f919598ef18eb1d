"""A fault put into the solution's slice is what the solution with that fault, cut anew, comes to."""

import ast

import pytest

from autograder.grading.cases import load_proof
from autograder.grading.solution_slices import solution_slice
from autograder.runtime.errors import KitError

EVERY = 3  # mutants


def sources(piece):
    """What a slice runs, statement by statement, whatever comments and empty lines stand between."""
    nodes = ast.parse("\n".join(statement.source for statement in piece.statements)).body
    return [ast.unparse(node) for node in nodes]


def test_changed_in_place_is_cut_anew(assignment):
    """Of every third mutant: the same statements in the same order; what it needs no more may stay, as it was."""
    text, seen = assignment.source.read_text(encoding="utf-8"), 0
    for case in [case for case in load_proof(assignment) if case.kind == "mutant"][::EVERY]:
        names = assignment.exercise(min(case.sample.loses)).names
        changed = text
        for old, new in case.sample.changes:
            changed = changed.replace(old, new)
        try:
            anew = solution_slice(assignment, names, source=changed)
        except KitError:  # no Python: what loads it says so
            continue
        found, needed = sources(solution_slice(assignment, names, changes=case.sample.changes)), sources(anew)
        assert [part for part in found if part in needed] == needed, case.sample
        assert {*found} - {*needed} <= {*sources(solution_slice(assignment, names))}, case.sample
        seen += 1
    assert seen > 60


@pytest.mark.parametrize("new", ["DEVICE = 1", "random.random()", "small_detector"])
def test_names_that_the_slice_lacks_are_taken_in(assignment, new):
    """A fault that mentions another cell's name gets that cell."""
    old = "    return location_coords"
    names = assignment.exercise("7.1d").names
    text = assignment.source.read_text(encoding="utf-8")
    change = (old, f"    {new}\n{old}")
    found = solution_slice(assignment, names, changes=(change,))
    assert sources(found) == sources(solution_slice(assignment, names, source=text.replace(*change)))

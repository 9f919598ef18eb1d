"""`check()` in a student's own notebook: verdicts on their namespace, and nothing else changed."""

from __future__ import annotations

import pytest
import torch

from autograder.check import check
from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.run_public import run_public
from tests.conftest import ROOT

FOLDERS = (ROOT / "assignment/ps7/suites", ROOT / "assignment/ps7/reference")


@pytest.fixture
def namespace(assignment) -> dict:
    """A notebook's globals with the solution of (d) and (f)."""
    made: dict = {}
    for name in ("7.1d", "7.1f"):
        made |= load_solution(assignment, assignment.exercise(name)).workbench.namespace
    return made


def transposed(shape_per_fpn_level, strides_per_fpn_level, dtype=torch.float32, device="cpu"):
    """Locations whose rows run down the columns."""
    result = {}
    for level, shape in shape_per_fpn_level.items():
        stride = strides_per_fpn_level[level]
        rows = [(stride * (j + 0.5), stride * (i + 0.5)) for j in range(shape[3]) for i in range(shape[2])]
        result[level] = torch.tensor(rows, dtype=dtype, device=device)
    return result


def test_a_right_solution_passes(namespace, capsys):
    """All public checks pass, and the panel says what more is checked when graded."""
    check("7.1d", namespace)
    said = capsys.readouterr().out
    assert "all 8 checks pass" in said
    assert "worth 4 of 10 points" in said


def test_a_wrong_solution_is_told_what_is_wrong(namespace, capsys):
    """A failing check shows expected and got, and names the fault; no exception reaches the notebook."""
    check("7.1d", namespace | {"get_fpn_location_coords": transposed})
    said = capsys.readouterr().out
    assert "4 of 8 checks pass" in said
    assert "The order is transposed" in said
    assert "expected (12, 4), got (4, 12)" in said


def test_the_same_notebook_may_check_again_and_again(namespace, capsys):
    """Wrong, then right, then wrong: each time the code as it is now is checked."""
    for solution, expected in ((transposed, 4), (namespace["get_fpn_location_coords"], 8), (transposed, 4)):
        results = run_public("7.1d", namespace | {"get_fpn_location_coords": solution}, [], *FOLDERS)
        assert sum(result.status == "passed" for result in results) == expected


def test_an_exercise_as_given_is_not_done_yet(capsys):
    """A name that is not there gives `missing` for every check."""
    check("7.1f", {})
    assert "not done yet" in capsys.readouterr().out


def test_an_unknown_exercise_lists_those_there_are(capsys):
    """A mistyped id is answered with the ids there are."""
    check("7.1x", {})
    assert "7.1d" in capsys.readouterr().out


def test_canned_networks_are_taken_back_out(namespace):
    """FCOS is checked with canned networks; afterwards the notebook has its own again."""
    mine = object()
    before = namespace | {"DetectorBackboneWithFPN": mine}
    results = run_public("7.1i-losses", before, ["DetectorBackboneWithFPN", "FCOSPredictionNetwork"], *FOLDERS)
    assert {result.status for result in results} == {"missing"}
    assert before["DetectorBackboneWithFPN"] is mine
    assert "FCOSPredictionNetwork" not in before


def test_the_random_state_is_left_alone(namespace, capsys):
    """What the notebook draws at random does not depend on how often a check was run."""
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check("7.1d", namespace)
    assert torch.equal(torch.rand(2), expected)


def test_a_check_that_was_stopped_says_so(namespace, capsys):
    """Code that does not end, stopped by hand: a plain word and no traceback, and the namespace is as it was."""

    def endless(*_, **__):
        raise KeyboardInterrupt  # as the stop button does

    stopped = namespace | {"get_fpn_location_coords": endless}
    before = dict(stopped)
    check("7.1d", stopped)
    assert "were stopped, so there is no verdict" in capsys.readouterr().out
    assert stopped == before

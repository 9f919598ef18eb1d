"""Answers that are right but for a fault that another check is about: what passes, and what does not."""

import pytest
import torch

from autograder.checks.compare import CheckFailed
from suites.hidden.but_for import expect_close_but_for
from suites.hidden.test_7_1i_losses import right_but_for_a_factor

EXPECTED = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
FAULTS = [("x and y are swapped", EXPECTED.flip(1))]
RIGHT = {"loss_cls": 1.5, "loss_box": 0.5, "loss_ctr": 0.25}


@pytest.mark.parametrize("got", [EXPECTED, EXPECTED.flip(1)])
def test_what_has_a_name_passes(got):
    """The right answer, and that of a fault that is named, pass."""
    expect_close_but_for(got, EXPECTED, "The answer", FAULTS)


@pytest.mark.parametrize("to_scale", [False, True])
@pytest.mark.parametrize(
    "got",
    [None, torch.zeros(2, 2), torch.ones(2, 2), -EXPECTED, EXPECTED[:1], EXPECTED * float("nan"), torch.zeros(0, 2)],
)
def test_what_has_no_name_does_not(got, to_scale):
    """Nothing, constants, other signs, other shapes and NaN fail, to scale, too."""
    with pytest.raises(CheckFailed):
        expect_close_but_for(got, EXPECTED, "The answer", FAULTS, to_scale=to_scale)


def test_a_common_factor_passes_where_it_is_a_fault_of_that_kind():
    """Five times the answer, or a named fault's, passes to scale, and only so."""
    for wrong in (5 * EXPECTED, 5 * EXPECTED.flip(1)):
        expect_close_but_for(wrong, EXPECTED, "The answer", FAULTS, to_scale=True)
        with pytest.raises(CheckFailed):
            expect_close_but_for(wrong, EXPECTED, "The answer", FAULTS)


@pytest.mark.parametrize(
    ("factors", "right"),
    [
        ((1, 1, 1), {"loss_cls", "loss_box", "loss_ctr"}),
        ((3, 3, 3), {"loss_cls", "loss_box", "loss_ctr"}),
        ((1, 1, 2), {"loss_cls", "loss_box"}),
        ((3, 2, 3), {"loss_cls", "loss_ctr"}),
        ((2, 1, 3), {"loss_box"}),
        ((2, 3, 4), set()),
        ((0, 0, 0), set()),
        ((-2, -2, -2), set()),
    ],
)
def test_losses_that_are_right_but_for_a_factor(factors, right):
    """Right are those without a factor; if there are none, those that share one with another."""
    got = {name: factor * value for factor, (name, value) in zip(factors, RIGHT.items(), strict=True)}
    assert right_but_for_a_factor(got, RIGHT) == right

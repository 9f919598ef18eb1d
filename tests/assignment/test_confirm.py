"""What public checks were told is confirmed with random numbers, and once more with others where rounding decides."""

import pytest
import torch

from autograder.checks.compare import CheckFailed
from suites.hidden import confirm


def confirming(verdicts: list[bool]) -> tuple[confirm.Confirm, list[float]]:
    """A check that comes to these verdicts one after the other, and the numbers that it drew."""
    drawn = []

    @confirm.with_other_numbers
    def check(solution, module, rng):
        drawn.append(float(torch.rand((), generator=rng)))
        if not verdicts[len(drawn) - 1]:
            raise CheckFailed("other values")

    return check, drawn


@pytest.mark.parametrize("failures", range(confirm.DRAWS))
def test_rounding_at_a_corner_costs_nothing(failures):
    """What is confirmed in any of a few draws, each with numbers of its own, is confirmed; no more are drawn."""
    check, drawn = confirming([False] * failures + [True])
    check(None, None, torch.Generator().manual_seed(1))
    assert len(drawn) == len(set(drawn)) == failures + 1


def test_what_is_never_confirmed_fails():
    """Wrong values, or a lie, fail all draws."""
    check, drawn = confirming([False] * confirm.DRAWS)
    with pytest.raises(CheckFailed, match="other values"):
        check(None, None, torch.Generator().manual_seed(1))
    assert len(drawn) == confirm.DRAWS

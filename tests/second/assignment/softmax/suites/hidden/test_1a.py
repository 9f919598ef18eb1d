"""1 (a), the hidden half: large logits."""

import pytest
import torch

from autograder.checks.student import Student
from autograder.checks.compare import expect_close

pytestmark = pytest.mark.exercise("1a")


@pytest.mark.points(2)
@pytest.mark.hint("The logits here are large: what is the exponential of 1000?")
def test_large_logits(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Logits of a thousand give probabilities, too."""
    logits = 1000 + 3 * torch.randn(4, 5, generator=rng)
    overflow = "The exponential of a large logit is infinite: take the row's largest from all of them first."
    faults = [(overflow, torch.full_like(logits, torch.nan))]
    expect_close(student.call("softmax", logits), solution.call("softmax", logits), "The result", faults)

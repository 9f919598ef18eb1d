"""1 (a): softmax of small logits."""

import pytest
import torch

from autograder.checks.student import Student
from autograder.checks.compare import expect_close, expect_shape

pytestmark = pytest.mark.exercise("1a")

LOGITS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [2.0, -1.0]])
EXPECTED = torch.tensor([[0.5, 0.5], [0.268941, 0.731059], [0.952574, 0.047426]])


@pytest.mark.points(1)
def test_shape(student: Student) -> None:
    """The result is as large as the logits, not square here."""
    expect_shape(student.call("softmax", LOGITS), (3, 2), "The result")


@pytest.mark.points(1)
def test_values(student: Student) -> None:
    """The probabilities of three rows are right."""
    over_images = "The sum runs over the images: each row should add up to 1."
    shifted = (LOGITS - LOGITS.max(1, keepdim=True).values).exp()
    faults = [
        (over_images, LOGITS.exp() / LOGITS.exp().sum(0)),
        (over_images, shifted / shifted.sum(0)),
        ("These are logarithms of probabilities.", EXPECTED.log()),
    ]
    expect_close(student.call("softmax", LOGITS), EXPECTED, "The result", faults)

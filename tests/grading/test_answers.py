"""What counts as the same answer, and as one that tells something."""

import numpy as np
import pytest
import torch

from autograder.checks.result import CheckResult
from autograder.checks.student import BaseStudent, EndedEarly
from autograder.grading.answers import Trial, answered_alike, begins_alike, said_alike, tells_something
from autograder.runtime.errors import StudentError

ROWS = torch.arange(12.0).reshape(4, 3)


def heard(*answers, operation="call"):
    """Answers to one operation after the other."""
    return [(operation, answer) for answer in answers]


@pytest.mark.parametrize(
    ("got", "known", "alike"),
    [
        (ROWS + 1e-6, ROWS, True),
        (ROWS + 0.1, ROWS, False),
        (ROWS.double(), ROWS, True),
        (ROWS[:3], ROWS, False),
        ({"p3": ROWS}, {"p3": ROWS}, True),
        ({"p3": ROWS, "p4": ROWS}, {"p3": ROWS}, False),
        ([ROWS, 1, None], [ROWS, 1, None], True),
        ([ROWS, True], [ROWS, 1], False),
        ((ROWS.flip(0), ROWS[:, 0].flip(0)), (ROWS, ROWS[:, 0]), True),
        ((ROWS.flip(0), ROWS[:, 0]), (ROWS, ROWS[:, 0]), False),
        (ROWS.numpy(), ROWS.numpy(), True),
        (np.array(["x"], dtype=object), ROWS.numpy(), False),
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), True),
        ("[[0.0]]", ROWS, False),
        (None, ROWS, False),
    ],
)
def test_values_are_compared(got, known, alike):
    """Numbers within rounding, shapes and structure, rows of several tensors in any order; nothing forged counts."""
    assert answered_alike(heard(got), heard(known)) is alike


def test_requests_have_to_be_the_same_ones():
    """One answer more or less is another course of things; new modules and their weights are no answers."""
    assert not answered_alike(heard(ROWS, ROWS), heard(ROWS))
    assert answered_alike([("new", 7), ("tensors", {"a": ROWS}), *heard(ROWS)], [("new", 1), *heard(ROWS)])


def test_gradients_are_compared_without_names():
    """What a layer is called is the student's to choose."""
    mine, theirs = {"a": ROWS, "b": None}, {"x": None, "y": ROWS}
    assert answered_alike(heard(mine, operation="gradients"), heard(theirs, operation="gradients"))
    assert not answered_alike(heard({"a": ROWS}, operation="gradients"), heard(theirs, operation="gradients"))


def test_errors_are_alike_by_their_kind():
    """A message is the student's own; an error is never alike an answer."""
    errors = [StudentError("error", text, kind="DeviceMismatch") for text in ("one", "other")]
    assert answered_alike(heard(errors[0]), heard(errors[1]))
    assert not answered_alike(heard(ROWS), heard(errors[0]))


@pytest.mark.parametrize("answer", [None, [], torch.zeros(9), torch.full((4, 4), -1.0), torch.tensor([0, torch.inf])])
def test_what_can_be_typed_in_tells_nothing(answer):
    """Nothing, and one number again and again, need no work."""
    assert not tells_something(heard(answer, answer))


@pytest.mark.parametrize("answer", [ROWS, {"a": 0.5, "b": 1.5, "c": 2.5}, ROWS.numpy(), ROWS.tolist()])
def test_several_numbers_tell_something(answer):
    """They do in whatever they come."""
    assert tells_something(heard(answer))


def test_words_are_compared_without_names_and_places():
    """The same verdict of two notebooks differs in what things are called there."""
    one, other = (
        CheckResult("a", "b", "c", 1.0, "failed", True, f"`{name}` in code cell {cell}, line 3 is idle.")
        for name, cell in (("conv1", 4), ("output_c3", 12))
    )
    assert said_alike(one, other)
    other.status = "error"
    assert not said_alike(one, other)


class Large(BaseStudent):
    """Code that answers with a million numbers each time."""

    def perform(self, operation, arguments):
        """Answer."""
        return torch.arange(2.0**20)


def test_no_more_is_kept_of_answers_than_fits():
    """Hostile code answers with as much as may cross: what is too much is forgotten, and never alike."""
    student = Large()
    student.heard = []
    for _ in range(6):
        student.do("call")
    kept = [answer for _, answer in student.heard if isinstance(answer, torch.Tensor)]
    assert len(student.heard) == 6 and len(kept) == 3
    assert not answered_alike(student.heard, student.heard)


def test_what_is_made_once_is_heard_by_each_that_asks():
    """Two checks that share an answer have both heard it."""
    student = Large()
    for _ in range(2):
        student.heard = []
        student.once("key", lambda: student.do("call"))
        assert [operation for operation, _ in student.heard] == ["call"]


def test_a_trial_ends_at_the_first_answer_that_differs():
    """What is silent is passed over, several answers are taken one by one, and one too many differs as well."""
    trial = Trial(heard(ROWS, ROWS + 1))
    trial.append(("new", 1))
    trial += heard(ROWS)
    with pytest.raises(EndedEarly):
        trial.append(("call", ROWS))
    assert trial.differs and len(trial) == 3
    assert begins_alike(heard(ROWS, ROWS + 1), heard(ROWS)) and not begins_alike(heard(ROWS), heard(ROWS, ROWS))

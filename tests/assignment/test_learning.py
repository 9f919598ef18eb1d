"""7.1 (j): an unlucky training costs a right solution nothing, and no number of attempts helps a wrong one."""

import itertools

import pytest
import torch

from autograder.checks.compare import CheckFailed
from autograder.course.assignment import Assignment
from autograder.grading.substitutes import load_solution
from suites.hidden.learning import learned_in_part
from suites.public import test_7_1j as learning


class Detector:
    """A detector that notes down how it is trained; it has learned, or never will.

    Args:
        learns_after: Steps that it takes, None for never.
    """

    def __init__(self, learns_after):
        self.learns_after, self.steps, self.pictures = learns_after, 0, []

    def train(self, mode=True):
        """As a handle has it."""

    def minimise(self, batches, *, steps, lr):
        """Note down, learn nothing."""
        self.steps += steps
        self.pictures.append(batches[0][0])
        return [2.0] * (steps - 1) + [1.0]


class Student:
    """Makes detectors of the given kinds, one after the other."""

    def __init__(self, *learn_after):
        self.left, self.made = list(learn_after), []

    def shallow(self, name, *args):
        """As a student has it."""
        self.made.append(Detector(self.left.pop(0)))
        return self.made[-1]


def raising(errors):
    """A confirmation that raises these errors, one a call, and is content when there are no more."""

    def confirm(*_):
        if (error := next(errors, None)) is not None:
            raise error

    return confirm


@pytest.fixture
def check(monkeypatch):
    """Run the check on a student; gives the detectors that were made, and whether the last one was confirmed."""

    def enough(module, images, boxes):
        return module.learns_after is not None and module.steps >= module.learns_after, (2, 5, 9)

    monkeypatch.setattr(learning, "learned_enough", enough)

    def run(*learn_after):
        student, confirmed = Student(*learn_after), []
        learning.test_learns_three_pictures(
            student,
            torch.Generator().manual_seed(1),
            lambda name, module, *_: confirmed.append((name, module)),
            frozenset(),
        )
        assert confirmed == [("learned", student.made[-1])]
        return student.made

    return run


@pytest.mark.parametrize(("needed", "taken"), [(1, 16), (16, 16), (17, 28), (28, 28), (29, 40), (40, 40)])
def test_a_lucky_start_takes_forty_steps_at_most(check, needed, taken):
    """Where a round of the first attempt does it, nothing else is trained."""
    (detector,) = check(needed)
    assert detector.steps == taken


@pytest.mark.parametrize("unlucky", [1, 2])
def test_an_unlucky_start_is_made_good(check, unlucky):
    """A detector that gets nowhere is left for a new one, with other pictures."""
    made = check(*[None] * unlucky, 16)
    assert [detector.steps for detector in made] == [*[40] * unlucky, 16]
    shown = [picture for detector in made for picture in detector.pictures[0]]
    assert all(not torch.equal(a, b) for i, a in enumerate(shown) for b in shown[:i])


def test_a_slow_learner_gets_a_second_round(check):
    """The last attempt has more steps than forty."""
    assert [detector.steps for detector in check(90, 90, 90)] == [40, 40, 100]


def test_never_learning_fails(check):
    """Attempts come to an end, and the message says what the last one came to."""
    with pytest.raises(CheckFailed, match=r"it found 2, with 9 detections in all, after 180 steps.*2.00 to 1.00"):
        check(None, None, None)


def test_a_doubt_is_looked_into(check, monkeypatch):
    """Weights that miss the threshold by a hair in the solution's hands are bad luck; a lie fails every time."""
    monkeypatch.setattr(learning, "learned_enough", lambda module, *_: (True, (5, 5, 9)))
    for doubts, steps in {1: [28], 2: [40], 3: [40, 16], 6: [40, 40, 16], 10: [40, 40, 180]}.items():
        student, answers = Student(*[16] * 3), iter([CheckFailed("not from the weights")] * doubts)
        learning.test_learns_three_pictures(student, torch.Generator().manual_seed(1), raising(answers), frozenset())
        assert [detector.steps for detector in student.made] == steps
    never = raising(itertools.repeat(CheckFailed("not from the weights")))
    with pytest.raises(CheckFailed, match="not from the weights"):
        learning.test_learns_three_pictures(Student(*[16] * 3), torch.Generator().manual_seed(1), never, frozenset())


def solution(assignment: Assignment, *changes: tuple[str, str]):
    """The solution of 7.1 (j) with canned networks, as it is or with faults."""
    return load_solution(assignment, assignment.exercise("7.1j"), changes=changes)


LOSSES = ("loss_cls = sigmoid_focal_loss(pred_cls_logits, gt_one_hot)", "loss_cls = 0 * pred_cls_logits")
NOTHING_KEPT = ("is_kept = level_pred_scores > test_score_thresh", "is_kept = level_pred_scores > 2.0")
HALVES = {"the losses": ("FCOS.forward", LOSSES), "inference": ("FCOS.inference", NOTHING_KEPT)}


@pytest.mark.parametrize("half", HALVES)
def test_the_other_half_is_the_solution_s(assignment, half):
    """What lost points before costs nothing again: with the solution's in its place, the rest learns or detects."""
    name, fault = HALVES[half]
    ours, rng = solution(assignment), torch.Generator().manual_seed(3)
    learned_in_part(ours, solution(assignment, fault), rng, frozenset([name]))


@pytest.mark.parametrize("half", HALVES)
def test_a_fault_in_the_half_that_is_left_is_found(assignment, half):
    """The half that is checked is the student's own: its fault is not covered by the solution's other half."""
    other = next(other for other in HALVES if other != half)
    name, fault = HALVES[half][0], HALVES[other][1]
    ours, rng = solution(assignment), torch.Generator().manual_seed(3)
    with pytest.raises(CheckFailed, match=r"after \d+ steps"):
        learned_in_part(ours, solution(assignment, fault), rng, frozenset([name]))

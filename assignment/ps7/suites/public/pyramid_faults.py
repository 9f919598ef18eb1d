"""What is wrong with a feature pyramid: told in place of what follows from it, or known by the sums it gives."""

import torch

from autograder.checks.bounded import name_text
from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student

SCENE = torch.sin(torch.linspace(0, 40, 3 * 64 * 96)).reshape(1, 3, 64, 96) * torch.linspace(0.2, 2, 96)

PARTS = {"c3": -1.0, "c4": -10.0, "c5": -100.0}  # what each lateral convolution gives in every cell
GAINS = {"p3": 5.0, "p4": 3.0, "p5": 2.0}  # what each output convolution multiplies by
HOW = {"p3": "5 * (-1 - 10 - 100)", "p4": "3 * (-10 - 100)", "p5": "2 * -100"}
SUMS = ({"p5": -200.0, "p4": -330.0, "p3": -555.0}, {"p5": -200.0, "p4": -630.0, "p3": -3155.0})
HALF_SMOOTHED = ({"p5": -200.0, "p4": -330.0, "p3": -1655.0}, {"p5": -200.0, "p4": -630.0, "p3": -1055.0})
TWO_WAYS = "One level hands its sum down, the other its smoothed map, behind the 3 x 3 convolution: hand down the sums."
WRONG = [
    (
        "A function (ReLU, sigmoid) is applied to the levels: leave what the output convolutions give as it is.",
        {"p5": 0.0, "p4": 0.0, "p3": 0.0},
    ),
    (
        "The enlarged coarser map has to be added to the finer one, not multiplied with it.",
        {"p4": 3000.0, "p3": -5000.0},
    ),
    ("The maps are averaged: they are to be added.", {"p4": -165.0, "p3": -185.0}),
    ("The coarser map comes after the 3 x 3 convolution: first add, then convolve.", {"p4": -230.0, "p3": -235.0}),
    ("The coarser map comes after the 3 x 3 convolution: first add, then convolve.", {"p4": -130.0, "p3": -115.0}),
    ("The coarser map is missing in this sum.", {"p4": -30.0, "p3": -5.0}),
    ("c5 is missing in this sum: what goes down from p4 is the sum, not the lateral map alone.", {"p3": -55.0}),
    ("c5 is counted twice in this sum: what goes down from p4 has it already.", {"p3": -1055.0}),
    ("The coarser map is subtracted: it is to be added.", {"p4": 270.0}),
]

UNSTEADY = (
    "A second call does not give what the first gave: something is kept from call to call. Or is something random in "
    "`forward`, such as a layer that is made anew there?"
)


def expect_sound(student: Student, module: Handle, graded: bool) -> None:
    """Fail, in the notebook, where the pyramid as a whole has a fault that other checks would take for another.

    Nothing is taken off for it here when graded: there each check is about its own.
    """
    if graded:
        return
    own = module.found(skip="backbone.")
    if own and not any(bool(p.any()) for name, p in own.items() if p.dim() == 4):
        text = "Leave the weights as torch makes them: from zeros nothing can be learned."
        raise CheckFailed("All weights of the convolutions are 0.", text)
    normed = [name for name, p in own.items() if p.dim() == 1 and name.endswith("weight")]
    if normed:
        text = "There is a normalisation in the pyramid: six convolutions are asked for, and nothing between them."
        raise CheckFailed(f"`{name_text(normed[0])}` belongs to a layer that is no convolution.", text)
    first, again = (student.once(f"sound, {number}", lambda: module(SCENE)) for number in (1, 2))
    for level in SUMS[0]:
        one, other = (levels.get(level) if isinstance(levels, dict) else None for levels in (first, again))
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and not torch.equal(one, other):
            raise CheckFailed(f"{level} of the same images is not the same at the second call.", UNSTEADY)

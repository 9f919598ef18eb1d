"""What is wrong with a prediction network as a whole: told in place of what follows from it, by each check alike.

A result of the wrong shape, a layer that is not asked for, a softmax: with these the checks of rows, stems and
gradients fail, too, and what they would say by themselves is another fault.
"""

from collections.abc import Sequence

import torch

from autograder.checks.bounded import name_text, numbers_text, shape_text
from autograder.checks.compare import CheckFailed, expect_levels, expect_shape
from autograder.checks.student import Handle, Student

KINDS = ("The class logits", "The box deltas", "The centerness logits")
BIAS = -3.0  # of the three predictions, where all weights are 0


def features(channels: int, batch: int = 2) -> dict[str, torch.Tensor]:
    """Small maps that are not square."""
    sizes = {"p3": (6, 9), "p4": (3, 5), "p5": (2, 3)}
    return {
        level: torch.linspace(-1, 1, batch * channels * h * w).reshape(batch, channels, h, w)
        for level, (h, w) in sizes.items()
    }


def three(got: object) -> list[dict[str, torch.Tensor]]:
    """Fail unless the network gave three dictionaries."""
    if not isinstance(got, (list, tuple)) or len(got) != 3:
        text = "The network should return three dictionaries: class logits, box deltas, centerness logits."
        text += " It returned None: is a `return` missing?" if got is None else ""
        raise CheckFailed(text, public_text=text)
    return [
        expect_levels(part, {"p3": 0, "p4": 0, "p5": 0}, what, what + " of {}")
        for part, what in zip(got, KINDS, strict=True)
    ]


def expect_whole(student: Student) -> None:
    """Fail if the predictions have wrong shapes, the stems other layers, or something follows the predictions."""
    expect_shapes(student)
    foreign = foreign_layer(student.new("FCOSPredictionNetwork", 3, 16, [16]).found())
    if foreign:
        raise CheckFailed(*foreign)
    expect_nothing_behind(student)


def expect_shapes(student: Student) -> None:
    """Fail unless there is one row a cell, for each kind of prediction."""
    module = student.new("FCOSPredictionNetwork", 20, 16, [12, 16])
    maps = features(16)
    for part, count, what in zip(three(module(maps)), (20, 4, 1), KINDS, strict=True):
        for level, feature in maps.items():
            cells = feature.shape[2] * feature.shape[3]
            expect_shape(part[level], (2, cells, count), f"{what} of {level}")


def foreign_layer(weights: dict[str, torch.Tensor]) -> tuple[str, str] | None:
    """A layer of the stems that has weights and is no convolution: what to say of it."""
    for name, weight in weights.items():
        if name.startswith(("stem_cls.", "stem_box.")) and name.endswith("weight") and weight.dim() != 4:
            said = f"`{name_text(name)}` belongs to a layer that is no convolution."
            return said, "There is another layer in the stems (a normalisation?): convolutions and ReLUs are asked for."
    return None


def layers(module: Handle) -> dict[str, torch.Tensor]:
    """The parameters of the network's layers, by name.

    A single factor that is none of theirs stays as it starts: the paper scales the boxes of each level by one.
    """
    return {n: p for n, p in module.found().items() if p.dim() > 0 and (p.numel() > 1 or n.endswith("bias"))}


def expect_nothing_behind(student: Student) -> None:
    """Fail if a network whose weights are 0 gives anything but the biases of its predictions."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    known = {name: torch.zeros_like(p) for name, p in layers(module).items()}
    biases = {n: torch.full_like(p, BIAS) for n, p in known.items() if p.dim() == 1 and not n.startswith("stem_")}
    module.load(known | biases)
    for part, count, what in zip(three(module(features(16))), (3, 4, 1), KINDS, strict=True):
        for level, got in part.items():
            if not isinstance(got, torch.Tensor) or torch.allclose(got, torch.full_like(got, BIAS), atol=1e-3):
                continue
            said = f"{what} of {level}: with weights 0 and a bias of -3 all should be -3, but are {numbers_text(got)}."
            raise CheckFailed(said, _applied(got, count))


def _applied(got: torch.Tensor, count: int) -> str:
    """The function that makes this of -3 everywhere; "" where the numbers differ."""
    value = float(got.flatten()[0]) if got.numel() else 0.0
    if not torch.allclose(got, torch.full_like(got, value), atol=1e-4):
        return ""
    if abs(value - BIAS**2) < 1e-3:
        return MULTIPLIED
    if count == 3 and abs(value - 1 / count) < 1e-3:
        return SOFTMAX
    return APPLIED_TO_DELTAS if count == 4 else APPLIED


APPLIED = "A sigmoid (or another function) is applied within the network. The losses apply the sigmoid themselves."
APPLIED_TO_DELTAS = (
    "A function (exp, ReLU) is applied to the deltas within the network: predict them as they come. Clipping follows "
    "in 7.1 (f)."
)
MULTIPLIED = "Two predictions are multiplied within the network: give each as it comes. Scores are made in inference."
SOFTMAX = "A softmax over the classes is applied within the network: give the logits as they come."


def convolutions(module: Handle, stem: str) -> list[tuple[int, ...]]:
    """Shapes of the convolution weights of a stem, in order."""
    return [tuple(p.shape) for n, p in module.found().items() if n.startswith(f"{stem}.") and p.dim() == 4]


SHARED = "The stems share layers: each has weights of its own. (`a = b = []` is one list with two names.)"


def fault_of_stem(
    module: Handle, stem: str, got: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]]
) -> str:
    """What is wrong with the convolutions of a stem, if that is known."""
    if stem == "stem_box" and len(got) < len(expected) == len(convolutions(module, "stem_cls")):
        return SHARED
    if len(got) == 2 * len(expected) and list(got[::2]) == list(got[1::2]) == list(expected):
        return SHARED
    if len(got) == len(expected) and any(one[1] != other[1] for one, other in zip(got, expected, strict=True)):
        if [shape[0] for shape in got] == [shape[0] for shape in expected]:
            return (
                "The first convolution of each stem reads in_channels, each later one the output of the one before it."
            )
        return ""
    if len(got) < len(expected):
        return "There are too few convolutions: each number of stem_channels is what one of them gives."
    return "There are too many convolutions: each number of stem_channels is what one gives." if got else ""


UNSTEADY = "A second call does not give what the first gave: is there a dropout? Or a layer made anew in `forward`?"


def expect_sound(student: Student, graded: bool) -> None:
    """Fail, in the notebook, where the network as a whole has a fault that other checks would take for another.

    Nothing is taken off for it here when graded: there each check is about its own.
    """
    if graded:
        return
    module = student.new("FCOSPredictionNetwork", 5, 16, [16])
    for name in ("pred_cls", "pred_box", "pred_ctr"):
        weight = module.found().get(f"{name}.weight")
        if weight is not None and weight.dim() != 4:
            text = f"`{name}` is no convolution: 3 x 3 convolutions with padding 1 are asked for."
            raise CheckFailed(f"The weights of `{name}` have the shape {shape_text(tuple(weight.shape))}.", text)
    if convolutions(module, "stem_cls") and not convolutions(module, "stem_box"):
        raise CheckFailed("`stem_box` has no convolution that `stem_cls` has not.", SHARED)
    maps = features(16)
    module.eval()
    first, again = (three(module(maps)) for _ in range(2))
    module.train()
    drawn, other = (three(module(maps)) for _ in range(2))
    for what, *given in zip(KINDS, first, again, drawn, other, strict=True):
        for one, two in (given[:2], given[2:]):
            if not all(torch.equal(one[level], two[level]) for level in maps if isinstance(one[level], torch.Tensor)):
                raise CheckFailed(f"{what} of the same features are not the same at the second call.", UNSTEADY)

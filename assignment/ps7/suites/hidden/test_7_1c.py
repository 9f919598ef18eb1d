"""7.1 (c), the hidden half: the values, and no sigmoid."""

import pytest
import torch
from torch.nn import functional as F

from autograder.checks.bounded import shape_text
from autograder.checks.compare import CheckFailed, expect_close, expect_shape, expect_tensor
from autograder.checks.student import Student
from suites.hidden.network_runs import expect_layers_asked_for, predictions_are_made
from suites.public import test_7_1c as public
from suites.public.network_faults import KINDS, features, layers, three

pytestmark = pytest.mark.exercise("7.1c")

GIVEN_ATTRIBUTES = public.GIVEN_ATTRIBUTES


@pytest.mark.points(1)
@pytest.mark.hint("The network predicts logits; the losses apply the sigmoid themselves.")
def test_logits(student: Student, solution: Student, rng: torch.Generator) -> None:
    """Class and centerness predictions are logits: they are not squeezed between 0 and 1."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    biases = {n: p for n, p in layers(module).items() if p.dim() == 1 and not n.startswith("stem_")}
    module.load({name: torch.full_like(p, 5.0) for name, p in biases.items()})
    for part, what in zip(three(module(features(16))), KINDS, strict=True):
        if not bool((part["p3"] > 3).all()):
            said = f"{what} do not follow the bias of their convolution."
            raise CheckFailed(said, "A sigmoid (or another function) is applied within the network.", said)
    predictions_are_made(solution, student, rng)


@pytest.mark.points(2.5)
@pytest.mark.hint("Batch, channels and number of stem convolutions vary here.")
def test_values(student: Student, rng: torch.Generator) -> None:
    """The predictions are those of the convolutions and ReLUs asked for, whatever their number and widths."""
    for classes, channels, stems in ((3, 10, [14, 6, 9]), (7, 12, [8])):
        module = student.new("FCOSPredictionNetwork", classes, channels, stems)
        weights = {n: 0.3 * torch.randn(p.shape, generator=rng) for n, p in layers(module).items()}
        module.load(weights)
        maps = {k: torch.randn(v.shape, generator=rng) for k, v in features(channels, batch=3).items()}
        got = three(module(maps))
        for level, feature in maps.items():
            for index, right in enumerate(expected(weights, feature)):
                cells = feature.shape[2] * feature.shape[3]
                expect_shape(got[index][level], (3, cells, (classes, 4, 1)[index]), f"{KINDS[index]} of {level}")
                expect_close(got[index][level], right, f"{KINDS[index]} of {level}", rtol=1e-3)
                if level == "p3" and not bool((right - right[:, :1]).abs().amax() > 1e-3 * right.abs().amax()):
                    raise CheckFailed(_CONSTANT, public_text=_CONSTANT)
        expect_layers_asked_for(student, module, channels, stems)


_CONSTANT = "With random weights the layers that there are give the same for every cell: none of the image is left."


@pytest.mark.points(0.5)
@pytest.mark.hint(
    "The network runs twice, then the first result is looked at: does each call make its own dictionaries?"
)
def test_predictions_stay(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The predictions for some features stay what they are when the network is run on others."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    predictions_are_made(solution, student, rng)  # else what stays is nothing
    maps = features(16, batch=1)
    others = {level: torch.randn(feature.shape, generator=rng) for level, feature in maps.items()}
    before, results = three(module(maps)), module.in_turn([maps], [others])
    if not isinstance(results, list) or len(results) != 2:
        raise CheckFailed("Your code's process gave no result for each call.")
    for old, new, what in zip(before, three(results[0]), KINDS, strict=True):
        for level in maps:
            name = f"{what} of {level}, looked at later,"
            expect_close(new[level], expect_tensor(old[level], what), name, rtol=1e-3, atol=1e-6)


def _biases_of(parameters: dict[str, torch.Tensor], weights: list[str]) -> list[torch.Tensor | None]:
    """The biases of a stem's convolutions: beside their weights, or in layers of the student's own by their order."""
    stem = weights[0].partition(".")[0] if weights else ""
    found = [p for name, p in parameters.items() if name.partition(".")[0] == stem and p.dim() == 1]
    if [len(bias) for bias in found] == [len(parameters[name]) for name in weights]:
        return list(found)
    return [parameters.get(name.removesuffix("weight") + "bias") for name in weights]


def expected(parameters: dict[str, torch.Tensor], feature: torch.Tensor) -> list[torch.Tensor]:
    """The three predictions for one level, by plain convolutions with the student's own weights."""
    hidden = {}
    for stem in ("stem_cls", "stem_box"):
        value = feature
        weights = [n for n, p in parameters.items() if n.startswith(f"{stem}.") and p.dim() == 4]
        for name, bias in zip(weights, _biases_of(parameters, weights), strict=True):
            value = F.relu(_convolved(value, parameters[name], bias, name))
        if stem == "stem_cls" and not weights:
            raise CheckFailed("stem_cls has no convolution.", public_text="stem_cls has no convolution.")
        hidden[stem] = value
    made = []
    for name, stem in (("pred_cls", "stem_cls"), ("pred_box", "stem_box"), ("pred_ctr", "stem_box")):
        weight = parameters.get(f"{name}.weight")
        if weight is None:
            text = f"There is no convolution `{name}`, which the text asks for by that name."
            raise CheckFailed(text, public_text=text)
        out = _convolved(hidden[stem], weight, parameters.get(f"{name}.bias"), name)  # (B, C, H, W)
        made.append(out.permute(0, 2, 3, 1).flatten(1, 2))  # (B, H * W, C)
    return made


def _convolved(value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, name: str) -> torch.Tensor:
    """A 3 x 3 convolution; fail where the student's layers do not fit one another."""
    if weight.dim() == 4 and weight.shape[2:] != (3, 3):
        text = f"`{name}` has a kernel of {shape_text(weight.shape[2:])}, not (3, 3)."
        raise CheckFailed(text, "The convolutions of the network have to be 3 x 3 with padding 1.", text)
    if weight.dim() != 4 or weight.shape[1] != value.shape[1]:
        reads = f"what it should read has {value.shape[1]} channels"
        text = f"`{name}` does not fit: its weight is {shape_text(weight)}, {reads}."
        raise CheckFailed(text, "A layer reads other channels than those that the layer before it makes.", text)
    return F.conv2d(value, weight, bias, padding=1)

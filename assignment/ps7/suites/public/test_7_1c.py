"""7.1 (c): the prediction network. Only `stem_cls` and `stem_box`, given names, are relied on."""

import math
from collections.abc import Callable

import pytest
import torch

from autograder.checks.bounded import name_text, numbers_text, shape_text, shapes_text
from autograder.checks.compare import CheckFailed, expect_gradient, expect_shape
from autograder.checks.student import Handle, Student
from suites.public.network_faults import (
    KINDS,
    UNSTEADY,
    convolutions,
    expect_nothing_behind,
    expect_shapes,
    expect_sound,
    expect_whole,
    fault_of_stem,
    features,
    foreign_layer,
    layers,
    three,
)

pytestmark = pytest.mark.exercise("7.1c")

GIVEN_ATTRIBUTES = ("stem_cls", "stem_box", "pred_cls", "pred_box", "pred_ctr")
FEEDS = {"stem_cls": {0}, "stem_box": {1, 2}}  # numbers of the kinds that each stem is read for


@pytest.mark.points(2)
def test_shapes(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """For each level there is one row a cell: (B, H * W, C), with C = num_classes, 4 and 1."""
    expect_shapes(student)
    confirm("predictions_are_made", student, rng)


@pytest.mark.points(2)
def test_stems(student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool) -> None:
    """Each stem has a 3 x 3 convolution for every entry of stem_channels, of the channels asked for."""
    for stem_channels in ([12, 8], [8, 12, 20]):
        module = student.new("FCOSPredictionNetwork", 5, 16, stem_channels)
        if not graded and student.do("writes_into", name="FCOSPredictionNetwork", args=[5, 16, stem_channels]):
            text = (
                "The list `stem_channels` is changed (`insert`, `pop`): a second network made with it would be another."
            )
            raise CheckFailed("`__init__` changes the list that it is given.", text)
        expected = [(after, before, 3, 3) for before, after in zip([16, *stem_channels], stem_channels, strict=False)]
        for stem in ("stem_cls", "stem_box"):
            got = convolutions(module, stem)
            if got != expected:
                said = f"{stem} for in_channels 16 and stem_channels {stem_channels}: expected convolutions with "
                said += f"weights {shapes_text(expected)}, found {shapes_text(got)}."
                raise CheckFailed(said, fault_of_stem(module, stem, got, expected))
    confirm("layers_are_run", student, rng)


@pytest.mark.points(2)
def test_initialisation(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """Stem weights start from N(0, 0.01), their biases from 0, and pred_cls starts from a score of 0.01."""
    module = student.new("FCOSPredictionNetwork", 20, 64, [64, 64])
    parameters = module.parameters()
    foreign = foreign_layer(parameters)
    for name, p in parameters.items():
        if not name.startswith(("stem_cls.", "stem_box.")):
            continue
        if p.dim() == 1 and bool((p != 0).any()):
            if foreign:
                raise CheckFailed(*foreign)
            raise CheckFailed(
                f"`{name_text(name)}` should start from 0.", "The biases of the stems do not start from 0."
            )
        if p.dim() == 4 and not (0.009 < float(p.std()) < 0.011 and abs(float(p.mean())) < 0.001):
            said = f"`{name_text(name)}` has mean {float(p.mean()):.4g} and standard deviation {float(p.std()):.4g}."
            raise CheckFailed(said, "The weights of the stems do not start from a normal distribution (0, 0.01).")
    bias = parameters.get("pred_cls.bias")
    if bias is not None and bias.shape != (20,):
        raise CheckFailed(f"`pred_cls` gives {len(bias)} numbers for 20 classes.", counted_fault(len(bias), 20))
    if bias is None or not torch.allclose(bias, torch.full((20,), -math.log(99)), atol=1e-4):
        raise CheckFailed("pred_cls.bias should be -log(99): is the given last line of __init__ still there?")
    confirm("layers_are_run", student, rng)


def counted_fault(outputs: int, classes: int) -> str:
    """What to say where `pred_cls` gives another number than there are classes."""
    if outputs == classes + 1:
        return "One class too many: background has none of its own. At background all logits are to be low."
    return "The number of classes is written into the code: use num_classes."


@pytest.mark.points(2)
def test_row_order(student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool) -> None:
    """Row i * W + j of the result is the cell in row i and column j."""
    expect_sound(student, graded)
    module = pointwise(student)
    maps = {level: torch.ones_like(feature) for level, feature in features(16, batch=1).items()}
    before = three(module(maps))
    if any(old["p3"].shape[:2] != (1, 54) for old in before if isinstance(old["p3"], torch.Tensor)):
        expect_shapes(student)
    for level, (i, j) in {"p3": (1, 7), "p4": (2, 1)}.items():
        changed = {name: feature.clone() for name, feature in maps.items()}
        changed[level][0, :, i, j] += 1.0
        after = three(module(changed))
        width, height = maps[level].shape[3], maps[level].shape[2]
        for old, new, what in zip(before, after, KINDS, strict=True):
            expect_shape(new[level], tuple(old[level].shape), f"{what} of {level}")
            apart = (new[level] - old[level]).abs().sum(dim=-1)[0]
            rows = (apart > max(1e-6, 1e-3 * float(apart.max()))).nonzero().flatten().tolist()  # the rest is rounding
            if rows == [i * width + j]:
                continue
            diagnosis = "Cells and channels are mixed: move the channels to the back before you reshape."
            if rows == [j * height + i]:
                diagnosis = "The rows run down the columns: height and width are swapped."
            if not rows:
                expect_whole(student)
                diagnosis = "The features of this cell never reach the prediction: is a stem bypassed?"
            said = f"{what} of {level}: a change of cell ({i}, {j}) should change row {i * width + j}, but "
            said += f"changes rows {numbers_text(rows, 'd')}." if rows else "changes none."
            raise CheckFailed(said, diagnosis)
    confirm("rows_follow_cells", student, rng)


@pytest.mark.points(2)
def test_which_stem_feeds_which_prediction(
    student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool
) -> None:
    """Class scores are read from stem_cls, box and centerness from stem_box."""
    expect_sound(student, graded)
    module = pointwise(student)
    weights = pointwise_weights(module)
    maps = {level: torch.ones_like(feature) for level, feature in features(16, batch=1).items()}
    before = three(module(maps))
    for stem, expected in FEEDS.items():
        biases = {n: p for n, p in weights.items() if n.startswith(f"{stem}.") and p.dim() == 1}
        if not biases:
            raise CheckFailed(f"{stem} has no convolution with a bias.")
        last = list(biases)[-1]
        module.load({last: biases[last] + 1.0})
        after = three(module(maps))
        module.load({last: biases[last]})
        got = {k for k in range(3) if not torch.allclose(before[k]["p3"], after[k]["p3"], atol=1e-6)}
        if got != expected:
            expect_whole(student)
            names = ["classes", "boxes", "centerness"]
            want, have = ([names[k] for k in sorted(kinds)] for kinds in (expected, got))
            said = f"{stem} should feed {want}, but feeds {have}."
            raise CheckFailed(said, "The stems are mixed up, or one is never used.")
    confirm("stems_feed_predictions", student, rng)


@pytest.mark.points(1)
def test_every_layer_is_trained(
    student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool
) -> None:
    """The gradients of the predictions reach every layer of both stems."""
    expect_sound(student, graded)
    module = pointwise(student)
    for name, gradient in module.gradients(features(16)).items():
        if name.startswith(("stem_cls.", "stem_box.", "pred_")):
            if gradient is None or not bool((gradient != 0).any()):
                expect_whole(student)
            expect_gradient(gradient, f"`{name_text(name)}`")
    try:
        confirm("network_gradients", student, rng)
    except CheckFailed:
        expect_kinds_trained(module)
        raise
    if not graded:
        expect_kinds_trained(module)


def expect_kinds_trained(module: Handle) -> None:
    """Fail if the gradient of one kind of prediction stops before it reaches the stem."""
    for kind, stem in enumerate(("stem_cls", "stem_box", "stem_box")):
        told = module.gradients(features(16), of=[kind])
        if not any(bool((p != 0).any()) for name, p in told.items() if name.startswith(stem) and p is not None):
            said = f"The gradient of {KINDS[kind].lower()} does not reach `{stem}`."
            raise CheckFailed(
                said, "Does this prediction read the other stem? Or is what its stem gives detached on the way?"
            )


@pytest.mark.points(0)  # from here on grading asks again with random weights and features, see the hidden half
def test_the_prediction_convolutions(student: Student) -> None:
    """pred_cls, pred_box and pred_ctr are 3 x 3, read what their stem ends with, and give num_classes, 4 and 1."""
    module = student.new("FCOSPredictionNetwork", 5, 16, [12, 8])
    weights = module.found()
    for name, count in (("pred_cls", 5), ("pred_box", 4), ("pred_ctr", 1)):
        weight = weights.get(f"{name}.weight")
        if weight is None:
            raise CheckFailed(f"There is no convolution `{name}`, which the text asks for by that name.")
        expected, got = (count, 8, 3, 3), tuple(weight.shape)
        if got == expected:
            continue
        said = (
            f"{name} for 5 classes, in_channels 16 and stem_channels [12, 8]: expected weights {shape_text(expected)}, "
        )
        diagnosis = ""
        if got[2:] != (3, 3):
            diagnosis = f"`{name}` is of another size: the convolutions have to be 3 x 3 with padding 1."
        elif got[1:2] != (8,):
            diagnosis = f"`{name}` reads what its stem gives: the last number of stem_channels, not {got[1]}."
        elif name == "pred_cls":
            diagnosis = counted_fault(got[0], 5)
        raise CheckFailed(f"{said}found {shape_text(got)}.", diagnosis)
    maps = features(16, batch=3)
    for part, count, what in zip(three(module(maps)), (5, 4, 1), KINDS, strict=True):
        for level, feature in maps.items():
            expect_shape(part[level], (3, feature.shape[2] * feature.shape[3], count), f"{what} of {level}")


@pytest.mark.points(0)
def test_nothing_comes_behind(student: Student) -> None:
    """Nothing comes behind the prediction convolutions: no sigmoid, no ReLU, no exp."""
    expect_nothing_behind(student)


@pytest.mark.points(0)
def test_features_go_in_as_they_are(student: Student, graded: bool) -> None:
    """Nothing comes before the stems, and the features stay as they are."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    maps = features(16)
    cut = {level: feature.clamp(min=0) for level, feature in maps.items()}
    for what, one, other in zip(KINDS, three(module(maps)), three(module(cut)), strict=True):
        if all(torch.equal(one[level], other[level]) for level in maps):
            text = "A ReLU stands before the stems: the features go into the first convolutions as they come."
            raise CheckFailed(f"{what} are the same whether negative features are 0 or not.", text)
    if graded:  # for what follows nothing is taken off
        return
    if module.writes_into({level: feature.clone() for level, feature in maps.items()}):
        text = "The dictionary of features, or a tensor in it, is changed: a second call would give something else."
        raise CheckFailed("`forward` changes the features that it is given.", text)


@pytest.mark.points(0)
def test_a_relu_behind_each_convolution(student: Student) -> None:
    """In both stems a ReLU follows each convolution."""
    module = pointwise(student)
    weights = pointwise_weights(module)
    maps = {level: torch.ones_like(feature) for level, feature in features(16, batch=1).items()}
    for stem, kinds in FEEDS.items():
        biases = [n for n, p in weights.items() if n.startswith(f"{stem}.") and p.dim() == 1]
        for number, name in enumerate(biases, start=1):
            # Cut off behind this convolution, so that what comes on is the bias of the next one alone.
            changed = {name: torch.full_like(weights[name], -5.0)}
            changed |= {after: torch.full_like(weights[after], 10.0) for after in biases[number : number + 1]}
            module.load(weights | changed)
            right = 10.0 if number < len(biases) else 0.0
            got = three(module(maps))[min(kinds)]["p3"]
            if not torch.allclose(got, torch.full_like(got, right), atol=1e-3):
                said = f"Convolution {number} of {stem} gives -4 everywhere here; behind a ReLU that is 0. What is "
                said += f"predicted should then be {right:g}, but is {numbers_text(got)}."
                missing = torch.allclose(got, torch.full_like(got, right - 4), atol=1e-3)
                text = "A ReLU is missing from the stems: one belongs behind each of their convolutions."
                if not missing:
                    expect_whole(student)
                raise CheckFailed(said, text if missing else "")


@pytest.mark.points(0)
def test_nothing_is_kept(student: Student) -> None:
    """The predictions follow from the features alone: a second call gives the same, other features give others."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    maps = features(16)
    others = {level: 5 - 3 * feature for level, feature in maps.items()}
    first, again, other = (three(module(given)) for given in (maps, maps, others))
    for what, one, two, third in zip(KINDS, first, again, other, strict=True):
        if not all(torch.equal(one[level], two[level]) for level in maps):
            raise CheckFailed(f"{what} of the same features are not the same at the second call.", UNSTEADY)
        if all(torch.equal(one[level], third[level]) for level in maps):
            text = "A second call gives what the first gave, though it had other features."
            raise CheckFailed(f"{what} are the same for other features.", text)


@pytest.mark.points(0)
def test_results_stay(student: Student) -> None:
    """The predictions that a call gave stay what they are when the network is run on other features."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16])
    maps = features(16)
    others = {level: 5 - 3 * feature for level, feature in maps.items()}
    before, after = three(module(maps)), three(module.in_turn([maps], [others])[0])
    for what, old, new in zip(KINDS, before, after, strict=True):
        if not all(torch.equal(old[level], new[level]) for level in maps):
            again = three(module(maps))[KINDS.index(what)]
            if not all(torch.equal(old[level], again[level]) for level in maps):
                raise CheckFailed(f"{what} of the same features are not the same at the second call.", UNSTEADY)
            text = "Each call fills and hands out the same dictionaries: make new ones in `forward`."
            raise CheckFailed(f"{what} of the first features are not the same after the second call.", text)


def pointwise(student: Student) -> Handle:
    """A network whose convolutions look at one cell each and keep every sign, so that rows can be followed."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16, 16])
    module.load(pointwise_weights(module))
    return module


def pointwise_weights(module: Handle) -> dict[str, torch.Tensor]:
    """The weights of that network, by name."""
    tensors = {}
    for name, p in layers(module).items():
        tensors[name] = torch.zeros_like(p)
        if p.dim() == 4:
            middle = (p.shape[2] // 2, p.shape[3] // 2)
            tensors[name][:, :, middle[0], middle[1]] = 1.0 / p.shape[1]
    return tensors

"""7.1 (i), training: the losses, with canned networks in place of (b) and (c)."""

import math
from collections.abc import Callable

import pytest
import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Handle, Student
from suites.public.faults_of_losses import fault_of_loss
from suites.public.networks_made import given_to_network
from suites.scenes import fixed_boxes, other_batches, striped_images, varied_scene

pytestmark = pytest.mark.exercise("7.1i-losses")

GIVEN_ATTRIBUTES = ("backbone", "pred_net")
LOSSES = ("loss_cls", "loss_box", "loss_ctr")
PARTS = {"loss_cls": "cls", "loss_box": "box", "loss_ctr": "ctr"}


def losses_of(module: Handle, images: torch.Tensor, boxes: torch.Tensor) -> dict[str, float]:
    """The three losses as numbers; fail unless they are."""
    module.train()
    got = module(images, boxes)
    if not isinstance(got, dict) or not set(LOSSES) <= set(got):
        text = "In training, `forward` should return a dictionary with loss_cls, loss_box and loss_ctr."
        raise CheckFailed(text, public_text=text)
    found = {}
    for name in LOSSES:
        value = got[name]
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            text = f"{name} should be a single number: sum up the losses of all locations."
            raise CheckFailed(text, public_text=text)
        found[name] = float(value)
        if not math.isfinite(found[name]):
            text = f"{name} is {found[name]}."
            raise CheckFailed(text, public_text=text)
    return found


def first_losses(student: Student) -> dict[str, float]:
    """The losses of a new detector for the fixed images and boxes."""
    return student.once(
        "first losses", lambda: losses_of(student.new("FCOS", 20, 16, [16]), striped_images(), fixed_boxes())
    )


def close(got: float, expected: float) -> bool:
    """Whether two losses are the same but for rounding."""
    return abs(got - expected) <= 5e-5 * max(1.0, abs(expected))


@pytest.mark.points(1)
def test_three_losses(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """In training, forward returns loss_cls, loss_box and loss_ctr, each a single finite number."""
    first_losses(student)
    confirm("losses_differ", student, rng)


@pytest.mark.points(3)
@pytest.mark.parametrize("name", LOSSES)
def test_value(
    student: Student, stored: dict[str, torch.Tensor], name: str, rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Each of the three losses of a batch of two images has the right value."""
    got = first_losses(student)[name]
    expected = float(stored[name])
    if close(got, expected):
        return confirm("loss_value", student, rng, name)
    diagnosis = fault_of_loss(stored, name, got, close) or _all_by_one_factor(student, stored)
    text = f"{name}: expected {expected:.4f}, got {got:.4f}."
    raise CheckFailed(text, diagnosis, f"{name} has the wrong value.")


def _all_by_one_factor(student: Student, stored: dict[str, torch.Tensor]) -> str:
    """What to say where all three losses are right but for one factor; "" where they are not."""
    got = first_losses(student)
    factors = [got[name] / float(stored[name]) for name in LOSSES]
    if min(factors) <= 0 or not close(max(factors) / min(factors), 1.0):
        return ""
    return (
        f"All three losses are {factors[0]:.4g} times what they should be: look at what they are divided by, in the "
        "given lines. `self._normalizer` starts at 150."
    )


@pytest.mark.points(0)  # grading asks again with other images and numbers, see the hidden half
def test_other_batches(student: Student, stored: dict[str, torch.Tensor]) -> None:
    """The losses are right for five classes, without objects too, for one image, and for one batch after the other."""
    module, before = student.new("FCOS", 5, 8, [8]), dict.fromkeys(LOSSES, math.nan)
    for name, (images, boxes) in other_batches().items():
        got = losses_of(module, images, boxes)
        expected = {loss: float(stored[f"{name}/{loss}"]) for loss in LOSSES}
        for loss in LOSSES:
            if not close(got[loss], expected[loss]):
                said = f"{loss} of {BATCHES[name]}: expected {expected[loss]:.4f}, got {got[loss]:.4f}."
                raise CheckFailed(said, _what_remains(got, expected, before) or _as_above(student, stored, loss))
        before = got


def _what_remains(got: dict[str, float], expected: dict[str, float], before: dict[str, float]) -> str:
    """What is wrong with the losses of a later batch, where those of the batch before were right."""
    if all(close(got[loss], before[loss]) for loss in LOSSES):
        return "A second call gives what the first gave, though images and boxes are others."
    factors = [got[loss] / expected[loss] for loss in LOSSES if expected[loss] > 0]
    if math.isfinite(before["loss_cls"]) and max(factors) - min(factors) < 1e-3:
        return "`self._normalizer` is not kept up to date in the second call."
    return ""


def _as_above(student: Student, stored: dict[str, torch.Tensor], loss: str) -> str:
    """What is wrong with a loss in the first check's batch, if that is known: here it is as wrong."""
    got = first_losses(student)[loss]
    return "" if close(got, float(stored[loss])) else fault_of_loss(stored, loss, got, close)


BATCHES = {
    "three": "three images, the second without objects",
    "fewer": "the same images with a box less, after them",
    "empty": "two images without any object",
    "one": "one image",
}


@pytest.mark.points(0)
def test_arguments_of_the_networks(student: Student) -> None:
    """FCOS makes its two networks, as `self.backbone` and `self.pred_net`, with the numbers that it is given."""
    module = student.new("FCOS", 7, 12, [10, 9])
    made = {part: given_to_network(module, part) for part in ("backbone", "pred_net")}
    for part, name in (("backbone", "the feature pyramid"), ("pred_net", "the prediction network")):
        if made[part] is None and not any(weight.startswith(f"{part}.") for weight in module.found()):
            said = f"There is no {name[4:]} in `self.{part}`."
            raise CheckFailed(said, "The text asks for the names `self.backbone` and `self.pred_net`.")
    (channels,) = made["backbone"] or [module.get("backbone.out_channels")]
    if channels != 12:
        raise CheckFailed(f"For fpn_channels = 12 the backbone got {channels}.", "`fpn_channels` is not handed on.")
    if made["pred_net"] is None:
        return  # a network of the notebook's own, under another name
    classes, *others = made["pred_net"]
    if classes != 7:
        said = f"For num_classes = 7 the prediction network got {classes}."
        advice = (
            "What stands where the number of classes belongs? The order is: num_classes, in_channels, stem_channels."
        )
        raise CheckFailed(said, advice)
    asked = (("in_channels", 12, "fpn_channels"), ("stem_channels", [10, 9], "stem_channels"))
    for got, (name, expected, source) in zip(others, asked, strict=True):
        if got != expected:
            said = f"For {source} = {expected} the prediction network was made with another `{name}`."
            raise CheckFailed(said, f"`{name}` of the prediction network is `{source}`, as it was given.")


@pytest.mark.points(0)
def test_its_own_networks_are_run(student: Student) -> None:
    """`forward` runs the networks that `__init__` has made: those that are trained."""
    images, boxes = striped_images(), fixed_boxes()
    module = student.new("FCOS", 20, 16, [16])
    before, weights = losses_of(module, images, boxes), module.found()
    if "backbone.scale" in weights and "pred_net.cls_offset" in weights:
        for name in ("backbone.scale", "pred_net.cls_offset"):
            other = student.new("FCOS", 20, 16, [16])
            other.load({name: weights[name] + 0.5})
            got = losses_of(other, images, boxes)
            if all(close(got[loss], before[loss]) for loss in LOSSES):
                part = name.partition(".")[0]
                text = f"`forward` does not run the `self.{part}` of `__init__`: is one made anew there?"
                raise CheckFailed(f"The losses are the same whatever the weights of `self.{part}` are.", text)


@pytest.mark.points(0)
def test_arguments_are_kept(student: Student, graded: bool) -> None:
    """The images and the boxes that the detector is given stay as they are: the training loop uses them again."""
    module = student.new("FCOS", 20, 16, [16])
    losses_of(module, striped_images(), fixed_boxes())
    if not graded:  # nothing is taken off for it
        module.train()
        written = module.writes_into(striped_images(), fixed_boxes())
        if written:
            what = " and ".join(("`images`", "`gt_boxes`")[k] for k in written)
            said = f"`forward` changes {what}: a second call with the same would give something else."
            raise CheckFailed(said, f"{what} changed in place (`+=`, `clamp_`, `x[...] = ...`): make a new tensor.")


@pytest.mark.points(2)
def test_gradients(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """The gradients of each loss reach the predictions it is about, and pass on into the backbone."""
    module = student.new("FCOS", 20, 16, [16])
    module.train()
    images, boxes = varied_scene(rng)
    told = {}
    for loss, part in PARTS.items():
        told[loss] = module.gradients(images, boxes, of=[loss])
        for tail in (f"{part}_offset", "scale"):  # of several networks, an average of the weights say, one takes part
            found = [gradient for name, gradient in told[loss].items() if name.endswith(tail)]
            if found and not any(gradient is not None and bool((gradient != 0).any()) for gradient in found):
                text = f"The gradient of {loss} does not reach the predictions it is made from."
                raise CheckFailed(
                    text, "Something on the way is detached, rounded or computed without gradients.", text
                )
    confirm("loss_gradients", images, boxes, told)


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With the detector, images and boxes on a GPU, the losses are computed there (simulated: none is needed)."""
    new = [20, 16, [16]]
    got = first_losses(student)
    expect_runs_on_gpu(student, "FCOS", [striped_images(), fixed_boxes()], new=new, train=True)
    expect_right(all(close(got[name], float(stored[name])) for name in LOSSES), "the losses")
    confirm("loss_values", student, rng)

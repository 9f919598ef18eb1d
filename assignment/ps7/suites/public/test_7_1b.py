"""7.1 (b): the feature pyramid. Nothing here depends on what its layers are called."""

import math
from collections.abc import Callable

import pytest
import torch

from autograder.checks.bounded import name_text, numbers_text, shape_text
from autograder.checks.compare import CheckFailed, expect_gradient, expect_levels, expect_shape
from autograder.checks.student import Handle, Student
from autograder.runtime.errors import StudentError
from suites.public.pyramid_faults import (
    GAINS,
    HALF_SMOOTHED,
    HOW,
    PARTS,
    SCENE,
    SUMS,
    TWO_WAYS,
    UNSTEADY,
    WRONG,
    expect_sound,
)

pytestmark = pytest.mark.exercise("7.1b")

GIVEN_ATTRIBUTES = ("backbone", "fpn_params")
CHANNELS = 24
IN_CHANNELS = {"c3": 64, "c4": 160, "c5": 400}
STRIDES = {"p3": 8, "p4": 16, "p5": 32}
REACHES = {"c5": {"p3", "p4", "p5"}, "c4": {"p3", "p4"}, "c3": {"p3"}}  # the levels that each map has a part in


def made(student: Student) -> Handle:
    """The student's feature pyramid in evaluation mode, on a shallow backbone."""
    module = student.shared("DetectorBackboneWithFPN", out_channels=CHANNELS)
    module.eval()
    return module


def pyramid_weights(module: Handle) -> tuple[dict[str, str], list[str]]:
    """Names of the lateral weights by input level, and of the output weights, found by their shapes."""
    own = module.found(skip="backbone.")
    lateral = {
        level: name
        for level, channels in IN_CHANNELS.items()
        for name, p in own.items()
        if tuple(p.shape) == (CHANNELS, channels, 1, 1)
    }
    output = [name for name, p in own.items() if tuple(p.shape) == (CHANNELS, CHANNELS, 3, 3)]
    return lateral, output


IMAGES = torch.linspace(-2, 2, 3 * 32 * 64).reshape(1, 3, 32, 64)


def levels_of(module: Handle) -> dict[str, torch.Tensor]:
    """The three levels for the images above; fail unless they are there and of the right shape."""
    got = expect_levels(module(IMAGES), STRIDES, "The result")
    size = IMAGES.shape[2:]
    for level, stride in STRIDES.items():
        expect_size(got[level], (len(IMAGES), CHANNELS, size[0] // stride, size[1] // stride), f"Level {level}")
    return got


def expect_size(got: object, shape: tuple[int, ...], what: str) -> None:
    """Fail unless this is a tensor of the shape; say of a map that it is exchanged, or two cells too large."""
    found = tuple(got.shape) if isinstance(got, torch.Tensor) and got.dim() == 4 else shape
    more = (found[2] - shape[2], found[3] - shape[3])
    said = f"{what} came in the wrong shape: expected {shape_text(shape)}, got {shape_text(found)}."
    if more == (2, 2):
        text = "A convolution makes its map larger: padding is 0 for a 1 x 1 and 1 for a 3 x 3 convolution."
        raise CheckFailed(said, text, f"{what} came in the wrong shape.")
    if found != shape and found[2:] == (shape[3], shape[2]):
        text = "Height and width are exchanged: `size=` takes (H, W)."
        raise CheckFailed(said, text, f"{what} came in the wrong shape.")
    expect_shape(got, shape, what)


def moved(student: Student) -> dict[str, set[str]]:
    """For each of the convolutions' weights, by name, the levels that change when it does."""
    return student.once("moved", lambda: _moved(made(student)))


def _moved(module: Handle) -> dict[str, set[str]]:
    before = levels_of(module)
    weights = module.found(skip="backbone.")
    lateral, output = pyramid_weights(module)
    found: dict[str, set[str]] = {}
    last: dict[str, torch.Tensor] = {}  # goes back to what it was when the next one changes: one request for both
    try:
        for name in (*lateral.values(), *output):
            module.load(last | {name: weights[name] + 0.5})
            last = {name: weights[name]}
            after = levels_of(module)
            found[name] = {level for level in STRIDES if not torch.allclose(before[level], after[level], atol=1e-5)}
    except CheckFailed:  # where the process has died instead, there is no module to put right
        module.load(last)
        raise
    module.load(last)
    return found


@pytest.mark.points(3)
def test_shapes_of_the_levels(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """The result has levels p3, p4 and p5 of shape (B, out_channels, H / stride, W / stride)."""
    module = made(student)
    got = expect_levels(module(torch.zeros(2, 3, 64, 32)), STRIDES, "The result")
    for level, stride in STRIDES.items():
        expect_size(got[level], (2, CHANNELS, 64 // stride, 32 // stride), f"Level {level}")
    confirm("levels_are_made", student, rng)


@pytest.mark.points(2)
def test_the_six_convolutions(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """There are three 1 x 1 convolutions, one for each of c3, c4 and c5, and three 3 x 3 ones."""
    module = made(student)
    lateral, output = pyramid_weights(module)
    absent = [level for level in IN_CHANNELS if level not in lateral]
    if absent:
        channels = IN_CHANNELS[absent[0]]
        said = f"There is no 1 x 1 convolution from the {channels} channels of {absent[0]} to out_channels."
        raise CheckFailed(said, "" if module.found(skip="backbone.") else UNREGISTERED)
    if len(output) != 3:
        raise CheckFailed(f"Expected three 3 x 3 convolutions from out_channels to out_channels, found {len(output)}.")
    confirm("convolutions_are_run", student, rng)


UNREGISTERED = (
    "The convolutions are not registered: a plain dict hides them from the optimizer. Use nn.ModuleDict. (A plain list "
    "hides them, too. Nobody would train them, save them or move them to a GPU: put them into `self.fpn_params`.)"
)


@pytest.mark.points(3)
def test_which_level_depends_on_which_map(
    student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool
) -> None:
    """c5 reaches all three levels, c4 reaches p4 and p3, c3 reaches p3 alone."""
    expect_sound(student, made(student), graded)
    lateral, _ = pyramid_weights(made(student))
    absent = [source for source in REACHES if source not in lateral]
    if absent:
        raise CheckFailed(f"There is no 1 x 1 convolution for {absent[0]}.")
    changed = moved(student)
    for source, levels in REACHES.items():
        got = changed[lateral[source]]
        if got == levels:
            continue
        diagnosis = ""
        if got < levels:
            lost = ", ".join(sorted(levels - got))
            diagnosis = f"{source} never reaches {lost}: the coarser map has to be enlarged and added to the finer one."
        elif got > levels:
            diagnosis = (
                f"{source} reaches {', '.join(sorted(got - levels))}, which is coarser: the path runs downwards."
            )
        said = f"A change of what {source} contributes should change {sorted(levels)}, but changed {sorted(got)}."
        raise CheckFailed(said, diagnosis)
    confirm("maps_reach_levels", student, rng)


@pytest.mark.points(2)
def test_the_output_convolutions_are_used(
    student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool
) -> None:
    """Each of the three 3 x 3 convolutions changes a level, and each level passes through one."""
    expect_sound(student, made(student), graded)
    _, output = pyramid_weights(made(student))
    if not output:
        raise CheckFailed("There is no 3 x 3 convolution from out_channels to out_channels.")
    changed = {name: moved(student)[name] for name in output}
    idle = [name for name, levels in changed.items() if not levels]
    if idle:
        said = f"The 3 x 3 convolution `{name_text(idle[0])}` changes nothing."
        raise CheckFailed(said, "An output convolution is never used.")
    bare = set(STRIDES) - set().union(*changed.values())
    if bare:
        level = min(bare)
        raise CheckFailed(f"No 3 x 3 convolution changes {level}.", f"{level} leaves without its output convolution.")
    confirm("outputs_are_run", student, rng)


@pytest.mark.points(1)
def test_all_six_convolutions_are_trained(
    student: Student, rng: torch.Generator, confirm: Callable[..., None], graded: bool
) -> None:
    """The gradients of the three levels reach each of the six convolutions, and the backbone."""
    expect_sound(student, made(student), graded)
    module = made(student)
    levels_of(module)
    module.train()
    lateral, output = pyramid_weights(module)
    gradients = module.gradients(IMAGES.repeat(2, 1, 1, 1), first_of="backbone.")
    module.eval()
    for name in (*lateral.values(), *output):
        expect_gradient(gradients.get(name), f"the convolution `{name_text(name)}`")
    first = next((name for name in gradients if name.startswith("backbone.")), "")
    expect_gradient(gradients.get(first), "the backbone")
    confirm("pyramid_gradients", student, rng)


@pytest.mark.points(0)  # from here on grading asks again with random weights and images, see the hidden half
def test_each_level_is_a_sum(student: Student, graded: bool) -> None:
    """With known weights each level is the sum it should be: nothing is multiplied, averaged, cut off or left out."""
    expect_sound(student, made(student), graded)
    module = made(student)
    outputs = outputs_by_level(student)
    lateral, _ = pyramid_weights(module)
    found = module.found(skip="backbone.")
    biases = {source: name.removesuffix("weight") + "bias" for source, name in lateral.items()}
    if not set(biases.values()) <= set(found):
        return  # layers without a bias are as right: only random weights show what they do
    known = still(found) | {biases[source]: torch.full((CHANNELS,), value) for source, value in PARTS.items()}
    known |= {outputs[level]: gain * pass_through() for level, gain in GAINS.items()}
    try:
        module.load(known)
        got = levels_of(module)
        module.load({name: -known[name] for name in biases.values()})
        opposite = levels_of(module)
    finally:
        module.load(found)
    if not any(levels[level].any() for levels in (got, opposite) for level in STRIDES):
        said = "All levels are zero, whatever the 1 x 1 convolutions give."
        raise CheckFailed(said, "Nothing of what the convolutions give reaches the levels: are they used in `forward`?")
    others = [name for name, p in found.items() if p.dim() == 4 and name not in {*lateral.values(), *outputs.values()}]
    right, handed_down_smoothed = SUMS
    if any(all(_is(got[level], value) for level, value in sums.items()) for sums in (right, handed_down_smoothed)):
        return
    level = next(level for level in ("p5", "p4", "p3") if not _is(got[level], right[level]))
    said = f"{level} should be {HOW[level]} = {right[level]:g} in every cell, but is "
    said += f"{numbers_text(torch.unique(got[level]))}. Here the 1 x 1 convolutions give c3 -1, c4 -10, c5 -100, "
    said += "and the 3 x 3 ones multiply: p3 by 5, p4 by 3, p5 by 2."
    half = any(all(_is(got[level], value) for level, value in sums.items()) for sums in HALF_SMOOTHED)
    named = (text for text, wrong in WRONG if _is(got[level], wrong.get(level, math.nan)))
    if others:
        text = (
            f"There is another layer, `{name_text(others[0])}`, whose weights are 0 here: `F.interpolate` enlarges a "
        )
        raise CheckFailed(said, text + "map without weights.")
    raise CheckFailed(said, TWO_WAYS if half else next(named, ""))


@pytest.mark.points(0)
def test_nothing_is_kept(student: Student) -> None:
    """The levels follow from the images alone: a second call gives the same, other images give others."""
    module = made(student)
    first, again, other = (expect_levels(module(images), STRIDES, "The result") for images in (SCENE, SCENE, -SCENE))
    for level in STRIDES:
        if not torch.equal(first[level], again[level]):
            raise CheckFailed(f"{level} of the same images is not the same at the second call.", UNSTEADY)
        if torch.equal(first[level], other[level]):
            text = "A second call gives what the first gave, though it had other images."
            raise CheckFailed(f"{level} is the same for other images.", text)


@pytest.mark.points(0)
def test_images_go_in_as_they_are(student: Student, graded: bool) -> None:
    """The backbone gets the images as they come, they stay as they are, and `fpn_strides` tells the strides."""
    module = made(student)
    expect_levels(module(SCENE), STRIDES, "The result")
    try:
        given = module.given_to("backbone", SCENE)
    except StudentError:  # it has another name, or `forward` stops: other checks say so
        given = []
    if any(images.shape == SCENE.shape and not torch.equal(images, SCENE) for images in given):
        text = "The images are changed on their way into the backbone (normalised again, divided?): they come ready."
        raise CheckFailed("The backbone gets other images than `forward` is given.", text)
    if graded:  # for what follows nothing is taken off
        return
    if module.writes_into(SCENE.clone()):
        text = "The images are changed in place (`/=`, `sub_`): a second call with them would give something else."
        raise CheckFailed("`forward` changes the images that it is given.", text)
    try:
        strides = module.get("fpn_strides")
    except StudentError:  # a method is no value that is handed out
        strides = None
    if strides != STRIDES:
        text = "`fpn_strides` is given, with `@property` in the line above it: is that line still there?"
        raise CheckFailed("`fpn_strides` does not give the strides of the levels.", text)


@pytest.mark.points(0)
def test_results_stay(student: Student) -> None:
    """The levels that a call gave stay what they are when the network is run on other images."""
    module = made(student)
    before = expect_levels(module(SCENE), STRIDES, "The result")
    after = expect_levels(module.in_turn([SCENE], [-SCENE])[0], STRIDES, "The result")
    for level in STRIDES:
        if not torch.equal(before[level], after[level]):
            if not torch.equal(expect_levels(module(SCENE), STRIDES, "The result")[level], before[level]):
                raise CheckFailed(f"{level} of the same images is not the same at the second call.", UNSTEADY)
            text = "Each call fills and hands out the same dictionary: make a new one in `forward`."
            raise CheckFailed(f"{level} of the first images is not the same after the second call.", text)


@pytest.mark.points(0)
def test_places_are_kept(student: Student) -> None:
    """Enlarged, each cell stays where it is, and each image of a batch gets levels of its own."""
    module = made(student)
    outputs, lateral = outputs_by_level(student), pyramid_weights(module)[0]
    found = module.found(skip="backbone.")
    images = torch.cat([SCENE, SCENE.flip(3)])
    module.load(still(found) | {lateral["c5"]: found[lateral["c5"]]} | dict.fromkeys(outputs.values(), pass_through()))
    try:
        got = expect_levels(module(images), STRIDES, "The result")
    finally:
        module.load(found)
    whole = expect_levels(module(images), STRIDES, "The result")
    alone = [expect_levels(module(image[None]), STRIDES, "The result") for image in images]
    for level in STRIDES:
        apart = torch.cat([levels[level] for levels in alone])
        if apart.shape == whole[level].shape and not torch.allclose(apart, whole[level], atol=1e-3, rtol=1e-3):
            again = expect_levels(module(images), STRIDES, "The result")
            if not torch.equal(again[level], whole[level]):
                raise CheckFailed(f"{level} of the same images is not the same at the second call.", UNSTEADY)
            said = f"{level} of two images differs from {level} of the same images one by one."
            raise CheckFailed(said, MIXED)
    for level, times in (("p4", 2), ("p3", 4)):
        small = got["p5"]
        tiles = {
            "The coarser map is tiled (four copies of it side by side), not enlarged.": small.repeat(
                1, 1, times, times
            ),
            "It is turned upside down.": small.flip(2).repeat_interleave(times, 2).repeat_interleave(times, 3),
            "It is mirrored.": small.flip(3).repeat_interleave(times, 2).repeat_interleave(times, 3),
        }
        blocks = small.repeat_interleave(times, 2).repeat_interleave(times, 3)
        for text, wrong in tiles.items():
            same = got[level].shape == wrong.shape and torch.allclose(got[level], wrong, atol=1e-4, rtol=1e-3)
            if same and not torch.allclose(blocks, wrong, atol=1e-4, rtol=1e-3):
                raise CheckFailed(f"c5 alone, enlarged to the size of {level}, is not what c5 looks like.", text)


MIXED = "The levels of a batch differ from those of its images one by one: images are mixed."


def outputs_by_level(student: Student) -> dict[str, str]:
    """The weights of the output convolutions by level: each is that of the coarsest level that it changes."""
    lateral, output = pyramid_weights(made(student))
    changed = {name: moved(student)[name] for name in output} if len(lateral) == len(output) == 3 else {}
    found = {max(levels): name for name, levels in changed.items() if levels}
    if set(found) != set(STRIDES):
        raise CheckFailed("This asks for six convolutions of which each is used: see the checks above.")
    return found


def still(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights, all of them zero."""
    return {name: torch.zeros_like(weight) for name, weight in weights.items()}


def pass_through() -> torch.Tensor:
    """Weights of a 3 x 3 convolution that gives what it gets."""
    kernel = torch.zeros(CHANNELS, CHANNELS, 3, 3)
    kernel[:, :, 1, 1] = torch.eye(CHANNELS)
    return kernel


def _is(got: torch.Tensor, value: float) -> bool:
    """Whether a tensor is one value everywhere."""
    return bool(((got - value).abs() <= 1e-3 * abs(value) + 1e-3).all())

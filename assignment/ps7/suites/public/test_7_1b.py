"""7.1 (b): the feature pyramid. Nothing here depends on what its layers are called."""

from collections.abc import Callable

import pytest
import torch

from autograder.checks.bounded import name_text
from autograder.checks.compare import CheckFailed, expect_gradient, expect_levels, expect_shape
from autograder.checks.student import Handle, Student

pytestmark = pytest.mark.exercise("7.1b")

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
        expect_shape(got[level], (len(IMAGES), CHANNELS, size[0] // stride, size[1] // stride), f"Level {level}")
    return got


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
        expect_shape(got[level], (2, CHANNELS, 64 // stride, 32 // stride), f"Level {level}")
    confirm("levels_are_made", student, rng)


@pytest.mark.points(2)
def test_the_six_convolutions(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """There are three 1 x 1 convolutions, one for each of c3, c4 and c5, and three 3 x 3 ones."""
    lateral, output = pyramid_weights(made(student))
    absent = [level for level in IN_CHANNELS if level not in lateral]
    if absent:
        channels = IN_CHANNELS[absent[0]]
        raise CheckFailed(f"There is no 1 x 1 convolution from the {channels} channels of {absent[0]} to out_channels.")
    if len(output) != 3:
        raise CheckFailed(f"Expected three 3 x 3 convolutions from out_channels to out_channels, found {len(output)}.")
    confirm("convolutions_are_run", student, rng)


@pytest.mark.points(3)
def test_which_level_depends_on_which_map(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """c5 reaches all three levels, c4 reaches p4 and p3, c3 reaches p3 alone."""
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
def test_the_output_convolutions_are_used(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """Each of the three 3 x 3 convolutions changes a level, and each level passes through one."""
    _, output = pyramid_weights(made(student))
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
def test_all_six_convolutions_are_trained(student: Student, rng: torch.Generator, confirm: Callable[..., None]) -> None:
    """The gradients of the three levels reach each of the six convolutions, and the backbone."""
    module = made(student)
    module.train()
    lateral, output = pyramid_weights(module)
    gradients = module.gradients(IMAGES.repeat(2, 1, 1, 1), first_of="backbone.")
    module.eval()
    for name in (*lateral.values(), *output):
        expect_gradient(gradients.get(name), f"the convolution `{name_text(name)}`")
    first = next((name for name in gradients if name.startswith("backbone.")), "")
    expect_gradient(gradients.get(first), "the backbone")
    confirm("pyramid_gradients", student, rng)

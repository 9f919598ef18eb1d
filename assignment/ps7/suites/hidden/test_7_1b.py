"""7.1 (b), the hidden half: the values."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from autograder.checks.compare import CheckFailed, expect_levels, expect_shape
from autograder.checks.student import Student
from suites.hidden.our_backbone import our_backbone
from suites.public.test_7_1b import CHANNELS, IN_CHANNELS, STRIDES, made, pyramid_weights

pytestmark = pytest.mark.exercise("7.1b")

LEVEL_OF = {"c3": "p3", "c4": "p4", "c5": "p5"}


@pytest.mark.points(4)
@pytest.mark.hint("Lateral convolution, plus the enlarged sum of the coarser level, then the output convolution.")
def test_values(student: Student, rng: torch.Generator) -> None:
    """Each level is the output convolution of the lateral map plus the enlarged coarser one."""
    module = made(student)
    weights = known_weights(module, rng)
    backbone = our_backbone(student, module, rng)
    backbone.settle(module)
    images = torch.randn(3, 3, 64, 96, generator=rng)
    maps = backbone.maps(images)
    got = expect_levels(module(images), STRIDES, "The result")
    module.load(module.found(skip="backbone."))
    for level, stride in STRIDES.items():
        expect_shape(got[level], (3, CHANNELS, 64 // stride, 96 // stride), f"Level {level}")
    rights = []
    for choice in itertools.product(MODES, (False, True)):  # the commonest first
        rights.append(usual_pyramid(maps, weights, *choice))
        if _close(got, rights[-1]):
            break
    else:
        wrong = [level for level in STRIDES if not any(_close_on(got, right, level) for right in rights)]
        said = f"{', '.join(wrong) or 'The levels together'}: other values than any usual pyramid gives."
        raise CheckFailed(said, public_text=said)


MODES: tuple[dict[str, object], ...] = (
    {"mode": "nearest"},
    {"mode": "bilinear", "align_corners": False},
    {"mode": "bilinear", "align_corners": True},
)


def known_weights(module, rng: torch.Generator) -> dict[str, torch.Tensor]:  # type: ignore[no-untyped-def]
    """Equal weights for layers of equal shape, so that no name matters; biases zero."""
    lateral, output = pyramid_weights(module)
    if len(lateral) < 3 or len(output) != 3:
        raise CheckFailed(
            "The six convolutions are not all there.", public_text="The six convolutions are not all there."
        )
    known = {level: 0.05 * torch.randn(CHANNELS, c, 1, 1, generator=rng) for level, c in IN_CHANNELS.items()}
    known["output"] = 0.1 * torch.randn(CHANNELS, CHANNELS, 3, 3, generator=rng)
    biases = {name: torch.zeros_like(p) for name, p in module.found(skip="backbone.").items() if p.dim() == 1}
    module.load(
        biases | {lateral[level]: known[level] for level in IN_CHANNELS} | dict.fromkeys(output, known["output"])
    )
    return known


def usual_pyramid(
    maps: dict[str, torch.Tensor], known: dict[str, torch.Tensor], how: dict[str, object], after: bool
) -> dict[str, torch.Tensor]:
    """The pyramid, with one way of enlarging, handing down sums or (`after`) outputs."""
    levels: dict[str, torch.Tensor] = {}
    coarser = None
    for source in ("c5", "c4", "c3"):
        total = F.conv2d(maps[source], known[source])
        if coarser is not None:
            total = total + F.interpolate(coarser, size=total.shape[-2:], **how)  # type: ignore[arg-type]
        out = F.conv2d(total, known["output"], padding=1)
        levels[LEVEL_OF[source]] = out
        coarser = out if after else total
    return levels


def _close(got: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(_close_on(got, right, level) for level in STRIDES)


def _close_on(got: dict[str, torch.Tensor], right: dict[str, torch.Tensor], level: str) -> bool:
    scale = float(right[level].abs().max()) + 1e-6
    return bool((got[level] - right[level]).abs().max() <= 2e-3 * scale)

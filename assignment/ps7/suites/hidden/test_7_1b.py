"""7.1 (b), the hidden half: the values.

Values that a fault makes which other checks are about (a level that nothing is handed down to, an output convolution
that is not used) are not charged here again.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from autograder.checks.compare import CheckFailed, expect_close, expect_levels, expect_shape, expect_tensor
from autograder.checks.student import Student
from suites.hidden.our_backbone import our_backbone
from suites.hidden.pyramid_runs import levels_are_made
from suites.public import test_7_1b as public
from suites.public.test_7_1b import CHANNELS, IN_CHANNELS, STRIDES, made, pyramid_weights

pytestmark = pytest.mark.exercise("7.1b")

GIVEN_ATTRIBUTES = public.GIVEN_ATTRIBUTES

LEVEL_OF = {"c3": "p3", "c4": "p4", "c5": "p5"}
SQUARE, WIDE = (64, 64), (64, 96)


@dataclass(frozen=True)
class Way:
    """How a pyramid is made.

    Attributes:
        how: The ways of enlarging, for `F.interpolate`: c5 to c4, and c4 to c3.
        after: Whether outputs are handed down, in place of sums.
        alone: Maps that nothing is added to, "c4" say.
        lost: Maps whose place the enlarged one takes.
        short: Maps of which the lateral part alone is handed down, not the sum.
        skipped: Maps that are not handed down: the one before them is, in their place.
        bare: Maps whose level leaves without its output convolution.
        padding: What the output convolutions pad with, for `F.pad`.
    """

    how: tuple[dict[str, object], dict[str, object]]
    after: bool = False
    alone: frozenset[str] = field(default_factory=frozenset)
    lost: frozenset[str] = field(default_factory=frozenset)
    short: frozenset[str] = field(default_factory=frozenset)
    skipped: frozenset[str] = field(default_factory=frozenset)
    bare: frozenset[str] = field(default_factory=frozenset)
    padding: str = "constant"


MODES: tuple[dict[str, object], ...] = (
    {"mode": "nearest"},
    {"mode": "bilinear", "align_corners": False},
    {"mode": "bilinear", "align_corners": True},
)
CUBIC: tuple[dict[str, object], ...] = (
    {"mode": "bicubic", "align_corners": False},
    {"mode": "bicubic", "align_corners": True},
    {"mode": "bicubic", "align_corners": False, "antialias": True},
)
PADDINGS = ("replicate", "reflect", "circular")  # the text asks for the size alone
FAULTS: tuple[dict[str, Any], ...] = (
    {},
    *({name: frozenset({source})} for name in ("alone", "lost") for source in ("c3", "c4")),
    *({name: frozenset({"c4"})} for name in ("short", "skipped")),
    *({"bare": frozenset({source})} for source in ("c3", "c4", "c5")),
)


def ways() -> Iterator[Way]:
    """The right ones, the commonest first, then those with a fault that other checks are about."""
    yield from right_ways()
    for fault, how, after in itertools.product(FAULTS[1:], MODES, (False, True)):
        yield Way((how, how), after, **fault)


def right_ways() -> Iterator[Way]:
    """Sums or outputs handed down, in any way of enlarging for either step, padded with anything."""
    for how, after in itertools.product(MODES, (False, True)):
        yield Way((how, how), after)
    for first, second, after in itertools.product((*MODES, *CUBIC), (*MODES, *CUBIC), (False, True)):
        if first is not second or first in CUBIC:
            yield Way((first, second), after)
    for padding, how, after in itertools.product(PADDINGS, MODES, (False, True)):
        yield Way((how, how), after, padding=padding)


@pytest.mark.points(3)
@pytest.mark.hint("Lateral convolution, plus the enlarged sum of the coarser level, then the output convolution.")
def test_values(student: Student, rng: torch.Generator) -> None:
    """Each level is the output convolution of the lateral map plus the enlarged coarser one."""
    _expect_a_way(student, rng, SQUARE)


@pytest.mark.points(0.5)
@pytest.mark.hint("These images are wider than high: the maps need not be square.")
def test_values_of_wide_images(student: Student, rng: torch.Generator) -> None:
    """So it is for images that are not square."""
    _expect_a_way(student, rng, WIDE)


@pytest.mark.points(0.5)
@pytest.mark.hint("The network runs twice, then the first result is looked at: does each call make its own dictionary?")
def test_levels_stay(student: Student, solution: Student, rng: torch.Generator) -> None:
    """The levels of some images stay what they are when the network is run on others."""
    levels_are_made(solution, student, rng)  # else what stays is nothing
    module = made(student)
    images = torch.randn(2, 1, 3, 32, 32, generator=rng)
    before = expect_levels(module(images[0]), STRIDES, "The result")
    results = module.in_turn([images[0]], [images[1]])
    if not isinstance(results, list) or len(results) != 2:
        raise CheckFailed("Your code's process gave no result for each call.")
    after = expect_levels(results[0], STRIDES, "The result")
    for level in STRIDES:
        expect_close(after[level], expect_tensor(before[level], level), f"Level {level}, looked at later", rtol=1e-3)


def _expect_a_way(student: Student, rng: torch.Generator, size: tuple[int, int]) -> None:
    """Fail unless the pyramid is made in one of the known ways."""
    found = way_of(student, rng, size)
    if isinstance(found, str):
        said = f"{found}: other values than any usual pyramid gives."
        raise CheckFailed(said, public_text=said)


def way_of(student: Student, rng: torch.Generator, size: tuple[int, int] = SQUARE) -> Way | str:
    """How a pyramid is made, as its values for images of a size tell, or else which levels are wrong; asked once."""
    return student.once(f"way of the pyramid {size}", lambda: _way_of(student, rng, size))


def _way_of(student: Student, rng: torch.Generator, size: tuple[int, int]) -> Way | str:
    module = made(student)
    weights = known_weights(module, rng)
    backbone = our_backbone(student, module, rng)
    backbone.settle(module)
    images = torch.randn(2, 3, *size, generator=rng)
    maps = backbone.maps(images)
    got = expect_levels(module(images), STRIDES, "The result")
    module.load(module.found(skip="backbone."))
    for level, stride in STRIDES.items():
        expect_shape(got[level], (2, CHANNELS, size[0] // stride, size[1] // stride), f"Level {level}")
    rights = []
    for way in ways():
        rights.append(usual_pyramid(maps, weights, way))
        if _close(got, rights[-1]):
            return way
    rights = rights[: len(list(right_ways()))]
    wrong = [level for level in STRIDES if not any(_close_on(got, right, level) for right in rights)]
    return ", ".join(wrong) or "The levels together"


def known_weights(module, rng: torch.Generator) -> dict[str, torch.Tensor]:  # type: ignore[no-untyped-def]
    """Equal weights for layers of equal shape, so that no name matters; biases zero."""
    lateral, output = pyramid_weights(module)
    if len(lateral) < 3 or not output:
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


def usual_pyramid(maps: dict[str, torch.Tensor], known: dict[str, torch.Tensor], way: Way) -> dict[str, torch.Tensor]:
    """The levels of a pyramid that is made in some way."""
    levels: dict[str, torch.Tensor] = {}
    coarser: torch.Tensor | None = None
    for source in ("c5", "c4", "c3"):
        total = lateral = F.conv2d(maps[source], known[source])
        if coarser is not None and source not in way.alone:
            how = way.how[source == "c3"]
            enlarged = F.interpolate(coarser, size=total.shape[-2:], **how)  # type: ignore[arg-type]
            total = enlarged if source in way.lost else total + enlarged
        padded = F.pad(total, (1, 1, 1, 1), mode=way.padding)
        out = total if source in way.bare else F.conv2d(padded, known["output"])
        levels[LEVEL_OF[source]] = out
        if source not in way.skipped:
            coarser = lateral if source in way.short else out if way.after else total
    return levels


def _close(got: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(_close_on(got, right, level) for level in STRIDES)


def _close_on(got: dict[str, torch.Tensor], right: dict[str, torch.Tensor], level: str) -> bool:
    scale = float(right[level].abs().max()) + 1e-6
    return bool((got[level] - right[level]).abs().max() <= 2e-3 * scale)

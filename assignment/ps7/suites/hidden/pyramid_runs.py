"""7.1 (b): whether the pyramid's levels are made from the backbone's maps by its six convolutions.

What the public checks see, levels of the right shapes that move with the weights, code can pretend that enlarges
nothing and runs no layer. On staff's machines a pyramid is tried on weights and images of ours, see `nudges.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from autograder.checks.compare import CheckFailed, expect_levels, expect_shape
from autograder.checks.student import Handle, Student
from autograder.runtime.errors import StudentError
from suites.hidden.elsewhere import quietly, refuse
from suites.hidden.nudges import WAYS, Pairs, changes, most, pretended, seen, unseen, visible
from suites.hidden.our_backbone import our_backbone
from suites.public.test_7_1b import CHANNELS, IN_CHANNELS, REACHES, STRIDES, made, pyramid_weights

Tensors = dict[str, torch.Tensor]
Ask = Callable[[Tensors, torch.Tensor], Tensors]
_IDLE = (
    "With other weights and images the levels do not follow from what the convolutions make of the backbone's maps: "
    "are the layers run?"
)


@dataclass(frozen=True)
class Runs:
    """What a pyramid was seen to do.

    Attributes:
        moved: By name of a convolution's weight, the levels that change when it does, and with the images.
        idle: Names of weights that change a level where they cannot: the convolution is not run.
    """

    moved: dict[str, set[str]]
    idle: set[str]

    @property
    def any(self) -> bool:
        """Whether one convolution at least is run on what the backbone gives, or on what came of that."""
        return any(levels and name not in self.idle for name, levels in self.moved.items())


def runs(student: Student, rng: torch.Generator) -> Runs:
    """See what a pyramid does; asked once.

    Raises:
        CheckFailed: What it gives for images of another size are not three levels of the right shapes.
        StudentError: It gives nothing.
    """
    return student.once("pyramid runs", lambda: _seen(student, rng))


def _seen(student: Student, rng: torch.Generator) -> Runs:
    module = made(student)
    backbone = our_backbone(student, module, rng)
    own, inner = module.found(skip="backbone."), Pairs(rng, CHANNELS)
    convolutions = {name: p for name, p in own.items() if p.dim() == 4}
    pairs_of = dict.fromkeys(IN_CHANNELS.values(), backbone.pairs) | {CHANNELS: inner}
    read = {name: pairs_of[p.shape[1]] for name, p in convolutions.items() if p.shape[1] in pairs_of}
    weights = {name: inner.twice(0.1 * torch.randn(p.shape, generator=rng)) for name, p in convolutions.items()}
    weights |= {name: inner.twice(p) for name, p in own.items() if p.dim() == 1}
    if not read:  # none is registered: then the levels follow the backbone's own layers, or nothing
        name, weight = backbone.last_layer
        read, weights = {name: backbone.pairs}, {name: weight}

    as_they_were = dict(weights)  # what the next request has to put right

    def again(changed: Tensors, images: torch.Tensor) -> Tensors:
        if loaded := as_they_were | changed:
            module.load(loaded)
        as_they_were.clear()
        as_they_were.update({name: weights[name] for name in changed})
        return _levels(module, images)

    def afresh(changed: Tensors, images: torch.Tensor) -> Tensors:
        other = student.shallow("DetectorBackboneWithFPN", out_channels=CHANNELS)
        other.eval()
        backbone.put_into(other)
        other.load(weights | changed)
        return _levels(other, images)

    with contextlib.suppress(CheckFailed):
        try:
            found = _Trial(again, weights, read, rng).runs()
            if found.any and not found.idle:
                return found
        finally:
            with contextlib.suppress(StudentError):  # where the process has ended there is nothing to put right
                module.load(own | {name: weight for name, weight in weights.items() if name not in own})
    # Something may be kept from call to call, which is another fault: then each question goes to a new module.
    return _Trial(afresh, weights, read, rng).runs()


class _Trial:
    """Questions to one pyramid.

    Args:
        ask: Gives the levels for changed weights and images.
        weights: What the weights are otherwise.
        read: By name of a convolution's weight, the pairs of what it reads.
        rng: What images and changes are drawn from.
    """

    def __init__(self, ask: Ask, weights: Tensors, read: dict[str, Pairs], rng: torch.Generator) -> None:
        self._ask, self._weights, self._read, self._rng = ask, weights, read, rng
        self._images, others = torch.randn(2, 1, 3, *_size(rng), generator=rng)
        self._before = ask({}, self._images)
        self._follow = set(visible(changes(self._before, ask({}, others))))  # what no image changes is made from none

    def runs(self) -> Runs:
        """See what each convolution does."""
        shown = {name: self._shown(name) for name in self._read}
        least = {level: min((s[level] for s in shown.values() if level in s), default=0.0) for level in STRIDES}
        idle: set[str] = set()
        if pretended(self._hidden(*self._read), {level: much for level, much in least.items() if much}):  # all at once
            idle = {name for name in self._read if pretended(self._hidden(name), shown[name])}
        idle = {name for name in idle if not self._slides(name)}
        return Runs({name: set(much) for name, much in shown.items()}, idle)

    def _hidden(self, *names: str) -> dict[str, float]:
        """By how much levels change at most where some weights change so that nothing can."""
        ways = [
            {name: unseen(self._weights[name], self._read[name], self._rng, sign) for name in names} for sign in WAYS
        ]
        return most(*map(self._changed, ways))

    def _shown(self, name: str) -> dict[str, float]:
        after = self._ask({name: seen(self._weights[name], self._read[name], self._rng)}, self._images)
        much = visible(changes(self._before, after))
        varied = {level for level in much if _varies(after[level] - self._before[level])}
        return {level: amount for level, amount in much.items() if level in self._follow & varied}

    def _changed(self, weights: Tensors) -> dict[str, float]:
        return changes(self._before, self._ask(weights, self._images))

    def _slides(self, name: str) -> bool:
        """Whether a 3 x 3 convolution is one, whatever it reads: with its weight in a corner the result is shifted.

        Wrong solutions that multiply maps, say, do not keep what is special about pairs of channels.
        """
        weight = self._weights[name].clone()
        if tuple(weight.shape) != (CHANNELS, CHANNELS, 3, 3):
            return False
        images = torch.randn(1, 3, 96, 128, generator=self._rng)
        weight[:2] = 0.0
        before = self._ask({name: weight}, images)
        weight[0, :, 1, 1] = weight[1, :, 0, 0] = torch.rand(CHANNELS, generator=self._rng) - 0.3
        after = self._ask({name: weight}, images)
        apart = {level: (after[level] - before[level])[0] for level in STRIDES}
        moved = [level for level in ("p5", "p4", "p3") if bool((apart[level].abs() > 1e-5).any())]
        if not moved:
            return False
        middle, corner = apart[moved[0]][0, :-1, :-1], apart[moved[0]][1, 1:, 1:]
        scale = float(middle.abs().max())
        return float(middle.std()) > 1e-3 * scale and bool(((middle - corner).abs() <= 1e-3 * scale).all())


def _varies(difference: torch.Tensor) -> bool:
    """Whether what a weight changes of a level `(1, C, H, W)` differs between its cells: else that is no map."""
    spread = (difference - difference.mean(dim=(2, 3), keepdim=True)).abs().amax()
    return bool(spread > 1e-2 * difference.abs().amax())


def _levels(module: Handle, images: torch.Tensor) -> Tensors:
    got: Tensors = expect_levels(module(images), STRIDES, "The result")
    height, width = images.shape[2:]
    for level, stride in STRIDES.items():
        expect_shape(got[level], (len(images), CHANNELS, height // stride, width // stride), f"Level {level}")
    return {level: got[level] for level in STRIDES}


def _size(rng: torch.Generator) -> tuple[int, int]:
    """A height and another width; each level has cells enough in both."""
    sizes = (torch.randperm(3, generator=rng)[:2] + 1).tolist()
    return 32 * sizes[0], 32 * sizes[1]


# What public checks confirm.


def levels_are_made(_: Student, student: Student, rng: torch.Generator) -> None:
    """Levels of the right shapes count where some convolution makes them."""
    with quietly(_IDLE):
        if not runs(student, rng).any:
            raise refuse(_IDLE)


def convolutions_are_run(_: Student, student: Student, rng: torch.Generator) -> None:
    """Six convolutions count also where `forward` is not done, but not where it passes them by."""
    try:
        found = runs(student, rng)
    except (CheckFailed, StudentError):
        return
    if not found.any:
        raise refuse(_IDLE)


def maps_reach_levels(_: Student, student: Student, rng: torch.Generator) -> None:
    """What each map reaches, it reaches through its convolution."""
    lateral, _output = pyramid_weights(made(student))
    with quietly(_IDLE):
        found = runs(student, rng)
        for source, levels in REACHES.items():
            if found.moved[lateral[source]] != levels or lateral[source] in found.idle:
                raise refuse(_IDLE)


def outputs_are_run(_: Student, student: Student, rng: torch.Generator) -> None:
    """Each output convolution reads what the maps gave, and each level comes out of one."""
    _lateral, output = pyramid_weights(made(student))
    with quietly(_IDLE):
        found = runs(student, rng)
        reached = [found.moved[name] for name in output if name not in found.idle]
        if len(reached) < len(output) or not all(reached) or set().union(*reached) != set(STRIDES):
            raise refuse(_IDLE)

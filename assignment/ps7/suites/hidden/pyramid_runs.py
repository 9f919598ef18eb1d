"""7.1 (b): whether the pyramid's levels are made from the backbone's maps by its six convolutions.

What the public checks see, levels of the right shapes that move with the weights, code can pretend that enlarges
nothing and runs no layer. On staff's machines a pyramid is tried on weights and images of ours, see `nudges.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from autograder.checks.compare import CheckFailed, expect_levels, expect_shape
from autograder.checks.student import Handle, Student
from autograder.runtime.errors import StudentError
from suites.hidden.elsewhere import quietly, refuse
from suites.hidden.nudges import Pairs, changes, pretended, seen, unseen, visible
from suites.hidden.our_backbone import our_backbone
from suites.public.test_7_1b import CHANNELS, IN_CHANNELS, REACHES, STRIDES, made, pyramid_weights

Tensors = dict[str, torch.Tensor]
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
    outer, inner = our_backbone(student, module, rng).pairs, Pairs(rng, CHANNELS)
    own = module.found(skip="backbone.")
    convolutions = {name: p for name, p in own.items() if p.dim() == 4}
    read = dict.fromkeys(IN_CHANNELS.values(), outer) | {CHANNELS: inner}
    pairs = {name: read[p.shape[1]] for name, p in convolutions.items() if p.shape[1] in read}
    weights = {name: inner.twice(0.1 * torch.randn(p.shape, generator=rng)) for name, p in convolutions.items()}
    weights |= {name: inner.twice(p) for name, p in own.items() if p.dim() == 1}
    try:
        return _moves(module, weights, pairs, rng)
    finally:
        _put_back(module, own)


def _put_back(module: Handle, own: Tensors) -> None:
    try:
        module.load(own)
    except StudentError:  # the process has ended: there is nothing to put right
        return


def _moves(module: Handle, weights: Tensors, read: dict[str, Pairs], rng: torch.Generator) -> Runs:
    module.load(weights)
    images, others = torch.randn(2, 1, 3, *_size(rng), generator=rng)
    before = _levels(module, images)
    follow = visible(changes(before, _levels(module, others)))  # what never changes with the images comes of none

    def change(changed: Tensors) -> dict[str, float]:
        """How other weights change the levels, all else being as before."""
        module.load(weights | changed)
        return changes(before, _levels(module, images))

    shown = {}
    for name in read:
        much = visible(change({name: seen(weights[name], rng)}))
        shown[name] = {level: amount for level, amount in much.items() if level in follow}
    least = {level: min((much[level] for much in shown.values() if level in much), default=0.0) for level in STRIDES}
    cannot = {name: unseen(weights[name], pairs, rng) for name, pairs in read.items()}
    doubted = pretended(change(cannot), {level: much for level, much in least.items() if much})  # all at once
    idle = {name for name in read if doubted and pretended(change({name: cannot[name]}), shown[name])}
    return Runs({name: set(much) for name, much in shown.items()}, idle)


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

"""7.1 (c): whether the predictions are made from the features by the network's layers.

What the public checks see, rows that move with a cell and predictions that move with a stem's bias, code can pretend
that runs no layer. On staff's machines a network is tried on weights and features of ours, see `nudges.py`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from autograder.runtime.errors import StudentError
from suites.hidden.elsewhere import quietly, refuse
from suites.hidden.nudges import WAYS, Pairs, changes, most, one_of, pretended, seen, times, unseen, visible
from suites.public.network_faults import convolutions, features, layers, three
from suites.public.test_7_1c import FEEDS

Tensors = dict[str, torch.Tensor]
_CHANNELS = 16
_NARROWEST = 12
_IDLE = (
    "With other weights and features the predictions do not follow from what the layers make of the features: are the "
    "layers run?"
)
_OTHER_LAYERS = "For other arguments the network has other layers than these ask for."
# Channels and widths of the public check of the stems.
_STEMS: tuple[tuple[int, list[int]], ...] = ((16, [12, 8]), (16, [8, 12, 20]))
_KINDS: tuple[list[Any], ...] = ([3, _CHANNELS, [16, 16]], [20, _CHANNELS, [_NARROWEST, 16]])  # as in public checks


class OtherLayers(CheckFailed):
    """A network was seen to have other layers where others are asked for."""


@dataclass(frozen=True)
class Layer:
    """What a layer was seen to do: whether a change that cannot show does, and what moves with it and the features."""

    pretends: bool
    moves: set[int]


class Trial:
    """A network with random weights and features: of whatever its layers read, each second channel is twice another.

    Its convolutions look at one cell each. Their weights are in pairs as well, others: of the features of a cell, so
    much can be taken from one channel and put into another that no convolution sees it.

    Args:
        student: Whose.
        arguments: What the network is made with.
        rng: What numbers are drawn from.
    """

    def __init__(self, student: Student, arguments: list[Any], rng: torch.Generator) -> None:
        self._rng = rng
        self._module: Handle = student.new("FCOSPredictionNetwork", *arguments)
        self._module.eval()
        expect_layers_asked_for(student, self._module, *arguments[1:])
        self._pairs, self._deaf = (Pairs(rng, _NARROWEST, _CHANNELS - _NARROWEST) for _ in range(2))
        self._shapes = {name: p for name, p in layers(self._module).items() if p.dim() == 4}
        self._weights = {name: self._drawn(p) for name, p in layers(self._module).items()}
        self._maps = self._features()
        self._module.load(self._weights)
        self._before = self._predicted(self._maps)
        self._follow = visible(changes(self._before, self._predicted(self._features())))

    def _features(self) -> Tensors:
        """Positive maps `(1, 16, H, W)`."""
        drawn = {k: torch.rand(f.shape, generator=self._rng) + 0.5 for k, f in features(_CHANNELS, batch=1).items()}
        return {level: self._pairs.twice(f.transpose(0, 1)).transpose(0, 1) for level, f in drawn.items()}

    def _drawn(self, parameter: torch.Tensor) -> torch.Tensor:
        """Positive weights, so that no ReLU hides anything, of the middle cell alone; no biases."""
        made = torch.zeros_like(parameter)
        if parameter.dim() == 4:
            middle = (..., parameter.shape[2] // 2, parameter.shape[3] // 2)
            drawn = 0.5 + torch.rand(parameter.shape[:2], generator=self._rng)
            drawn = self._pairs.twice(self._deaf.twice(drawn.T).T)
            made[middle] = drawn / drawn.sum(dim=1).mean()  # a layer gives about what it reads
        return made

    def _predicted(self, maps: Tensors) -> Tensors:
        """The predictions for some features, by "kind/level"."""
        got = three(self._module(maps))
        return {f"{kind}/{level}": got[kind][level] for kind in range(3) for level in maps}

    def convolutions(self) -> list[str]:
        """Names of the weights of convolutions, in order."""
        return list(self._shapes)

    def layer(self, name: str) -> Layer:
        """What a layer does."""
        weight = self._weights[name]
        try:
            shown = self._changed({name: seen(weight, self._pairs, self._rng)})
            hidden = most(*(self._changed({name: unseen(weight, self._pairs, self._rng, k)}) for k in WAYS))
        finally:
            self._module.load({name: weight})
        shown = {key: much for key, much in visible(shown).items() if key in self._follow}
        alone = len(self._pairs.among(weight.shape[1])[0]) == 0  # it reads one channel: no change can be kept unseen
        return Layer(alone or pretended(hidden, shown), {int(key[0]) for key in shown})

    def runs(self) -> bool:
        """Whether a prediction is made by the convolution that is named after it; where none is, by any layer."""
        kinds = {f"pred_{name}.weight": kind for kind, name in enumerate(("cls", "box", "ctr"))}
        named = [name for name in self.convolutions() if name in kinds]
        asked = ((name, self.layer(name)) for name in named or self.convolutions())
        return any(
            layer.moves and not layer.pretends and kinds.get(n, min(layer.moves)) in layer.moves for n, layer in asked
        )

    def _changed(self, weights: Tensors) -> dict[str, float]:
        self._module.load(weights)
        return changes(self._before, self._predicted(self._maps))

    def rows(self, cells: dict[str, tuple[int, int]], sign: float, *, visibly: bool) -> dict[str, list[int]]:
        """Rows of each prediction, by "kind/level", that change with a cell of each of some levels.

        Args:
            cells: Row and column of a cell, by level.
            sign: Which way, and how far, what no layer sees of a cell changes.
            visibly: Whether what layers see of it changes, too.
        """
        maps = {level: feature.clone() for level, feature in self._maps.items()}
        for level, (i, j) in cells.items():
            first, second = self._deaf.among(_CHANNELS)
            more = sign * times(self._rng) * (1 + torch.rand(len(first), generator=self._rng))
            maps[level][0, first, i, j] += 2 * more
            maps[level][0, second, i, j] -= more
            if visibly:
                maps[level][0, :, i, j] += 1 + torch.rand(_CHANNELS, generator=self._rng)
        found = {}
        for key, after in self._predicted(maps).items():
            before = self._before[key]
            shape = before.shape == after.shape and before.dim() == 3
            least = 1e-4 * float(before.abs().max()) if shape else 0.0
            found[key] = ((after - before).abs().sum(dim=-1)[0] > least).nonzero().flatten().tolist() if shape else [-1]
        return found


def expect_layers_asked_for(student: Student, module: Handle, channels: int, stem_channels: list[int]) -> None:
    """Fail if a network's stems are not those of its arguments, though they are where the public check asks.

    Else code could name layers that suit each question. Stems that are wrong everywhere lose their own check's points.
    """
    if not _are_asked_for(module, channels, stem_channels) and _stems_are_right(student):
        raise OtherLayers(_OTHER_LAYERS, public_text=_OTHER_LAYERS)


def _stems_are_right(student: Student) -> bool:
    """Whether they are where the public check asks; asked once."""

    def look() -> bool:
        return all(
            _are_asked_for(student.new("FCOSPredictionNetwork", 5, channels, widths), channels, widths)
            for channels, widths in _STEMS
        )

    return student.once("stems are right", look)


def _are_asked_for(module: Handle, channels: int, widths: list[int]) -> bool:
    shapes = [(after, before, 3, 3) for before, after in zip([channels, *widths], widths, strict=False)]
    return all(convolutions(module, stem) == shapes for stem in ("stem_cls", "stem_box"))


def trial(student: Student, rng: torch.Generator) -> Trial:
    """The network of three classes; made once."""
    return student.once("network trial", lambda: Trial(student, _KINDS[0], rng))


def _last_of_stem(student: Student, rng: torch.Generator, stem: str) -> Layer:
    """What the last layer of a stem does; asked once."""

    def look() -> Layer:
        tried = trial(student, rng)
        names = [name for name in tried.convolutions() if name.startswith(f"{stem}.")]
        if not names:
            raise refuse(_IDLE)
        return tried.layer(names[-1])

    return student.once(f"last of {stem}", look)


def _runs(student: Student, rng: torch.Generator) -> bool:
    """Whether one convolution at least is run on the features, or on what came of them; asked once.

    Raises:
        CheckFailed, StudentError: It gives no predictions, however it is made.
    """
    return student.once("network runs", lambda: _any_runs(student, rng))


def _any_runs(student: Student, rng: torch.Generator) -> bool:
    given: list[bool] = []
    problem: Exception | None = None
    for arguments in _KINDS:
        try:
            tried = trial(student, rng) if arguments is _KINDS[0] else Trial(student, arguments, rng)
            given.append(True)
            if tried.runs():
                return True
        except (CheckFailed, StudentError) as error:
            problem = error
    if problem is not None and not given:
        raise problem
    return False


# What public checks confirm.


def predictions_are_made(_: Student, student: Student, rng: torch.Generator) -> None:
    """Predictions of the right shapes, and logits, count where some layer makes them."""
    with quietly(_IDLE):
        if not _runs(student, rng):
            raise refuse(_IDLE)


def layers_are_run(_: Student, student: Student, rng: torch.Generator) -> None:
    """Layers count also where `forward` is not done, but not where it passes them by."""
    try:
        found = _runs(student, rng)
    except OtherLayers:
        raise
    except (CheckFailed, StudentError):
        return
    if not found:
        raise refuse(_IDLE)


def rows_follow_cells(_: Student, student: Student, rng: torch.Generator) -> None:
    """The row of another cell is where it belongs, and it moves with what the layers see of the cell."""
    with quietly(_IDLE):
        tried = trial(student, rng)
        sizes = {level: tuple(feature.shape[2:]) for level, feature in features(1).items() if level != "p5"}
        cells = {level: tuple(int(torch.randint(n, (), generator=rng)) for n in size) for level, size in sizes.items()}
        wanted = {level: [cells[level][0] * sizes[level][1] + cells[level][1]] for level in cells}
        found = tried.rows(cells, one_of(rng), visibly=True)  # type: ignore[arg-type]
        hidden = [tried.rows(cells, sign, visibly=False) for sign in WAYS]  # type: ignore[arg-type]
        for kind, level in itertools.product(range(3), cells):
            if found[f"{kind}/{level}"] != wanted[level] or any(rows[f"{kind}/{level}"] for rows in hidden):
                raise refuse(_IDLE)


def stems_feed_predictions(_: Student, student: Student, rng: torch.Generator) -> None:
    """What each stem feeds, it feeds through its layers."""
    with quietly(_IDLE):
        for stem, kinds in FEEDS.items():
            layer = _last_of_stem(student, rng, stem)
            if layer.pretends or layer.moves != kinds:
                raise refuse(_IDLE)

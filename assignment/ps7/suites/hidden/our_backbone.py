"""The backbone of 7.1 (b) as the course computes it: its weights are ours, so its maps are known without asking.

Maps, and weights to make them from, that a student's process states are its own word: with zeros for both, every
pyramid is right. So weights are drawn here and loaded into the student's module, and the maps for an image follow.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torchvision.models import feature_extraction, regnet

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from autograder.runtime.errors import StudentError
from autograder.runtime.shallow_backbone import shallow_models
from suites.hidden.draws import drawn_once
from suites.hidden.nudges import Pairs

Tensors = dict[str, torch.Tensor]

_NODES = {"trunk_output.block2": "c3", "trunk_output.block3": "c4", "trunk_output.block4": "c5"}
_ONLY_FULL = "trunk_output.block4.block4-1."
_GROUP = 16  # channels of a group of RegNetX-400MF's convolutions: both of a pair lie in the same one
_WIDEST = 400  # channels of the last stage


class OurBackbone:
    """Random weights of a RegNetX-400MF, in a student's module and in one of ours.

    In each of its maps every channel is half or twice another one, see `pairs`, for whatever image; nothing else is
    special about them.

    Args:
        module: The student's, whose backbone is overwritten.
        rng: What weights are drawn from.

    Raises:
        CheckFailed: The module has no such backbone.
        StudentError: Student code failed.
    """

    def __init__(self, module: Handle, rng: torch.Generator) -> None:
        self.pairs = Pairs(rng, *[_GROUP] * (_WIDEST // _GROUP))
        self._prefix, self._full = "backbone.", False
        self._tensors = self._drawn(rng)
        try:
            module.load(self._named())
        except StudentError as error:
            if error.kind != "KeyError":
                raise
            self._prefix, self._full = _place_in(module)  # a right solution may have needed the full network
            self._tensors = self._drawn(rng)
            module.load(self._named())

    def _drawn(self, rng: torch.Generator) -> Tensors:
        full, pairs = self._full, self.pairs  # drawn from `rng` just now: its state says which they are
        return drawn_once(f"backbone, {full}", rng, lambda: _drawn(full, pairs, rng))

    @property
    def last_layer(self) -> tuple[str, torch.Tensor]:
        """Name and weight of a convolution that reads c4, on the way to c5."""
        return next((n, t) for n, t in self._named().items() if "trunk_output.block4." in n and t.dim() == 4)

    def put_into(self, module: Handle) -> None:
        """Overwrite the backbone of another module of the same class."""
        module.load(self._named())

    def settle(self, module: Handle) -> None:
        """Put the statistics of the module's normalisation back: a run in training mode moves them."""
        module.load({name: tensor for name, tensor in self._named().items() if ".running_" in name})

    def maps(self, images: torch.Tensor, *, train: bool = False) -> Tensors:
        """The maps c3, c4 and c5 of images `(B, 3, H, W)`, in training or in evaluation mode."""
        with torch.no_grad():
            found: Tensors = self._ours(train)(images)
        return found

    def first_gradient(
        self, images: torch.Tensor, of_maps: dict[str, torch.Tensor | None], *, train: bool = True
    ) -> torch.Tensor | None:
        """The gradient of the first weight in training or in evaluation mode, given those of the maps."""
        ours = self._ours(train)
        ours.zero_grad()
        maps = ours(images)
        torch.autograd.backward([maps[source] for source in of_maps], list(of_maps.values()))
        return next(ours.parameters()).grad

    def _ours(self, train: bool) -> nn.Module:
        made = _extractor(self._full)
        made.load_state_dict(self._tensors, strict=False)
        return made.train(train)

    def _named(self) -> Tensors:
        return {self._prefix + name: tensor for name, tensor in self._tensors.items()}


def our_backbone(student: Student, module: Handle, rng: torch.Generator) -> OurBackbone:
    """The weights that a student's module has from us: loaded once, the same for all checks of a submission."""
    return student.once("our backbone", lambda: OurBackbone(module, rng))


def _place_in(module: Handle) -> tuple[str, bool]:
    """The prefix of the backbone's names in a student's module, and whether it is the full network."""
    last = "trunk_output.block2.block2-0."
    found = next((name for name in module.found() if last in name), None)
    if found is None:
        text = "The backbone that the notebook gives, a RegNetX-400MF with its block2, block3 and block4, is not there."
        raise CheckFailed(text, public_text=text)
    return found.partition(last)[0], any(_ONLY_FULL in name for name in module.found())


def _drawn(full: bool, pairs: Pairs, rng: torch.Generator) -> Tensors:
    """Random parameters, and statistics that suit them: what a pair's channels give differs by a factor of two."""
    made = _extractor(full)
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            weight = torch.randn(layer.weight.shape, generator=rng) * (2 / layer.weight[0].numel()) ** 0.5
            layer.weight.data = pairs.twice(weight, 1.0)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            for tensor, middle in ((layer.weight, 1.0), (layer.bias, 0.2)):
                tensor.data = pairs.twice(middle * (0.5 + torch.rand(tensor.shape, generator=rng)))
    with _momentum(made, 1.0), torch.no_grad():
        made.train()(torch.randn(2, 3, 64, 96, generator=rng))
    names = [name for name, _ in made.named_parameters()]
    names += [name for name, _ in made.named_buffers() if ".running_" in name]
    state = made.state_dict()
    return {name: state[name].clone() for name in names}


@contextlib.contextmanager
def _momentum(made: nn.Module, value: float) -> Iterator[None]:
    """Normalisation that takes over the statistics of a run at this rate."""
    norms = [layer for layer in made.modules() if isinstance(layer, nn.BatchNorm2d)]
    before = [layer.momentum for layer in norms]
    try:
        for layer in norms:
            layer.momentum = value
        yield
    finally:
        for layer, momentum in zip(norms, before, strict=True):
            layer.momentum = momentum


@functools.lru_cache(maxsize=2)
def _extractor(full: bool) -> nn.Module:
    """RegNetX-400MF as a whole, or as checks make it: shallow. Its weights are whatever was loaded last."""
    with contextlib.nullcontext() if full else shallow_models():
        made = regnet.regnet_x_400mf(weights=None)
    extract: Callable[..., nn.Module] = feature_extraction.create_feature_extractor
    return extract(made, _NODES)

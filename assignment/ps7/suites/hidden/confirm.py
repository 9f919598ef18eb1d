"""What public checks were told, compared with the solution: the fixture `confirm` of `runner.py`.

Gradients are computed by the student's own process, and so is a training run: hostile code can state any. What it
states counts where it is what the solution gives for the same weights and inputs, which nobody can state who has not
solved the exercise.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torchvision.models import feature_extraction, regnet

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Handle, Student
from autograder.runtime.shallow_backbone import shallow_models
from suites.hidden import test_7_1b as pyramid
from suites.hidden import test_7_1c as network
from suites.hidden.learning import learned as learned
from suites.hidden.learning import learned_in_part as learned_in_part
from suites.public.test_7_1b import pyramid_weights
from suites.public.test_7_1c import features, layers
from suites.public.test_7_1i_losses import PARTS
from suites.scenes import fixed_boxes, striped_images

Tensors = dict[str, torch.Tensor]
Gradients = dict[str, torch.Tensor | None]
DRAWS = 4
_NODES = {"trunk_output.block2": "c3", "trunk_output.block3": "c4", "trunk_output.block4": "c5"}


_LOSS_GRADIENTS: weakref.WeakKeyDictionary[Student, dict[str, Gradients]] = weakref.WeakKeyDictionary()

Confirm = Callable[[Student, Handle, torch.Generator], None]


def with_other_numbers(confirm: Confirm) -> Confirm:
    """Confirm again, with other random numbers, what was not confirmed, a few times.

    A number that rounding puts on the other side of a ReLU's corner changes a gradient by more than rounding does.
    That happens to right code about once in a hundred draws; wrong code, and lies, fail every one.
    """

    @functools.wraps(confirm)
    def repeated(solution: Student, module: Handle, rng: torch.Generator) -> None:
        for _ in range(DRAWS - 1):
            with contextlib.suppress(CheckFailed):
                return confirm(solution, module, rng)
        return confirm(solution, module, rng)

    return repeated


@with_other_numbers
def pyramid_gradients(_: Student, module: Handle, rng: torch.Generator) -> None:
    """Hold the gradients of a pyramid with random weights to those of every usual one, the backbone's too."""
    known = pyramid.known_weights(module, rng)
    lateral, output = pyramid_weights(module)
    images = torch.randn(2, 3, 64, 96, generator=rng)
    module.train()
    maps = module.call("backbone", images)
    told = module.gradients(images, first_of="backbone.")
    module.eval()
    module.load(module.found(skip="backbone."))
    backbone = {name: p for name, p in module.found().items() if name.startswith("backbone.")}
    got: list[Any] = [told[lateral[source]] for source in maps]
    got.append(sum(told[name] for name in output))
    for how, after in itertools.product(pyramid.MODES, (False, True)):
        weights, inputs = _leaves(known), _leaves(maps)
        levels = pyramid.usual_pyramid(inputs, weights, how, after)
        _sum(levels.values()).backward()  # type: ignore[no-untyped-call]
        if all(_alike(a, weights[name].grad) for a, name in zip(got, [*maps, "output"], strict=True)):
            through = {source: tensor.grad for source, tensor in inputs.items()}
            first = next(iter(backbone))
            _expect_alike(told[first], _backbone_gradient(backbone, images, through), "The gradient of the backbone")
            return
    raise _refused("The gradients of the six convolutions")


@with_other_numbers
def network_gradients(_: Student, module: Handle, rng: torch.Generator) -> None:
    """Hold the gradients of a prediction network with random weights to those of the plain convolutions."""
    known = {name: 0.3 * torch.randn(p.shape, generator=rng) for name, p in layers(module).items()}
    module.load(known)
    leaves, told = _leaves(known), module.gradients(features(16))
    made = [part for feature in features(16).values() for part in network.expected(leaves, feature)]
    _sum(made).backward()  # type: ignore[no-untyped-call]
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            _expect_alike(told[name], leaf.grad, f"The gradient of `{name}`")


def loss_gradients(solution: Student, told: dict[str, Gradients]) -> None:
    """Hold the gradients of the three losses, asked for one after the other, to the solution's."""
    if solution not in _LOSS_GRADIENTS:
        _LOSS_GRADIENTS[solution] = _loss_gradients(solution)
    for loss, part in PARTS.items():
        for tail in (f"{part}_offset", "scale"):
            ours, theirs = (_ending(gradients[loss], tail) for gradients in (_LOSS_GRADIENTS[solution], told))
            _expect_alike(theirs, ours, f"The gradient of {loss}")


def _loss_gradients(solution: Student) -> dict[str, Gradients]:
    """The solution's, which are the same for all submissions: nothing in them is drawn at random."""
    module = solution.new("FCOS", 20, 16, [16])
    module.train()
    return {loss: module.gradients(striped_images(), fixed_boxes(), of=[loss]) for loss in PARTS}


def _leaves(tensors: Tensors) -> Tensors:
    return {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}


def _sum(tensors: Any) -> torch.Tensor:
    return torch.stack([tensor.sum() for tensor in tensors]).sum()


def _alike(got: Any, expected: torch.Tensor | None) -> bool:
    """Equal but for rounding, which differs with the order of long sums."""
    if not isinstance(got, torch.Tensor) or expected is None or got.shape != expected.shape:
        return False
    scale = float(expected.abs().max()) + 1e-6
    return bool((got - expected).abs().max() <= 1e-2 * scale)


def _expect_alike(got: Any, expected: torch.Tensor | None, what: str) -> None:
    if not _alike(got, expected):
        raise _refused(what)


def _refused(what: str) -> CheckFailed:
    text = f"{what}: other values than the right solution's. Gradients count where the values are right."
    return CheckFailed(text, public_text=text)


def _ending(gradients: Gradients, tail: str) -> torch.Tensor | None:
    return next((gradient for name, gradient in gradients.items() if name.endswith(tail)), None)


def _backbone_gradient(parameters: Tensors, images: torch.Tensor, upstream: dict[str, Any]) -> torch.Tensor | None:
    """Gradient of the backbone's first weight, given those of its maps."""
    module = _backbone(any(name.startswith("backbone.trunk_output.block4.block4-1.") for name in parameters))
    module.load_state_dict({name.removeprefix("backbone."): p for name, p in parameters.items()}, strict=False)
    module.zero_grad()
    maps = module(images)
    torch.autograd.backward([maps[source] for source in upstream], list(upstream.values()))
    return next(module.parameters()).grad


@functools.lru_cache(maxsize=2)
def _backbone(full: bool) -> torch.nn.Module:
    """RegNetX-400MF as a whole, or as checks make it: shallow."""
    with contextlib.nullcontext() if full else shallow_models():
        made = regnet.regnet_x_400mf(weights=None)
    extractor: torch.nn.Module = feature_extraction.create_feature_extractor(made, _NODES)
    return extractor.train()

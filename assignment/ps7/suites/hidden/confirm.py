"""What public checks were told, compared with the solution: the fixture `confirm` of `runner.py`.

Gradients are computed by the student's own process, and so is a training run: hostile code can state any. What it
states counts where it is what the solution gives for the same weights and inputs, which nobody can state who has not
solved the exercise.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.student import Student
from suites.hidden import test_7_1b as pyramid
from suites.hidden import test_7_1c as network
from suites.hidden.learning import learned, learned_in_part
from suites.hidden.network_runs import (
    expect_layers_asked_for,
    layers_are_run,
    predictions_are_made,
    rows_follow_cells,
    stems_feed_predictions,
)
from suites.hidden.our_backbone import our_backbone
from suites.hidden.pyramid_runs import convolutions_are_run, levels_are_made, maps_reach_levels, outputs_are_run
from suites.hidden.twins import (
    all_locations,
    boxes_of_deltas,
    boxes_of_negative_deltas,
    deltas_and_boxes,
    deltas_of_background,
    deltas_of_boxes,
    deltas_with_a_class,
    detections_in_form,
    detections_of_others,
    first_locations,
    location_rows,
    loss_value,
    loss_values,
    losses_differ,
    something_found,
)
from suites.public.network_faults import features, layers
from suites.public.test_7_1b import made, pyramid_weights
from suites.public.test_7_1i_losses import PARTS

__all__ = [  # what public checks ask for by name
    "all_locations",
    "boxes_of_deltas",
    "boxes_of_negative_deltas",
    "convolutions_are_run",
    "deltas_and_boxes",
    "deltas_of_background",
    "deltas_of_boxes",
    "deltas_with_a_class",
    "detections_in_form",
    "detections_of_others",
    "first_locations",
    "layers_are_run",
    "learned",
    "learned_in_part",
    "levels_are_made",
    "location_rows",
    "loss_gradients",
    "loss_value",
    "loss_values",
    "losses_differ",
    "maps_reach_levels",
    "network_gradients",
    "outputs_are_run",
    "predictions_are_made",
    "pyramid_gradients",
    "rows_follow_cells",
    "something_found",
    "stems_feed_predictions",
]

Tensors = dict[str, torch.Tensor]
Gradients = dict[str, torch.Tensor | None]
DRAWS = 4

Confirm = Callable[[Student, Any, torch.Generator], None]


def with_other_numbers(confirm: Confirm) -> Confirm:
    """Confirm again, with other random numbers, what was not confirmed, a few times.

    A number that rounding puts on the other side of a ReLU's corner changes a gradient by more than rounding does.
    That happens to right code about once in a hundred draws; wrong code, and lies, fail every one.
    """

    @functools.wraps(confirm)
    def repeated(solution: Student, whose: Any, rng: torch.Generator) -> None:
        for _ in range(DRAWS - 1):
            with contextlib.suppress(CheckFailed):
                return confirm(solution, whose, rng)
        return confirm(solution, whose, rng)

    return repeated


@with_other_numbers
def pyramid_gradients(_: Student, student: Student, rng: torch.Generator) -> None:
    """Hold the gradients of a pyramid with random weights to those of the one that gives its values.

    The backbone's too; values of no known kind have no known gradients. A detector may keep the backbone's statistics
    as they are while it trains.
    """
    way = pyramid.way_of(student, rng)
    if isinstance(way, str):
        raise _refused("The levels, and so the gradients of the six convolutions")
    module = made(student)
    backbone = our_backbone(student, module, rng)
    known = pyramid.known_weights(module, rng)
    lateral, output = pyramid_weights(module)
    images = torch.randn(2, 3, *pyramid.SQUARE, generator=rng)
    module.train()
    told = module.gradients(images, first_of="backbone.")
    module.eval()
    module.load(module.found(skip="backbone."))
    got: list[Any] = [told[lateral[source]] for source in pyramid.LEVEL_OF]
    got.append(sum(told[name] for name in output))
    first = told.get(next((name for name in told if name.startswith("backbone.")), ""))
    wrong = "The gradients of the six convolutions"
    for train in (True, False):
        weights, inputs = _leaves(known), _leaves(backbone.maps(images, train=train))
        _sum(pyramid.usual_pyramid(inputs, weights, way).values()).backward()  # type: ignore[no-untyped-call]
        if all(_alike(a, weights[name].grad) for a, name in zip(got, [*pyramid.LEVEL_OF, "output"], strict=True)):
            through = {source: tensor.grad for source, tensor in inputs.items()}
            if _alike(first, backbone.first_gradient(images, through, train=train)):
                return
            wrong = "The gradient of the backbone"
    raise _refused(wrong)


@with_other_numbers
def network_gradients(_: Student, student: Student, rng: torch.Generator) -> None:
    """Hold the gradients of a prediction network with random weights to those of the plain convolutions."""
    module = student.new("FCOSPredictionNetwork", 3, 16, [16, 16])
    expect_layers_asked_for(student, module, 16, [16, 16])
    known = {name: 0.3 * torch.randn(p.shape, generator=rng) for name, p in layers(module).items()}
    module.load(known)
    leaves, told = _leaves(known), module.gradients(features(16))
    made = [part for feature in features(16).values() for part in network.expected(leaves, feature)]
    _sum(made).backward()  # type: ignore[no-untyped-call]
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            _expect_alike(told[name], leaf.grad, f"The gradient of `{name}`")


def loss_gradients(solution: Student, images: torch.Tensor, boxes: torch.Tensor, told: dict[str, Gradients]) -> None:
    """Hold the gradients of the three losses, asked for one after the other, to the solution's."""
    module = solution.new("FCOS", 20, 16, [16])
    module.train()
    for loss, part in PARTS.items():
        right = module.gradients(images, boxes, of=[loss])
        for tail in (f"{part}_offset", "scale"):
            ours, theirs = (_ending(gradients, tail) for gradients in (right, told[loss]))
            _expect_alike(theirs, ours, f"The gradient of {loss}")


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
    """Of the parameters with such a name the gradient of the one that takes part."""
    found = [gradient for name, gradient in gradients.items() if name.endswith(tail) and gradient is not None]
    return next((gradient for gradient in found if bool((gradient != 0).any())), next(iter(found), None))

"""Mistakes of a student who solved the notebook: what the public checks say first, and what they do not say of them."""

import pytest
import torch

from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.run_public import run_public

B, C, D, F = "7.1b", "7.1c", "7.1d", "7.1f"
CLASSES = "self.pred_cls(cls_features).flatten(start_dim=2).transpose(1, 2)"
CENTERNESS = "centerness_logits[level_name] = self.pred_ctr(box_features).flatten(start_dim=2).transpose(1, 2)"
TIMES = "\n            class_logits[level_name] = class_logits[level_name] * centerness_logits[level_name]"
BOX_DELTAS = "torch.cat([left_top, right_bottom], dim=1) / stride"
IS_BACKGROUND = "(boxes == -1).all(dim=1)"
CLIPPED = "    distances = deltas.clamp(min=0) * stride\n"
CHANGED = "The first argument of `fcos_apply_deltas_to_locations` is changed in place"
ODD = "Background is a box whose four coordinates are all -1"
SOFTMAX = "A softmax over the classes is applied"
# By mistake: the exercise, what stands in the solution and what in its place, and how the first words told begin.
TOLD = {
    "height and width exchanged": (
        B,
        [("size=lateral_c4.shape[-2:]", "size=lateral_c4.shape[-2:][::-1]")],
        "Your code raised RuntimeError: The size of tensor a",
    ),
    "the laterals padded": (
        B,
        [("nn.Conv2d(feature_shape[1], out_channels, 1)", "nn.Conv2d(feature_shape[1], out_channels, 1, padding=1)")],
        "A convolution makes its map larger: padding is 0 for a 1 x 1",
    ),
    "smoothed on one way down": (
        B,
        [("F.interpolate(merged_c4, ", 'F.interpolate(self.fpn_params["output_c4"](merged_c4), ')],
        "One level hands its sum down, the other its smoothed map",
    ),
    "one class for background": (
        C,
        [("nn.Conv2d(stem_out_channels, num_classes,", "nn.Conv2d(stem_out_channels, num_classes + 1,")],
        "One class too many",
    ),
    "the first image alone": (C, [(CLASSES, CLASSES + "[0]")], "The class logits of p3 came in the wrong shape"),
    "a normalisation in the stems": (
        C,
        [("stem += [convolution, nn.ReLU()]", "stem += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]")],
        "There is another layer in the stems",
    ),
    "a softmax": (C, [("self.pred_cls(cls_features).fl", "self.pred_cls(cls_features).softmax(1).fl")], SOFTMAX),
    "classes times centerness": (
        C,
        [(CENTERNESS, CENTERNESS + TIMES)],
        "Two predictions are multiplied within the network",
    ),
    "no return in the network": (
        C,
        [("        return [class_logits, boxreg_deltas, centerness_logits]\n", "")],
        "The network should return three dictionaries: class logits, box deltas, centerness logits. It returned None",
    ),
    "channels for height": (D, [("feat_shape[-2:]", "feat_shape[1:3]")], "These are C * H or C * W rows"),
    "sizes of the notebook's own": (
        D,
        [("height, width = feat_shape[-2:]", "height = width = 64 // level_stride")],
        "Do H and W come from the argument",
    ),
    "height and width unpacked the other way": (
        D,
        [("height, width = feat_shape", "width, height = feat_shape")],
        "Height and width are exchanged",
    ),
    "swapped, and corners": (
        D,
        [("stack([grid_x, grid_y]", "stack([grid_y, grid_x]"), (" + 0.5) * level_stride", ") * level_stride")],
        "Two things at once. The order is transposed",
    ),
    "stacked in front": (D, [("[grid_x, grid_y], dim=-1", "[grid_x, grid_y]")], "All x come first, then all y"),
    "half a stride too early": (D, [(" + 0.5) * ", " + level_stride / 2) * ")], "Half a stride is added to the index"),
    "the notebook's device": (
        D,
        [("dim=-1).reshape(-1, 2)", "dim=-1).reshape(-1, 2).to(DEVICE)")],
        "The argument `device` is ignored",
    ),
    "deltas clipped in place": (F, [("deltas.clamp(min=0)", "deltas.clamp_(min=0)")], CHANGED),
    "negative deltas overwritten": (
        F,
        [(CLIPPED, "    deltas[deltas < 0] = 0\n    distances = deltas * stride\n")],
        CHANGED,
    ),
    "deltas scaled in place": (F, [(CLIPPED, "    deltas *= stride\n    distances = deltas.clamp(min=0)\n")], CHANGED),
    "any negative number": (F, [(IS_BACKGROUND, "(boxes < 0).any(dim=1)")], ODD),
    "the first number": (F, [(IS_BACKGROUND, "boxes[:, 0] == -1")], ODD),
    "the sum": (F, [(IS_BACKGROUND, "boxes.sum(dim=1) < 0")], ODD),
    "number by number": (
        F,
        [("deltas[is_background] = -1.0", "deltas[boxes == -1] = -1.0")],
        "Background is looked for number by number",
    ),
    "deltas stacked in front": (
        F,
        [(BOX_DELTAS, "torch.stack([*left_top.unbind(1), *right_bottom.unbind(1)]).reshape(-1, 4) / stride")],
        "The rows are mixed",
    ),
    "locations are (y, x)": (
        F,
        [("    left_top = locations", "    locations = locations.flip(1)\n    left_top = locations")],
        "x and y of the locations are swapped",
    ),
    "boxes of locations (y, x)": (
        F,
        [("    top_left = locations", "    locations = locations.flip(1)\n    top_left = locations")],
        "x and y of the locations are swapped",
    ),
    "rounded": (
        F,
        [("deltas.clamp(min=0) * stride", "(deltas.clamp(min=0) * stride).round()")],
        "This would never be trained: its gradient comes, but is zero everywhere",
    ),
    "no return of boxes": (F, [("    return output_boxes\n", "")], "The boxes came as None: is a `return` missing?"),
}
# What none of them is: each of these was said of one once.
UNTRUE = ("is a stem bypassed", "detached", "do not start from 0", "is the given last line", "same dictionary", "lacks")


def _first_said(assignment, exercise, changes):
    """The checks of a changed solution that do not pass, as they are told."""
    text = assignment.source.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    task = assignment.exercise(exercise)
    names = load_solution(assignment, task, text).workbench.namespace
    names.setdefault("DEVICE", torch.device("cpu"))
    results = run_public(exercise, names, list(task.canned), assignment.suites, assignment.reference)
    told = sorted((r for r in results if r.status != "passed"), key=lambda check: not check.diagnosis)
    return [f"{check.diagnosis}\n{check.message}".strip() for check in told]


@pytest.mark.parametrize("mistake", TOLD)
def test_the_fault_is_told_first(assignment, mistake):
    """The first words of the panel are about the mistake, and none are about another."""
    exercise, changes, words = TOLD[mistake]
    said = _first_said(assignment, exercise, changes)
    assert said and said[0].startswith(words), said
    assert not [one for one in said for untrue in UNTRUE if untrue in one]


def test_a_layer_made_anew_is_nothing_kept(assignment):
    """Where `forward` makes a layer, the checks ask for that, and call no images mixed and no dictionary shared."""
    made = "nn.Conv2d(self.out_channels, self.out_channels, 3, padding=1)(merged_c3)"
    said = "\n".join(_first_said(assignment, B, [('self.fpn_params["output_c3"](merged_c3)', made)]))
    assert "a layer that is made anew there?" in said
    assert "images are mixed" not in said and "same dictionary" not in said


def test_maps_of_different_size_ask_for_all_that_makes_them(assignment):
    """Where two maps cannot be added, order, padding and written sizes are named."""
    padded = ("nn.Conv2d(feature_shape[1], out_channels, 1)", "nn.Conv2d(feature_shape[1], out_channels, 1, padding=1)")
    doubled = [(f"size=lateral_c{k}.shape[-2:]", "scale_factor=2") for k in (3, 4)]
    for changes in ([padded, *doubled], [("size=lateral_c4.shape[-2:]", "size=lateral_c4.shape[-2:][::-1]")]):
        (said, *_) = _first_said(assignment, B, changes)
        assert "`size=` takes (H, W)" in said and "padding is 0 for 1 x 1" in said and "written in" in said


def test_smoothed_maps_may_go_down(assignment):
    """What the text says that counts, passes: the smoothed map handed down at both steps."""
    changes = [
        (f"F.interpolate(merged_c{k}, ", f'F.interpolate(self.fpn_params["output_c{k}"](merged_c{k}), ') for k in (4, 5)
    ]
    assert _first_said(assignment, B, changes) == []


@pytest.mark.parametrize("columns", ["boxes", "gt_boxes"])
def test_background_by_all_columns_passes(assignment, columns):
    """Four -1s or five: both tell background."""
    assert _first_said(assignment, F, [(IS_BACKGROUND, f"({columns} == -1).all(dim=1)")]) == []

"""What is said of a wrong loss: faults known by their numbers, which the reference stores by the same names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

Near = Callable[[float, float], bool]

_DIVIDED = "The losses are to be divided by `self._normalizer` times the number of images, as in the given lines"
# The likeliest first. Each has to be true of whatever gives these numbers.
FAULTS = {
    "deltas-for-boxes": "The predicted deltas stand where boxes in pixels are meant: `fcos_apply_deltas_to_locations` "
    "makes boxes of them, level by level.",
    "deltas-not-boxes": "The loss compares deltas, where boxes in pixels are meant.",
    "stride-8": "The predicted boxes are made with stride 8 on all levels: each level has its own, see "
    "`self.backbone.fpn_strides`.",
    "stride-1": "The predicted boxes are made without the stride of their level, see `self.backbone.fpn_strides`.",
    "first-boxes": "The boxes of the first image are matched for every image: take `gt_boxes[i]` for image i.",
    "last-boxes": "The boxes of the last image stand for every image: give each image a dictionary of its own, made "
    "within the loop, and `gt_boxes[i]`.",
    "last-deltas": "The target deltas of the last image stand for every image: give each image a dictionary of its "
    "own, made within the loop.",
    "first-predictions": "The predicted boxes of every image are made from the deltas of the first: take those of "
    "image i for image i.",
    "background-counted": "Background is counted in this loss: it has to be zero where a location has no object.",
    "background-clamped": "Background is counted in this loss, with 0 as its target: that does not make it zero. Set "
    "the loss itself to zero where a location has no object.",
    "background-is-class-0": "The one-hot target of background is not all zeros: background counts as class 0.",
    "background-left-out": "Background is left out of this loss. Here it counts, with a target of all zeros: only the "
    "other two losses are zero for background.",
    "class-0-is-background": "Objects of class 0 are taken for background: that has class -1, and class 0 is a class.",
    "class-plus-one": "The one-hot target is off by one class: class 0 belongs into column 0. (If background had a "
    "column of its own, the first, then that is the one to leave out.)",
    "sigmoid-twice": "A sigmoid is applied before the loss, which applies one itself.",
    "cross-entropy": "This is the cross-entropy over all classes: the focal loss is asked for, `sigmoid_focal_loss`.",
    "plain-entropy": "This is the plain binary cross-entropy: the focal loss is asked for, `sigmoid_focal_loss`.",
    "times-centerness": "The loss of the boxes is multiplied by the centerness. It is not here: each location with an "
    "object counts alike.",
    "mean-of-boxes": 'The loss of the boxes is already a mean over all locations: with `reduction="none"` there is '
    "one for each location, to be masked and summed up.",
    "rows-interleaved": "Deltas and locations are in a different order: the rows of a batch are image after image, "
    "so the locations go `repeat(B, 1)`, not `repeat_interleave`.",
    "exp": "The predicted deltas go through exp. They do not here: `fcos_apply_deltas_to_locations` takes them as "
    "they are.",
    "boxes-not-deltas": "The centerness targets are made from boxes, where deltas are meant.",
    "targets-of-predictions": "The centerness targets are made from the predicted deltas: they come from those of the "
    "matched boxes.",
    "no-root": "The centerness targets lack the square root: `fcos_make_centerness_targets` has it.",
    "images-divided": "The images are divided by 255 before they go into the network: they are ready as they come.",
    "not-normalised": "The loss is not divided by `self._normalizer` times the number of images.",
    "images-not-counted": f"{_DIVIDED}: the number of images is missing.",
    "only-images-counted": f"{_DIVIDED}: `self._normalizer` is missing.",
    "normalizer-stays": "`self._normalizer` stays what it was: the given lines bring it up to date before the losses.",
    "normalizer-is-new": "`self._normalizer` is the number of this batch alone: the given line makes an average of "
    "it, 0.9 of what it was and 0.1 of the new number.",
    "normalizer-exchanged": "`self._normalizer` moves by the wrong share: the given line takes 0.9 of what it was and "
    "0.1 of the new number.",
    "zero": "This loss is zero: is everything masked out, or is the target compared with itself?",
}
_MEAN = "A mean is taken where the losses of all locations have to be summed up."


def fault_of_loss(stored: Mapping[str, torch.Tensor], name: str, got: float, near: Near) -> str:
    """What explains a loss of the fixed batch: a sentence, several if any of them may be meant, "" if none does.

    Args:
        stored: The reference: under `name` the right loss, under `name/fault` what it is with that fault.
        name: Of the loss.
        got: The student's, which is wrong.
        near: Says whether two losses are the same.
    """
    kinds = {
        key.partition("/")[2].replace(":2", "").replace(":3", "")
        for key, value in stored.items()
        if key.startswith(f"{name}/") and near(got, float(value))
    }
    found = sorted(kinds, key=lambda kind: ("+" in kind, _RANKS.get(kind.partition("+")[0], len(_RANKS))))
    if found:
        return " Or: ".join(_both(kind) for kind in found)
    return _MEAN if abs(got) < abs(float(stored[name])) / 100 else ""


_RANKS = {fault: rank for rank, fault in enumerate(FAULTS)}


def _both(kind: str) -> str:
    """The sentence of a fault, or those of two at once."""
    first, plus, second = kind.partition("+")
    return f"Two things at once. {FAULTS[first]} And: {FAULTS[second]}" if plus else FAULTS[first]

"""What is said of a wrong loss: faults known by their numbers, which the reference stores by the same names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch

Near = Callable[[float, float], bool]

_MEAN = "A mean is taken where the losses of all locations have to be summed up."
_MIXED = "The images of the batch are mixed: predictions of one meet locations or boxes of another."
_STRIDE = "The predicted boxes are made with the stride of another level."
_TINY = (
    "Far too little of it is counted. Is a mean taken where all locations are to be summed up? Or are most left out?"
)
# The likeliest first. Each has to be true of whatever gives these numbers.
FAULTS = {
    "deltas-for-boxes": "The predicted deltas stand where boxes in pixels are meant: `fcos_apply_deltas_to_locations` "
    "makes boxes of them, level by level.",
    "deltas-not-boxes": "The loss compares deltas, where boxes in pixels are meant.",
    "stride-8": f"{_STRIDE} It is 8 for all here: each level has its own, see `self.backbone.fpn_strides`.",
    "stride-1": "The predicted boxes are made without the stride of their level, see `self.backbone.fpn_strides`.",
    "first-boxes": f"{_MIXED} All are matched with the boxes of the first image.",
    "last-boxes": f"{_MIXED} What was matched for the last image stands for all: is one dictionary filled again and "
    "again, where each image needs a new one?",
    "last-deltas": f"{_MIXED} The target deltas of the last image stand for all: is one dictionary filled again and "
    "again, where each image needs a new one?",
    "first-predictions": f"{_MIXED} The predicted boxes of all are made from the deltas of the first image.",
    "rows-interleaved": f"{_MIXED} Deltas come image by image, locations cell by cell: `repeat` and "
    "`repeat_interleave` give different orders.",
    "background-counted": "Background is counted in this loss: it has to be zero where a location has no object.",
    "background-clamped": "Background is counted in this loss, with 0 as its target: that does not make it zero. Set "
    "the loss itself to zero where a location has no object.",
    "all-boxes": f"{_MIXED} Each is matched with the boxes of all images: `gt_boxes[k]` are those of image k.",
    "images-mixed": "Rows of different images are exchanged. Images come first, then locations: `.reshape(B, L)` "
    "fits as it is, without a transpose.",
    "first-box-alone": "Each image is matched with its first box alone: the matcher takes all of its boxes.",
    "strides-reversed": f"{_STRIDE} They are in the reverse order: take each by its level's name.",
    "mean": f'{_MEAN} With `reduction="none"` there is a number for each location; the given lines sum them up.',
    "mean-of-classes": "The class loss is averaged over the classes: sum it up over classes and locations alike.",
    "exchanged": "Predictions and targets are exchanged: a loss takes predictions first.",
    "background-minus-one": "The target of background is -1 in each column: it has to be 0 there.",
    "background-is-the-last": "The one-hot target of background is not all zeros: -1, as an index, is the last class.",
    "background-is-class-1": "The one-hot target of background is not all zeros: -1 without its sign is class 1.",
    "objects-alone": "The class loss counts the column of the object's class alone: every column counts, also for "
    "background.",
    "background-is-class-0": "The one-hot target of background is not all zeros: background counts as class 0.",
    "background-left-out": "Background has to count in the class loss, with all zeros as its target: it is masked out.",
    "mask-inverted": "The mask is the wrong way round: objects are left out and background is counted.",
    "class-0-is-background": "Objects of class 0 are taken for background: that has class -1, and class 0 is a class.",
    "class-plus-one": "The classes are off by one. Class 0 belongs into the first column of the one-hot target. (If "
    "background had a column of its own before it, then that is the one to leave out.)",
    "sigmoid-twice": "A sigmoid is applied before the loss, which applies one itself.",
    "softmax": "A softmax is applied before the focal loss, which applies a sigmoid itself.",
    "cross-entropy": "This is the cross-entropy over all classes: the focal loss is asked for, `sigmoid_focal_loss`.",
    "plain-entropy": "This is the plain binary cross-entropy: the focal loss is asked for, `sigmoid_focal_loss`.",
    "other-loss": "Boxes are compared by another loss (L1, smooth L1, squares): take `generalized_box_iou_loss`.",
    "one-minus-loss": "`generalized_box_iou_loss` is a loss already, 1 minus the overlap: do not subtract it from 1.",
    "times-target": "The centerness loss is multiplied by its target: every location of an object counts alike.",
    "times-centerness": "The box loss is weighted by centerness: every location of an object counts alike.",
    "mean-of-boxes": f'{_MEAN} With `reduction="none"` there is a loss of boxes for each location.',
    "exp": "The predicted deltas go through exp. They do not here: `fcos_apply_deltas_to_locations` takes them as "
    "they are.",
    "boxes-clipped": "The predicted boxes are clipped to the image: that belongs into inference.",
    "boxes-not-deltas": "The centerness targets are made from boxes, where deltas are meant.",
    "targets-of-predictions": "The centerness targets are made from predicted deltas: they belong to the matched ones.",
    "no-root": "The centerness targets lack the square root: `fcos_make_centerness_targets` has it.",
    "images-divided": "The images are divided by 255 before they go into the network: they are ready as they come.",
    "not-normalised": "The loss is not divided by `self._normalizer` times the number of images.",
    "images-not-counted": "The loss is divided by `self._normalizer`, but not by the number of images.",
    "only-images-counted": "The loss is divided by the number of images, but not by `self._normalizer`.",
    "normalizer-stays": "`self._normalizer` is not kept up to date. The given lines do so before the losses.",
    "normalizer-is-new": "`self._normalizer` is the number of this batch alone: the given line makes an average of "
    "it, 0.9 of what it was and 0.1 of the new number.",
    "normalizer-exchanged": "`self._normalizer` moves by the wrong share: the given line takes 0.9 of what it was and "
    "0.1 of the new number.",
    "zero": "This loss is zero: is everything masked out? Or is the target compared with itself?",
}


def fault_of_loss(stored: Mapping[str, torch.Tensor], name: str, got: float, near: Near) -> str:
    """What explains a loss of the fixed batch: a sentence, several if any of them may be meant, "" if none does.

    Args:
        stored: The reference: under `name` the right loss, under `name/fault` what it is with that fault.
        name: Of the loss.
        got: The student's, which is wrong.
        near: Says whether two losses are the same.
    """
    kinds = {
        re.sub(r":\d+", "", key.partition("/")[2])
        for key, value in stored.items()
        if key.startswith(f"{name}/") and near(got, float(value))
    }
    found = sorted(kinds, key=lambda kind: ("+" in kind, _RANKS.get(kind.partition("+")[0], len(_RANKS))))
    if found:
        return " Or: ".join(_both(kind) for kind in found)
    return _TINY if abs(got) < abs(float(stored[name])) / 100 else ""


_RANKS = {fault: rank for rank, fault in enumerate(FAULTS)}


def _both(kind: str) -> str:
    """The sentence of a fault, or those of two at once."""
    first, plus, second = kind.partition("+")
    return f"Two things at once. {FAULTS[first]} And: {FAULTS[second]}" if plus else FAULTS[first]

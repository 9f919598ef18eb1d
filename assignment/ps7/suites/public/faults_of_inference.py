"""What is said of wrong detections: faults known by what they give, which the reference stores by the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from suites.detections import Detections, are_detections

_OTHERS = "The boxes belong to other locations than the scores: deltas and locations have to be filtered alike."
# The likeliest first. Each has to be true of whatever gives these detections.
FAULTS = {
    "stride-8": "The boxes are made with the stride of another level. It is 8 for all here: each level has its "
    "own, see `self.backbone.fpn_strides`.",
    "stride-1": "The boxes are made without the stride of their level, see `self.backbone.fpn_strides`.",
    "unclipped": "The boxes are not clipped to the image. (If you clip: `boxes[:, [0, 2]].clamp_(...)` clips a copy, "
    "and `clamp(...)` gives its result back, to be assigned.)",
    "free-x": "Only y is clipped: x has to be clipped to [0, width]. (If you clip x: is it a copy that is clipped?)",
    "free-y": "Only x is clipped: y has to be clipped to [0, height]. (If you clip y: is it a copy that is clipped?)",
    "swapped": "Height and width are swapped in the clipping: x goes with the width, which is images.shape[3].",
    "square-width": "Everything is clipped to the width: y has to be clipped to the height.",
    "square-height": "Everything is clipped to the height: x has to be clipped to the width.",
    "low-only": "Boxes reach beyond the right or the bottom edge of this image. Take its height and width from "
    "`images.shape` to clip them.",
    "high-only": "Only the upper bounds are clipped: boxes begin left of or above the image.",
    "columns": "Columns are mixed up in the clipping: a box is (x1, y1, x2, y2), so x stands in columns 0 and 2, y in "
    "1 and 3.",
    "channels": "Boxes are clipped to (channels, height), not to (height, width): these are `images.shape[2:]`.",
    "batch-and-channels": "Boxes are clipped to (batch, channels), not to (height, width), which are "
    "`images.shape[2:]`.",
    "dropped": "Boxes that reach beyond the image are thrown away: they are to be clipped, and kept.",
    "sigmoid-again": "A sigmoid is applied to the scores: `level_pred_scores` are scores already, between 0 and 1.",
    "root-again": "A square root is taken of the scores: `level_pred_scores` has it already.",
    "centerness-again": "The scores are multiplied by the centerness: in `level_pred_scores` it is already.",
    "logits": "Scores are the class logits here: take the best class, and its score, from `level_pred_scores`.",
    "class-alone": "Centerness plays no part in the scores. Take them from `level_pred_scores`, where it does.",
    "threshold-of-class": "The threshold is applied to something else than the score: to the class score without "
    "centerness.",
    "all-classes": "Every class above the threshold is kept: only the best class of a location counts.",
    "no-root": "The square root is missing in the scores.",
    "last-level": "Only the detections of p5 are left: do the three `append` stand behind the loop, not in it?",
    "first-level": "Only the detections of p3 are left: is there a `return` or a `break` in the loop over the levels?",
    "coarsest-left-out": "Nothing of p5 is found: is it left out, or does a `return` or a `break` end the loop early?",
    "one-a-level": "Only the best location of each level is kept: keep all that score more than the threshold.",
    "clipped-in-cells": "Boxes are clipped to the feature map's size, in cells: clip to the image's, in pixels.",
    "scores-sorted": "The scores are sorted, and the boxes are not: all three have to stay in the same order.",
    "classes-from-one": "The classes are off by one: they are counted from 0.",
    "free-bottom": "The bottom edge is never clipped.",
    "score-of-class-0": "The scores are those of class 0: take the score of the best class.",
    "class-0-dropped": "Detections of class 0 are left out. Class 0 is a class: background has none here.",
    "suppressed-together": "Boxes of different classes suppress each other. The given lines go class by class: "
    "suppress nothing before.",
    "first-deltas": f"{_OTHERS} Here the first deltas are taken.",
    "first-locations": f"{_OTHERS} Here the first locations are taken.",
}
ACCEPTED = ("right", "right-minus-one")
_EXCHANGED = (
    "The order is boxes, classes, scores: classes and scores are exchanged. (`max` gives the values first, then the "
    "indices, which are the classes.)"
)
_WORST = "The wrong ones are kept: those that score less than `test_score_thresh`, not those that score more."
_LOOSE = "Detections are kept that score less than `test_score_thresh`."


def answer(stored: Mapping[str, torch.Tensor], name: str) -> Detections:
    """Stored detections."""
    return stored[f"{name}/boxes"], stored[f"{name}/classes"], stored[f"{name}/scores"]


def faults_of_detections(stored: Mapping[str, torch.Tensor]) -> list[tuple[str, Detections]]:
    """Sentences, and the stored detections of whoever has that fault; the likeliest first, two at once last."""
    names = [key.removesuffix("/boxes") for key in stored if key.endswith("/boxes")]
    found = []
    for name in names:
        kind = name.partition(":")[0]
        first, plus, second = kind.partition("+")
        if first in FAULTS:
            said = f"Two things at once. {FAULTS[first]} And: {FAULTS[second]}" if plus else FAULTS[first]
            found.append((bool(plus), _RANKS[first], name, said))
    return [(said, answer(stored, name)) for _, _, name, said in sorted(found)]


_RANKS = {fault: rank for rank, fault in enumerate(FAULTS)}


def exchanged(got: Detections) -> str:
    """A sentence if the classes have fractions and the scores have none, else ""."""
    _, classes, scores = (part.double() for part in got)
    whole = bool((scores == scores.round()).all()) and bool((scores > 1).any())
    return _EXCHANGED if whole and bool((classes != classes.round()).any()) else ""


def what_is_wrong(
    got: Detections, right: Sequence[Detections], faults: Sequence[tuple[str, Detections]], score: float
) -> str:
    """What explains wrong detections, in a sentence or several; "" if nothing does.

    Suppression goes from the best score down: what scores no more than the threshold, and is there all the same, has
    changed nothing above it. So the rest is looked at alone, too.

    Args:
        got: The student's: boxes `(N, 4)`, classes `(N,)` and scores `(N,)`.
        right: What is accepted.
        faults: Sentences, and what a solution with that fault gives.
        score: The score threshold.
    """
    known = [*(("", answers) for answers in right), *faults]
    for text, wrong in faults:
        if are_detections(got, [wrong]):
            return text
    if exchanged(got):
        return exchanged(got)
    boxes, classes, scores = got
    kept = scores > score
    rest = (boxes[kept], classes[kept], scores[kept])
    if bool(kept.all()) or not len(rest[0]):
        return _WORST if len(scores) and not len(rest[0]) else ""
    found = next((text for text, wrong in known if are_detections(rest, [wrong])), None)
    return "" if found is None else f"{_LOOSE} {'And: ' if found else ''}{found}".strip()


def kept_wrongly(tried: Detections, others: Detections, lower: Detections) -> str:
    """What is wrong with a threshold of 0.999 that left something.

    Args:
        tried: What was left, with a suppression threshold of 0.5.
        others: What is left with one of 0.8, of which there can only be more.
        lower: What is left with both thresholds 0.5.
    """
    if exchanged(lower):
        return exchanged(lower)
    if len(lower[2]) and bool((lower[2] <= 0.5).all()):
        return _WORST
    least, other = (float(part[2].min()) if len(part[2]) else 1.0 for part in (tried, others))
    if 0.5 <= least < 0.8 <= other:
        return "The scores are compared with `test_nms_thresh`: `test_score_thresh` is the threshold for them."
    asked = "is the score compared with another number, or something else with it, or is nothing filtered?"
    return f"{_LOOSE} The least score left is {least:.3f}: {asked}"

"""Faults of 7.1 (i) whose numbers `make_reference.py` stores: what is replaced in the solution to make each of them.

What the checks say of a fault stands under the same name in `assignment/ps7/suites/public/faults_of_losses.py` and
`faults_of_inference.py`. A name with ":2" is another way to make the same fault; "a+b" are two faults at once.
"""

from __future__ import annotations

import itertools

Changes = dict[str, str]
CLS, BOX, CTR = ("loss_cls",), ("loss_box",), ("loss_ctr",)
ALL = CLS + BOX + CTR

_BOX_MASK = "loss_box = torch.where(is_background, torch.zeros_like(loss_box), loss_box)"
_CTR_MASK = "loss_ctr = torch.where(is_background, torch.zeros_like(loss_ctr), loss_ctr)"
_DIVIDED = ".sum() / (self._normalizer * images.shape[0])"
_FOCAL = "loss_cls = sigmoid_focal_loss(pred_cls_logits, gt_one_hot)"
_ONE_HOT = "F.one_hot(class_index, self.num_classes)"
_ZEROED = "gt_one_hot[is_background] = 0.0"
_IOU = 'box_iou_loss(pred_boxes, matched_gt_boxes[:, :, :4], reduction="none")'
_GIOU = f"generalized_{_IOU}"
_WANTED = "matched_gt_boxes[:, :, :4]"
_CLIPPED = "torch.minimum(pred_boxes.clamp(min=0), images.new_tensor(images.shape[2:]).flip(0).repeat(2))"
_MATCH = "strides_per_fpn_level, boxes_of_image)"
_ASKED = "level_deltas.reshape(-1, 4), level_locations, strides_per_fpn_level[level_name]"
_MOVED = "self._normalizer = 0.9 * self._normalizer + 0.1 * pos_loc_per_image"
_TARGETS = "targets(matched_gt_deltas.reshape(-1, 4)).reshape(is_background.shape)"
_CTR = "(pred_centerness, gt_centerness"
_APPENDED = "matched_gt_deltas.append(deltas)"

# By name: which losses show it, and what is replaced.
LOSS_FAULTS: dict[str, tuple[tuple[str, ...], Changes]] = {
    "deltas-for-boxes": (BOX, {"level_boxes.reshape(level_deltas.shape)": "level_deltas"}),
    "deltas-not-boxes": (
        BOX,
        {_IOU: 'box_iou_loss(self._cat_across_fpn_levels(pred_boxreg_deltas), matched_gt_deltas, reduction="none")'},
    ),
    "stride-8": (BOX, {_ASKED: "level_deltas.reshape(-1, 4), level_locations, 8"}),
    "stride-1": (BOX, {_ASKED: "level_deltas.reshape(-1, 4), level_locations, 1"}),
    "first-boxes": (ALL, {_MATCH: "strides_per_fpn_level, gt_boxes[0])"}),
    "last-boxes": (ALL, {_MATCH: "strides_per_fpn_level, gt_boxes[-1])"}),
    "last-deltas": (CTR, {_APPENDED: "matched_gt_deltas = [deltas] * len(gt_boxes)"}),
    "first-predictions": (
        BOX,
        {_ASKED: _ASKED.replace("level_deltas", "level_deltas[:1].expand_as(level_deltas)", 1)},
    ),
    "background-counted": (BOX, {_BOX_MASK: "pass"}),
    "background-counted:2": (CTR, {_CTR_MASK: "pass"}),
    "background-clamped": (CTR, {_CTR_MASK: "pass", _CTR: _CTR + ".clamp(min=0)"}),
    "background-is-class-0": (CLS, {_ZEROED: "pass"}),
    "background-left-out": (CLS, {_FOCAL: f"{_FOCAL} * ~is_background[:, :, None]"}),
    "class-0-is-background": (
        ALL,
        {"is_background = matched_gt_boxes[:, :, 4] == -1": "is_background = matched_gt_boxes[:, :, 4] <= 0"},
    ),
    "class-plus-one": (
        CLS,
        {_ONE_HOT: "F.one_hot((class_index + 1).clamp(max=self.num_classes - 1), self.num_classes)"},
    ),
    "class-plus-one:2": (
        CLS,
        {_ONE_HOT: "F.one_hot(matched_gt_boxes[:, :, 4].long() + 1, self.num_classes + 1)[:, :, :-1]", _ZEROED: "pass"},
    ),
    "class-plus-one:3": (CLS, {_ONE_HOT: "F.one_hot(class_index + 1, self.num_classes + 1)[:, :, :-1]"}),
    "sigmoid-twice": (CLS, {_FOCAL: _FOCAL.replace("logits", "logits.sigmoid()")}),
    "sigmoid-twice:2": (CTR, {_CTR: "(pred_centerness.sigmoid(), gt_centerness"}),
    "softmax": (CLS, {_FOCAL: _FOCAL.replace("logits", "logits.softmax(dim=-1)")}),
    "mask-inverted": (BOX, {_BOX_MASK: _BOX_MASK.replace("is_background", "~is_background")}),
    "mask-inverted:2": (CTR, {_CTR_MASK: _CTR_MASK.replace("is_background", "~is_background")}),
    "boxes-clipped": (BOX, {_IOU: _IOU.replace("pred_boxes", _CLIPPED)}),
    "cross-entropy": (
        CLS,
        {_FOCAL: 'loss_cls = F.cross_entropy(pred_cls_logits.transpose(1, 2), class_index, reduction="none")'},
    ),
    "cross-entropy:2": (
        CLS,
        {
            _FOCAL: 'loss_cls = F.cross_entropy(pred_cls_logits.transpose(1, 2), class_index, reduction="none")'
            " * ~is_background"
        },
    ),
    "plain-entropy": (
        CLS,
        {_FOCAL: 'loss_cls = F.binary_cross_entropy_with_logits(pred_cls_logits, gt_one_hot, reduction="none")'},
    ),
    "times-centerness": (BOX, {_CTR_MASK: f"{_CTR_MASK}; loss_box = loss_box * gt_centerness"}),
    "times-centerness:2": (BOX, {_CTR_MASK: f"{_CTR_MASK}; loss_box = loss_box * pred_centerness.sigmoid()"}),
    "mean": (CLS, {_FOCAL: f"{_FOCAL}.mean()"}),
    "mean:2": (BOX, {_BOX_MASK: f"{_BOX_MASK}.mean()"}),
    "mean:3": (CTR, {_CTR_MASK: f"{_CTR_MASK}.mean()"}),
    "mean:4": (CTR, {_CTR_MASK: "loss_ctr = loss_ctr.mean()"}),
    "mean:5": (CTR, {_CTR_MASK: f"loss_ctr = loss_ctr.mean(); {_CTR_MASK}"}),
    "mean-of-classes": (CLS, {_FOCAL: f"{_FOCAL}.mean(dim=-1)"}),
    "exchanged": (CLS, {_FOCAL: _FOCAL.replace("pred_cls_logits, gt_one_hot", "gt_one_hot, pred_cls_logits")}),
    "exchanged:2": (CTR, {_CTR: "(gt_centerness, pred_centerness"}),
    "background-minus-one": (CLS, {_ZEROED: "gt_one_hot[is_background] = -1.0"}),
    "background-is-the-last": (
        CLS,
        {_ONE_HOT: "torch.eye(self.num_classes)[matched_gt_boxes[:, :, 4].long()]", _ZEROED: "pass"},
    ),
    "background-is-class-1": (CLS, {".long().clamp(min=0)": ".long().abs()", _ZEROED: "pass"}),
    "all-boxes": (ALL, {_MATCH: "strides_per_fpn_level, gt_boxes.reshape(-1, 5))"}),
    "all-boxes:2": (ALL, {_MATCH: "strides_per_fpn_level, gt_boxes[gt_boxes[:, :, 4] != -1])"}),
    "first-box-alone": (ALL, {_MATCH: "strides_per_fpn_level, boxes_of_image[:1])"}),
    "strides-reversed": (
        BOX,
        {_ASKED: _ASKED.replace("strides_per_fpn_level[level_name]", "256 // strides_per_fpn_level[level_name]")},
    ),
    **{
        f"other-loss:{number}": (BOX, {_GIOU: f"F.{loss}(pred_boxes, {_WANTED}, reduction='none').{joined}(dim=-1)"})
        for number, (loss, joined) in enumerate(
            itertools.product(("smooth_l1_loss", "l1_loss", "mse_loss"), ("sum", "mean"))
        )
    },
    "one-minus-loss": (BOX, {_GIOU: f"1 - {_GIOU}"}),
    "times-target": (CTR, {_CTR_MASK: "loss_ctr = loss_ctr * gt_centerness.clamp(min=0)"}),
    "objects-alone": (CLS, {_FOCAL: f"{_FOCAL} * gt_one_hot"}),
    "boxes-clipped:2": (BOX, {_IOU: _IOU.replace("pred_boxes", "pred_boxes.clamp(0, images.shape[-1])")}),
    "images-mixed": (CTR, {_TARGETS: _TARGETS.replace("gt_deltas.reshape", "gt_deltas.transpose(0, 1).reshape")}),
    "images-mixed:2": (
        CTR,
        {_TARGETS: _TARGETS.replace("reshape(is_background.shape)", "reshape(is_background.T.shape).T")},
    ),
    "mean-of-boxes": (BOX, {_IOU: _IOU.replace("none", "mean"), _BOX_MASK: "pass"}),
    "mean-of-boxes:2": (BOX, {_IOU: _IOU.replace("none", "mean")}),
    "rows-interleaved": (BOX, {".repeat(len(images), 1)": ".repeat_interleave(len(images), dim=0)"}),
    "exp": (BOX, {_ASKED: _ASKED.replace("level_deltas", "level_deltas.exp()", 1)}),
    "boxes-not-deltas": (CTR, {_TARGETS: _TARGETS.replace("gt_deltas", "gt_boxes[..., :4]")}),
    "targets-of-predictions": (
        CTR,
        {_TARGETS: _TARGETS.replace("matched_gt_deltas", "self._cat_across_fpn_levels(pred_boxreg_deltas)")},
    ),
    "no-root": (CTR, {_TARGETS: f"{_TARGETS}.square()"}),
    "images-divided": (ALL, {"fpn_feats = self.backbone(images)": "fpn_feats = self.backbone(images / 255)"}),
    "not-normalised": (ALL, {f"loss_{part}{_DIVIDED}": f"loss_{part}.sum()" for part in ("cls", "box", "ctr")}),
    "images-not-counted": (
        ALL,
        {f"loss_{part}{_DIVIDED}": f"loss_{part}.sum() / self._normalizer" for part in ("cls", "box", "ctr")},
    ),
    "only-images-counted": (
        ALL,
        {f"loss_{part}{_DIVIDED}": f"loss_{part}.sum() / images.shape[0]" for part in ("cls", "box", "ctr")},
    ),
    "normalizer-stays": (ALL, {_MOVED: "pass"}),
    "normalizer-is-new": (ALL, {_MOVED: "self._normalizer = pos_loc_per_image"}),
    "normalizer-exchanged": (ALL, {_MOVED: "self._normalizer = 0.1 * self._normalizer + 0.9 * pos_loc_per_image"}),
    "zero": (BOX, {"zeros_like(loss_box), loss_box)": "zeros_like(loss_box), 0 * loss_box)"}),
    "zero:2": (CTR, {"zeros_like(loss_ctr), loss_ctr)": "zeros_like(loss_ctr), 0 * loss_ctr)"}),
}
# What goes together easily: each of these with each of those, where both show in a loss.
_FIRST = ("background-counted", "background-counted:2", "background-is-class-0")
_SECOND = (
    *("deltas-for-boxes", "stride-8", "first-predictions", "rows-interleaved", "exp"),
    *("sigmoid-twice", "sigmoid-twice:2", "plain-entropy", "no-root", "boxes-not-deltas"),
)
LOSS_FAULTS |= {
    f"{one}+{other.partition(':')[0]}": (LOSS_FAULTS[one][0], LOSS_FAULTS[one][1] | LOSS_FAULTS[other][1])
    for one in _FIRST
    for other in _SECOND
    if LOSS_FAULTS[one][0] == LOSS_FAULTS[other][0]
}

_SIZES = "image_height, image_width = images.shape[2:]"
_BEST = "level_pred_scores, level_pred_classes = level_pred_scores.max(dim=1)"
_KEPT = "is_kept = level_pred_scores > test_score_thresh"
_MADE = "level_deltas[is_kept], level_locations[is_kept], self.backbone.fpn_strides[level_name]"
_STRIDE = "self.backbone.fpn_strides[level_name]"
_CHOSEN = "level_pred_scores[is_kept]"
_OF_SCORES = f"level_pred_scores = {_CHOSEN}"
_PARTED = "left, top, right, bottom = level_pred_boxes.unbind(dim=1)"
_ADDED = "pred_boxes_all_levels.append(level_pred_boxes)"
_INSIDE = (
    "inside = (level_pred_boxes.amin(dim=1) >= 0) & (level_pred_boxes[:, 2] <= image_width) "
    "& (level_pred_boxes[:, 3] <= image_height); "
)
_THREE = "level_pred_boxes, level_pred_classes, level_pred_scores"
_FREE_Y = {"top.clamp(0, image_height)": "top", "bottom.clamp(0, image_height)": "bottom"}
_FREE_X = {"left.clamp(0, image_width)": "left", "right.clamp(0, image_width)": "right"}


def _only(rows: str) -> str:
    """Three tensors of a level, cut down to some rows."""
    return f"{_THREE} = {', '.join(f'{name}[{rows}]' for name in _THREE.split(', '))}"


def _joined(levels: str) -> Changes:
    """Some levels alone are joined."""
    names = ("pred_boxes_all_levels", "pred_classes_all_levels", "pred_scores_all_levels")
    return {f"{name} = torch.cat({name})": f"{name} = torch.cat({name}{levels})" for name in names}


def _suppressed(every: str) -> str:
    """Suppression within a level, before a line of the source."""
    kept = _only("torchvision.ops.nms(level_pred_boxes, level_pred_scores, test_nms_thresh)")
    return f"import torchvision; {kept}; {every}"


INFERENCE_FAULTS: dict[str, Changes] = {
    "right-minus-one": {_SIZES: "image_height, image_width = (side - 1 for side in images.shape[2:])"},
    "swapped": {_SIZES: "image_width, image_height = images.shape[2:]"},
    "square-width": {_SIZES: "image_height = image_width = images.shape[3]"},
    "square-height": {_SIZES: "image_height = image_width = images.shape[2]"},
    "unclipped": _FREE_X | _FREE_Y,
    "free-x": _FREE_X,
    "free-y": _FREE_Y,
    "low-only": {_SIZES: "image_height = image_width = 1e6"},
    "high-only": {
        "left.clamp(0, image_width)": "left.clamp(max=image_width)",
        "top.clamp(0, image_height)": "top.clamp(max=image_height)",
    },
    "columns": {
        "top.clamp(0, image_height)": "top.clamp(0, image_width)",
        "right.clamp(0, image_width)": "right.clamp(0, image_height)",
    },
    "channels": {_SIZES: "image_height, image_width = images.shape[1:3]"},
    "batch-and-channels": {_SIZES: "image_height, image_width = images.shape[:2]"},
    "dropped": {_PARTED: f"{_INSIDE}{_only('inside')}; {_PARTED}"},
    "logits": {_BEST: _BEST.replace("pred_scores.max", "cls_logits.max")},
    "class-alone": {_BEST: _BEST.replace("pred_scores.max", "cls_logits.sigmoid().max")},
    "sigmoid-again": {_BEST: _BEST.replace(".max", ".sigmoid().max")},
    "root-again": {_BEST: _BEST.replace(".max", ".sqrt().max")},
    "centerness-again": {
        _BEST: _BEST.replace("level_pred_scores.max", "(level_pred_scores * level_ctr_logits.sigmoid()).max")
    },
    "stride-8": {_MADE: _MADE.replace(_STRIDE, "8")},
    "stride-1": {_MADE: _MADE.replace(_STRIDE, "1")},
    "threshold-of-class": {_KEPT: "is_kept = level_cls_logits.sigmoid().amax(dim=1) > test_score_thresh"},
    "all-classes": {
        _BEST: "is_kept, level_pred_classes = (level_pred_scores > test_score_thresh).nonzero(as_tuple=True)",
        _KEPT: "pass",
        "pred_scores[is_kept]": "pred_scores[is_kept, level_pred_classes]",
        "level_pred_classes = level_pred_classes[is_kept]": "pass",
    },
    "no-root": {"level_pred_scores = torch.sqrt(": "level_pred_scores = torch.as_tensor("},
    "classes-from-one": {_ADDED: f"level_pred_classes = level_pred_classes + 1; {_ADDED}"},
    "free-bottom": {"bottom.clamp(0, image_height)": "bottom"},
    "suppressed-together:3": {
        "scores_all_levels, pred_classes_all_levels, iou": "scores_all_levels, 0 * pred_classes_all_levels, iou"
    },
    "score-of-class-0": {
        _BEST: "level_pred_classes = level_pred_scores.argmax(dim=1); level_pred_scores = level_pred_scores[:, 0]"
    },
    "class-0-dropped": {_KEPT: "is_kept = (level_pred_scores > test_score_thresh) & (level_pred_classes > 0)"},
    "last-level": _joined("[-1:]"),
    "first-level": _joined("[:1]"),
    "coarsest-left-out": _joined("[:2]"),
    "one-a-level": {_KEPT: "is_kept = level_pred_scores == level_pred_scores.max()"},
    "clipped-in-cells": {
        _SIZES: f"{_SIZES.replace('images.shape[2:]', '')}(side // {_STRIDE} for side in images.shape[2:])"
    },
    "scores-sorted": {_OF_SCORES: f"order = {_CHOSEN}.argsort(descending=True); level_pred_scores = {_CHOSEN}[order]"},
    "scores-sorted:2": {
        _OF_SCORES: f"order = {_CHOSEN}.argsort(descending=True); level_pred_scores = {_CHOSEN}[order]",
        "level_pred_classes = level_pred_classes[is_kept]": "level_pred_classes = level_pred_classes[is_kept][order]",
    },
    "suppressed-together": {_ADDED: _suppressed(_ADDED)},
    "suppressed-together:2": {_PARTED: _suppressed(_PARTED)},
    "first-deltas": {_MADE: _MADE.replace("level_deltas[is_kept]", "level_deltas[: int(is_kept.sum())]")},
    "first-locations": {_MADE: _MADE.replace("level_locations[is_kept]", "level_locations[: int(is_kept.sum())]")},
}
INFERENCE_FAULTS |= {
    f"stride-8+{name}": INFERENCE_FAULTS["stride-8"] | INFERENCE_FAULTS[name]
    for name in ("swapped", "unclipped", "free-x", "free-y", "low-only")
}

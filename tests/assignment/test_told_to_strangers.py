"""Mistakes by which people who tried the notebook were misled once: what they are told now, and not any more."""

import pytest

from autograder.checks.result import CheckResult
from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.run_public import run_public

B, C, D, F, L, N = "7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference"
IMAGES = "backbone_feats = self.backbone(images)"
OUTPUT = "nn.Conv2d(out_channels, out_channels, 3, padding=1)"
CLS = "cls_features = self.stem_cls(features)"
BOX = "box_features = self.stem_box(features)"
STEM_BOX = "self.stem_box = nn.Sequential(*stem_box)"
STEMS = "        for stem in (stem_cls, stem_box):\n"
NETWORKS = "self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)"
BACKBONE = "        fpn_feats = self.backbone(images)\n"
MATCHED = "        for boxes_of_image in gt_boxes:\n"
CLASSES = "class_index = matched_gt_boxes[:, :, 4].long().clamp(min=0)"
KEPT = "            is_kept = level_pred_scores > test_score_thresh\n"
IS_BACKGROUND = "(boxes == -1).all(dim=1)"
CLIPPED = "distances = deltas.clamp(min=0) * stride"
# By mistake: the exercise, what stands in the solution and what in its place, what is said, and what was said falsely
# once ("": nothing).
TOLD = {
    "a normalisation in the pyramid": (
        B,
        [(OUTPUT, f"nn.Sequential({OUTPUT}, nn.BatchNorm2d(out_channels))")],
        "There is a normalisation in the pyramid",
        "are they used in `forward`",
    ),
    "an output convolution made anew": (
        B,
        [('self.fpn_params["output_c5"](merged_c5)', f"{OUTPUT.replace('out_', 'self.out_')}(merged_c5)")],
        "a layer that is made anew there",
        "the path runs downwards",
    ),
    "all weights zero": (
        B,
        [
            (
                "    @property\n    def fpn_strides",
                "        [p.data.zero_() for p in self.fpn_params.parameters()]\n\n    @property\n    def fpn_strides",
            )
        ],
        "from zeros nothing can be learned",
        "never reaches",
    ),
    "images divided": (B, [(IMAGES, IMAGES.replace("images)", "images / 255)"))], "they come ready", "ReLU"),
    "images divided in place": (B, [(IMAGES, f"images /= 255\n        {IMAGES}")], "The images are changed", "ReLU"),
    "a property lost": (
        B,
        [("    @property\n    def fpn_strides", "    def fpn_strides")],
        "with `@property` in the line",
        "tensor",
    ),
    "one stem": (C, [(STEM_BOX, "self.stem_box = self.stem_cls")], "The stems share layers", "mixed up"),
    "a ReLU before the stems": (
        C,
        [(CLS, CLS.replace("features)", "features.relu())")), (BOX, BOX.replace("features)", "features.relu())"))],
        "A ReLU stands before the stems",
        "bypassed",
    ),
    "features put back": (
        C,
        [(BOX, f"{BOX}\n            feats_per_fpn_level[level_name] = box_features")],
        "The dictionary of features, or a tensor in it, is changed",
        "bypassed",
    ),
    "a longer list": (
        C,
        [(STEMS, f"        stem_channels[:] = [width + 0 for width in stem_channels] + [8]\n{STEMS}")],
        "The list `stem_channels` is changed",
        "bypassed",
    ),
    "centerness detached": (
        C,
        [("self.pred_ctr(box_features)", "self.pred_ctr(box_features.detach())")],
        "detached on the way",
        "bypassed",
    ),
    "a linear layer": (
        C,
        [
            (
                "self.pred_cls = nn.Conv2d(stem_out_channels, num_classes, kernel_size=3, padding=1)",
                "self.pred_cls = nn.Linear(stem_out_channels, num_classes)",
            ),
            (
                "self.pred_cls(cls_features).flatten(start_dim=2).transpose(1, 2)",
                "self.pred_cls(cls_features.flatten(start_dim=2).transpose(1, 2))",
            ),
        ],
        "`pred_cls` is no convolution",
        "bypassed",
    ),
    "a dropout": (
        C,
        [("stem += [convolution, nn.ReLU()]", "stem += [convolution, nn.ReLU(), nn.Dropout()]")],
        "is there a dropout",
        "mixed",
    ),
    "half a pixel left": (
        D,
        [("+ 0.5) * level_stride", "+ 0.5) * level_stride - 0.5")],
        "is 0.5 subtracted",
        "",
    ),
    "one cell too many": (
        D,
        [("torch.arange(height,", "torch.arange(height + 1,"), ("torch.arange(width,", "torch.arange(width + 1,")],
        "an end is off by one",
        "",
    ),
    "background from the deltas": (
        F,
        [("is_background = (boxes == -1).all(dim=1)", "is_background = (deltas < 0).all(dim=1)")],
        "in the boxes, not the deltas",
        "",
    ),
    "the bottom edge alone": (F, [(IS_BACKGROUND, "boxes[:, 3] == -1")], "no single one", ""),
    "boxes clipped for deltas": (
        F,
        [(CLIPPED, "distances = deltas * stride"), ("return output_boxes", "return output_boxes.clamp(min=0)")],
        "where the deltas are meant",
        "",
    ),
    "deltas through exp": (
        F,
        [(CLIPPED, "distances = deltas.exp() * stride")],
        "The deltas go through exp",
        "",
    ),
    "a backbone in forward": (
        L,
        [(BACKBONE, f"        self.backbone = DetectorBackboneWithFPN(self.backbone.out_channels)\n{BACKBONE}")],
        "is one made anew there?",
        "",
    ),
    "stem channels written": (
        L,
        [(NETWORKS, NETWORKS.replace("stem_channels", "[64, 64]"))],
        "`stem_channels`, as it was given",
        "",
    ),
    "input channels from the stems": (
        L,
        [(NETWORKS, NETWORKS.replace("fpn_channels", "stem_channels[0]"))],
        "`fpn_channels`, as it was given",
        "",
    ),
    "one image squeezed": (
        L,
        [("pred_ctr_logits.squeeze(-1)", "pred_ctr_logits.squeeze()")],
        "Predictions and targets differ in shape",
        "",
    ),
    "not squeezed": (
        L,
        [("pred_ctr_logits.squeeze(-1)", "pred_ctr_logits")],
        "`.squeeze(-1)` takes it away",
        "F.one_hot",
    ),
    "classes moved in place": (
        L,
        [
            (
                MATCHED,
                f"        gt_boxes += 1e-5\n{MATCHED}",
            )
        ],
        "`forward` changes `gt_boxes`",
        "",
    ),
    "another column": (
        L,
        [(CLASSES, CLASSES.replace("4]", "3]"))],
        "does it come from column 4",
        "Background has class -1",
    ),
    "the backbone frozen": (
        L,
        [(NETWORKS, f"{NETWORKS}\n        self.backbone.backbone.requires_grad_(False)")],
        None,
        "",
    ),
    "one class counted": (
        L,
        [
            (
                "sigmoid_focal_loss(pred_cls_logits, gt_one_hot)",
                "sigmoid_focal_loss(pred_cls_logits, gt_one_hot) * gt_one_hot",
            )
        ],
        "every column counts",
        "A mean",
    ),
    "another start": (L, [("self._normalizer = 150", "self._normalizer = 1")], "All three losses are", "A mean"),
    "a break at an empty level": (
        N,
        [(KEPT, f"{KEPT}            if pred_boxes_all_levels and not is_kept.any():\n                break\n")],
        "a `return` or a `break`",
        "",
    ),
    "one index squeezed": (
        N,
        [
            (
                KEPT,
                KEPT.replace("level_pred_scores >", "(level_pred_scores >").replace(
                    "thresh\n", "thresh).nonzero().squeeze()\n"
                ),
            )
        ],
        "is there a `squeeze()`",
        "",
    ),
}


def not_passed(assignment, exercise: str, changes: list[tuple[str, str]]) -> list[CheckResult]:
    """The public checks of a changed solution that do not pass."""
    text = assignment.source.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    task = assignment.exercise(exercise)
    names = load_solution(assignment, task, text).workbench.namespace
    results = run_public(exercise, names, list(task.canned), assignment.suites, assignment.reference)
    return [result for result in results if result.status != "passed"]


@pytest.mark.parametrize("mistake", TOLD)
def test_nobody_is_misled(assignment, mistake):
    """What helps is said, and what was false once is not; what is right is told nothing."""
    exercise, changes, words, false = TOLD[mistake]
    said = [f"{check.diagnosis}\n{check.message}" for check in not_passed(assignment, exercise, changes)]
    if words is None:
        assert said == []
    else:
        assert any(words in text for text in said), said
        assert not (false and any(false in text for text in said)), said

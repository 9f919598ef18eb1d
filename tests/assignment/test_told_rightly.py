"""Mistakes that students make by nature, and what the public checks say of them: the fault, not its consequence."""

import pytest

from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.run_public import run_public

B, C, D, F, L, N = "7.1b", "7.1c", "7.1d", "7.1f", "7.1i-losses", "7.1i-inference"
DELTAS = "torch.cat([left_top, right_bottom], dim=1) / stride"
TOLD = {
    "convolutions in a plain dict": (B, "self.fpn_params = nn.ModuleDict()", "self.fpn_params = {}", "not registered"),
    "a level never put there": (
        B,
        '        fpn_feats["p5"] = ',
        "        unused = ",
        "nothing was put into the dictionary at 'p5'",
    ),
    "self forgotten": (
        B,
        "self.backbone(images)  #",
        "backbone(images)  #",
        "Is `self.` missing? The module has `self.backbone`",
    ),
    "no padding": (
        B,
        "nn.Conv2d(out_channels, out_channels, 3, padding=1)",
        "nn.Conv2d(out_channels, out_channels, 3)",
        "Is `padding=1` missing?",
    ),
    "no padding in the stems": (
        C,
        "channels, kernel_size=3, padding=1)\n                nn",
        "channels, kernel_size=3)\n                nn",
        "Is `padding=1` missing?",
    ),
    "no ReLU": (C, "stem += [convolution, nn.ReLU()]", "stem += [convolution]", "A ReLU is missing from the stems"),
    "height and width exchanged": (
        D,
        "height, width = feat_shape[-2:]",
        "width, height = feat_shape[-2:]",
        "Height and width are exchanged",
    ),
    "locations never put there": (
        D,
        "location_coords[level_name] = torch",
        "unused = torch",
        "nothing was put into the dictionary at 'p3'",
    ),
    "right and bottom exchanged": (
        F,
        DELTAS,
        DELTAS.replace("right_bottom", "right_bottom.flip(1)"),
        "Right and bottom are exchanged",
    ),
    "left and right exchanged": (F, DELTAS, f"({DELTAS})[:, [2, 1, 0, 3]]", "Left and right are exchanged"),
    "background looked for too late": (
        F,
        "    is_background = (boxes == -1).all(dim=1)\n",
        "    boxes += 5\n    is_background = (boxes == -1).all(dim=1)\n",
        "before anything is written into the boxes",
    ),
    "boxes written into": (
        F,
        "    is_background = (boxes == -1).all(dim=1)\n",
        "    is_background = (boxes == -1).all(dim=1)\n    boxes += 5\n",
        "changes its second argument",
    ),
    "the best class of the logits": (
        N,
        "level_pred_scores.max(dim=1)",
        "level_cls_logits.max(dim=1)",
        "Scores are the class logits here",
    ),
    "one-hot of -1": (L, ".long().clamp(min=0)", ".long()", "Background has class -1"),
    "one-hot of floats": (L, ".long().clamp(min=0)", ".clamp(min=0)", "`.long()` makes whole numbers"),
    "background as class 0": (L, "gt_one_hot[is_background] = 0.0", "pass", "background counts as class 0"),
}


@pytest.mark.parametrize("mistake", TOLD)
def test_a_mistake_is_told_by_its_name(assignment, mistake):
    """One of the checks that fail says what the mistake is."""
    exercise, old, new, words = TOLD[mistake]
    text = assignment.source.read_text(encoding="utf-8")
    assert text.count(old) == 1
    task = assignment.exercise(exercise)
    names = load_solution(assignment, task, text.replace(old, new)).workbench.namespace
    results = run_public(exercise, names, list(task.canned), assignment.suites, assignment.reference)
    said = [f"{check.diagnosis} {check.message}" for check in results if check.status != "passed"]
    assert said and any(words in one for one in said), said


def test_all_that_is_asked_in_secret_is_asked_in_public(assignment):
    """Every exercise with hidden checks has public ones without points, which ask the same of other inputs."""
    for exercise in (B, C, D, F, L, N):
        task = assignment.exercise(exercise)
        names = load_solution(assignment, task).workbench.namespace
        results = run_public(exercise, names, list(task.canned), assignment.suites, assignment.reference)
        assert {check.status for check in results} == {"passed"}
        assert any(check.points == 0 for check in results)

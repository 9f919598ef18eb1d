"""Faults of the detector, and what the public checks of (i) say of them: sentences that are true, one for each kind."""

import itertools

import pytest
import safetensors.torch
import torch

from autograder.grading.substitutes import load_solution
from autograder.notebook_kit.run_public import run_public
from data_scripts.known_faults import INFERENCE_FAULTS, LOSS_FAULTS
from suites.detections import are_detections
from suites.public import faults_of_inference, faults_of_losses
from suites.public.faults_of_inference import ACCEPTED, answer, faults_of_detections, kept_wrongly, what_is_wrong
from suites.public.faults_of_losses import fault_of_loss
from suites.public.test_7_1i_losses import LOSSES, close

L, N = "7.1i-losses", "7.1i-inference"
BEST = "level_pred_scores, level_pred_classes = level_pred_scores.max(dim=1)"
KEPT = "is_kept = level_pred_scores > test_score_thresh"
SIZES = "image_height, image_width = images.shape[2:]"
MADE = "level_deltas[is_kept], level_locations[is_kept]"
LOGITS = "binary_cross_entropy_with_logits(pred_centerness, gt"
ONE_HOT = "F.one_hot(class_index, self.num_classes).to(pred_cls_logits.dtype)"
# Exercise, what is replaced in the solution, what has to be said, what must not be.
TOLD = {
    "deltas taken for boxes": (
        L,
        {"level_boxes.reshape(level_deltas.shape)": "level_deltas"},
        "deltas stand where boxes in pixels are meant",
        "Background",
    ),
    "targets taken for predictions": (
        L,
        {"box_iou_loss(pred_boxes, m": "box_iou_loss(matched_gt_boxes[:, :, :4] + 0 * pred_boxes, m"},
        "Or is the target compared with itself?",
        "deltas stand",
    ),
    "one-hot of whole numbers": (
        L,
        {ONE_HOT: "F.one_hot(class_index, self.num_classes)"},
        "A tensor of whole numbers cannot take fractions",
        "Background",
    ),
    "targets of -1 in the plain entropy": (
        L,
        {LOGITS: "binary_cross_entropy(pred_centerness.sigmoid(), gt"},
        "Background has targets of -1",
        "A sigmoid is applied",
    ),
    "a dictionary for a level": (
        L,
        {"locations_per_fpn_level[level_name], matched": "locations_per_fpn_level, matched"},
        "is `[level_name]` missing",
        "Background",
    ),
    "the whole batch at once": (
        L,
        {"level_deltas.reshape(-1, 4), level_locations, s": "level_deltas, level_locations, s"},
        "called in code cell",
        "Background",
    ),
    "other locations than deltas": (N, {MADE: "level_deltas[is_kept], level_locations"}, "called in code cell", "clip"),
    "a copy clipped": (
        N,
        {
            "level_pred_boxes = torch.stack(\n": "unused = torch.stack(\n",
        },
        "clips a copy",
        "Height and width",
    ),
    "the other threshold": (
        N,
        {KEPT: KEPT.replace("score_thresh", "nms_thresh")},
        "compared with `test_nms_thresh`",
        "another number compared",
    ),
    "0.3, and height for width": (
        N,
        {KEPT: KEPT.replace("test_score_thresh", "0.3"), SIZES: "image_width, image_height = images.shape[2:]"},
        "And: Height and width are swapped",
        "not filtered",
    ),
    "what scores less": (N, {KEPT: KEPT.replace(">", "<")}, "The wrong ones are kept", "not filtered"),
    "another image's size": (
        N,
        {SIZES: "image_height = image_width = 224"},
        "beyond the right or the bottom edge of this image",
        "Only the lower",
    ),
    "values for indices": (
        N,
        {BEST: "level_pred_classes, level_pred_scores = level_pred_scores.max(dim=1)"},
        "`max` gives the values first",
        "The least score",
    ),
    "two at once": (
        N,
        {
            "level_locations[is_kept], self.backbone.fpn_strides[level_name]": "level_locations[is_kept], 8",
            "top.clamp(0, image_height)": "top",
            "bottom.clamp(0, image_height)": "bottom",
        },
        "And: Only x is clipped",
        "swapped",
    ),
}


@pytest.mark.parametrize("mistake", TOLD)
def test_a_mistake_is_told_by_its_name(assignment, mistake):
    """One of the checks that fail says what the mistake is, and none says what it is not."""
    exercise, changes, words, never = TOLD[mistake]
    text = assignment.source.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    task = assignment.exercise(exercise)
    names = load_solution(assignment, task, text).workbench.namespace
    results = run_public(exercise, names, list(task.canned), assignment.suites, assignment.reference)
    said = [f"{check.diagnosis} {check.message}" for check in results if check.status != "passed"]
    assert said and any(words in one for one in said), said
    assert not any(never in one for one in said), said


@pytest.fixture(name="stored")
def _stored(assignment):
    """The stored tensors of an exercise."""
    return lambda exercise: safetensors.torch.load_file(assignment.reference / "public" / f"{exercise}.safetensors")


def _sentences(name, faults):
    """The sentences of a fault's name, of which "a+b" has two."""
    return {faults[part.partition(":")[0]] for part in name.split("+")}


def test_every_stored_loss_is_told_by_its_name(stored):
    """The number that a fault gives leads to the sentence of this fault alone, in each loss that shows it."""
    reference = stored(L)
    assert {key.partition("/")[2] for key in reference if key.startswith("loss_") and "/" in key} == set(LOSS_FAULTS)
    for fault, (shown, _changes) in LOSS_FAULTS.items():
        for name in shown:
            said = fault_of_loss(reference, name, float(reference[f"{name}/{fault}"]), close)
            assert all(sentence in said for sentence in _sentences(fault, faults_of_losses.FAULTS))
            assert " Or: " not in said


def test_an_unknown_loss_has_no_name(stored):
    """A loss that no known fault explains is given no name, one that two explain is given both."""
    reference = stored(L)
    assert [fault_of_loss(reference, name, float(reference[name]) + 0.0123, close) for name in LOSSES] == [""] * 3
    twice = {"loss_box": torch.tensor(1.0), "loss_box/exp": torch.tensor(2.0), "loss_box/stride-8": torch.tensor(2.0)}
    stride, exp = (faults_of_losses.FAULTS[name] for name in ("stride-8", "exp"))
    assert fault_of_loss(twice, "loss_box", 2.0, close) == f"{stride} Or: {exp}"


def test_every_fault_of_inference_is_told_by_its_name(stored):
    """The detections that a fault gives lead to its sentence, and no two faults give the same ones."""
    reference = stored(N)
    right, faults = [answer(reference, name) for name in ACCEPTED], faults_of_detections(reference)
    assert len(faults) == len(INFERENCE_FAULTS) - 1  # clipping to the last pixel is none
    for name in INFERENCE_FAULTS.keys() - {*ACCEPTED}:
        said = what_is_wrong(answer(reference, name), right, faults, 0.5)
        assert all(sentence in said for sentence in _sentences(name, faults_of_inference.FAULTS))
    every = [*right, *(wrong for _, wrong in faults)]
    assert not any(are_detections(one, [other], 4e-3) for one, other in itertools.combinations(every, 2))


def test_detections_that_nothing_explains_have_no_name(stored):
    """Detections moved by a pixel, none at all, and right ones without the first are given no name."""
    reference = stored(N)
    right, faults = [answer(reference, name) for name in ACCEPTED], faults_of_detections(reference)
    boxes, classes, scores = right[0]
    for got in (
        (boxes + 1, classes, scores),
        (boxes[:0], classes[:0], scores[:0]),
        (boxes[1:], classes[1:], scores[1:]),
    ):
        assert what_is_wrong(got, right, faults, 0.5) == ""


def test_a_number_written_in_is_not_taken_for_the_other_threshold():
    """The other threshold is named only where what is left moves with it."""
    part = [torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)]
    low, high = torch.tensor([0.6, 0.9]), torch.tensor([0.85, 0.9])
    assert "test_nms_thresh" in kept_wrongly((*part, low), (*part, high), (*part, low))
    assert "0.600" in kept_wrongly((*part, low), (*part, low), (*part, low))
    assert "0.850" in kept_wrongly((*part, high), (*part, high), (*part, high))

"""7.1 (i), inference: from given predictions to detections, with canned networks in place of (b) and (c)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autograder.checks.bounded import shape_text
from autograder.checks.compare import CheckFailed
from autograder.checks.gpu import expect_right, expect_runs_on_gpu
from autograder.checks.student import Handle, Student
from suites.detections import Detections, are_detections, expect_detections, expect_three
from suites.public.faults_of_inference import ACCEPTED, answer, faults_of_detections, kept_wrongly, what_is_wrong
from suites.scenes import few_left, striped_images

pytestmark = pytest.mark.exercise("7.1i-inference")

LEVELS = ("p3", "p4", "p5")
SIZE = (96, 128)  # height, width
CLASSES = 6
NEW = [CLASSES, 16, [16]]  # the detector's arguments


def detect(module: Handle, inputs: dict[str, torch.Tensor], score: float, nms: float) -> object:
    """Run the student's `inference` on stored predictions, in evaluation mode."""
    module.eval()
    return module.call("inference", *arguments(inputs), test_score_thresh=score, test_nms_thresh=nms)


def first_detections(student: Student, inputs: dict[str, torch.Tensor]) -> object:
    """What the student's `inference` makes of the stored predictions, with both thresholds 0.5."""
    return student.once("first detections", lambda: detect(student.new("FCOS", *NEW), inputs, 0.5, 0.5))


def expect_alike(got: object) -> None:
    """Fail unless there are boxes, classes and scores, as many of each."""
    boxes, classes, scores = expect_three(got)
    if not (boxes.dim() == 2 and boxes.shape[1] == 4 and len(boxes) == len(classes) == len(scores)):
        found = ", ".join(map(shape_text, (boxes, classes, scores)))
        text = f"Shapes {found}: expected (N, 4), (N,), (N,)."
        raise CheckFailed(text, "Boxes, classes and scores have to be filtered alike.", text)


def arguments(inputs: dict[str, torch.Tensor], size: tuple[int, int] = SIZE) -> list[Any]:
    """Images, and the stored predictions by level, as `inference` takes them."""
    parts = [{level: inputs[f"{kind}/{level}"] for level in LEVELS} for kind in ("where", "cls", "box", "ctr")]
    return [torch.zeros(1, 3, *size), *parts]


def accepted_of(stored: dict[str, torch.Tensor]) -> list[Detections]:
    """The stored right answers: clipped to the image's edge, or to its last pixel."""
    return [answer(stored, name) for name in ACCEPTED]


def as_above(student: Student, stored: dict[str, torch.Tensor]) -> str:
    """What is wrong with the first detections, if that is known: then the same is wrong with others."""
    got, right = expect_three(first_detections(student, stored)), accepted_of(stored)
    fit = got[0].dim() == 2 and got[0].shape[1] == 4 and got[1].shape == got[2].shape == got[0].shape[:1]
    if not fit or are_detections(got, right):
        return ""
    return what_is_wrong(got, right, faults_of_detections(stored), 0.5)


@pytest.mark.points(2)
def test_three_tensors(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """Inference returns boxes (N, 4), classes (N,) and scores (N,), of equal length."""
    expect_alike(first_detections(student, stored))
    confirm("detections_in_form", student, rng)


@pytest.mark.points(4)
def test_detections(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """The detections of a stored example, an image that is wider than high, are right."""
    got = first_detections(student, stored)
    expect_detections(got, accepted_of(stored), size=SIZE, otherwise=lambda _: as_above(student, stored))
    confirm("detections_of_others", student, rng)


@pytest.mark.points(2)
def test_nothing_found(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """An image in which nothing is found gives empty tensors, not an error."""
    found = expect_three(detect(student.new("FCOS", *NEW), stored, 0.999, 0.5))
    if any(map(len, found)):
        text = f"With a score threshold of 0.999 nothing should be left, but there are {len(found[0])} boxes."
        others = expect_three(detect(student.new("FCOS", *NEW), stored, 0.999, 0.8))
        lower = expect_three(first_detections(student, stored))
        raise CheckFailed(text, kept_wrongly(found, others, lower), text)
    confirm("something_found", student, rng)


@pytest.mark.points(0)  # grading asks again with other predictions, see the hidden half
def test_another_image(student: Student, stored: dict[str, torch.Tensor]) -> None:
    """After the first image, an image that is higher than wide, with other thresholds, gives the right detections."""
    module = student.new("FCOS", *NEW)
    detect(module, stored, 0.5, 0.5)
    inputs = {name.removeprefix("tall/"): tensor for name, tensor in stored.items() if name.startswith("tall/")}
    module.eval()
    thresholds = {"test_score_thresh": 0.6, "test_nms_thresh": 0.3}
    got = module.call("inference", *arguments(inputs, TALL), **thresholds)
    faults = [(text, answer(inputs, name)) for name, text in THRESHOLDS.items()]
    expect_detections(got, accepted_of(inputs), faults, size=TALL, otherwise=lambda _: as_above(student, stored))


@pytest.mark.points(0)
def test_levels_with_one_or_none(student: Student, stored: dict[str, torch.Tensor]) -> None:
    """A level with no detection, and one with a single detection, give what they have; other levels keep theirs."""
    where, logits, *others = arguments(stored)[1:]
    module = student.new("FCOS", *NEW)
    module.eval()
    parts = [torch.zeros(1, 3, *SIZE), where, few_left(logits), *others]
    got = module.call("inference", *parts, test_score_thresh=0.5, test_nms_thresh=0.5)
    inputs = {name.removeprefix("few/"): tensor for name, tensor in stored.items() if name.startswith("few/")}
    boxes, classes, scores = (part[:0] for part in answer(inputs, "right"))
    text = (
        "A level without detections ends it for others: is there a `return` or a `break` in the loop over the levels?"
    )
    faults = [(text, answer(inputs, "until-empty")), (text, (boxes, classes, scores))]
    above = as_above(student, stored)
    expect_detections(got, accepted_of(inputs), [] if above else faults, size=SIZE, otherwise=lambda _: above)


TALL = (128, 64)  # height, width
THRESHOLDS = {
    "nms-by-default": "The threshold of the suppression is not the one asked for: it stays 0.5.",
    "score-by-default": "`test_score_thresh` is not used: the scores are compared with 0.3. That is its default; "
    "`test_nms_thresh` is 0.3 here, too.",
}


@pytest.mark.points(0)
def test_forward_hands_on(student: Student, stored: dict[str, torch.Tensor]) -> None:
    """In evaluation mode the detector itself gives the detections of an image, with the thresholds it was given."""
    module = student.new("FCOS", 4, 8, [8])
    module.eval()
    module(striped_images(1, *SIZE), None, test_score_thresh=0.5, test_nms_thresh=0.5)
    for score, nms in ((0.5, 0.5), (0.7, 0.2)):
        got = module(striped_images(1, 96, 160), None, test_score_thresh=score, test_nms_thresh=nms)
        other = (0.7, 0.2) if score == 0.5 else (0.5, 0.5)
        right, wrong = (answer(stored, f"forward-{a}-{b}/right") for a, b in ((score, nms), other))
        last_pixel = torch.minimum(right[0], torch.tensor([159.0, 95.0, 159.0, 95.0])), *right[1:]
        faults = [("`forward` does not hand its thresholds on.", wrong)]
        accepted = [right, last_pixel]
        expect_detections(got, accepted, faults, size=(96, 160), otherwise=lambda _: as_above(student, stored))


@pytest.mark.points(1)
def test_runs_on_a_gpu(
    student: Student, stored: dict[str, torch.Tensor], rng: torch.Generator, confirm: Callable[..., None]
) -> None:
    """With predictions on a GPU, inference works (simulated: none is needed)."""
    got = expect_three(first_detections(student, stored))
    thresholds = {"test_score_thresh": 0.5, "test_nms_thresh": 0.5}
    expect_runs_on_gpu(student, "FCOS", arguments(stored), thresholds, new=NEW, method="inference")
    expect_right(are_detections(got, accepted_of(stored)), "the detections")
    confirm("detections_of_others", student, rng)

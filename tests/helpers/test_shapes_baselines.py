"""What ShapesDetection may not give away: answers that need no look at shapes score next to nothing.

Each test prints its figure: `pytest -rP tests/helpers/test_shapes_baselines.py` shows them all.
"""

import pytest
import torch
from torchvision import models
from torchvision.ops import box_iou

from ps7_helpers import Evaluation, ImageDetections, ImageTruth, ShapesDetection, denormalize, evaluate_detections
from tests.support.solution import whole_solution

SIZE = 64
LIMIT = 0.1  # of the mean average precision, for answers that find their boxes themselves
SCORE, NMS = 0.05, 0.6  # thresholds of the notebook's short run
HANDED_BOXES = 0.2  # for answers that are handed the true boxes and guess the class; dice would have 0.06


@pytest.fixture(scope="module")
def scenes():
    """Images in [0, 1] with their real boxes ``(N, 5)``: some to learn from, some to be judged on."""

    def read(split: str, length: int):
        dataset = ShapesDetection(split, image_size=SIZE, length=length)
        return [(denormalize(image), boxes[boxes[:, 4] >= 0]) for _, image, boxes in dataset]

    return read("train", 500), read("val", 200)


def judge(val, answers) -> Evaluation:
    """Evaluate answers, one ``(M, 6)`` of box, class and score per image."""
    truth = {str(i): ImageTruth([str(int(c)) for c in b[:, 4]], b[:, :4]) for i, (_, b) in enumerate(val)}
    found = {str(i): ImageDetections([str(int(c)) for c in a[:, 4]], a[:, 5], a[:, :4]) for i, a in enumerate(answers)}
    evaluation = evaluate_detections(truth, found, inclusive=False)
    print(f"mAP {evaluation.mean_ap:.2%}")
    return evaluation


def as_rows(boxes: torch.Tensor, classes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Detections as ``(M, 6)``."""
    return torch.cat([boxes, classes[:, None].float(), scores[:, None].float()], dim=1)


def test_the_truth_is_perfect(scenes):
    """The judge of these tests is sound: the true boxes score 1."""
    val = scenes[1]
    assert judge(val, [as_rows(b[:, :4], b[:, 4], torch.ones(len(b))) for _, b in val]).mean_ap == pytest.approx(1.0)


def test_constant_boxes(scenes):
    """For every class the box that meets most of its training objects, in each image, scores next to nothing."""
    train, val = scenes
    objects = torch.cat([b for _, b in train])
    rows = []
    for class_id in objects[:, 4].unique():
        boxes = objects[objects[:, 4] == class_id, :4]
        overlaps = box_iou(boxes, boxes) >= 0.5  # a box of the class as a candidate, the others as what it meets
        best = boxes[overlaps.sum(dim=0).argmax()]
        rows.append([*best.tolist(), class_id.item(), 1.0])
    assert judge(val, [torch.tensor(rows)] * len(val)).mean_ap < LIMIT


def test_a_grid_of_constant_boxes(scenes):
    """Nor do the thirty training boxes that meet most objects of a class, the best of them with the highest score."""
    train, val = scenes
    objects = torch.cat([b for _, b in train])
    rows = []
    for class_id in objects[:, 4].unique():
        boxes = objects[objects[:, 4] == class_id, :4]
        meets = (box_iou(boxes, boxes) >= 0.5).sum(dim=0)
        for k in meets.argsort(descending=True)[:30]:
            rows.append([*boxes[k].tolist(), class_id.item(), meets[k].item()])
    assert judge(val, [torch.tensor(rows)] * len(val)).mean_ap < LIMIT


def mean_colors(image: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Mean R, G, B within each box, ``(N, 3)``."""
    corners = boxes[:, :4].round().int().tolist()
    return torch.stack([image[:, y1:y2, x1:x2].mean(dim=(1, 2)) for x1, y1, x2, y2 in corners])


@pytest.fixture(scope="module")
def by_color(scenes):
    """Gives boxes the class that the fifteen training objects of nearest mean colour have most often: ``(N, 6)``."""
    known = torch.cat([mean_colors(image, objects) for image, objects in scenes[0]])  # (K, 3)
    labels = torch.cat([objects[:, 4] for _, objects in scenes[0]])  # (K,)

    def answer(image: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        votes = labels[torch.cdist(mean_colors(image, boxes), known).topk(15, largest=False).indices]  # (N, 15)
        classes = votes.mode(dim=1).values
        return as_rows(boxes[:, :4], classes, (votes == classes[:, None]).float().mean(dim=1))

    return answer


def test_colors_with_the_true_boxes(scenes, by_color):
    """Even handed the true boxes, a classifier that sees only their mean colour is far from good."""
    val = scenes[1]
    assert judge(val, [by_color(image, boxes) for image, boxes in val]).mean_ap < HANDED_BOXES


def test_colored_regions(scenes, by_color):
    """A box around all that stands out from the background, its class guessed by colour, scores next to nothing."""
    val = scenes[1]
    answers = []
    for image, _ in val:
        background = image.flatten(1).median(dim=1).values.view(3, 1, 1)
        out = ((image - background).abs().amax(dim=0) > 0.3).nonzero()  # (K, 2) of (row, column)
        if not len(out):
            answers.append(torch.empty(0, 6))
            continue
        y1, x1 = out.amin(dim=0).tolist()
        y2, x2 = (out.amax(dim=0) + 1).tolist()
        answers.append(by_color(image, torch.tensor([[x1, y1, x2, y2]]).float()))
    assert judge(val, answers).mean_ap < LIMIT


def test_an_untrained_detector(scenes, assignment, monkeypatch):
    """The solution's detector as the notebook's short run makes it, before training, scores next to nothing."""
    scratch = models.regnet_x_400mf
    monkeypatch.setattr(models, "regnet_x_400mf", lambda *args, **kwargs: scratch(weights=None))  # no download
    namespace = whole_solution(assignment)
    torch.manual_seed(0)
    detector = namespace["FCOS"](num_classes=20, fpn_channels=64, stem_channels=[64, 64])
    detector.eval()
    dataset = ShapesDetection("val", image_size=SIZE, length=100)
    with torch.no_grad():
        found = [detector(image[None], test_score_thresh=SCORE, test_nms_thresh=NMS) for _, image, _ in dataset]
    assert sum(len(boxes) for boxes, _, _ in found) > 100  # it does answer
    assert judge(scenes[1][:100], [as_rows(*answer) for answer in found]).mean_ap < LIMIT

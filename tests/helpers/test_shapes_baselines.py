"""What ShapesDetection may not give away: answers that need no look at shapes score next to nothing."""

import pytest
import torch
from torchvision.ops import box_iou

from ps7_helpers import Evaluation, ImageDetections, ImageTruth, ShapesDetection, denormalize, evaluate_detections

SIZE = 64
LIMIT = 0.1


@pytest.fixture(scope="module")
def scenes():
    """Images in [0, 1] with their real boxes ``(N, 5)``: some to learn from, some to be judged on."""

    def read(split: str, length: int):
        dataset = ShapesDetection(split, image_size=SIZE, length=length)
        return [(denormalize(image), boxes[boxes[:, 4] >= 0]) for _, image, boxes in dataset]

    return read("train", 300), read("val", 150)


def judge(val, answers) -> Evaluation:
    """Evaluate answers, one ``(M, 6)`` of box, class and score per image."""
    truth = {str(i): ImageTruth([str(int(c)) for c in b[:, 4]], b[:, :4]) for i, (_, b) in enumerate(val)}
    found = {str(i): ImageDetections([str(int(c)) for c in a[:, 4]], a[:, 5], a[:, :4]) for i, a in enumerate(answers)}
    return evaluate_detections(truth, found, inclusive=False)


def as_rows(boxes: torch.Tensor, classes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Detections as ``(M, 6)``."""
    return torch.cat([boxes, classes[:, None].float(), scores[:, None].float()], dim=1)


def test_the_truth_is_perfect(scenes):
    """The judge of these tests is sound: the true boxes score 1."""
    val = scenes[1]
    assert judge(val, [as_rows(b[:, :4], b[:, 4], torch.ones(len(b))) for _, b in val]).mean_ap == 1.0


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
    """Mean R, G, B within each box, and around it: ``(N, 6)``."""
    rows = []
    for x1, y1, x2, y2 in boxes[:, :4].round().int().tolist():
        inside = image[:, y1:y2, x1:x2].mean(dim=(1, 2))
        middle = image[:, (3 * y1 + y2) // 4 : (y1 + 3 * y2) // 4 + 1, (3 * x1 + x2) // 4 : (x1 + 3 * x2) // 4 + 1]
        rows.append(torch.cat([inside, middle.mean(dim=(1, 2))]))
    return torch.stack(rows)


@pytest.mark.parametrize("neighbours", [1, 15])
def test_colors_with_the_true_boxes(scenes, neighbours):
    """Even handed the true boxes, a classifier that sees only mean colours scores next to nothing."""
    train, val = scenes
    known = torch.cat([mean_colors(image, boxes) for image, boxes in train])  # (K, 6)
    labels = torch.cat([boxes[:, 4] for _, boxes in train])
    answers = []
    for image, boxes in val:
        nearest = torch.cdist(mean_colors(image, boxes), known).topk(neighbours, largest=False).indices  # (N, k)
        votes = labels[nearest]
        classes = votes.mode(dim=1).values
        answers.append(as_rows(boxes[:, :4], classes, (votes == classes[:, None]).float().mean(dim=1)))
    assert judge(val, answers).mean_ap < LIMIT


def test_colored_regions(scenes):
    """Nor does one box around all that stands out from the background, of the most common class or of all."""
    train, val = scenes
    classes = torch.cat([b[:, 4] for _, b in train]).unique()
    answers = []
    for image, _ in val:
        background = image.flatten(1).median(dim=1).values.view(3, 1, 1)
        out = ((image - background).abs().amax(dim=0) > 0.3).nonzero()  # (K, 2) of (row, column)
        if not len(out):
            answers.append(torch.empty(0, 6))
            continue
        y1, x1 = out.amin(dim=0).tolist()
        y2, x2 = (out.amax(dim=0) + 1).tolist()
        boxes = torch.tensor([[x1, y1, x2, y2]]).float().repeat(len(classes), 1)
        answers.append(as_rows(boxes, classes, torch.ones(len(classes))))
    assert judge(val, answers).mean_ap < LIMIT

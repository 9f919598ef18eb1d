"""Non-maximum suppression beside a loop, with pairs built to lie on either side of the threshold."""

import pytest
import torch

from ps7_helpers import class_spec_nms, nms


def iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes."""
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union if union > 0 else 0.0


def slow_nms(boxes, scores, class_ids, threshold):
    """Take the best box that is left, drop what overlaps it in its class, and so on."""
    boxes, scores, class_ids = boxes.tolist(), scores.tolist(), class_ids.tolist()
    left = sorted(range(len(scores)), key=lambda i: -scores[i])  # stable: of equal scores the first
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if class_ids[i] != class_ids[best] or iou(boxes[i], boxes[best]) <= threshold]
    return kept


def random_scene(count: int):
    """Boxes that overlap a lot, on quarter pixels, with scores of which many are equal."""
    corners = (torch.rand(count, 2) * 240).round() / 4
    sizes = 2.0 + (torch.rand(count, 2) * 160).round() / 4
    return torch.cat([corners, corners + sizes], dim=1), torch.randint(0, 12, (count,)) / 12.0


def barely(threshold: float, more: bool):
    """Two boxes of width 1000 whose overlap is barely more, or barely less, than the threshold."""
    shift = 1000 * (1 - threshold) / (1 + threshold) + (-0.01 if more else 0.01)
    return torch.tensor([[0.0, 0.0, 1000.0, 10.0], [shift, 0.0, 1000.0 + shift, 10.0]])


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 0.99])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_oracle(seed, threshold):
    """On random boxes with many equal scores, the kept indices and their order are those of the loop."""
    torch.manual_seed(seed)
    boxes, scores = random_scene([1, 7, 60, 150][seed % 4])
    same = torch.zeros(len(scores), dtype=torch.int64)
    assert nms(boxes, scores, threshold).tolist() == slow_nms(boxes, scores, same, threshold)
    class_ids = torch.randint(0, 5, (len(scores),))
    found = class_spec_nms(boxes, scores, class_ids, threshold)
    assert found.tolist() == slow_nms(boxes, scores, class_ids, threshold)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.75, 0.9])
def test_barely_more_or_less(threshold):
    """A pair that overlaps by barely more than the threshold loses one box, by barely less none."""
    scores, class_ids = torch.tensor([0.4, 0.6]), torch.tensor([19, 19])
    for more, kept in ((True, [1]), (False, [1, 0])):
        boxes = barely(threshold, more)
        assert nms(boxes, scores, threshold).tolist() == kept
        assert class_spec_nms(boxes, scores, class_ids, threshold).tolist() == kept


@pytest.mark.parametrize("tenths", range(1, 10))
def test_exactly_the_threshold(tenths):
    """A pair that overlaps by exactly the threshold stays, also where the threshold is no binary fraction."""
    boxes = torch.tensor([[0.0, 0.0, 10.0, 4.0], [0.0, 0.0, float(tenths), 4.0]])
    scores, class_ids = torch.tensor([0.9, 0.8]), torch.tensor([2, 2])
    assert nms(boxes, scores, tenths / 10).tolist() == [0, 1]
    assert class_spec_nms(boxes, scores, class_ids, tenths / 10).tolist() == [0, 1]


def test_equal_scores():
    """Of equal boxes with equal scores the first stays."""
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(30, 1)
    assert nms(boxes, torch.full((30,), 0.5), 0.5).tolist() == [0]
    class_ids = torch.arange(30) % 3
    assert class_spec_nms(boxes, torch.full((30,), 0.5), class_ids, 0.5).tolist() == [0, 1, 2]


def test_a_dropped_box_drops_nothing():
    """A chain of overlaps loses its middle only: what was dropped does not drop others."""
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [3.0, 0.0, 13.0, 10.0], [6.0, 0.0, 16.0, 10.0]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_classes_leave_each_other_alone():
    """Equal boxes of different classes all stay, also with negative coordinates and large class numbers."""
    boxes = torch.tensor([[-50.0, -50.0, -10.0, -10.0]]).repeat(3, 1)
    kept = class_spec_nms(boxes, torch.tensor([0.1, 0.9, 0.5]), torch.tensor([0, 10**6, 7]), 0.1)
    assert kept.tolist() == [1, 2, 0]


def test_default_threshold():
    """The threshold of class_spec_nms is 0.5 unless given."""
    scores, class_ids = torch.tensor([0.9, 0.8]), torch.tensor([1, 1])
    assert class_spec_nms(barely(0.5, True), scores, class_ids).tolist() == [0]
    assert class_spec_nms(barely(0.5, False), scores, class_ids).tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(0, 4), (0,)])
def test_nothing_in_nothing_out(shape):
    """Empty input gives an empty list of indices."""
    empty = torch.empty(0)
    for kept in (
        nms(torch.empty(shape), empty, 0.5),
        class_spec_nms(torch.empty(shape), empty, empty.long()),
    ):
        assert kept.shape == (0,) and kept.dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_dtypes(dtype):
    """Other float types work, and the result is int64; gradients are no obstacle."""
    boxes, scores = random_scene(20)
    boxes, scores = boxes.round().to(dtype).requires_grad_(), scores.to(dtype).requires_grad_()
    kept = class_spec_nms(boxes, scores, torch.zeros(20, dtype=torch.int32), 0.4)
    assert kept.dtype == torch.int64
    assert kept.tolist() == slow_nms(boxes, scores, torch.zeros(20), 0.4)


def test_wrong_shapes():
    """Scores or classes that were not filtered with the boxes are named with all shapes."""
    with pytest.raises(ValueError, match=r"got \(3, 4\), \(2,\) and \(3,\)"):
        class_spec_nms(torch.zeros(3, 4), torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"got \(3, 5\)"):
        nms(torch.zeros(3, 5), torch.zeros(3), 0.5)

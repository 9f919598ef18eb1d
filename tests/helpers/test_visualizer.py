"""detection_visualizer: what a reader of the figure can tell apart."""

import pytest
import torch
from matplotlib.patches import Rectangle

from ps7_helpers import detection_visualizer

NAMES = {0: "aeroplane", 6: "car", 14: "person"}
IMAGE = torch.rand(3, 60, 90)
TRUTH = torch.tensor([[10.0, 5.0, 40.0, 30.0, 6.0], [-1.0] * 5, [50.0, 20.0, 80.0, 55.0, 14.0], [-1.0] * 5])
PREDICTED = torch.tensor([[12.0, 6.0, 41.0, 33.0, 6.0, 0.876]])


def frames(figure):
    """The rectangles drawn on the image."""
    return [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]


def texts(figure):
    """The labels drawn on the image."""
    return [t.get_text() for t in figure.axes[0].texts]


def legend(figure):
    """The entries of the legend."""
    box = figure.axes[0].get_legend()
    return [] if box is None else [t.get_text() for t in box.get_texts()]


def test_returns_nothing(figures):
    """It shows one figure and returns None, so that a notebook cell prints nothing."""
    assert detection_visualizer(IMAGE, NAMES) is None
    assert len(figures) == 1
    assert frames(figures[0]) == [] and legend(figures[0]) == []


def test_truth_and_predictions(figures):
    """True and predicted boxes differ in line style, not in colour alone, and the legend names both."""
    detection_visualizer(IMAGE, NAMES, bbox=TRUTH, pred=PREDICTED)
    drawn = frames(figures[0])
    assert [f.get_linestyle() for f in drawn] == ["solid", "solid", "dashed"]
    assert drawn[0].get_bbox().extents.tolist() == [10, 5, 40, 30]
    assert texts(figures[0]) == ["car", "person", "car 0.88"]
    assert legend(figures[0]) == ["ground truth", "prediction"]


@pytest.mark.parametrize(
    "points",
    [
        torch.tensor([[4.0, 12.0], [20.0, 8.0]]),
        [(4.0, 12.0), (20.0, 8.0)],
        [torch.tensor([4.0, 12.0]), torch.tensor([20.0, 8.0])],
    ],
)
def test_points(figures, points):
    """Points are marked, whether they come as a tensor or as a list."""
    detection_visualizer(IMAGE, NAMES, points=points)
    (line,) = figures[0].axes[0].lines
    assert line.get_xydata().tolist() == [[4, 12], [20, 8]]
    assert line.get_marker() not in ("", "None", None)
    assert legend(figures[0]) == ["location"]


@pytest.mark.parametrize("point", [torch.tensor([4.0, 12.0]), (4.0, 12.0), [torch.tensor([4.0, 12.0])]])
def test_one_point(figures, point):
    """One point may come without a list around it."""
    detection_visualizer(IMAGE, NAMES, points=point)
    assert figures[0].axes[0].lines[0].get_xydata().tolist() == [[4, 12]]


def test_nothing_to_draw(figures):
    """Padding alone, no predictions and no points give the bare image."""
    detection_visualizer(IMAGE, NAMES, bbox=torch.full((40, 5), -1.0), pred=torch.empty(0, 6), points=[])
    assert frames(figures[0]) == [] and texts(figures[0]) == [] and legend(figures[0]) == []


def test_a_box_at_the_corner_is_no_padding(figures):
    """A box that begins at -1 is drawn as long as it is not -1 throughout."""
    detection_visualizer(IMAGE, NAMES, pred=torch.tensor([[-1.0, -1.0, 20.0, 20.0, 0.0, 0.5]]))
    assert texts(figures[0]) == ["aeroplane 0.50"]


def test_image_as_it_comes(figures):
    """Values a little outside [0, 1], half precision and gradients do no harm; the image is left alone."""
    image = (torch.rand(3, 60, 90, dtype=torch.float16) * 1.2 - 0.1).requires_grad_()
    before = image.detach().clone()
    detection_visualizer(image, NAMES, bbox=TRUTH.double())
    assert torch.equal(image, before)


def test_unknown_class(figures):
    """A class without a name shows its number."""
    detection_visualizer(IMAGE, {}, bbox=TRUTH[:1])
    assert texts(figures[0]) == ["class 6"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": torch.rand(2, 3, 8, 8)}, r"\(3, H, W\), got \(2, 3, 8, 8\)"),
        ({"image": torch.rand(8, 8, 3)}, r"\(3, H, W\), got \(8, 8, 3\)"),
        ({"image": IMAGE, "bbox": torch.rand(2, 6)}, r"bbox of shape .*got \(2, 6\)"),
        ({"image": IMAGE, "pred": torch.rand(1, 2, 6)}, r"pred of shape .*got \(1, 2, 6\)"),
        ({"image": IMAGE, "points": torch.rand(2, 3)}, r"points of shape .*got \(2, 3\)"),
    ],
)
def test_wrong_shapes(figures, arguments, message):
    """A wrong shape is named beside the expected one, before anything is drawn."""
    with pytest.raises(ValueError, match=message):
        detection_visualizer(idx_to_class=NAMES, **arguments)
    assert figures == []

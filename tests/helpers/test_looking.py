"""Looking into a detector: pictures and figures of a stand-in whose every answer is known."""

import pytest
import torch
from torch import nn

from ps7_helpers import (
    ShapesDetection,
    compare_settings,
    show_positive_locations,
    show_score_maps,
    show_suppression,
)

STRIDES = {"p3": 8, "p4": 16, "p5": 32}


class Known(nn.Module):
    """Predicts constants on two levels, and finds two equal boxes whose score is its centerness."""

    def __init__(self):
        super().__init__()
        self.pred_net = _Network()

    def backbone(self, images):
        """Maps of 8 x 8 and 4 x 4 cells."""
        return {"p3": images.new_zeros(1, 2, 8, 8), "p4": images.new_zeros(1, 2, 4, 4)}

    def forward(self, images, test_score_thresh, test_nms_thresh):
        """Both boxes, or one of them where an overlap of 1 is too much."""
        _, _, centers = self.pred_net(self.backbone(images))
        score = float(centers["p3"].sigmoid().amax())
        count = 2 if test_nms_thresh >= 0.9 else 1
        count = count if score > test_score_thresh else 0
        boxes = torch.tensor([[4.0, 4.0, 30.0, 30.0]]).repeat(count, 1)
        return boxes, torch.zeros(count), torch.full((count,), score)


class _Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1))

    def forward(self, feats):
        sizes = {level: rows.shape[2] * rows.shape[3] for level, rows in feats.items()}
        kinds = (20, 4, 1)
        return [{level: self.offset.expand(1, cells, kind) for level, cells in sizes.items()} for kind in kinds]


@pytest.fixture
def dataset():
    """Four drawn images."""
    return ShapesDetection("val", image_size=64, length=4)


def test_positive_locations_have_the_colour_of_their_object(figures, dataset):
    """One panel a level, whose title counts what the matcher gives."""
    _, image, boxes = dataset[0]
    where = {
        level: torch.cartesian_prod(torch.arange(s / 2, 64, s), torch.arange(s / 2, 64, s)).flip(1)
        for level, s in STRIDES.items()
    }
    show_positive_locations(image, boxes, where, STRIDES)
    (figure,) = figures
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == list(STRIDES)
    assert all("of" in axes.get_title() for axes in figure.axes)


def test_score_maps_show_class_centerness_and_both(figures, dataset):
    """Four panels a level: the image and three maps, each with its largest number."""
    show_score_maps(Known(), dataset[0][1])
    (figure,) = figures
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[1:4] == ["best class, at most 0.50", "centerness, at most 0.50", "score, at most 0.50"]


def test_suppression_is_shown_before_and_after(figures, dataset, capsys):
    """Two pictures, and the number of boxes of each."""
    show_suppression(Known(), dataset[0][1], dataset.idx_to_class, 0.1, 0.5)
    said = capsys.readouterr().out
    assert "before suppression: 2 boxes" in said and "after suppression: 1 boxes" in said


def test_settings_are_compared_and_put_back(dataset, capsys):
    """A line for each setting; afterwards the network predicts its own centerness again."""
    detector = Known()
    compare_settings(detector, dataset, dataset.idx_to_class, 0.4, 0.6, images=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Over 3 images") and len(lines) == 6
    assert "1.0 boxes" in lines[1] and "2.0 boxes" in lines[4]
    assert "forward" not in vars(detector.pred_net)

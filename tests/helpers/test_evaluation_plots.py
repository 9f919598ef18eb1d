"""Curves, worst mistakes, and the pictures of them."""

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image
from torch.utils.data import Subset

from ps7_helpers import (
    ImageDetections,
    ImageTruth,
    ShapesDetection,
    VOC2007Detection,
    evaluate_detections,
    plot_average_precision,
    plot_precision_recall,
    plot_worst_misses,
    worst_misses,
    write_voc,
)
from ps7_helpers.evaluation_plots import draw_average_precision, draw_misses, draw_precision_recall, images_in

SMALL, LARGE, FAR = [0.0, 0.0, 9.0, 9.0], [20.0, 20.0, 59.0, 59.0], [100.0, 100.0, 119.0, 119.0]
TRUTH = {
    "a": ImageTruth(["car", "car", "dog"], [SMALL, LARGE, FAR]),
    "b": ImageTruth(["dog"], [SMALL], [True]),
    "c": ImageTruth([], []),
}
FOUND = {
    "a": ImageDetections(["car", "car", "cat"], [0.9, 0.8, 0.4], [SMALL, SMALL, FAR]),
    "b": ImageDetections(["dog"], [0.95], [SMALL]),
    "c": ImageDetections(["car"], [0.7], [FAR]),
}


def test_curves():
    """Recall and precision after each detection, scores and number of objects; difficult objects leave no trace."""
    curves = evaluate_detections(TRUTH, FOUND).curves
    assert set(curves) == {"car", "dog"}
    assert curves["car"].recall.tolist() == [0.5, 0.5, 0.5]
    assert curves["car"].precision.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert curves["car"].scores.tolist() == [0.9, 0.8, 0.7]
    assert curves["car"].positives == 2 and curves["dog"].positives == 1
    assert len(curves["dog"].recall) == 0


def test_area_of_a_curve_is_the_average_precision():
    """Summed over the recall gained, the falling precision of a curve gives its class's average precision."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (40, 2))
    boxes = np.concatenate([corners, corners + 20], axis=1)
    truth = {str(i): ImageTruth(["car"] * 4, boxes[4 * i : 4 * i + 4]) for i in range(10)}
    moved = boxes + rng.normal(0, 4, boxes.shape)
    found = {str(i): ImageDetections(["car"] * 4, rng.uniform(size=4), moved[4 * i : 4 * i + 4]) for i in range(10)}
    result = evaluate_detections(truth, found)
    curve = result.curves["car"]
    falling = [max(curve.precision[i:]) for i in range(len(curve.precision))]
    assert (np.diff(curve.recall, prepend=0) * falling).sum() == pytest.approx(result.ap["car"])


def test_worst_misses():
    """Wrong detections by score and missed objects by size, in turn; duplicates are wrong, difficult ones nothing."""
    said = [(m.kind, m.image_id, m.class_name, round(m.badness, 2)) for m in worst_misses(TRUTH, FOUND)]
    assert said == [
        ("invented", "a", "car", 0.8),
        ("missed", "a", "car", 1.0),
        ("invented", "c", "car", 0.7),
        ("missed", "a", "dog", 0.24),
        ("invented", "a", "cat", 0.4),
    ]


@pytest.mark.parametrize(("count", "kinds"), [(0, ""), (1, "i"), (2, "im"), (4, "imim"), (5, "imimi"), (9, "imimi")])
def test_half_of_each(count, kinds):
    """As many as asked for, half of each kind as long as there are enough."""
    assert "".join(m.kind[0] for m in worst_misses(TRUTH, FOUND, count)) == kinds


def test_only_one_kind():
    """Where one kind is lacking the other fills up; a perfect detector has no misses."""
    assert [m.kind for m in worst_misses(TRUTH, {}, 4)] == ["missed"] * 3
    assert [m.kind for m in worst_misses({"c": ImageTruth([], [])}, {"c": FOUND["a"]}, 4)] == ["invented"] * 3
    right = {k: ImageDetections(t.classes, [1.0] * len(t.classes), t.boxes) for k, t in TRUTH.items()}
    assert worst_misses(TRUTH, right) == []


def test_plots(figures):
    """A panel per class with its figure, a bar per class, the mean as a line."""
    result = evaluate_detections(TRUTH, FOUND)
    plot_precision_recall(result)
    plot_average_precision(result)
    curves, bars = figures
    assert [axes.get_title() for axes in curves.axes] == ["car 50.0%", "dog 0.0%"]
    assert [label.get_text() for label in bars.axes[0].texts] == ["0.0%, 1 object", "50.0%, 2 objects"]
    assert bars.axes[0].get_title() == "mAP 25.00%"


@pytest.mark.parametrize("count", [1, 4, 20])
def test_labels_fit(count, figures):
    """However many classes there are, every label lies within its figure."""
    truth = {"a": ImageTruth([f"class {i:02d}" for i in range(count)], [SMALL] * count)}
    result = evaluate_detections(truth, {})
    for figure in (draw_precision_recall(result), draw_average_precision(result)):
        figure.draw_without_rendering()
        labels = [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]
        assert len(labels) > 3 and all(figure.bbox.padded(2).contains(*p) for t in labels for p in _corners(t))


def _corners(text):
    """Lower left and upper right corner of a text, in pixels of its figure."""
    box = text.get_window_extent()
    return box.min, box.max


def test_plots_of_nothing(figures):
    """Without any object the plots are empty, not an error."""
    result = evaluate_detections({"c": ImageTruth([], [])}, {})
    plot_precision_recall(result)
    plot_average_precision(result)
    assert len(figures) == 2
    assert not [drawn for figure in figures for axes in figure.axes for drawn in (*axes.collections, *axes.patches)]


def folders(tmp_path, image_id):
    """Text files of one image with an object that was not found."""
    for folder, text in (("gt", "car 5 5 30 30\n"), ("dt", "dog 0.75 10 10 20 20\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{image_id}.txt").write_text(text)
    return tmp_path / "gt", tmp_path / "dt"


def test_misses_of_a_data_set(tmp_path, figures):
    """Mistakes are shown on the images of the data set, below any subset, with what is wrong above."""
    plot_worst_misses(*folders(tmp_path, "000003"), Subset(ShapesDetection("val", image_size=64), range(5)))
    (figure,) = figures
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["dog: not there, score 0.75\n000003", "car: not found\n000003"]
    assert figure.axes[0].images[0].get_extent() == [0, 64, 64, 0]


def test_misses_of_real_files(tmp_path, figures):
    """With VOC the image on disk is shown, in its own size."""
    write_voc(tmp_path / "voc", train=1, val=1)
    dataset = VOC2007Detection(tmp_path / "voc", "val", image_size=64)
    plot_worst_misses(*folders(tmp_path, "000002"), dataset)
    assert figures[0].axes[0].images[0].get_extent()[1] in (375, 500)


def test_nothing_wrong(tmp_path, figures, capsys):
    """Without a mistake that is said."""
    truth, found = folders(tmp_path, "000001")
    (found / "000001.txt").write_text("car 0.9 5 5 30 30\n")
    plot_worst_misses(truth, found, ShapesDetection("val"))
    assert figures == [] and "No mistakes" in capsys.readouterr().out
    with pytest.raises(TypeError, match=r"list has no original_image"):
        plot_worst_misses(truth, found, [])


def test_images_in_a_folder(tmp_path):
    """Pictures are found by id; a missing one is named, with the folder."""
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    opened = images_in(tmp_path)
    assert opened("a").mode == "RGB"
    with pytest.raises(FileNotFoundError, match=r"no picture b\.jpg"):
        opened("b")
    draw_misses(worst_misses(TRUTH, FOUND, 1), lambda image_id: opened("a"))

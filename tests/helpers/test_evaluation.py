"""Average precision: beside a slow oracle, beside the evaluator that the assignment names, and by hand."""

import csv
import math

import numpy as np
import pytest
import torch

from ps7_helpers import ImageDetections, ImageTruth, evaluate_detections, evaluate_folders

SQUARE = [10.0, 10.0, 19.0, 19.0]  # ten pixels wide where first and last count
FAR = [100.0, 100.0, 119.0, 119.0]


def slow_iou(a, b, inclusive):
    """Intersection over union, number by number."""
    extra = 1 if inclusive else 0
    w = min(a[2], b[2]) - max(a[0], b[0]) + extra
    h = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if w <= 0 or h <= 0:
        return 0.0
    area_a, area_b = ((r[2] - r[0] + extra) * (r[3] - r[1] + extra) for r in (a, b))
    return w * h / (area_a + area_b - w * h)


def slow_ap(truth, found, name, threshold, metric, inclusive):
    """One class, one detection after the other, straight from the definition."""
    queue = [
        (-score, i, image_id, box)
        for i, image_id in enumerate(truth)
        if image_id in found
        for c, score, box in zip(*found[image_id], strict=True)
        if c == name
    ]
    queue.sort(key=lambda entry: entry[:2])  # stable: within an image in the order given
    taken, right, wrong, curve = set(), 0, 0, []
    positives = sum(c == name and not d for t in truth.values() for c, d in zip(t.classes, t.difficult, strict=True))
    for _, _, image_id, box in queue:
        objects = truth[image_id]
        best, best_iou = None, -1.0
        for k, (c, true_box) in enumerate(zip(objects.classes, objects.boxes, strict=True)):
            overlap = slow_iou(box, true_box, inclusive)
            if c == name and overlap > best_iou:
                best, best_iou = k, overlap
        if best is not None and best_iou >= threshold:
            if objects.difficult[best]:
                continue
            if (image_id, best) not in taken:
                taken.add((image_id, best))
                right += 1
                curve.append((right, right / (right + wrong)))
                continue
        wrong += 1
        curve.append((right, right / (right + wrong)))
    if metric == "voc07":
        best_at = [max((p for r, p in curve if 10 * r >= t * positives), default=0.0) for t in range(11)]
        return sum(best_at) / 11
    return sum(max((p for r, p in curve if r >= k), default=0.0) for k in range(1, positives + 1)) / positives


def random_case(rng):
    """A few images with few places, classes and scores, so that ties and duplicates are common."""

    def boxes(n):
        corners = rng.integers(0, 5, size=(n, 2)) * 4
        return np.concatenate([corners, corners + rng.integers(4, 13, size=(n, 2))], axis=1).astype(float).tolist()

    truth, found = {}, {}
    for i in range(int(rng.integers(1, 7))):
        n, m = int(rng.integers(0, 5)), int(rng.integers(0, 9))
        names = rng.choice(["car", "dog", "cow"], size=n).tolist()
        truth[f"{i:03d}"] = ImageTruth(names, boxes(n), (rng.uniform(size=n) < 0.2).tolist())
        if rng.uniform() < 0.8:
            found_names = rng.choice(["car", "dog", "cat"], size=m).tolist()
            copies = [list(truth[f"{i:03d}"].boxes)[k] for k in rng.integers(0, n, size=m // 2)] if n else []
            scores = (rng.integers(0, 5, size=m) / 4).tolist()
            found[f"{i:03d}"] = ImageDetections(found_names, scores, (copies + boxes(m))[:m])
    return truth, found


@pytest.mark.parametrize("metric", ["voc10", "voc07"])
@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 1.0])
def test_equals_the_oracle(threshold, inclusive, metric):
    """With ties, duplicates, difficult objects and empty images, every class has what the oracle says."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        truth, found = random_case(rng)
        result = evaluate_detections(truth, found, threshold, metric, inclusive)
        names = {c for t in truth.values() for c, d in zip(t.classes, t.difficult, strict=True) if not d}
        assert set(result.ap) == names
        for name in names:
            wanted = slow_ap(truth, found, name, threshold, metric, inclusive)
            assert result.ap[name] == pytest.approx(wanted, abs=1e-12)
        if names:
            assert result.mean_ap == pytest.approx(np.mean(list(result.ap.values())))


def test_equals_the_named_evaluator(shared_data):
    """On its own sample, every class has what the named evaluator prints for it, to the last digit."""
    folder = shared_data("detections-sample")
    result = evaluate_folders(folder / "ground-truth", folder / "detection-results")
    expected = dict(csv.reader((folder / "expected_ap.csv").read_text().splitlines()))
    printed = {name: f"{100 * value:.2f}" for name, value in [*result.ap.items(), ("mAP", result.mean_ap)]}
    assert printed == expected


def one_class(truth_boxes, found, **options):
    """Average precision of one class in one image; ``found`` is a list of (score, box)."""
    truth = {"a": ImageTruth(["car"] * len(truth_boxes), truth_boxes)}
    detections = {"a": ImageDetections(["car"] * len(found), [s for s, _ in found], [b for _, b in found])}
    return evaluate_detections(truth, detections, **options).ap["car"]


def test_by_hand():
    """Right, wrong, right: the area is 1/2 + 2/3 * 1/2; eleven points see 1 six times, 2/3 five times."""
    found = [(0.9, SQUARE), (0.8, [200.0, 200.0, 210.0, 210.0]), (0.7, FAR)]
    assert one_class([SQUARE, FAR], found) == pytest.approx(0.5 + 1 / 3)
    assert one_class([SQUARE, FAR], found, metric="voc07") == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_duplicates_are_wrong():
    """A second detection of an object is wrong, even if a further object, which it overlaps less, is free."""
    near = [11.0, 10.0, 20.0, 19.0]
    assert one_class([SQUARE], [(0.9, SQUARE), (0.8, SQUARE)]) == 1.0
    assert one_class([SQUARE], [(0.9, FAR), (0.8, SQUARE)]) == 0.5
    assert one_class([SQUARE, near], [(0.9, SQUARE), (0.8, SQUARE)]) == 0.5


def test_exactly_the_threshold():
    """An overlap of exactly the threshold is enough, barely less is not."""
    half = [10.0, 10.0, 19.0, 14.0]  # 50 of the 100 pixels of SQUARE
    assert one_class([SQUARE], [(0.9, half)]) == 1.0
    assert one_class([SQUARE], [(0.9, half)], iou_threshold=0.5001) == 0.0
    assert one_class([SQUARE], [(0.9, [10.0, 10.0, 19.0, 13.99])]) == 0.0


def test_pixels_or_edges():
    """Counted inclusively, 3 to 5 is three wide; as edges it is two wide."""
    truth, box = [[0.0, 0.0, 3.0, 0.5]], [0.0, 0.0, 1.0, 0.5]
    assert one_class(truth, [(0.9, box)], inclusive=True) == 1.0  # 2 of 4
    assert one_class(truth, [(0.9, box)], inclusive=False) == 0.0  # 1 of 3


def test_difficult_objects():
    """Difficult objects need not be found, and finding them, even twice, is not wrong."""
    truth = {"a": ImageTruth(["car", "car"], [SQUARE, FAR], [True, False])}
    found = {"a": ImageDetections(["car"] * 3, [0.9, 0.8, 0.7], [SQUARE, SQUARE, FAR])}
    assert evaluate_detections(truth, found).ap == {"car": 1.0}
    only_difficult = {"a": ImageTruth(["car"], [SQUARE], [True])}
    result = evaluate_detections(only_difficult, found)
    assert result.ap == {} and math.isnan(result.mean_ap)


def test_images_without_objects_or_detections():
    """What is found in an image without objects is wrong; an image without detections lowers the recall."""
    truth = {"a": ImageTruth(["car"], [SQUARE]), "b": ImageTruth([], []), "c": ImageTruth(["car"], [SQUARE])}
    found = {"a": ImageDetections(["car"], [0.5], [SQUARE]), "b": ImageDetections(["car"], [0.9], [SQUARE])}
    assert evaluate_detections(truth, found).ap["car"] == pytest.approx(0.5 * 0.5)


def test_classes_without_objects():
    """A class that is never there does not enter the mean; one that is never found has 0."""
    truth = {"a": ImageTruth(["car", "dog"], [SQUARE, FAR])}
    found = {"a": ImageDetections(["car", "cat"], [0.9, 0.9], [SQUARE, SQUARE])}
    result = evaluate_detections(truth, found)
    assert result.ap == {"car": 1.0, "dog": 0.0}
    assert result.mean_ap == 0.5
    assert evaluate_detections(truth, {}).ap == {"car": 0.0, "dog": 0.0}


def test_tensors_and_indices():
    """Boxes and scores may be tensors, and difficulty may be left out."""
    truth = {"a": ImageTruth(["3"], torch.tensor([SQUARE]))}
    found = {"a": ImageDetections(["3"], torch.tensor([0.5]), torch.tensor([SQUARE]))}
    assert evaluate_detections(truth, found).ap == {"3": 1.0}


def test_as_text():
    """Printed, the result is a table with the mean in the last row."""
    result = evaluate_detections({"a": ImageTruth(["dog", "car"], [SQUARE, FAR])}, {})
    assert str(result).splitlines() == ["car   0.00%", "dog   0.00%", "mAP   0.00%"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"b": ImageDetections([], [], [])}, "1 images without ground truth, the first is 'b'"),
        ({"a": ImageDetections(["car"], [0.5, 0.4], [SQUARE])}, r"'a'.*differ: \[1, 1, 2, 1\]"),
        ({"a": ImageDetections(["car"], [float("nan")], [SQUARE])}, "'a' has a coordinate or a score"),
    ],
)
def test_wrong_detections(found, message):
    """Detections for unknown images, of different lengths, or with NaN are refused with the image's id."""
    with pytest.raises(ValueError, match=message):
        evaluate_detections({"a": ImageTruth(["car"], [SQUARE])}, found)


def test_unknown_metric():
    """Another metric than the two is refused, and both are named."""
    with pytest.raises(ValueError, match=r"'coco'.*voc10.*voc07"):
        evaluate_detections({}, {}, metric="coco")


def folders(tmp_path, truth, found):
    """Write files and give their folders."""
    for folder, files in (("gt", truth), ("dt", found)):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    return tmp_path / "gt", tmp_path / "dt"


def test_folders(tmp_path):
    """Text files give what the same numbers give directly; a missing detection file means nothing found."""
    truth = {
        "a.txt": "car 10 10 19 19\ncar 100 100 119 119 difficult\n\n",
        "b.txt": "",
        "c.txt": "car 10 10 19 19",
    }
    found = {"a.txt": "car 0.5 10 10 19 19\ncar 0.8 100 100 119 119\n", "b.txt": "car .9 1 1 5 5"}
    result = evaluate_folders(*folders(tmp_path, truth, found))
    assert result.ap == {"car": pytest.approx(0.25)}


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ("car 1 2 3", "", r"a\.txt, line 1: expected class x1 y1 x2 y2 \[difficult\]"),
        ("car 1 2 3 4\n\ncar 1 2 3 4 hard", "", r"a\.txt, line 3: expected class"),
        ("car 1 2 3 4", "car 0.5 1 2 3", r"a\.txt, line 1: expected class score"),
        ("car 1 2 3 4", "car 0.5 1 2 3 x", r"a\.txt, line 1: expected numbers"),
        ("car 1 2 3 4", "car nan 1 2 3 4", r"a\.txt, line 1: expected finite numbers"),
    ],
)
def test_lines_that_cannot_be_read(tmp_path, truth, found, message):
    """A line of another form is named by file and number."""
    with pytest.raises(ValueError, match=message):
        evaluate_folders(*folders(tmp_path, {"a.txt": truth}, {"a.txt": found}))


def test_folders_that_are_not_there(tmp_path):
    """A missing folder, and one without a text file, are errors rather than a result of 0."""
    truth, found = folders(tmp_path, {}, {})
    with pytest.raises(FileNotFoundError, match=r"no \.txt file"):
        evaluate_folders(truth, found)
    (truth / "a.txt").write_text("car 1 2 3 4")
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        evaluate_folders(truth, tmp_path / "nowhere")
    assert evaluate_folders(truth, found).mean_ap == 0.0

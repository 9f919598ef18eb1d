"""ShapesDetection: the built-in data set, its form, its determinism, and what it may not give away."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ps7_helpers import ShapesDetection, VOC2007Detection, denormalize
from ps7_helpers.drawing import DRAWN_CLASSES, MAX_DRAWN, draw_scene
from ps7_helpers.shapes import write_voc
from ps7_helpers.voc import VOC_CLASSES


def real(boxes: torch.Tensor) -> torch.Tensor:
    """The rows that are no padding."""
    return boxes[boxes[:, 4] >= 0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_item(split):
    """An item has the form of VOC's: path, float32 image, 40 rows of boxes inside the image."""
    dataset = ShapesDetection(split, image_size=96, length=20)
    for path, image, boxes in itertools.islice(dataset, 20):
        assert isinstance(path, str)
        assert image.shape == (3, 96, 96) and image.dtype == torch.float32
        assert boxes.shape == (40, 5) and boxes.dtype == torch.float32
        rows = real(boxes)
        assert 1 <= len(rows) <= MAX_DRAWN
        assert torch.equal(boxes[len(rows) :], torch.full((40 - len(rows), 5), -1.0))
        assert (rows[:, :4] >= 0).all() and (rows[:, :4] <= 96).all()
        assert (rows[:, 2:4] - rows[:, :2] > 4).all()
        assert {dataset.idx_to_class[int(c)] for c in rows[:, 4]} <= set(DRAWN_CLASSES)


def test_classes_are_those_of_voc(tmp_path):
    """Class names and indices are those of VOC2007Detection."""
    write_voc(tmp_path, train=1, val=1)
    voc, shapes = VOC2007Detection(tmp_path, "train"), ShapesDetection("train")
    assert shapes.class_to_idx == voc.class_to_idx
    assert shapes.idx_to_class == voc.idx_to_class
    assert set(DRAWN_CLASSES) < set(VOC_CLASSES)


def test_determinism():
    """The same seed, split and index give the same item, in any order, also for a 0-d tensor as index."""
    first, second = (ShapesDetection("train", image_size=64, length=5) for _ in range(2))
    items = [first[i] for i in range(5)]
    for i in reversed(range(5)):
        path, image, boxes = second[torch.tensor(i)]
        assert path == items[i][0] and torch.equal(image, items[i][1]) and torch.equal(boxes, items[i][2])


@pytest.mark.parametrize("split", ["train", "val"])
def test_kept_scenes(split):
    """Scenes that are kept in memory are drawn once, are those drawn anew, and no reader can change them."""
    drawn, kept = (ShapesDetection(split, image_size=48, length=3, keep=keep) for keep in (False, True))
    for _ in range(2):
        for i in range(3):
            path, image, boxes = kept[i]
            assert path == drawn[i][0] and torch.equal(image, drawn[i][1]) and torch.equal(boxes, drawn[i][2])
            image.zero_()
            boxes.zero_()
            kept.original_image(f"{i:06d}").paste((0, 0, 0), (0, 0, 48, 48))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ps7_helpers.shapes.draw_scene", None)
        assert kept[0][1].any()
        with pytest.raises(TypeError):
            drawn[0]


def test_different_scenes():
    """Another seed, split or index gives another image, another name where the scene is another item."""
    images = [
        ShapesDetection(split, image_size=64, length=3, seed=seed)[index][1]
        for split in ("train", "val")
        for seed in (0, 1)
        for index in (0, 1)
    ]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(images, 2))
    paths = [item[0] for item in ShapesDetection("val", image_size=64, length=3)]
    assert len({Path(p).stem for p in paths}) == 3


def test_the_length_changes_nothing():
    """A shorter data set is the beginning of a longer one."""
    short, long = (ShapesDetection("val", image_size=64, length=n)[2][1] for n in (3, 300))
    assert torch.equal(short, long)


def test_indices():
    """Indices behave as a list's: negative ones count from the end, those beyond raise IndexError."""
    dataset = ShapesDetection("val", image_size=64, length=3)
    assert dataset[-1][0] == dataset[2][0]
    assert len(list(dataset)) == len(dataset) == 3
    with pytest.raises(IndexError):
        dataset[3]


def test_boxes_are_tight():
    """A box is where the object is: pixels change inside it, up to its edges, and not outside."""
    plain = ShapesDetection("train", image_size=128, length=40)
    checked = 0
    for _, image, boxes in plain:
        rows = real(boxes)
        if len(rows) > 1:
            continue
        checked += 1
        gray = denormalize(image)  # an edge of the drawing is a jump in colour between neighbours
        jump_x = (gray[:, :, 1:] - gray[:, :, :-1]).abs().amax(dim=0) > 0.16
        jump_y = (gray[:, 1:] - gray[:, :-1]).abs().amax(dim=0) > 0.16
        x1, y1, x2, y2 = (int(v) for v in rows[0, :4].round())
        inside = jump_x[y1:y2, max(x1 - 2, 0) : x2 + 2].any(dim=0)
        assert inside[: max(4, (x2 - x1) // 3)].any() and inside[-max(4, (x2 - x1) // 3) :].any()
        inside = jump_y[max(y1 - 2, 0) : y2 + 2, x1:x2].any(dim=1)
        assert inside[:4].any() or y1 == 0
        assert inside[-4:].any() or y2 == 128
    assert checked >= 5


def test_every_class_appears_equally():
    """Over some hundred scenes every drawn class has its share of the objects."""
    counts = dict.fromkeys(DRAWN_CLASSES, 0)
    for i in range(300):
        for name in draw_scene(np.random.default_rng([7, i]), 64, 64).names:
            counts[name] += 1
    share = sum(counts.values()) / len(counts)
    assert all(0.7 * share < count < 1.3 * share for count in counts.values()), counts


def test_padding_in_val():
    """Validation images are padded with zeros to a multiple of 32, and boxes stay in the image."""
    _, image, boxes = ShapesDetection("val", image_size=100, length=1)[0]
    assert image.shape == (3, 128, 128)
    assert (image[:, 100:] == 0).all() and (image[:, :, 100:] == 0).all()
    assert real(boxes)[:, :4].max() <= 100
    assert ShapesDetection("train", image_size=100, length=1)[0][1].shape == (3, 100, 100)


def test_to_original():
    """The original image is the one before padding."""
    dataset = ShapesDetection("val", image_size=100)
    assert dataset.original_size("shapes/val/000000.jpg") == (100, 100)
    boxes = dataset.to_original("shapes/val/000000.jpg", torch.tensor([[-1.0, 5.0, 50.0, 120.0]]))
    assert torch.equal(boxes, torch.tensor([[0.0, 5.0, 50.0, 100.0]]))


def test_loader_with_workers():
    """Batches through a worker process are those read directly."""
    dataset = ShapesDetection("train", image_size=64, length=4)
    paths, images, boxes = next(iter(DataLoader(dataset, batch_size=4, num_workers=1)))
    assert list(paths) == [item[0] for item in dataset]
    assert torch.equal(images, torch.stack([item[1] for item in dataset]))
    assert torch.equal(boxes, torch.stack([item[2] for item in dataset]))


@pytest.mark.parametrize(
    "arguments", [{"split": "test"}, {"split": "val", "length": 0}, {"split": "val", "image_size": 0}]
)
def test_wrong_arguments(arguments):
    """An unknown split, and sizes that are not positive, are refused."""
    with pytest.raises(ValueError, match=r"split|positive"):
        ShapesDetection(**arguments)


def test_write_voc(tmp_path):
    """Scenes written in VOC's layout read as VOC does: images, boxes from 1, difficult objects left out."""
    voc_dir = write_voc(tmp_path, train=12, val=3)
    assert sorted(p.name for p in voc_dir.iterdir()) == ["Annotations", "ImageSets", "JPEGImages"]
    train = VOC2007Detection(tmp_path, "train")
    assert len(train) == 12 and len(VOC2007Detection(tmp_path, "val")) == 3
    written, difficult = 0, 0
    for path in sorted((voc_dir / "Annotations").iterdir())[:12]:
        root = ElementTree.parse(path).getroot()
        width, height = int(root.findtext("size/width")), int(root.findtext("size/height"))
        for element in root.iter("object"):
            x1, y1, x2, y2 = (int(element.findtext(f"bndbox/{t}")) for t in ("xmin", "ymin", "xmax", "ymax"))
            assert 1 <= x1 < x2 <= width and 1 <= y1 < y2 <= height
            written += 1
            difficult += element.findtext("difficult") == "1"
    assert difficult > 0
    assert sum(len(objects) for _, objects in train.instances) == written - difficult
    sizes = {VOC2007Detection(tmp_path, "train").original_size(path) for path, _ in train.instances}
    assert len(sizes) > 1

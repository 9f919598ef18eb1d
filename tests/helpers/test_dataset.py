"""VOC2007Detection: items, boxes, paths, and what it says when something is missing."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ps7_helpers import VOC2007Detection, denormalize
from ps7_helpers.images import IMAGENET_MEAN, pad_to_multiple
from ps7_helpers.shapes import write_voc
from ps7_helpers.voc import VOC_CLASSES

# The first boxes of the first sixteen train items, as the assignment gives them: image id, box, class.
FIRST_BOXES = """
000012  48.9369  65.2493 180.1081 181.6216  6
000017  78.8462  38.1538 136.6923 122.4615 14
000023   6.0359  99.2515 164.3114 224.0000  1
000026   4.5405  84.0841 170.6907 142.6066  6
000032   0.0000  62.1779 211.9324 145.8790  0
000033   0.0000  65.4863 224.0000 160.9617  0
000034  72.1778  60.9111 224.0000 205.8889 18
000035   0.0000  57.3440  77.0907 215.6373 14
000036  18.2169   0.0000 215.2289 176.0964 11
000042 120.8567  21.3970 224.0000 197.2537 18
000044   0.0000   0.6727 192.8889 221.9820  8
000047   0.0000   0.6727 224.0000 209.8739  6
000048  34.6453  26.9147 173.8240 224.0000  2
000061 128.3123   7.3994 224.0000 187.6757  3
000064   0.4516  10.3871 203.6774 224.0000  2
000066  87.8427 111.7013  99.1920 137.3867 14
"""


def one_image_voc(root: Path, size: tuple[int, int], objects: list[tuple[str, list[float]]], prefix: str = "") -> Path:
    """A data set of one white image with given objects, in both splits."""
    (root / "VOCdevkit").mkdir(parents=True)
    Image.new("RGB", size, "white").save(root / "VOCdevkit" / "000001.png")
    listed = [[f"{prefix}VOCdevkit/000001.png", [{"name": n, "xyxy": b} for n, b in objects]]]
    for split in ("train", "val"):
        (root / f"voc07_{split}.json").write_text(json.dumps(listed))
    return root


@pytest.fixture(scope="module")
def drawn_voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes in VOC's layout."""
    root = tmp_path_factory.mktemp("voc")
    write_voc(root, train=4, val=6)
    return root


def test_first_boxes_of_real_voc(shared_data):
    """On the real VOC 2007, the first sixteen train items begin with the published boxes."""
    dataset = VOC2007Detection(shared_data("voc2007-mini"), "train")
    for index, line in enumerate(FIRST_BOXES.split("\n")[1:-1]):
        image_id, *numbers = line.split()
        path, image, boxes = dataset[index]
        assert Path(path).stem == image_id
        assert image.shape == (3, 224, 224)
        torch.testing.assert_close(boxes[0], torch.tensor([float(n) for n in numbers]), atol=1e-3, rtol=0)


def test_real_val_items(shared_data):
    """Real validation items keep the whole image; their boxes lead back to the coordinates of the XML."""
    root = shared_data("voc2007-mini")
    dataset = VOC2007Detection(root, "val")
    listed = json.loads((root / "voc07_val.json").read_text())
    for index in range(4):
        path, image, boxes = dataset[index]
        assert min(image.shape[1:]) == 224
        assert all(edge % 32 == 0 for edge in image.shape[1:])
        wanted = torch.tensor([o["xyxy"] for o in listed[index][1]])
        torch.testing.assert_close(dataset.to_original(path, boxes[: len(wanted), :4]), wanted)
        assert (boxes[len(wanted) :] == -1).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_item_types(drawn_voc, split):
    """An item is a path, a float32 image and 40 rows of boxes; an index may be a 0-d tensor."""
    dataset = VOC2007Detection(str(drawn_voc), split)
    path, image, boxes = dataset[1]
    assert isinstance(path, str) and Path(path).is_file()
    assert image.dtype == boxes.dtype == torch.float32
    assert image.dim() == 3 and image.shape[0] == 3
    assert boxes.shape == (40, 5)
    again = dataset[torch.tensor(1)]
    assert again[0] == path and torch.equal(again[1], image) and torch.equal(again[2], boxes)


def test_lengths_and_end(drawn_voc):
    """The length is the number of listed images, and iterating stops after them."""
    assert len(VOC2007Detection(drawn_voc, "train")) == 4
    assert len(list(VOC2007Detection(drawn_voc, "val"))) == 6


def test_classes(drawn_voc):
    """The twenty classes are numbered in alphabetical order, and the two dictionaries are inverse."""
    dataset = VOC2007Detection(drawn_voc, "train")
    assert list(dataset.class_to_idx) == sorted(VOC_CLASSES)
    assert dataset.class_to_idx["aeroplane"] == 0 and dataset.class_to_idx["tvmonitor"] == 19
    assert dataset.idx_to_class == {i: name for name, i in dataset.class_to_idx.items()}


def test_train_crop(tmp_path):
    """In train, boxes are shifted and clamped to the centre crop; those cropped away are rows of -1."""
    objects = [
        ("car", [150.0, 20.0, 250.0, 80.0]),
        ("dog", [0.0, 0.0, 120.0, 50.0]),
        ("cat", [10.0, 10.0, 100.0, 90.0]),  # left of the crop, touching its edge: x from 100 to 200 remains
        ("cow", [190.0, 40.0, 400.0, 100.0]),
    ]
    dataset = VOC2007Detection(one_image_voc(tmp_path, (300, 100), objects), "train", image_size=200)
    _, image, boxes = dataset[0]
    assert image.shape == (3, 200, 200)
    rows = [
        [100.0, 40.0, 200.0, 160.0, 6],
        [0.0, 0.0, 40.0, 100.0, 11],
        [-1.0] * 5,
        [180.0, 80.0, 200.0, 200.0, 9],
    ]
    assert torch.equal(boxes[:4], torch.tensor(rows))
    assert (boxes[4:] == -1).all()


@pytest.mark.parametrize("size", [(301, 200), (200, 301), (333, 500), (227, 225), (224, 224)])
def test_train_crop_shows_the_boxes(tmp_path, size):
    """In train, boxes and pixels move together: a dark patch stays under its box to within a pixel."""
    box = [size[0] / 2 - 40, size[1] / 2 - 30, size[0] / 2 + 50, size[1] / 2 + 20]
    box = [float(round(v)) for v in box]
    root = one_image_voc(tmp_path, size, [("car", box)])
    image = Image.new("RGB", size, "white")
    image.paste((0, 0, 0), tuple(int(v) for v in box))
    image.save(root / "VOCdevkit" / "000001.png")
    _, tensor, boxes = VOC2007Detection(root, "train")[0]
    dark = (denormalize(tensor).mean(dim=0) < 0.5).nonzero()  # (K, 2) of (row, column)
    found = torch.cat([dark.amin(dim=0).flip(0), dark.amax(dim=0).flip(0) + 1]).float()
    torch.testing.assert_close(found, boxes[0, :4], atol=1.01, rtol=0)


def test_val_padding(tmp_path):
    """In val, nothing is cropped; the padding on the right and at the bottom is zero once normalised."""
    dataset = VOC2007Detection(one_image_voc(tmp_path, (150, 100), [("car", [0.0, 0.0, 150.0, 100.0])]), "val", 50)
    path, image, boxes = dataset[0]
    assert image.shape == (3, 64, 96)
    assert (image[:, :50, :75] > 1).all()
    assert (image[:, 50:] == 0).all() and (image[:, :, 75:] == 0).all()
    assert torch.equal(boxes[0], torch.tensor([0.0, 0.0, 75.0, 50.0, 6.0]))
    assert dataset.original_size(path) == (150, 100)
    assert torch.equal(
        dataset.to_original(path, torch.tensor([[-3.0, 25.0, 96.0, 64.0]])),
        torch.tensor([[0.0, 50.0, 150.0, 100.0]]),
    )


def test_train_to_original(tmp_path):
    """Boxes of a train item lead back to the original image, as far as the crop shows them."""
    dataset = VOC2007Detection(one_image_voc(tmp_path, (300, 100), [("car", [110.0, 20.0, 260.0, 80.0])]), "train")
    path, _, boxes = dataset[0]
    torch.testing.assert_close(dataset.to_original(path, boxes[:1, :4]), torch.tensor([[110.0, 20.0, 200.0, 80.0]]))


def test_image_without_objects(tmp_path):
    """An image without objects has 40 rows of -1."""
    for split in ("train", "val"):
        _, _, boxes = VOC2007Detection(one_image_voc(tmp_path / split, (64, 64), []), split, image_size=64)[0]
        assert torch.equal(boxes, torch.full((40, 5), -1.0))


def test_old_lists(tmp_path):
    """Paths that begin with ./here/, as in older lists, are taken relative to dataset_dir."""
    root = one_image_voc(tmp_path, (64, 64), [("car", [1.0, 1.0, 60.0, 60.0])], prefix="./here/")
    assert Path(VOC2007Detection(root, "val")[0][0]) == root / "VOCdevkit" / "000001.png"


def test_gray_images(tmp_path):
    """An image with one channel on disk has three in the item."""
    root = one_image_voc(tmp_path, (64, 64), [("car", [1.0, 1.0, 60.0, 60.0])])
    Image.new("L", (64, 64), 128).save(root / "VOCdevkit" / "000001.png")
    assert VOC2007Detection(root, "train", image_size=64)[0][1].shape == (3, 64, 64)


def test_more_objects_than_rows(tmp_path):
    """Of more than 40 objects the first 40 stay, and a warning names the image."""
    objects = [("car", [float(i), 1.0, i + 5.0, 9.0]) for i in range(45)]
    root = one_image_voc(tmp_path, (64, 64), objects)
    with pytest.warns(UserWarning, match=r"000001\.png has 45 objects"):
        dataset = VOC2007Detection(root, "val", image_size=64)
    assert dataset[0][2].shape == (40, 5) and dataset[0][2][39, 0] == 39


def test_batches(drawn_voc):
    """Train items make batches, also through workers; validation items with a batch size of 1."""
    train = DataLoader(VOC2007Detection(drawn_voc, "train", image_size=64), batch_size=4, num_workers=1)
    paths, images, boxes = next(iter(train))
    assert len(paths) == 4 and images.shape == (4, 3, 64, 64) and boxes.shape == (4, 40, 5)
    assert len(list(DataLoader(VOC2007Detection(drawn_voc, "val", image_size=64), batch_size=1))) == 6
    assert len(pickle.loads(pickle.dumps(train.dataset))) == 4


def test_denormalize():
    """Denormalizing gives pixels back in [0, 1], for one image and for a batch, and mean colour for zero."""
    images = torch.zeros(2, 3, 4, 5)
    torch.testing.assert_close(denormalize(images)[0, :, 0, 0], torch.tensor(IMAGENET_MEAN))
    assert denormalize(images[0]).shape == (3, 4, 5)
    assert denormalize(images + 100).max() == 1.0 and denormalize(images - 100).min() == 0.0


@pytest.mark.parametrize(("size", "padded"), [((32, 64), (32, 64)), ((33, 1), (64, 32)), ((224, 298), (224, 320))])
def test_pad_to_multiple(size, padded):
    """Padding fills up to the next multiple of 32 and leaves what fits alone."""
    assert pad_to_multiple(torch.ones(3, *size)).shape == (3, *padded)


def test_wrong_split(drawn_voc):
    """Another split than train and val is refused, and both are named."""
    with pytest.raises(ValueError, match=r"'test'.*train, val"):
        VOC2007Detection(drawn_voc, "test")


def test_missing_list(tmp_path):
    """Without the list, the error says which file is missing and names the two ways on."""
    with pytest.raises(FileNotFoundError, match=r"voc07_train\.json is missing.*download=True.*ShapesDetection"):
        VOC2007Detection(tmp_path, "train")


def test_missing_images(tmp_path):
    """Without the images, the error comes at once, not in the middle of training."""
    root = one_image_voc(tmp_path, (64, 64), [])
    (root / "VOCdevkit" / "000001.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"000001\.png is missing.*first image that voc07_train\.json names"):
        VOC2007Detection(root, "train")


def test_damaged_image(tmp_path):
    """An image that is cut short is named in the error."""
    root = one_image_voc(tmp_path, (64, 64), [])
    dataset = VOC2007Detection(root, "train")
    path = root / "VOCdevkit" / "000001.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(OSError, match=r"000001\.png cannot be read.*fetch the data again"):
        dataset[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"000001\.png is missing"):
        dataset[0]


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "{}x",
        '[["a.jpg"]]',
        '[["a.jpg", [{"name": "car"}]]]',
        '[["a.jpg", [{"name": "car", "xyxy": [1, 2]}]]]',
    ],
)
def test_damaged_list(tmp_path, content):
    """A list of another form is refused by name, with what to do."""
    (tmp_path / "voc07_train.json").write_text(content)
    with pytest.raises(ValueError, match=r"voc07_train\.json is not a list of images"):
        VOC2007Detection(tmp_path, "train")


def test_unknown_class(tmp_path):
    """A class that VOC does not have is refused by name."""
    root = one_image_voc(tmp_path, (64, 64), [("zebra", [1.0, 1.0, 9.0, 9.0])])
    with pytest.raises(ValueError, match="zebra"):
        VOC2007Detection(root, "train")

"""Options of the training split: flips, scales, the cache; and that quicker ways give the same pixels."""

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ps7_helpers import VOC2007Detection, denormalize, write_voc
from ps7_helpers.cache import PixelCache
from ps7_helpers.images import IMAGENET_MEAN, IMAGENET_STD, normalized_tensor

SIZE = 96


@pytest.fixture(scope="module")
def patch_voc(tmp_path_factory):
    """Images with one dark patch each, of three shapes; the patch is the object."""
    root = tmp_path_factory.mktemp("patch")
    listed = []
    for i, (width, height) in enumerate([(300, 200), (200, 300), (240, 240)]):
        box = [width // 2 - 50, height // 2 - 30, width // 2 + 30, height // 2 + 50]
        image = Image.new("RGB", (width, height), "white")
        image.paste((0, 0, 0), tuple(box))
        image.save(root / f"{i}.png")
        listed.append([f"{i}.png", [{"name": "car", "xyxy": box}]])
    for split in ("train", "val"):
        (root / f"voc07_{split}.json").write_text(json.dumps(listed))
    return root


def seen(image):
    """The box round what is dark."""
    dark = (denormalize(image).amax(dim=0) < 0.4).nonzero()
    return torch.cat([dark.amin(dim=0).flip(0), dark.amax(dim=0).flip(0) + 1]).float()


@pytest.mark.parametrize(
    "options", [{"flip": True}, {"scale_jitter": (0.6, 1.6)}, {"flip": True, "scale_jitter": (1, 2)}]
)
def test_boxes_follow_the_pixels(patch_voc, options):
    """Mirrored, enlarged or reduced, the patch lies under its box, but for its blurred edge; readings differ."""
    dataset = VOC2007Detection(patch_voc, "train", image_size=SIZE, **options)
    boxes = []
    for index in range(60):
        _, image, gt_boxes = dataset[index % 3]
        assert image.shape == (3, SIZE, SIZE) and gt_boxes.shape == (40, 5)
        assert (gt_boxes[1:] == -1).all()
        if gt_boxes[0, 4] == 6:
            torch.testing.assert_close(seen(image), gt_boxes[0, :4], atol=1.5, rtol=0)
            boxes.append(gt_boxes[0])
    assert len(torch.stack(boxes).unique(dim=0)) == (4 if options == {"flip": True} else len(boxes))
    assert len(boxes) > 40


def test_flip_is_the_mirrored_item(patch_voc):
    """A flipped item is the plain one, mirrored; about half are."""
    plain = VOC2007Detection(patch_voc, "train", image_size=SIZE)[0]
    dataset = VOC2007Detection(patch_voc, "train", image_size=SIZE, flip=True)
    items = [dataset[0] for _ in range(40)]
    flipped = [item for item in items if not torch.equal(item[1], plain[1])]
    assert 10 < len(flipped) < 30
    x1, y1, x2, y2, c = plain[2][0].tolist()
    for _, image, boxes in flipped:
        assert torch.equal(image, plain[1].flip(2))
        torch.testing.assert_close(boxes[0], torch.tensor([SIZE - x2, y1, SIZE - x1, y2, c]))
        assert (boxes[1:] == -1).all()


def test_boxes_cropped_away_stay_away(tmp_path):
    """An object outside of the crop is a row of -1, mirrored or not."""
    Image.new("RGB", (300, 100)).save(tmp_path / "0.png")
    objects = [{"name": "car", "xyxy": [0, 0, 60, 60]}]
    (tmp_path / "voc07_train.json").write_text(json.dumps([["0.png", objects]]))
    dataset = VOC2007Detection(tmp_path, "train", image_size=SIZE, flip=True)
    assert all(bool((dataset[0][2] == -1).all()) for _ in range(20))


@pytest.mark.parametrize("size", [(500, 333), (333, 500), (301, 200), (225, 227), (224, 224), (1000, 224)])
def test_cropping_before_resizing(tmp_path, size):
    """Of a crop only its own pixels are computed: those of the whole resized image, to one grey level even in noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    (tmp_path / "voc07_train.json").write_text('[["0.png", []]]')
    dataset = VOC2007Detection(tmp_path, "train")
    scale = 224 / min(size)
    width, height = size[0] * scale, size[1] * scale
    whole = Image.fromarray(pixels).resize((int(width + 1e-6), int(height + 1e-6)), Image.Resampling.BILINEAR)
    path = dataset.instances[0][0]
    corner = scale * dataset.to_original(path, torch.zeros(1, 4))[0]  # of the crop, in the resized image
    left, top = (int(edge) for edge in corner[:2].round())
    assert abs(left - (width - 224) / 2) <= 1 and abs(top - (height - 224) / 2) <= 1
    wanted = normalized_tensor(whole.crop((left, top, left + 224, top + 224)))
    assert (dataset[0][1] - wanted).abs().max() <= 1.01 / 255 / min(IMAGENET_STD)


def test_looked_up_pixels():
    """Normalised pixels that are looked up are those that are computed, to the bit."""
    image = Image.fromarray(np.arange(768, dtype=np.uint16).astype(np.uint8).reshape(16, 16, 3))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32))
    wanted = (pixels / 255.0 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)
    assert torch.equal(normalized_tensor(image), wanted.permute(2, 0, 1))


@pytest.mark.parametrize("flip", [False, True])
def test_the_cache(tmp_path, flip):
    """With a cache, items are the same the first time and after; the second time no image is opened."""
    write_voc(tmp_path / "voc", train=4, val=1)
    options = {"image_size": SIZE, "flip": flip}
    plain = VOC2007Detection(tmp_path / "voc", "train", **options)
    cached = VOC2007Detection(tmp_path / "voc", "train", cache=tmp_path / "cache", **options)
    for epoch in range(3):
        for index in range(4):
            torch.manual_seed(10 * epoch + index)
            wanted = plain[index]
            torch.manual_seed(10 * epoch + index)
            got = cached[index]
            assert got[0] == wanted[0] and torch.equal(got[1], wanted[1]) and torch.equal(got[2], wanted[2])
        if epoch == 0:
            for path, _ in cached.instances:
                Image.new("RGB", (500, 375)).save(path)  # would be seen
            plain = VOC2007Detection(tmp_path / "voc", "train", cache=tmp_path / "cache", **options)


def test_the_cache_is_shared_with_workers(tmp_path):
    """What workers decode is there for the main process and for the next epoch's workers; a copy finds it, too."""
    write_voc(tmp_path / "voc", train=4, val=1)
    dataset = VOC2007Detection(tmp_path / "voc", "train", image_size=SIZE, cache=tmp_path / "cache")
    decoded = [image for _, images, _ in DataLoader(dataset, batch_size=2, num_workers=1) for image in images]
    for path, _ in dataset.instances:
        Image.new("RGB", (500, 375)).save(path)  # would be seen
    for known in (dataset, pickle.loads(pickle.dumps(dataset))):
        assert len(decoded) == 4 and all(torch.equal(known[i][1], decoded[i]) for i in range(4))


def test_a_cache_of_two_data_sets(tmp_path):
    """Two data sets of one length may share a folder: each gets its own pixels, not those of the other."""
    for name, seed in (("one", 0), ("two", 1)):
        write_voc(tmp_path / name, train=2, val=1, seed=seed)
        plain, cached = (
            VOC2007Detection(tmp_path / name, "train", image_size=SIZE, cache=cache)
            for cache in (None, tmp_path / "cache")
        )
        for _ in range(2):
            assert all(torch.equal(cached[i][1], plain[i][1]) for i in range(2))


def test_a_cache_of_something_else(tmp_path):
    """A file of another length is begun anew; an image that is not there is not given as black."""
    PixelCache(tmp_path / "a.pixels", 3, 4).put(1, np.full((4, 4, 3), 7, dtype=np.uint8))
    assert PixelCache(tmp_path / "a.pixels", 3, 4).get(0) is None
    assert (PixelCache(tmp_path / "a.pixels", 3, 4).get(1) == 7).all()
    assert PixelCache(tmp_path / "a.pixels", 4, 4).get(1) is None


@pytest.mark.parametrize(
    ("split", "options", "message"),
    [
        ("val", {"flip": True}, "options of the split 'train'"),
        ("val", {"cache": "x"}, "options of the split 'train'"),
        ("train", {"scale_jitter": (1.5, 0.5)}, "smallest <= largest"),
        ("train", {"scale_jitter": (0.5, 1.5), "cache": "x"}, "no cache"),
    ],
)
def test_options_that_do_not_fit(patch_voc, split, options, message):
    """Options of the training split are refused elsewhere, and factors that make no sense everywhere."""
    with pytest.raises(ValueError, match=message):
        VOC2007Detection(patch_voc, split, **options)

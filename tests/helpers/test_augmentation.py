"""Flips and scales: boxes move with the pixels, which is seen by drawing a box and looking where it went."""

import pytest
import torch

from ps7_helpers import ShapesDetection, augment_batch
from ps7_helpers.augmentation import MIN_VISIBLE, crop_boxes, flip_boxes


def drawn(size=(96, 128), box=(30, 20, 70, 60)):
    """An image that is 1 within a box and 0 elsewhere, and the box."""
    x1, y1, x2, y2 = box
    image = torch.zeros(3, *size)
    image[:, y1:y2, x1:x2] = 1.0
    boxes = torch.full((40, 5), -1.0)
    boxes[0] = torch.tensor([x1, y1, x2, y2, 6.0])
    return image, boxes


def seen(image):
    """The box round what is bright in an image."""
    bright = (image.mean(dim=0) > 0.5).nonzero()  # (K, 2) of (row, column)
    return torch.cat([bright.amin(dim=0).flip(0), bright.amax(dim=0).flip(0) + 1]).float()


def test_flip():
    """A mirrored picture has its bright patch where the mirrored box says, to the pixel; no size changes."""
    image, boxes = drawn()
    images, moved = augment_batch(image[None], boxes[None], flip=1.0, scales=(1.0, 1.0))
    torch.testing.assert_close(images[0], image.flip(2), atol=1e-5, rtol=0)
    assert torch.equal(seen(images[0]), moved[0, 0, :4])
    assert moved[0, 0].tolist() == [58.0, 20.0, 98.0, 60.0, 6.0]
    assert (moved[0, 1:] == -1).all()
    assert torch.equal(flip_boxes(flip_boxes(boxes[:1, :4], 128), 128), boxes[:1, :4])


@pytest.mark.parametrize("scales", [(0.5, 0.5), (0.75, 1.5), (1.5, 1.5), (0.9, 1.1)])
def test_boxes_follow_the_pixels(scales):
    """Enlarged, reduced, shifted or mirrored, the bright patch lies under its box to within a pixel."""
    image, boxes = drawn()
    images, moved = augment_batch(image.expand(64, -1, -1, -1), boxes.expand(64, -1, -1), 0.5, scales)
    assert images.shape == (64, 3, 96, 128) and moved.shape == (64, 40, 5)
    kept = moved[:, 0, 4] == 6
    assert kept.sum() > 40
    for picture, box in zip(images[kept], moved[kept][:, 0, :4], strict=True):
        torch.testing.assert_close(seen(picture), box, atol=1.01, rtol=0)
    if scales[1] > 1:
        assert len(moved[kept][:, 0, :4].unique(dim=0)) > 20


def test_nothing_to_do():
    """Without flip and scale, pixels and boxes stay as they are."""
    image, boxes = drawn()
    images, moved = augment_batch(image[None], boxes[None], flip=0.0, scales=(1.0, 1.0))
    torch.testing.assert_close(images[0], image, atol=1e-5, rtol=0)
    assert torch.equal(moved[0], boxes)


def test_boxes_that_leave_the_picture():
    """What is cut off is cut from the box; a box of which less than a quarter is left becomes a row of -1."""
    inside = torch.tensor([[10.0, 10.0, 20.0, 20.0], [-5.0, 0.0, 5.0, 10.0], [-8.0, 0.0, 2.0, 10.0]])
    cut = crop_boxes(inside, 30, 30, MIN_VISIBLE)
    assert cut[0].tolist() == inside[0].tolist() and cut[1].tolist() == [0.0, 0.0, 5.0, 10.0]
    assert (cut[2, 2:] <= cut[2, :2]).any()
    exactly = torch.tensor([[-7.5, 0.0, 2.5, 10.0]])
    assert crop_boxes(exactly, 30, 30, MIN_VISIBLE)[0, 2] == 2.5
    image, boxes = drawn(box=(0, 0, 12, 12))
    _, moved = augment_batch(image.expand(64, -1, -1, -1), boxes.expand(64, -1, -1), 0.0, (3.0, 3.0))
    real = moved[:, 0, 4] == 6
    assert 0 < real.sum() < 64
    assert (moved[~real] == -1).all() and (moved[real][:, 0, :4] >= 0).all()


def test_padding_never_becomes_a_box():
    """Rows of -1 stay rows of -1, whatever happens to the picture; real boxes are never negative."""
    dataset = ShapesDetection("train", image_size=64)
    items = [dataset[i] for i in range(16)]
    images, boxes = torch.stack([i[1] for i in items]), torch.stack([i[2] for i in items])
    moved = augment_batch(images, boxes)[1]
    padding = boxes[..., 4] == -1
    assert (moved[padding] == -1).all()
    real = moved[moved[..., 4] >= 0]
    assert (real[:, :4] >= 0).all() and (real[:, :4] <= 64).all() and (real[:, 2:4] > real[:, :2]).all()


def test_the_seed_decides():
    """The same seed gives the same pictures, and the batch that was handed in is not written to."""
    image, boxes = drawn()
    batch, rows = image.repeat(4, 1, 1, 1), boxes.repeat(4, 1, 1)
    torch.manual_seed(3)
    first = augment_batch(batch, rows)
    torch.manual_seed(3)
    second = augment_batch(batch, rows)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(batch, image.repeat(4, 1, 1, 1)) and torch.equal(rows, boxes.repeat(4, 1, 1))

"""Inputs for the checks of the detector: images and boxes that are the same on every machine, and random ones."""

from __future__ import annotations

import torch

HEIGHT, WIDTH = 128, 192  # not square, and large enough that each level gets an object


def striped_images(batch: int = 2, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Images `(batch, 3, height, width)` of stripes, each of another mean colour."""
    x = torch.linspace(0, 6, width)
    y = torch.linspace(0, 4, height)[:, None]
    planes = [torch.sin(x + 2 * y + k) + 0.3 * image for image in range(batch) for k in range(3)]
    return torch.stack(planes).reshape(batch, 3, height, width)


def fixed_boxes() -> torch.Tensor:
    """Boxes `(2, 40, 5)` for two images: small, middle and large ones, two that overlap, the rest padding."""
    boxes = torch.full((2, 40, 5), -1.0)
    boxes[0, :3] = torch.tensor([[10.0, 12, 40, 50, 3], [60, 20, 160, 110, 0], [20, 30, 62, 90, 19]])
    boxes[1, :2] = torch.tensor([[4.0, 2, 188, 126, 7], [100, 60, 126, 80, 7]])
    return boxes


def other_batches() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Images `(B, 3, 64, 96)` and boxes `(B, 40, 5)`, five classes: three images, one of them empty; two empty; one."""
    boxes = torch.full((3, 40, 5), -1.0)
    boxes[0, :2] = torch.tensor([[6.0, 10, 38, 50, 4], [50, 4, 90, 60, 0]])
    boxes[2, 0] = torch.tensor([12.0, 8, 92, 62, 2])
    fewer = boxes.clone()
    fewer[0, 0] = -1.0
    images = striped_images(3, 64, 96)
    empty = torch.full((2, 40, 5), -1.0)
    return {
        "three": (images, boxes),
        "fewer": (images, fewer),
        "empty": (images[:2], empty),
        "one": (images[:1], boxes[:1]),
    }


def varied_scene(rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The striped images in other colours, and the fixed boxes moved by a pixel here and there.

    Args:
        rng: What colours and moves are drawn from.

    Returns:
        Images `(2, 3, HEIGHT, WIDTH)` and boxes `(2, 40, 5)`, whose classes and padding are as they were.
    """
    boxes = fixed_boxes()
    moves = torch.randint(-1, 2, boxes[..., :4].shape, generator=rng).float()
    boxes[..., :4] += torch.where(boxes[..., 4:] >= 0, moves, torch.zeros(()))
    return striped_images() + torch.rand(2, 3, 1, 1, generator=rng) - 0.5, boxes


def random_boxes(rng: torch.Generator, batch: int, classes: int, height: int, width: int) -> torch.Tensor:
    """Boxes `(batch, 40, 5)`: one to four in each image, sizes from small to nearly the image's, off the diagonal."""
    boxes = torch.full((batch, 40, 5), -1.0)
    room = torch.tensor([float(width), float(height)])
    for image in range(batch):
        count = int(torch.randint(1, 5, (), generator=rng))
        size = room * (0.1 + 0.8 * torch.rand(count, 2, generator=rng))
        corner = (room - size) * torch.rand(count, 2, generator=rng)
        label = torch.randint(0, classes, (count, 1), generator=rng).float()
        boxes[image, :count] = torch.cat([corner, corner + size, label], dim=1)
    return boxes


def predictions(
    locations: dict[str, torch.Tensor], classes: int, rng: torch.Generator
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Random class logits, deltas and centerness logits for one image, as the prediction network gives them.

    Args:
        locations: `(cells, 2)` a level.
        classes: Number of classes.
        rng: Where from.

    Returns:
        Three dictionaries over the levels, `(1, cells, classes)`, `(1, cells, 4)` and `(1, cells, 1)`. Some deltas
        are negative, and some boxes reach beyond the image on every side.
    """
    logits, deltas, centers = {}, {}, {}
    for level, rows in locations.items():
        logits[level] = 2.5 * torch.randn(1, len(rows), classes, generator=rng) - 2
        deltas[level] = 4 * torch.rand(1, len(rows), 4, generator=rng) - 0.4
        centers[level] = 1.5 * torch.randn(1, len(rows), 1, generator=rng) + 1
    return logits, deltas, centers


def few_left(logits: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Class logits `(1, cells, classes)` by level, changed: p4 is sure of nothing, p5 of its first location alone.

    So a level is empty and one has a single detection, both after a level with many.
    """
    quiet = {level: rows - 12 if level in ("p4", "p5") else rows for level, rows in logits.items()}
    quiet["p5"] = quiet["p5"].clone()
    quiet["p5"][0, 0, 1] = 9.0
    return quiet

"""From a PIL image to the tensor a detector sees, and back to one for the eye."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

IMAGENET_MEAN: tuple[float, float, float] = (0.485, 0.456, 0.406)
IMAGENET_STD: tuple[float, float, float] = (0.229, 0.224, 0.225)
"""Mean and deviation of R, G, B in [0, 1] over ImageNet, with which pretrained backbones were trained."""

_LEVELS = torch.arange(256, dtype=torch.float32)[:, None]
_TABLES = (
    ((_LEVELS / 255.0 - torch.tensor(IMAGENET_MEAN)) / torch.tensor(IMAGENET_STD)).T.contiguous().numpy()
)  # (3, 256)

MAX_OBJECTS = 40
"""Rows of boxes per image: fixed, so that images with different numbers of objects fit in one batch."""

SIZE_MULTIPLE = 32
"""Padded images have edges of a multiple of this, the stride of the coarsest FPN level."""


def normalized_tensor(image: Image.Image) -> Tensor:
    """Turn an RGB image into a float32 tensor ``(3, H, W)`` with ImageNet's mean 0 and deviation 1."""
    return normalized_pixels(np.asarray(image))


def normalized_pixels(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """The same from an array ``(H, W, 3)``. Of 256 levels the results are looked up, which is quicker than computed."""
    height, width, _ = pixels.shape
    result = np.empty((3, height, width), dtype=np.float32)
    for channel, table in enumerate(_TABLES):
        np.take(table, pixels[..., channel], out=result[channel], mode="clip")
    return torch.from_numpy(result)


def denormalize(images: Tensor) -> Tensor:
    """Undo the normalisation, for looking at an image.

    Args:
        images: ``(3, H, W)`` or ``(B, 3, H, W)``, normalised with ImageNet's mean and deviation.

    Returns:
        A tensor of the same shape, dtype and device, R, G, B clamped to [0, 1].
    """
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, dtype=images.dtype, device=images.device).view(3, 1, 1)
    return (images * std + mean).clamp(0.0, 1.0)


def pad_to_multiple(image: Tensor, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """Pad a ``(3, H, W)`` image with zeros on the right and at the bottom to a multiple of ``multiple``.

    Boxes stay where they are. On a normalised image zero is ImageNet's mean colour.
    """
    height, width = image.shape[-2:]
    return torch.nn.functional.pad(image, (0, -width % multiple, 0, -height % multiple))


def pad_boxes(boxes: Tensor, classes: Tensor) -> Tensor:
    """Join boxes and classes into the fixed-size form of a data set item.

    Args:
        boxes: ``(N, 4)`` of ``(x1, y1, x2, y2)``, pixels.
        classes: ``(N,)`` class indices.

    Returns:
        ``(40, 5)`` float32 of ``(x1, y1, x2, y2, class)``; the rows after the first N are -1, and so are
        those of boxes without width or height. Objects after the fortieth are left out.
    """
    joined = torch.cat([boxes.float(), classes.float().unsqueeze(1)], dim=1)[:MAX_OBJECTS]  # (N, 5)
    empty = (joined[:, 2] <= joined[:, 0]) | (joined[:, 3] <= joined[:, 1])
    joined[empty] = -1.0
    padded = torch.full((MAX_OBJECTS, 5), -1.0)
    padded[: len(joined)] = joined
    return padded

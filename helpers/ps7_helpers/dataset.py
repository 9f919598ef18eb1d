"""Pascal VOC 2007 as a data set for detection.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

import hashlib
import json
import math
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ps7_helpers.augmentation import FLIP, MIN_VISIBLE, crop_boxes, flip_boxes
from ps7_helpers.cache import PixelCache
from ps7_helpers.download import download_voc2007
from ps7_helpers.images import (
    IMAGENET_MEAN,
    MAX_OBJECTS,
    normalized_pixels,
    normalized_tensor,
    pad_boxes,
    pad_to_multiple,
)
from ps7_helpers.packed import read_sizes, resized_size
from ps7_helpers.voc import VOC_CLASSES, ListedImage, list_name, read_list

SPLITS: tuple[str, str] = ("train", "val")

DetectionItem = tuple[str, Tensor, Tensor]
"""What the data sets give: image path, image ``(3, H, W)``, boxes ``(40, 5)``."""


class VOC2007Detection(Dataset[DetectionItem]):
    """Images of Pascal VOC 2007 with the boxes of their objects.

    An item is ``(image_path, image, gt_boxes)``: the path as a string; the image ``(3, H, W)``, float32,
    normalised with ImageNet's mean and deviation; the boxes ``(40, 5)``, float32, ``(x1, y1, x2, y2,
    class)`` in pixels of that image, padded with rows of -1. Objects marked ``difficult`` in VOC are not
    among them.

    - ``train``: the shorter edge is resized to ``image_size``, then the centre is cropped to a square.
      Boxes are clamped to the crop (no coordinate of a real box is negative); those cropped away are rows
      of -1.
    - ``val``: the shorter edge is resized to ``image_size`` and nothing is cropped, so that every object
      can be found. Images are padded on the right and at the bottom, with the mean colour, to a multiple of
      32. Sizes differ, so use a batch size of 1.

    Args:
        dataset_dir: The folder with ``voc07_train.json``, ``voc07_val.json`` and ``VOCdevkit``.
        split: ``"train"`` or ``"val"``.
        image_size: Length of the shorter edge after resizing, pixels.
        download: Fetch the data into ``dataset_dir`` first, if they are not there.
        flip: Mirror half of the images, chosen anew each time they are read. ``train`` only.
        scale_jitter: Enlarge or reduce each image by a factor between these two, chosen anew each time, and crop
            (or pad with the mean colour) at random in place of the centre. ``train`` only.
        cache: A folder that gets the cropped pixels of each image when it is first read, so that it is decoded
            once; 150 kB an image at 224 pixels. ``train`` without ``scale_jitter`` only.

    Raises:
        ValueError: The split is neither ``train`` nor ``val``, a list has the wrong form, the images are packed at
            another size, or an option does not go with the split.
        FileNotFoundError: The list or the images are missing.

    Attributes:
        class_to_idx: Class name to index, the twenty classes in alphabetical order.
        idx_to_class: The inverse.
    """

    def __init__(
        self,
        dataset_dir: str | Path,
        split: str,
        image_size: int = 224,
        download: bool = False,
        *,
        flip: bool = False,
        scale_jitter: tuple[float, float] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r} here: choose one of {', '.join(SPLITS)}.")
        if split != "train" and (flip or scale_jitter or cache):
            raise ValueError(
                "flip, scale_jitter and cache are options of the split 'train'; leave them out for others."
            )
        if scale_jitter and (cache or not 0 < scale_jitter[0] <= scale_jitter[1]):
            raise ValueError(f"scale_jitter={scale_jitter} needs two factors, 0 < smallest <= largest, and no cache.")
        self.flip, self.scale_jitter = flip, scale_jitter
        self.dataset_dir = Path(dataset_dir)
        self.split = split
        self.image_size = image_size
        self.class_to_idx: dict[str, int] = {name: i for i, name in enumerate(VOC_CLASSES)}
        self.idx_to_class: dict[int, str] = dict(enumerate(VOC_CLASSES))
        if download:
            download_voc2007(self.dataset_dir)
        self._packed_at, self._sizes = read_sizes(self.dataset_dir)
        self.instances = self._read_instances()
        if self._packed_at not in (0, image_size):
            raise ValueError(
                f"The images in {self.dataset_dir} are packed at {self._packed_at} pixels, not at {image_size}. Pass "
                f"image_size={self._packed_at}, or fetch the full images into another folder."
            )
        self._cache = self._open_cache(Path(cache)) if cache else None

    def _read_instances(self) -> list[ListedImage]:
        """The images of the split with paths joined to ``dataset_dir``, checked as far as is cheap."""
        path = self.dataset_dir / list_name(self.split)
        if not path.is_file():
            raise FileNotFoundError(_missing(path, "the list of the images and their boxes"))
        instances = [(str(self.dataset_dir / name), objects) for name, objects in read_list(path)]
        for image_path, objects in instances:
            unknown = {o["name"] for o in objects} - set(VOC_CLASSES)
            if unknown:
                raise ValueError(
                    f"{path} has objects of {sorted(unknown)} in {image_path}, which are none of VOC's "
                    "twenty classes. Correct the names in the annotations and make the list again."
                )
            if len(objects) > MAX_OBJECTS:
                warnings.warn(
                    f"{image_path} has {len(objects)} objects; only the first {MAX_OBJECTS} fit into its boxes.",
                    stacklevel=3,
                )
        if instances and not Path(instances[0][0]).is_file():
            raise FileNotFoundError(_missing(Path(instances[0][0]), f"the first image that {path.name} names"))
        return instances

    def _open_cache(self, folder: Path) -> PixelCache:
        """The cache of these very images: data sets that differ in any path or box have files of their own."""
        listed = hashlib.sha256(json.dumps(self.instances).encode()).hexdigest()[:16]
        name = f"{self.split}-{self.image_size}-{listed}.pixels"
        return PixelCache(folder / name, len(self.instances), self.image_size)

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, index: int | Tensor) -> DetectionItem:
        index = range(len(self))[int(index)]
        image_path, objects = self.instances[index]
        boxes = torch.tensor([o["xyxy"] for o in objects], dtype=torch.float64).reshape(-1, 4)  # (N, 4)
        classes = torch.tensor([self.class_to_idx[o["name"]] for o in objects], dtype=torch.int64)  # (N,)
        if self.split == "val":
            image = _open_image(image_path)
            width, height = self._size(image_path, image)
            scale = self._scale(width, height)
            tensor = pad_to_multiple(normalized_tensor(_resized(image, resized_size(width, height, self.image_size))))
            boxes = _clamped(boxes * scale, width * scale, height * scale)
        elif self.scale_jitter:
            tensor, boxes = self._jittered(image_path, boxes)
        else:
            tensor, boxes = self._centre_crop(index, image_path, boxes)
        if self.flip and torch.rand(()) < FLIP:
            real = (boxes[:, 2:] > boxes[:, :2]).all(dim=1, keepdim=True)
            tensor, boxes = tensor.flip(2), torch.where(real, flip_boxes(boxes, self.image_size), boxes)
        return image_path, tensor, pad_boxes(boxes, classes)

    def _centre_crop(self, index: int, image_path: str, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """The centre of an image, its shorter edge resized, and the boxes in it."""
        size = self.image_size
        pixels = self._cache.get(index) if self._cache else None
        if pixels is None:
            image = _open_image(image_path)
            width, height = self._size(image_path, image)
        else:
            width, height = self.original_size(image_path)
        scale = self._scale(width, height)
        left, top = self._crop_offset(width * scale, height * scale)
        if pixels is None:
            resized = resized_size(width, height, size)
            pixels = np.asarray(_resized(image, resized, (left, top, left + size, top + size)))
            if self._cache:
                self._cache.put(index, pixels)
        moved = boxes * scale - torch.tensor([left, top, left, top])
        return normalized_pixels(pixels), _clamped(moved, float(size), float(size))

    def _jittered(self, image_path: str, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """An image at a random scale, a random square of it, and the boxes in it."""
        assert self.scale_jitter is not None
        size = self.image_size
        image = _open_image(image_path)
        width, height = self._size(image_path, image)
        low, high = map(math.log, self.scale_jitter)
        scale = self._scale(width, height) * math.exp(low + (high - low) * torch.rand(()).item())
        wide, tall = max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6))
        left, top = (round(torch.rand(()).item() * (size - edge)) for edge in (wide, tall))  # where the image begins
        mean = tuple(round(255 * channel) for channel in IMAGENET_MEAN)
        canvas = Image.new("RGB", (size, size), mean)
        canvas.paste(_resized(image, (wide, tall)), (left, top))
        moved = boxes * scale + torch.tensor([left, top, left, top])
        return normalized_tensor(canvas), crop_boxes(moved, size, size, MIN_VISIBLE)

    def _size(self, image_path: str, image: Image.Image) -> tuple[int, int]:
        """Original width and height of an opened image, which may be a packed one."""
        return self._sizes.get(Path(image_path).stem, image.size) if self._sizes else image.size

    def _scale(self, width: int, height: int) -> float:
        """By how much an image of this size is enlarged."""
        return self.image_size / min(width, height)

    def _crop_offset(self, width: float, height: float) -> tuple[int, int]:
        """Left and top edge of the centre crop of a resized image, whole pixels; sizes are real numbers."""
        return int((width + 1e-6 - self.image_size) // 2), int((height + 1e-6 - self.image_size) // 2)

    def original_size(self, image_path: str) -> tuple[int, int]:
        """Width and height, in pixels, of an image before any resizing. Reads a header at most, and once."""
        image_id = Path(image_path).stem
        if image_id not in self._sizes:
            self._sizes[image_id] = self._read_size(image_path)
        return self._sizes[image_id]

    def _read_size(self, image_path: str) -> tuple[int, int]:
        with Image.open(image_path) as image:
            return image.width, image.height

    def original_image(self, image_id: str) -> Image.Image:
        """The image whose file is named ``image_id``, RGB, in its original size (enlarged again if it was packed)."""
        path = next(path for path, _ in self.instances if Path(path).stem == image_id)
        image = _open_image(path)
        return _resized(image, self._size(path, image))

    def to_original(self, image_path: str, boxes: Tensor) -> Tensor:
        """Carry boxes from an item's image to the image as it lies on disk.

        Args:
            image_path: The path that came with the item.
            boxes: ``(N, 4)`` of ``(x1, y1, x2, y2)``, pixels of the item's image.

        Returns:
            ``(N, 4)``, same dtype and device, in pixels of the original image and clamped to it.
        """
        width, height = self.original_size(image_path)
        scale = self._scale(width, height)
        if self.split == "train":
            left, top = self._crop_offset(width * scale, height * scale)
            boxes = boxes + boxes.new_tensor([left, top, left, top])
        limits = boxes.new_tensor([width, height, width, height])
        return (boxes / scale).clamp(min=0.0).minimum(limits)


def _open_image(path: str) -> Image.Image:
    """Read an image as RGB, with an error that names the file when that fails."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise FileNotFoundError(_missing(Path(path), "an image of the list")) from error
    except OSError as error:
        raise OSError(
            f"{path} cannot be read as an image: {error}. The file is probably cut short or damaged; "
            "delete it and fetch the data again."
        ) from error


def _resized(image: Image.Image, size: tuple[int, int], crop: tuple[int, int, int, int] | None = None) -> Image.Image:
    """An image at another size, or only a part of that (left, top, right, bottom in the new pixels).

    Of a part only its own pixels are computed. Pillow rounds where the part begins, so that one of 256 grey levels
    may differ from cropping afterwards.
    """
    if crop is None:
        return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
    if image.size == size:
        return image.crop(crop)
    x, y = image.width / size[0], image.height / size[1]
    left, top, right, bottom = crop
    box = (left * x, top * y, min(right * x, image.width), min(bottom * y, image.height))
    return image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)


def _clamped(boxes: Tensor, width: float, height: float) -> Tensor:
    """Boxes ``(N, 4)`` cut to the picture."""
    return boxes.clamp(min=0.0).minimum(torch.tensor([width, height, width, height], dtype=boxes.dtype))


def _missing(path: Path, what: str) -> str:
    """What is missing, why that matters, what next."""
    return (
        f"{path} is missing: it should be {what} of Pascal VOC 2007. Check dataset_dir, or pass "
        "download=True to fetch the data there. Without them, ShapesDetection(split) gives a built-in data"
        " set with the same items."
    )

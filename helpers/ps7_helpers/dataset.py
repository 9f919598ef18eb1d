"""Pascal VOC 2007 as a data set for detection.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010.
"""

import warnings
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ps7_helpers.download import download_voc2007
from ps7_helpers.images import MAX_OBJECTS, normalized_tensor, pad_boxes, pad_to_multiple
from ps7_helpers.voc import VOC_CLASSES, ListedImage, list_name, read_list

SPLITS: tuple[str, str] = ("train", "val")
_OLD_PREFIX = "./here/"

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

    Raises:
        ValueError: The split is neither ``train`` nor ``val``, or a list has the wrong form.
        FileNotFoundError: The list or the images are missing.

    Attributes:
        class_to_idx: Class name to index, the twenty classes in alphabetical order.
        idx_to_class: The inverse.
    """

    def __init__(self, dataset_dir: str | Path, split: str, image_size: int = 224, download: bool = False) -> None:
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r} here: choose one of {', '.join(SPLITS)}.")
        self.dataset_dir = Path(dataset_dir)
        self.split = split
        self.image_size = image_size
        self.class_to_idx: dict[str, int] = {name: i for i, name in enumerate(VOC_CLASSES)}
        self.idx_to_class: dict[int, str] = dict(enumerate(VOC_CLASSES))
        if download:
            download_voc2007(self.dataset_dir)
        self.instances = self._read_instances()

    def _read_instances(self) -> list[ListedImage]:
        """The images of the split with paths joined to ``dataset_dir``, checked as far as is cheap."""
        path = self.dataset_dir / list_name(self.split)
        if not path.is_file():
            raise FileNotFoundError(_missing(path, "the list of the images and their boxes"))
        instances = [(self._image_path(name), objects) for name, objects in read_list(path)]
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

    def _image_path(self, name: str) -> str:
        """The path of an image from its path in the list; older lists begin theirs with ``./here/``."""
        return str(self.dataset_dir / name.removeprefix(_OLD_PREFIX))

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, index: int | Tensor) -> DetectionItem:
        image_path, objects = self.instances[int(index)]
        image = _open_image(image_path)
        scale = self._scale(image.width, image.height)
        boxes = torch.tensor([o["xyxy"] for o in objects], dtype=torch.float64).reshape(-1, 4) * scale  # (N, 4)
        classes = torch.tensor([self.class_to_idx[o["name"]] for o in objects], dtype=torch.int64)  # (N,)
        limit_x, limit_y = image.width * scale, image.height * scale
        image = image.resize((int(limit_x + 1e-6), int(limit_y + 1e-6)), Image.Resampling.BILINEAR)
        if self.split == "train":
            size = self.image_size
            left, top = self._crop_offset(limit_x, limit_y)
            image = image.crop((left, top, left + size, top + size))
            boxes -= torch.tensor([left, top, left, top])
            limit_x = limit_y = float(size)
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0.0, limit_x)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0.0, limit_y)
        tensor = normalized_tensor(image)  # (3, H, W)
        if self.split == "val":
            tensor = pad_to_multiple(tensor)
        return image_path, tensor, pad_boxes(boxes, classes)

    def _scale(self, width: int, height: int) -> float:
        """By how much an image of this size is enlarged."""
        return self.image_size / min(width, height)

    def _crop_offset(self, width: float, height: float) -> tuple[int, int]:
        """Left and top edge of the centre crop of a resized image, whole pixels; sizes are real numbers."""
        return int((width + 1e-6 - self.image_size) // 2), int((height + 1e-6 - self.image_size) // 2)

    def original_size(self, image_path: str) -> tuple[int, int]:
        """Width and height, in pixels, of an image as it lies on disk. Reads the header only."""
        with Image.open(image_path) as image:
            return image.width, image.height

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


def _missing(path: Path, what: str) -> str:
    """What is missing, why that matters, what next."""
    return (
        f"{path} is missing: it should be {what} of Pascal VOC 2007. Check dataset_dir, or pass "
        "download=True to fetch the data there. Without them, ShapesDetection(split) gives a built-in data"
        " set with the same items."
    )

"""A built-in data set with the same items as Pascal VOC 2007, drawn as it is read.

It needs no download, is learned in minutes on a CPU, and stands in for VOC wherever VOC cannot be had.
"""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ps7_helpers.dataset import SPLITS, DetectionItem
from ps7_helpers.drawing import Scene, draw_scene
from ps7_helpers.images import normalized_tensor, pad_boxes, pad_to_multiple
from ps7_helpers.voc import VOC_CLASSES, list_name, make_list, write_list

DEFAULT_LENGTHS = {"train": 2000, "val": 200}


class ShapesDetection(Dataset[DetectionItem]):
    """Drawn scenes: one to three objects of four VOC classes on textured backgrounds.

    The class of an object is a matter of its shape; colours, sizes and backgrounds are independent of it. A
    scene is a function of ``(seed, split, index)``: reading an item twice, or in another process, gives the
    same one.

    An item is what ``VOC2007Detection`` gives: ``(image_path, image, gt_boxes)``, the image ``(3, H, W)``,
    float32, normalised; the boxes ``(40, 5)``, float32, ``(x1, y1, x2, y2, class)`` in pixels, padded with
    rows of -1. The path only names the item (``shapes/val/000012.jpg``): there is no such file. The two
    splits differ in nothing but their scenes; validation images are padded on the right and at the bottom
    to a multiple of 32 where ``image_size`` is none.

    Args:
        split: ``"train"`` or ``"val"``.
        image_size: Width and height of the images, pixels.
        length: Number of images; 2000 in ``train`` and 200 in ``val`` if not given.
        seed: Another seed gives other scenes.
        keep: Keep the scenes that were drawn in memory, ``4 * image_size**2`` bytes each: an eighth of a training
            iteration on small images is drawing. Each worker of a ``DataLoader`` keeps its own.

    Raises:
        ValueError: The split is neither ``train`` nor ``val``, or a size or length is not positive.

    Attributes:
        class_to_idx: Class name to index, VOC's twenty classes in alphabetical order.
        idx_to_class: The inverse.
    """

    def __init__(
        self, split: str, image_size: int = 224, length: int | None = None, seed: int = 0, *, keep: bool = False
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"There is no split {split!r} here: choose one of {', '.join(SPLITS)}.")
        if length is None:
            length = DEFAULT_LENGTHS[split]
        if image_size < 1 or length < 1:
            raise ValueError(f"image_size and length must be positive, got {image_size} and {length}.")
        self.split = split
        self.image_size = image_size
        self.length = length
        self.seed = seed
        self._kept: dict[int, Scene] | None = {} if keep else None
        self.class_to_idx: dict[str, int] = {name: i for i, name in enumerate(VOC_CLASSES)}
        self.idx_to_class: dict[int, str] = dict(enumerate(VOC_CLASSES))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int | Tensor) -> DetectionItem:
        i = range(self.length)[int(index)]  # negative indices and IndexError as with a list
        scene = self._scene(i)
        tensor = normalized_tensor(scene.image)  # (3, H, W)
        if self.split == "val":
            tensor = pad_to_multiple(tensor)
        boxes = torch.tensor(scene.boxes, dtype=torch.float32).reshape(-1, 4)  # (N, 4)
        classes = torch.tensor([self.class_to_idx[name] for name in scene.names], dtype=torch.int64)  # (N,)
        return f"shapes/{self.split}/{i:06d}.jpg", tensor, pad_boxes(boxes, classes)

    def original_size(self, image_path: str) -> tuple[int, int]:
        """Width and height of an image before padding, pixels."""
        return self.image_size, self.image_size

    def _scene(self, index: int) -> Scene:
        if self._kept is not None and index in self._kept:
            return self._kept[index]
        scene = draw_scene(_generator(self.seed, self.split, index), self.image_size, self.image_size)
        if self._kept is not None:
            self._kept[index] = scene
        return scene

    def original_image(self, image_id: str) -> Image.Image:
        """The image that an item's path names, before padding, RGB."""
        return self._scene(int(image_id)).image.copy()

    def to_original(self, image_path: str, boxes: Tensor) -> Tensor:
        """Carry boxes ``(N, 4)`` to the image before padding: they are only clamped to it."""
        return boxes.clamp(0.0, float(self.image_size))


def _generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The randomness of one scene."""
    return np.random.default_rng([seed, SPLITS.index(split), index])


def write_voc(directory: str | Path, train: int = 32, val: int = 16, seed: int = 0) -> Path:
    """Write drawn scenes in the layout of Pascal VOC 2007, for ``VOC2007Detection(directory, ...)``.

    As in VOC, the longer edge is 500 pixels and most images are landscape; some objects are marked
    difficult, and the lists leave those out.

    Args:
        directory: Gets ``VOCdevkit/VOC2007`` (JPEGImages, Annotations, ImageSets/Main) and both
            ``voc07_*.json``.
        train: Number of training images.
        val: Number of validation images.
        seed: Another seed gives other scenes.

    Returns:
        The folder ``directory/VOCdevkit/VOC2007``.
    """
    root = Path(directory)
    voc_dir = root / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (voc_dir / folder).mkdir(parents=True, exist_ok=True)
    first = 1
    for split, length in (("train", train), ("val", val)):
        ids = [f"{first + i:06d}" for i in range(length)]
        first += length
        for i, image_id in enumerate(ids):
            rng = _generator(seed, split, i)
            width, height = ((500, 375), (500, 333), (375, 500))[int(rng.integers(3))]
            scene = draw_scene(rng, width, height)
            scene.image.save(voc_dir / "JPEGImages" / f"{image_id}.jpg", quality=90)
            difficult = rng.uniform(size=len(scene.names)) < 0.1
            _write_annotation(voc_dir / "Annotations" / f"{image_id}.xml", scene, [bool(d) for d in difficult])
        lines = "".join(f"{image_id}\n" for image_id in ids)
        (voc_dir / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")
        write_list(make_list(voc_dir, split, relative_to=root), root / list_name(split))
    return voc_dir


def _write_annotation(path: Path, scene: Scene, difficult: list[bool]) -> None:
    """Write the objects of one image as VOC does: whole pixels, counted from 1, the last ones inclusive."""
    annotation = ElementTree.Element("annotation")
    ElementTree.SubElement(annotation, "filename").text = f"{path.stem}.jpg"
    _add_numbers(annotation, "size", {"width": scene.image.width, "height": scene.image.height, "depth": 3})
    for name, (x1, y1, x2, y2), hard in zip(scene.names, scene.boxes, difficult, strict=True):
        element = ElementTree.SubElement(annotation, "object")
        ElementTree.SubElement(element, "name").text = name
        ElementTree.SubElement(element, "difficult").text = str(int(hard))
        corners = {"xmin": int(x1) + 1, "ymin": int(y1) + 1, "xmax": round(x2), "ymax": round(y2)}
        _add_numbers(element, "bndbox", corners)
    ElementTree.indent(annotation, space="\t")
    ElementTree.ElementTree(annotation).write(path, encoding="utf-8")


def _add_numbers(parent: ElementTree.Element, tag: str, numbers: dict[str, int]) -> None:
    """Add an element whose children hold numbers."""
    element = ElementTree.SubElement(parent, tag)
    for name, value in numbers.items():
        ElementTree.SubElement(element, name).text = str(value)

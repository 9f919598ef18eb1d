"""Pascal VOC's classes, annotations and image lists.

A *list* is what ``voc07_train.json`` and ``voc07_val.json`` hold: in the order of
``ImageSets/Main/<split>.txt`` one ``[path, [{"name": ..., "xyxy": [x1, y1, x2, y2]}, ...]]`` per image.
Paths are relative to the folder that holds the list, coordinates are those of the XML (pixels, counted from
1), and objects marked ``difficult`` are left out. Older lists begin their paths with ``./here/``.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from xml.etree import ElementTree

VOC_CLASSES: tuple[str, ...] = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The twenty classes in alphabetical order; the position is the class index."""


class ListedObject(TypedDict):
    """One object in a list: its class name and its box ``[x1, y1, x2, y2]``."""

    name: str
    xyxy: list[float]


_OLD_PREFIX = "./here/"

ListedImage = tuple[str, list[ListedObject]]
"""One image in a list: its path and its objects. JSON turns the tuple into a two-element list."""


@dataclass(frozen=True)
class VocObject:
    """One ``<object>`` of an annotation file; ``xyxy`` as written there (pixels, counted from 1)."""

    name: str
    xyxy: tuple[float, float, float, float]
    difficult: bool


def list_name(split: str) -> str:
    """The file name of the list of a split: ``voc07_train.json`` for ``train``."""
    return f"voc07_{split}.json"


def read_annotation(path: Path) -> list[VocObject]:
    """Read the objects of one annotation file, in their order in the file.

    Args:
        path: A file in VOC's XML format.

    Raises:
        ValueError: The file is not XML, or an object lacks its name or a coordinate.
    """
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314  a checked archive's, or the user's own
        return [_read_object(element) for element in root.iter("object")]
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as a VOC annotation: {error}. Every <object> needs a <name> and a "
            "<bndbox> with numbers in xmin, ymin, xmax and ymax; fetch the file again or mend it."
        ) from error


def _read_object(element: ElementTree.Element) -> VocObject:
    """One ``<object>`` element as a :class:`VocObject`. Parts of objects (``<part>``) are not read."""
    name = element.findtext("name")
    if not name:
        raise ValueError("an <object> has no <name>")
    x1, y1, x2, y2 = (_coordinate(element, tag) for tag in ("xmin", "ymin", "xmax", "ymax"))
    difficult = element.findtext("difficult", default="0").strip() == "1"
    return VocObject(name.strip(), (x1, y1, x2, y2), difficult)


def _coordinate(element: ElementTree.Element, tag: str) -> float:
    """The number in ``<bndbox><tag>`` of an object."""
    text = element.findtext(f"bndbox/{tag}")
    if text is None:
        raise ValueError(f"an <object> has no <{tag}> in its <bndbox>")
    return float(text)


def make_list(voc_dir: Path, split: str, relative_to: Path) -> list[ListedImage]:
    """Build the list of one split from the annotations.

    Args:
        voc_dir: The folder with ``Annotations``, ``ImageSets`` and ``JPEGImages``, e.g.
            ``VOCdevkit/VOC2007``.
        split: The name of a file in ``ImageSets/Main``, without ``.txt``.
        relative_to: The folder that will hold the list: ``voc_dir`` or a folder above it.

    Returns:
        One entry per image, in the order of the split file; an image without objects has an empty list.

    Raises:
        FileNotFoundError: The split file or an annotation is missing.
        ValueError: An annotation cannot be read, or ``voc_dir`` does not lie in ``relative_to``.
    """
    split_file = voc_dir / "ImageSets" / "Main" / f"{split}.txt"
    if not split_file.is_file():
        raise FileNotFoundError(
            f"{split_file} is missing, so the images of the split {split!r} are not known. "
            "Give the folder that holds Annotations, ImageSets and JPEGImages (VOCdevkit/VOC2007 in the "
            "archive)."
        )
    inside, above = map(os.path.abspath, (voc_dir, relative_to))  # resolve() would follow a link, perhaps out of it
    folder = Path(inside).relative_to(above).as_posix()
    prefix = "" if folder == "." else f"{folder}/"
    listed: list[ListedImage] = []
    for line in split_file.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        image_id = line.split()[0]
        objects = read_annotation(voc_dir / "Annotations" / f"{image_id}.xml")
        kept = [ListedObject(name=o.name, xyxy=list(o.xyxy)) for o in objects if not o.difficult]
        listed.append((f"{prefix}JPEGImages/{image_id}.jpg", kept))
    return listed


def write_list(listed: list[ListedImage], path: Path) -> None:
    """Write a list as JSON: the whole file or, when interrupted, none of it."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(listed), encoding="utf-8")
    unfinished.replace(path)


def read_list(path: Path) -> list[ListedImage]:
    """Read a list and check its form.

    Args:
        path: A ``voc07_<split>.json``.

    Returns:
        Its images, without the prefix of older lists.

    Raises:
        ValueError: The file is not a list of images as described at the top of this module.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [
            (str(image).removeprefix(_OLD_PREFIX), [_listed_object(o) for o in objects]) for image, objects in entries
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f'{path} is not a list of images ([path, [{{"name", "xyxy"}}, ...]] each): {error!r}. '
            "Delete it and make it again (download=True, or data_scripts/make_voc_lists.py of the kit)."
        ) from error


def _listed_object(entry: ListedObject) -> ListedObject:
    """A checked copy of one object of a list."""
    x1, y1, x2, y2 = (float(value) for value in entry["xyxy"])
    return ListedObject(name=str(entry["name"]), xyxy=[x1, y1, x2, y2])

"""The data set in packed form: images at the assignment's size, small to fetch and quick to read.

A packed folder holds, beside the two lists, ``voc07_packed/<id>.jpg`` with the shorter edge already resized, and
``voc07_packed/sizes.json`` with the size of each image before that: boxes in the lists stay those of the original.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ps7_helpers.voc import ListedImage, list_name, read_list

PACKED_FOLDER = "voc07_packed"
_SIZES = "sizes.json"
_QUALITY = 92  # with full colour: 29 kB an image, and on average 1.8 of 256 grey levels off


def resized_size(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Whole pixels of an image whose shorter edge becomes ``image_size``."""
    scale = image_size / min(width, height)
    return int(width * scale + 1e-6), int(height * scale + 1e-6)


def read_sizes(dataset_dir: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """Size at which the images of a folder were packed, and the original ``(width, height)`` by image id.

    Returns:
        0 and nothing, if the folder is not in packed form.

    Raises:
        ValueError: The file of the sizes is damaged.
    """
    path = dataset_dir / PACKED_FOLDER / _SIZES
    if not path.is_file():
        return 0, {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return int(table["image_size"]), {str(k): (int(w), int(h)) for k, (w, h) in table["sizes"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}. Delete {path.parent} and fetch the data again.") from error


def refuse_packed(dataset_dir: Path) -> None:
    """Make sure that images have their original size.

    Raises:
        ValueError: The folder holds the packed form.
    """
    if read_sizes(dataset_dir)[0]:
        raise ValueError(
            f"The images in {dataset_dir} are packed already, and what they were before cannot be had from them. "
            "Unpack the official archive in another folder, and pack that."
        )


def write_packed(dataset_dir: Path, splits: dict[str, list[ListedImage]], out: Path, image_size: int) -> Iterator[str]:
    """Write a packed data set as a tar file: the whole file, or none of it.

    The same images give the same bytes with the same version of Pillow.

    Args:
        dataset_dir: What the paths in the lists are relative to.
        splits: The list of each split.
        out: The tar file.
        image_size: Length of the shorter edge, pixels.

    Yields:
        The id of each image when it is done, for a progress bar.

    Raises:
        OSError: An image cannot be read.
        ValueError: ``dataset_dir`` holds the packed form already.
    """
    refuse_packed(dataset_dir)
    sizes: dict[str, tuple[int, int]] = {}
    part = out.with_name(out.name + ".part")
    try:
        with tarfile.open(part, "w") as tar:
            for listed in splits.values():
                for path, _ in listed:
                    image_id = Path(path).stem
                    if image_id not in sizes:
                        data, sizes[image_id] = _packed_image(dataset_dir / path, image_size)
                        _add(tar, f"{PACKED_FOLDER}/{image_id}.jpg", data)
                    yield image_id
            table = {"image_size": image_size, "sizes": sizes}
            _add(tar, f"{PACKED_FOLDER}/{_SIZES}", json.dumps(table).encode())
            for split, listed in splits.items():
                moved = [(f"{PACKED_FOLDER}/{Path(path).stem}.jpg", objects) for path, objects in listed]
                _add(tar, list_name(split), json.dumps(moved).encode())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _packed_image(path: Path, image_size: int) -> tuple[bytes, tuple[int, int]]:
    """A resized image as JPEG, and its size before."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    small = image.resize(resized_size(image.width, image.height, image_size), Image.Resampling.BILINEAR)
    data = io.BytesIO()
    small.save(data, format="JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return data.getvalue(), image.size


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file without date or owner."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def lists_of(dataset_dir: Path, splits: tuple[str, ...] = ("train", "val")) -> dict[str, list[ListedImage]]:
    """The lists of an unpacked data set."""
    return {split: read_list(dataset_dir / list_name(split)) for split in splits}

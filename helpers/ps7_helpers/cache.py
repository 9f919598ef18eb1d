"""Pixels that are decoded once: a file that is mapped into memory, shared by all workers of a loader."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class PixelCache:
    """Square RGB images by index, kept in a file; the operating system keeps it in memory where there is room.

    Workers may write at the same time: they write the same bytes, and an image counts as there only when its mark,
    one byte behind the pixels, is set after them.

    Args:
        path: The file; its folder is made. A file of another length or size is begun anew.
        length: Number of images.
        size: Their width and height, pixels.
    """

    def __init__(self, path: Path, length: int, size: int) -> None:
        self.path, self.length, self.size = path, length, size
        self._map: Pixels | None = None
        total = length * (size * size * 3 + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.stat().st_size != total:
            with path.open("wb") as file:
                file.truncate(total)  # takes room on the disk only as it is filled

    def get(self, index: int) -> Pixels | None:
        """The ``(H, W, 3)`` pixels of an image, or None if they are not there yet."""
        images, marks = self._views()
        return images[index] if marks[index] else None

    def put(self, index: int, pixels: Pixels) -> None:
        """Keep the ``(H, W, 3)`` pixels of an image."""
        images, marks = self._views()
        images[index] = pixels
        marks[index] = 1

    def _views(self) -> tuple[Pixels, Pixels]:
        """Images ``(N, H, W, 3)`` and marks ``(N,)``; mapped when first used, in each process by itself."""
        if self._map is None:
            self._map = np.memmap(self.path, dtype=np.uint8, mode="r+")
        split = self.length * self.size * self.size * 3
        return self._map[:split].reshape(self.length, self.size, self.size, 3), self._map[split:]

    def __getstate__(self) -> dict[str, Any]:
        """Without the mapping, which another process has to make for itself."""
        return {**self.__dict__, "_map": None}

"""Helpers for problem set 7.1, "FCOS: a simple one-stage and anchor-free detector".

The names in ``__all__`` are the ones a notebook may rely on.
"""

from ps7_helpers.dataset import VOC2007Detection
from ps7_helpers.images import denormalize
from ps7_helpers.shapes import ShapesDetection
from ps7_helpers.utils import infinite_loader, rel_error, reset_seed
from ps7_helpers.visualizer import detection_visualizer

__version__ = "0.1.0"

__all__ = [
    "ShapesDetection",
    "VOC2007Detection",
    "denormalize",
    "detection_visualizer",
    "infinite_loader",
    "rel_error",
    "reset_seed",
]

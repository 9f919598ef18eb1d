"""Helpers for problem set 7.1, "FCOS: a simple one-stage and anchor-free detector".

The names in ``__all__`` are the ones a notebook may rely on.
"""

from ps7_helpers.dataset import VOC2007Detection
from ps7_helpers.images import denormalize
from ps7_helpers.matching import (
    fcos_make_centerness_targets,
    fcos_match_batch,
    fcos_match_locations_to_gt,
)
from ps7_helpers.nms import class_spec_nms, nms
from ps7_helpers.shapes import ShapesDetection
from ps7_helpers.utils import infinite_loader, rel_error, reset_seed
from ps7_helpers.visualizer import detection_visualizer

__version__ = "0.1.0"

__all__ = [
    "ShapesDetection",
    "VOC2007Detection",
    "class_spec_nms",
    "denormalize",
    "detection_visualizer",
    "fcos_make_centerness_targets",
    "fcos_match_batch",
    "fcos_match_locations_to_gt",
    "infinite_loader",
    "nms",
    "rel_error",
    "reset_seed",
]

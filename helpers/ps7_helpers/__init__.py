"""Helpers for problem set 7.1, "FCOS: a simple one-stage and anchor-free detector".

The names in ``__all__`` are the ones a notebook may rely on.
"""

from ps7_helpers.augmentation import augment_batch
from ps7_helpers.dataset import VOC2007Detection
from ps7_helpers.download import download_packed_voc2007, download_voc2007
from ps7_helpers.evaluation import Evaluation, ImageDetections, ImageTruth, evaluate_detections
from ps7_helpers.evaluation_files import evaluate_folders
from ps7_helpers.evaluation_plots import plot_average_precision, plot_precision_recall, plot_worst_misses
from ps7_helpers.images import denormalize
from ps7_helpers.inference import inference_with_detector
from ps7_helpers.looking import compare_settings, show_positive_locations, show_score_maps, show_suppression
from ps7_helpers.losses import LossHistory, plot_losses
from ps7_helpers.matching import (
    fcos_make_centerness_targets,
    fcos_match_batch,
    fcos_match_locations_to_gt,
)
from ps7_helpers.misses import Miss, worst_misses
from ps7_helpers.nms import class_spec_nms, nms
from ps7_helpers.nonfinite import NonFiniteLoss
from ps7_helpers.shapes import ShapesDetection, write_voc
from ps7_helpers.training import train_detector
from ps7_helpers.utils import infinite_loader, rel_error, reset_seed
from ps7_helpers.visualizer import detection_visualizer

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "ImageDetections",
    "ImageTruth",
    "LossHistory",
    "Miss",
    "NonFiniteLoss",
    "ShapesDetection",
    "VOC2007Detection",
    "augment_batch",
    "class_spec_nms",
    "compare_settings",
    "denormalize",
    "detection_visualizer",
    "download_packed_voc2007",
    "download_voc2007",
    "evaluate_detections",
    "evaluate_folders",
    "fcos_make_centerness_targets",
    "fcos_match_batch",
    "fcos_match_locations_to_gt",
    "inference_with_detector",
    "infinite_loader",
    "nms",
    "plot_average_precision",
    "plot_losses",
    "plot_precision_recall",
    "plot_worst_misses",
    "rel_error",
    "reset_seed",
    "show_positive_locations",
    "show_score_maps",
    "show_suppression",
    "train_detector",
    "worst_misses",
    "write_voc",
]

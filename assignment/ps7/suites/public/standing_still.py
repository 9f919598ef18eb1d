"""What takes long in the notebook, standing still: these take the place of `ps7_helpers`' own while it is run whole.

A notebook that is graded for how it is written need not train, draw or download. What a cell does with the result
has to work all the same, so each gives something of the right kind.
"""

from typing import Any

from ps7_helpers import Evaluation, LossHistory
from ps7_helpers import ShapesDetection as Drawn

FEW = 32  # images: as many as the largest batch of the notebook, twice


class ShapesDetection(Drawn):
    """The built-in data set, a few images of it."""

    def __init__(
        self, split: str = "train", image_size: int = 64, length: int | None = None, *_: Any, **__: Any
    ) -> None:
        super().__init__(split, image_size, min(length or FEW, FEW), keep=True)


class VOC2007Detection(ShapesDetection):
    """Pascal VOC, played by the built-in data set."""

    def __init__(self, dataset_dir: Any = "", split: str = "train", image_size: int = 224, *_: Any, **__: Any) -> None:
        super().__init__(split, image_size)


def train_detector(*_: Any, **__: Any) -> LossHistory:
    """No training: the losses of none."""
    return LossHistory()


def inference_with_detector(*_: Any, **__: Any) -> None:
    """No detections, no files."""


def evaluate_folders(*_: Any, **__: Any) -> Evaluation:
    """No average precision of any class."""
    return Evaluation({}, 0.0)


def download_voc2007(*_: Any, **__: Any) -> None:
    """Nothing is downloaded."""


def download_packed_voc2007(*_: Any, **__: Any) -> None:
    """Nothing is downloaded."""


def detection_visualizer(*_: Any, **__: Any) -> None:
    """Nothing is drawn."""


def plot_average_precision(*_: Any, **__: Any) -> None:
    """Nothing is drawn."""


def plot_precision_recall(*_: Any, **__: Any) -> None:
    """Nothing is drawn."""


def plot_worst_misses(*_: Any, **__: Any) -> None:
    """Nothing is drawn."""


def plot_losses(*_: Any, **__: Any) -> None:
    """Nothing is drawn."""


def show_positive_locations(*_: Any, **__: Any) -> None:
    """Nothing is looked at."""


def show_score_maps(*_: Any, **__: Any) -> None:
    """Nothing is looked at."""


def show_suppression(*_: Any, **__: Any) -> None:
    """Nothing is looked at."""


def compare_settings(*_: Any, **__: Any) -> None:
    """Nothing is looked at."""

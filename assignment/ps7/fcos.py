# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Problem set 7.1: FCOS, a simple one-stage and anchor-free detector
#
# An image classifier says *what* is in a picture. A detector also says *where*: it draws a box round every
# object and names it. In this notebook you build one, piece by piece, from two papers: **FCOS**
# ([Tian et al. 2019](https://arxiv.org/abs/1904.01355)) for the detector and **FPN**
# ([Lin et al. 2017](https://arxiv.org/abs/1612.03144)) for the feature maps it looks at. Then you train it
# on Pascal VOC 2007.
#
# **How to work.** Run the cells from top to bottom. Where it says `TODO`, replace the line that raises
# `NotImplementedError` by your own code; everything else is given. After each exercise there is a cell with
# `check("7.1x")`: run it as often as you like. It tells you what is right, what is not, and often why. Grading
# asks the same again with other inputs: maps that are not square, other numbers of channels and classes, other
# batches. Code that is right for any input passes there, too.
#
# | part | you write | points | minutes, about |
# |---|---|---|---|
# | (b) | the feature pyramid | 15 | 40 |
# | (c) | the prediction network | 15 | 30 |
# | (d) | where cells lie in the image | 10 | 20 |
# | (f) | boxes as distances, and back | 15 | 25 |
# | (i) | the detector: losses, inference | 20 + 15 | 90 |
# | (j) | nothing: it trains, and has to learn | 10 | 5, or 40 on a GPU with VOC |
#
# Parts (a), (e), (g), (h), (k) and (l) are to read, to run and to try: none of them is graded. A line with a triangle
# asks a question: guess first, then click on it for the answer.

# %% [markdown]
# ## 7.1 (a) Set-up, and a look at the data
#
# The next cell installs the course's helpers from the `.whl` file beside this notebook, if they are missing or out
# of date. The one after it imports what you need.

# %%
import importlib
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

IN_COLAB = "google.colab" in sys.modules
HELPERS_URL = ""  # if your course keeps the .whl file on the web: its address


def version_in(text):
    """The numbers in "ps7_helpers-0.1.0-py3-none-any.whl", to compare versions by: [0, 1, 0]."""
    return [int(number) for number in re.findall(r"\d+", text.split("-")[1])]


wheels = sorted(Path.cwd().glob("ps7_helpers-*.whl"), key=lambda path: version_in(path.name))
wheel = str(wheels[-1]) if wheels else HELPERS_URL

if importlib.util.find_spec("ps7_helpers") is None:
    is_needed = True
else:
    try:
        installed = "ps7_helpers-" + importlib.metadata.version("ps7_helpers")
        is_needed = bool(wheels) and version_in(wheels[-1].name) > version_in(installed)
    except importlib.metadata.PackageNotFoundError:
        is_needed = False  # there, but not from a .whl file: leave it alone

if is_needed and not wheel:
    how = "drag it into the Files pane on the left" if IN_COLAB else "put it beside this notebook"
    raise FileNotFoundError(
        f"The course's helpers are not installed, and no ps7_helpers-*.whl lies in {Path.cwd()}. "
        f"Take the .whl file of the release, {how}, and run this cell again."
    )
if is_needed:
    print("Installing the course's helpers" + (" on Colab" if IN_COLAB else "") + f": {Path(wheel).name}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", wheel], check=True)
    importlib.invalidate_caches()

# %%
import math
import os
from typing import Dict, List, Optional

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torch.utils.data._utils.collate import default_collate
from torchvision import models
from torchvision.models import feature_extraction
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from autograder.check import check, make_submission
from ps7_helpers import (
    ShapesDetection,
    VOC2007Detection,
    class_spec_nms,
    compare_settings,
    denormalize,
    detection_visualizer,
    download_packed_voc2007,
    download_voc2007,
    evaluate_folders,
    fcos_make_centerness_targets,
    fcos_match_locations_to_gt,
    inference_with_detector,
    plot_average_precision,
    plot_precision_recall,
    plot_worst_misses,
    rel_error,
    reset_seed,
    show_positive_locations,
    show_score_maps,
    show_suppression,
    train_detector,
)

# %% [markdown]
# A few names that the whole notebook uses. An NVIDIA GPU is used if there is one; everything up to the long
# training run is quick without.

# %%
NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2

TensorDict = Dict[str, torch.Tensor]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# Without a GPU the long training run would take days: then everything is small and short.
SHORT_RUN = DEVICE.type == "cpu"
print(f"Using {DEVICE}." + (" No GPU: short training runs on small images." if SHORT_RUN else ""))

# %% [markdown]
# **The data.** With a GPU the notebook trains on Pascal VOC 2007, 2501 photographs. The next cell downloads it into
# `data/`, once: about 440 MB, or a third of that where your course keeps it packed. It resumes a download that broke
# off, and verifies the checksum. Without a GPU, or if the download fails, you get a small built-in data set of drawn
# shapes that go by VOC's class names: good enough to see every part of the detector work.
#
# An item is a triple: the path of the image, the image as a `(3, H, W)` tensor, and `(40, 5)` boxes. A box is
# `(x1, y1, x2, y2, class)` in pixels: the left, top, right and bottom edge. Images hold different numbers of
# objects, and a batch needs equal shapes, so each list of boxes is padded with rows of `-1`.

# %%
DATASET_PATH = Path("data")
PACKED_ID = ""  # if your course keeps the packed data set on Google Drive: its file id,
PACKED_MD5 = ""  # and its checksum
SHAPES_SIZE = 64 if SHORT_RUN else IMAGE_SHAPE[0]

LAST_FILE = DATASET_PATH / "voc07_val.json"  # where this is, all of the data set is

if not SHORT_RUN and PACKED_ID and not LAST_FILE.exists():
    try:
        download_packed_voc2007(DATASET_PATH, PACKED_MD5, drive_id=PACKED_ID)
    except (ConnectionError, ValueError) as error:
        print(error, "Trying its official home.")
if not SHORT_RUN and not LAST_FILE.exists():
    try:
        download_voc2007(DATASET_PATH)
    except (ConnectionError, ValueError) as error:
        print(error)

if not SHORT_RUN and LAST_FILE.exists():
    train_dataset = VOC2007Detection(str(DATASET_PATH), "train", image_size=IMAGE_SHAPE[0])
    val_dataset = VOC2007Detection(str(DATASET_PATH), "val", image_size=IMAGE_SHAPE[0])
else:
    print("Using the built-in shapes" + ("." if SHORT_RUN else ": there is no VOC 2007 in data/."))
    train_dataset = ShapesDetection("train", image_size=SHAPES_SIZE, keep=SHORT_RUN)
    val_dataset = ShapesDetection("val", image_size=SHAPES_SIZE, keep=SHORT_RUN)

pin_memory = DEVICE.type == "cuda"
num_workers = NUM_WORKERS if not SHORT_RUN else 0  # without a GPU they would take the training's own cores
train_loader = DataLoader(
    train_dataset, batch_size=BATCH_SIZE, shuffle=True, pin_memory=pin_memory, num_workers=num_workers
)
val_loader = DataLoader(val_dataset, batch_size=1, pin_memory=pin_memory, num_workers=num_workers)

print(f"{len(train_dataset)} images to train on, {len(val_dataset)} to validate on.")

# %% [markdown]
# Always look at the data first. Three training images with their boxes (the images are stored normalised, with
# mean 0 and variance 1 a channel; `denormalize` undoes that):

# %%
for index in range(3):
    image_path, image, gt_boxes = train_dataset[index]
    is_object = gt_boxes[:, 4] != -1
    print(f"{image_path}: {tuple(image.shape)}, objects: {int(is_object.sum())}")
    detection_visualizer(denormalize(image), val_dataset.idx_to_class, gt_boxes[is_object])

# %% [markdown]
# ## 7.1 (b) The backbone with a feature pyramid
#
# ![An image runs through the backbone to c3, c4, c5; a top-down path gives p3, p4, p5](images/architecture.png)
#
# A *backbone* is an image classifier without its head. Ours is a small one, RegNetX-400MF. On its way through
# it an image becomes smaller and smaller maps of *features*: `c3`, `c4` and `c5` have 1/8, 1/16 and 1/32 of
# the image's width and height. `c5` knows best *what* there is in the image, `c3` knows best *where*.
#
# A **feature pyramid** (FPN) gives every map some of both. In three steps:
#
# 1. a 1 x 1 convolution, the *lateral* one, brings each of `c3`, `c4`, `c5` to the same number of channels;
# 2. from the top down, each coarser map is enlarged to twice its size and *added* to the next finer one;
# 3. a 3 x 3 convolution, the *output* one, smooths each sum. The results are `p3`, `p4` and `p5`.
#
# In step 2 the sum itself goes down, *before* its 3 x 3 convolution. (Some hand down the smoothed map instead: that is
# accepted, too.) Any mode of `F.interpolate` will do, the default included. There is no ReLU and no normalisation: a level
# is what its 3 x 3 convolution gives, and may be negative. The images come ready for the backbone, see (a).
#
# <details><summary><b>Have a guess:</b> c5 is 7 x 7. How large a part of a 224 x 224 image can p3 see, and why is c3 alone
# not enough?</summary>
#
# Through c5 each cell of p3 hears of nearly the whole image; through c3 alone of a patch round it. Whiskers are easy to
# see in a patch; whether they belong to a cat or to a rug, from further away.
# </details>
#
# The next cell loads the backbone, with weights trained on ImageNet if they can be downloaded.


# %%
def load_backbone() -> nn.Module:
    """RegNetX-400MF with ImageNet weights, or from scratch where they cannot be downloaded."""
    if not getattr(load_backbone, "is_offline", False):  # asked once: each try takes its time
        try:
            return models.regnet_x_400mf(weights=models.RegNet_X_400MF_Weights.IMAGENET1K_V2)
        except (OSError, RuntimeError) as error:  # no network, or a download that was cut short
            print(f"The ImageNet weights could not be downloaded ({error}): the backbone starts from scratch.")
            load_backbone.is_offline = True
    return models.regnet_x_400mf(weights=None)


# %% nbgrader={"grade": false, "grade_id": "b-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
class DetectorBackboneWithFPN(nn.Module):
    """
    The backbone and its feature pyramid: images in, three feature maps out.

    Args:
        out_channels: Number of channels of p3, p4 and p5.
    """

    def __init__(self, out_channels: int):
        super().__init__()
        self.out_channels = out_channels

        # Ask the backbone for the maps behind three of its blocks.
        self.backbone = feature_extraction.create_feature_extractor(
            load_backbone(),
            return_nodes={
                "trunk_output.block2": "c3",
                "trunk_output.block3": "c4",
                "trunk_output.block4": "c5",
            },
        )

        # Two random images tell us the shapes: "c3": (2, 64, 28, 28) says that c3 has 64 channels.
        dummy_out = self.backbone(torch.randn(2, 3, 224, 224))
        dummy_out_shapes = {level_name: tuple(feature.shape) for level_name, feature in dummy_out.items()}

        # TODO: put six convolutions into self.fpn_params (name them as you like; an nn.ModuleDict is a
        # dictionary of modules whose weights get trained):
        # - three lateral ones, 1 x 1, from the channels of c3, c4, c5 (index 1 of each shape in dummy_out_shapes) to
        #   self.out_channels;
        # - three output ones, 3 x 3, from self.out_channels to self.out_channels.
        # All with stride 1, and padded so that the size of the map stays as it is.
        self.fpn_params = nn.ModuleDict()
        ### BEGIN SOLUTION
        for level_name, feature_shape in dummy_out_shapes.items():
            self.fpn_params["lateral_" + level_name] = nn.Conv2d(feature_shape[1], out_channels, 1)
            self.fpn_params["output_" + level_name] = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        ### END SOLUTION

    @property
    def fpn_strides(self) -> Dict[str, int]:
        """How many pixels of the image a cell of each level stands for, in each direction."""
        return {"p3": 8, "p4": 16, "p5": 32}

    def forward(self, images: torch.Tensor) -> TensorDict:
        """
        Args:
            images: `(B, 3, H, W)`, H and W multiples of 32.

        Returns:
            The levels "p3", "p4" and "p5", each of shape `(B, out_channels, H / stride, W / stride)`.
        """
        backbone_feats = self.backbone(images)  # "c3", "c4", "c5"
        fpn_feats = {"p3": None, "p4": None, "p5": None}

        # TODO: fill fpn_feats. Begin with c5 and work your way down to p3: enlarge the coarser sum
        # (F.interpolate), add the lateral map, then the 3 x 3 convolution. H and W may differ.
        ### BEGIN SOLUTION
        lateral_c3 = self.fpn_params["lateral_c3"](backbone_feats["c3"])
        lateral_c4 = self.fpn_params["lateral_c4"](backbone_feats["c4"])
        merged_c5 = self.fpn_params["lateral_c5"](backbone_feats["c5"])
        merged_c4 = lateral_c4 + F.interpolate(merged_c5, size=lateral_c4.shape[-2:], mode="nearest")
        merged_c3 = lateral_c3 + F.interpolate(merged_c4, size=lateral_c3.shape[-2:], mode="nearest")
        fpn_feats["p3"] = self.fpn_params["output_c3"](merged_c3)
        fpn_feats["p4"] = self.fpn_params["output_c4"](merged_c4)
        fpn_feats["p5"] = self.fpn_params["output_c5"](merged_c5)
        ### END SOLUTION

        return fpn_feats


# %% [markdown]
# **Sanity check.** For two 224 x 224 images and 64 channels you should see maps of 28, 14 and 7 cells a side.

# %%
sanity_pyramid = DetectorBackboneWithFPN(out_channels=64)
for level_name, feature in sanity_pyramid(torch.randn(2, 3, 224, 224)).items():
    print(f"{level_name}: {tuple(feature.shape)}")

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1b", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
check("7.1b")

# %% [markdown]
# ## 7.1 (c) The prediction network
#
# The same small network looks at every cell of every level, and predicts three things there:
#
# - a score for each class (`num_classes` numbers),
# - a box, as four distances (4 numbers; see (f)),
# - the *centerness*: how near the middle of its object the cell is (1 number; see (g)).
#
# It has two *stems*, each a few 3 x 3 convolutions with a ReLU behind each. The class scores are read from one
# stem, box and centerness from the other; each stem has weights of its own. The first convolution of a stem reads
# `in_channels`, each later one the output of the one before it. The three predictions are 3 x 3 convolutions, too, and
# read the output of their stem. Do not change the features, nor the list `stem_channels`.
#
# Two things to watch:
#
# - The network predicts *logits*, which a sigmoid would turn into scores between 0 and 1. Leave it out here: the
#   loss functions apply it themselves.
# - A convolution gives `(B, C, H, W)`, but we want a list of cells: `(B, H * W, C)`. Number `i * W + j` of it is the
#   cell in row `i` and column `j` of the map. A plain `reshape` mixes channels with cells: move the channels to the back
#   first.
#
# <details><summary><b>Have a guess:</b> the last line of <code>__init__</code> sets the bias of the class prediction to
# -log 99. Why?</summary>
#
# A sigmoid makes 1 / (1 + 99) = 0.01 of it: at first each cell is 99% sure that it sees no object of any class, and
# nearly all cells are right. With a bias of 0 the first loss would be a thousand times as large, and say nothing of
# objects.
# </details>


# %% nbgrader={"grade": false, "grade_id": "c-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
class FCOSPredictionNetwork(nn.Module):
    """
    Predicts classes, boxes and centerness at every cell of every level.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the feature maps.
        stem_channels: Output channels of the convolutions of each stem, one after the other.
    """

    def __init__(self, num_classes: int, in_channels: int, stem_channels: List[int]):
        super().__init__()

        # TODO: fill the lists stem_cls and stem_box with modules: for each number in stem_channels a 3 x 3
        # convolution (stride 1, padding 1) and an nn.ReLU. Start the weights of these convolutions from a
        # normal distribution with mean 0 and standard deviation 0.01, and their biases from 0
        # (nn.init.normal_ and nn.init.constant_). The weights of the predictions below may stay as torch makes them.
        stem_cls = []
        stem_box = []
        ### BEGIN SOLUTION
        for stem in (stem_cls, stem_box):
            previous_channels = in_channels
            for channels in stem_channels:
                convolution = nn.Conv2d(previous_channels, channels, kernel_size=3, padding=1)
                nn.init.normal_(convolution.weight, mean=0.0, std=0.01)
                nn.init.constant_(convolution.bias, 0.0)
                stem += [convolution, nn.ReLU()]
                previous_channels = channels
        ### END SOLUTION
        self.stem_cls = nn.Sequential(*stem_cls)
        self.stem_box = nn.Sequential(*stem_box)

        # TODO: make the three prediction convolutions: 3 x 3, stride 1, padding 1, with as many outputs as
        # there are numbers to predict.
        self.pred_cls = None
        self.pred_box = None
        self.pred_ctr = None
        ### BEGIN SOLUTION
        stem_out_channels = stem_channels[-1] if stem_channels else in_channels
        self.pred_cls = nn.Conv2d(stem_out_channels, num_classes, kernel_size=3, padding=1)
        self.pred_box = nn.Conv2d(stem_out_channels, 4, kernel_size=3, padding=1)
        self.pred_ctr = nn.Conv2d(stem_out_channels, 1, kernel_size=3, padding=1)
        ### END SOLUTION

        # Most cells see no object. Starting from a score of 0.01 everywhere keeps the first losses small.
        nn.init.constant_(self.pred_cls.bias, -math.log(99))

    def forward(self, feats_per_fpn_level: TensorDict) -> List[TensorDict]:
        """
        Args:
            feats_per_fpn_level: For each level its features `(B, C, H, W)`.

        Returns:
            Three dictionaries over the levels: class logits `(B, H * W, num_classes)`, box deltas
            `(B, H * W, 4)` and centerness logits `(B, H * W, 1)`.
        """
        class_logits = {}
        boxreg_deltas = {}
        centerness_logits = {}

        # TODO: fill the three dictionaries, level by level.
        ### BEGIN SOLUTION
        for level_name, features in feats_per_fpn_level.items():
            cls_features = self.stem_cls(features)
            box_features = self.stem_box(features)
            class_logits[level_name] = self.pred_cls(cls_features).flatten(start_dim=2).transpose(1, 2)
            boxreg_deltas[level_name] = self.pred_box(box_features).flatten(start_dim=2).transpose(1, 2)
            centerness_logits[level_name] = self.pred_ctr(box_features).flatten(start_dim=2).transpose(1, 2)
        ### END SOLUTION

        return [class_logits, boxreg_deltas, centerness_logits]


# %% [markdown]
# **Sanity check.** Print the network and read it: two stems of two convolutions each (64 to 128, 128 to 64
# channels), and three convolutions with 20, 4 and 1 outputs.

# %%
sanity_network = FCOSPredictionNetwork(num_classes=NUM_CLASSES, in_channels=64, stem_channels=[128, 64])
print(sanity_network)

fpn_feats = {"p3": torch.randn(2, 64, 28, 28), "p4": torch.randn(2, 64, 14, 14), "p5": torch.randn(2, 64, 7, 7)}
for name, predictions in zip(["classes", "boxes", "centerness"], sanity_network(fpn_feats)):
    print(name, {level_name: tuple(prediction.shape) for level_name, prediction in predictions.items()})

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1c", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
check("7.1c")

# %% [markdown]
# ## 7.1 (d) Where is a cell of a feature map?
#
# The detector predicts one box at every cell of every feature map. To turn a prediction into a box *in the
# image* we have to know which point of the image a cell looks at.
#
# A feature map of stride `s` has one cell for every `s x s` square of pixels. The cell in row `i` and column
# `j` stands for the square whose corners are `(s*j, s*i)` and `(s*(j+1), s*(i+1))`, and its *location* is the
# centre of that square. For stride 8, the first three cells of the top row stand for locations `(4, 4)`,
# `(12, 4)` and `(20, 4)`.
#
# Two orders meet here, and are easily confused: a tensor is indexed `[row, column]`, but a location is written
# `(x, y)`: column first. The maps you see here are square; others are not, in grading and in (l).
#
# <details><summary><b>Have a guess:</b> how many predictions does the detector make for a 224 x 224 image, and for how
# many of them is there an object to predict?</summary>
#
# 28 * 28 + 14 * 14 + 7 * 7 = 1029 predictions, each with 20 classes. In a batch of VOC's photographs some 70 locations
# an image lie in an object of their size: about one in fifteen. All others have to learn to say nothing.
# </details>


# %% nbgrader={"grade": false, "grade_id": "d-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def get_fpn_location_coords(
    shape_per_fpn_level: Dict[str, tuple],
    strides_per_fpn_level: Dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> TensorDict:
    """
    Give the location of every cell of every feature map.

    Args:
        shape_per_fpn_level: The shape `(B, C, H, W)` of the feature map of each level ("p3", "p4", "p5").
        strides_per_fpn_level: The stride of each level.
        dtype: The dtype of the result.
        device: Where the result is to be: a `torch.device` or its name.

    Returns:
        For each level a tensor of shape `(H * W, 2)` with the locations `(xc, yc)` in pixels of the image.
        Row `i * W + j` belongs to the cell in row i and column j.
    """
    location_coords = {level_name: None for level_name in shape_per_fpn_level}

    for level_name, feat_shape in shape_per_fpn_level.items():
        level_stride = strides_per_fpn_level[level_name]

        # TODO: fill location_coords[level_name] with the (H * W, 2) locations of this level.
        # Mind the order of the rows, the order (x, y), and that a location is the centre of its cell.
        # `torch.arange` and `torch.meshgrid` help. Give the tensors the dtype and device asked for.
        ### BEGIN SOLUTION
        height, width = feat_shape[-2:]
        rows = (torch.arange(height, dtype=dtype, device=device) + 0.5) * level_stride
        columns = (torch.arange(width, dtype=dtype, device=device) + 0.5) * level_stride
        grid_y, grid_x = torch.meshgrid(rows, columns, indexing="ij")
        location_coords[level_name] = torch.stack([grid_x, grid_y], dim=-1).reshape(-1, 2)
        ### END SOLUTION
    return location_coords


# %% [markdown]
# A look at it: the first locations of each level, and all of them over an image. The three grids should each
# cover the whole image, with the coarsest one the widest. (Without a GPU the image is 64 x 64: 64, 16 and 4 rows.)

# %%
fpn_strides = {"p3": 8, "p4": 16, "p5": 32}
_, image, _ = train_dataset[2]
fpn_shapes = {name: (2, 64, image.shape[1] // s, image.shape[2] // s) for name, s in fpn_strides.items()}
locations_per_fpn_level = get_fpn_location_coords(fpn_shapes, fpn_strides)

for level_name, locations in locations_per_fpn_level.items():
    print(f"{level_name}: {tuple(locations.shape)}, first rows {locations[:3].tolist()}")
    detection_visualizer(denormalize(image), val_dataset.idx_to_class, points=locations)

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1d", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
check("7.1d")

# %% [markdown]
# ## 7.1 (e) Which location answers for which object?
#
# To train the detector we have to say what each location *should* predict. FCOS does it by two rules:
#
# - A location can answer for a box only if it lies *inside* it.
# - Each level is for objects of a certain size. On the level of stride `s`, the largest of the location's four
#   distances to the edges of the box has to lie between `4 s` and `8 s` (on p3 everything below counts too, on
#   p5 everything above).
#
# If the rules allow several boxes, the smallest of them wins; if they allow none, the location is *background*,
# written as a box of `-1`s. This is given: `fcos_match_locations_to_gt` takes the boxes of *one* image, and leaves
# out the rows of `-1` that pad them.
#
# The cell below matches the locations of (d) with the boxes of an image, and shows one location that got an
# object on each level; then all of them, one colour an object. "0 of 16" is no mistake: in this image no object has
# the size of that level.
#
# <details><summary><b>Have a guess:</b> a location lies inside a person and the horse she rides. FCOS can predict one
# box there. Why does that hurt less with a pyramid?</summary>
#
# The two are of different size, so mostly they belong to different levels, and each level has a location there. Only
# objects of about the same size that overlap still compete, and then the smaller one wins: of the larger one more
# locations are left.
# </details>

# %%
_, image, gt_boxes = train_dataset[1]
image_shapes = {name: (1, 64, image.shape[1] // s, image.shape[2] // s) for name, s in fpn_strides.items()}
locations_per_fpn_level = get_fpn_location_coords(image_shapes, fpn_strides)
matched_boxes = fcos_match_locations_to_gt(locations_per_fpn_level, fpn_strides, gt_boxes)

for level_name, level_boxes in matched_boxes.items():
    is_matched = level_boxes[:, 4] != -1
    print(f"{level_name}: {int(is_matched.sum())} of {len(level_boxes)} locations answer for an object")
    if is_matched.any():
        first = int(is_matched.nonzero()[0])
        detection_visualizer(
            denormalize(image),
            val_dataset.idx_to_class,
            bbox=level_boxes[first : first + 1],
            points=locations_per_fpn_level[level_name][first : first + 1],
        )

# %%
show_positive_locations(image, gt_boxes, locations_per_fpn_level, fpn_strides)

# %% [markdown]
# ## 7.1 (f) Boxes as four distances
#
# ![A location with its distances to the left, top, right and bottom edge of a box](images/deltas.png)
#
# A location predicts a box by four numbers: how far it is from the location to the left, top, right and bottom
# edge of the box (`l, t, r, b`; equation 1 of the FCOS paper). These *deltas* are divided by the stride of the
# level, so that the network sees numbers of about the same size on every level.
#
# For a location inside its box all four are positive. Outside, at least one is negative: do not clip it here. Locations
# that belong to no object, the *background*, come with a box of `-1`s, and get deltas of `-1`, which is not divided by
# the stride. A box is background if all four of its coordinates are -1: a single -1 does not mean background, since an
# object may begin at -1, or outside the image. Do not change boxes or deltas in place: (i) uses them again.
#
# <details><summary><b>Have a guess:</b> why divide by the stride?</summary>
#
# By rule (e) the largest distance on a level of stride s lies between 4 s and 8 s: divided by s, between 4 and 8 on
# every level. One small network predicts for all levels, and so it has to predict numbers of one size only.
# </details>


# %% nbgrader={"grade": false, "grade_id": "f-deltas", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fcos_get_deltas_from_locations(locations: torch.Tensor, gt_boxes: torch.Tensor, stride: int) -> torch.Tensor:
    """
    Distances from each location to the four edges of its box, in units of the stride.

    Args:
        locations: `(N, 2)` locations (xc, yc).
        gt_boxes: `(N, 4)` or `(N, 5)` boxes (x1, y1, x2, y2) or (x1, y1, x2, y2, class), one for each
            location; background has -1 in all of them.
        stride: Stride of the level.

    Returns:
        `(N, 4)` deltas (left, top, right, bottom); all four -1 for background.
    """
    # TODO: compute the deltas. The class, if there is one, plays no part. Do not forget the background.
    deltas = None
    ### BEGIN SOLUTION
    boxes = gt_boxes[:, :4]
    left_top = locations - boxes[:, :2]
    right_bottom = boxes[:, 2:] - locations
    deltas = torch.cat([left_top, right_bottom], dim=1) / stride
    is_background = (boxes == -1).all(dim=1)
    deltas[is_background] = -1.0
    ### END SOLUTION
    return deltas


# %% [markdown]
# And back: from predicted deltas to boxes. An untrained network may predict a negative distance. Such a box
# would be inside out, so negative deltas are clipped to zero first.


# %% nbgrader={"grade": false, "grade_id": "f-apply", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fcos_apply_deltas_to_locations(deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    """
    The boxes that deltas stand for; undoes `fcos_get_deltas_from_locations`.

    Args:
        deltas: `(N, 4)` deltas (left, top, right, bottom) in units of the stride.
        locations: `(N, 2)` locations (xc, yc).
        stride: Stride of the level.

    Returns:
        `(N, 4)` boxes (x1, y1, x2, y2) in pixels.
    """
    # TODO: clip negative deltas to zero, then compute the boxes.
    output_boxes = None
    ### BEGIN SOLUTION
    distances = deltas.clamp(min=0) * stride
    top_left = locations - distances[:, :2]
    bottom_right = locations + distances[:, 2:]
    output_boxes = torch.cat([top_left, bottom_right], dim=1)
    ### END SOLUTION
    return output_boxes


# %% [markdown]
# **Sanity check.** Three boxes go to deltas and come back: the error should be 0.0. The background box at
# `(100, 200)` comes back as a box without any size.

# %%
input_boxes = torch.tensor([[10.0, 15.0, 100.0, 115.0], [30.0, 20.0, 40.0, 30.0], [120.0, 100.0, 200.0, 200.0]])
box_locations = torch.tensor([[30.0, 40.0], [32.0, 29.0], [125.0, 150.0]])

box_deltas = fcos_get_deltas_from_locations(box_locations, input_boxes, stride=8)
output_boxes = fcos_apply_deltas_to_locations(box_deltas, box_locations, stride=8)
print("Error of the round trip:", rel_error(input_boxes, output_boxes))

background = torch.tensor([[-1.0, -1.0, -1.0, -1.0, -1.0]])
background_deltas = fcos_get_deltas_from_locations(torch.tensor([[100.0, 200.0]]), background, stride=8)
print("Deltas of background:", background_deltas.tolist())
print(
    "Its box:",
    fcos_apply_deltas_to_locations(background_deltas, torch.tensor([[100.0, 200.0]]), stride=8).tolist(),
)

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1f", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
check("7.1f")

# %% [markdown]
# ## 7.1 (g) Centerness
#
# A location near the edge of its object sees little of it, and tends to predict a poor box. FCOS lets the
# network itself say how central a location is, and lowers the score of boxes from the rim. What it should say
# (equation 3 of the paper) is
#
# $$\text{centerness} = \sqrt{\frac{\min(l, r)}{\max(l, r)} \cdot \frac{\min(t, b)}{\max(t, b)}}$$
#
# which is 1 in the middle of the box and falls to 0 at its edges. This is given too. It takes deltas `(N, 4)` and gives
# `(N,)`, and -1 for background.

# %%
example_deltas = torch.tensor(
    [[2.0, 2.0, 2.0, 2.0], [1.0, 2.0, 3.0, 2.0], [0.25, 2.0, 3.75, 2.0], [-1.0, -1.0, -1.0, -1.0]]
)
for deltas, centerness in zip(example_deltas.tolist(), fcos_make_centerness_targets(example_deltas).tolist()):
    print(f"left, top, right, bottom {deltas}: centerness {centerness:.3f}")

# %% [markdown]
# ## 7.1 (h) The losses by example
#
# **Classes: the focal loss.** Nearly all locations are background. A plain cross entropy would drown in easy
# background; the *focal loss* ([Lin et al. 2017](https://arxiv.org/abs/1708.02002)) turns down what the
# network already gets right: for a target of 1 and a score $p$ it is $-\alpha\,(1-p)^\gamma\log p$, for a target of 0
# $-(1-\alpha)\,p^\gamma\log(1-p)$, with $\alpha = 0.25$ and $\gamma = 2$, the defaults of
# `sigmoid_focal_loss`. Its targets are one-hot vectors: a 1 for the
# class, or all zeros for background. Beside it the plain cross entropy:

# %%
logits = torch.tensor([[4.0, -4.0, -4.0], [-4.0, -4.0, -4.0], [4.0, -4.0, -4.0]])
one_hot = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
focal = sigmoid_focal_loss(logits, one_hot).sum(dim=1)
plain = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").sum(dim=1)
for what, of_focal, of_plain in zip(["a class, right", "background, right", "wrong"], focal, plain):
    print(f"{what:18}: focal {of_focal:8.5f}, plain {of_plain:8.5f}")
print(f"1000 easy backgrounds weigh as much as {1000 * focal[1] / focal[2]:.3f} mistakes with the focal loss,")
print(f"and as much as {1000 * plain[1] / plain[2]:.1f} with the plain one.")

# %% [markdown]
# **Boxes and centerness.** The box loss compares boxes as a whole: one minus their *generalised IoU*
# ([Rezatofighi et al. 2019](https://arxiv.org/abs/1902.09630)). It is 0 for equal boxes and grows towards 2
# for boxes far apart. It wants boxes in pixels, `(x1, y1, x2, y2)`, not deltas. Centerness is a number between
# 0 and 1, and gets a binary cross entropy with logits. Both make sense for locations with an object only: for
# background they have to be zero.

# %%
target_box = torch.tensor([[10.0, 10.0, 50.0, 50.0]])
for box in ([10.0, 10.0, 50.0, 50.0], [20.0, 10.0, 60.0, 50.0], [60.0, 60.0, 90.0, 90.0]):
    loss = generalized_box_iou_loss(torch.tensor([box]), target_box, reduction="none")
    print(f"predicted {box}: {loss.item():.3f}")

ctr_logits, ctr_targets = torch.tensor([2.0, -2.0, 0.0]), torch.tensor([0.9, 0.1, -1.0])
ctr_loss = F.binary_cross_entropy_with_logits(ctr_logits, ctr_targets, reduction="none")
ctr_loss[ctr_targets < 0] = 0.0  # background
print("centerness:", [round(loss, 3) for loss in ctr_loss.tolist()])

# %% [markdown]
# ## 7.1 (i) The detector
#
# Now it all comes together. `__init__` makes the two networks. `forward` runs them; in training it also computes the
# losses. `inference` turns predictions into detections. Write `__init__` and `forward` first: the check of the losses
# can pass before `inference` is written. The strides are `self.backbone.fpn_strides`.
#
# In **training** there is a loss for every location: `loss_cls` has the shape `(B, L, num_classes)`, `loss_box` and
# `loss_ctr` have `(B, L)`. The given lines at the end sum up each.
#
# In **inference** the score of a detection is the geometric mean of class score and centerness. Of boxes that overlap,
# *non-maximum suppression* keeps the best (given: `class_spec_nms`). Images need not be square: mind which of height
# and width goes with x and which with y.
#
# What the losses work on, once the levels are joined (L is the number of locations of all levels):
#
# | name | shape | mind |
# |---|---|---|
# | `pred_cls_logits` | `(B, L, num_classes)` | |
# | `pred_ctr_logits` | `(B, L, 1)` | the targets have no last dimension |
# | `pred_boxes` | `(B, L, 4)` | in pixels |
# | `matched_gt_boxes` | `(B, L, 5)` | column 4 is the class, as a float: 0 to `num_classes - 1`, or -1 for background. `F.one_hot` takes integers from 0 and gives integers; the focal loss wants floats |
# | `matched_gt_deltas` | `(B, L, 4)` | `fcos_make_centerness_targets` takes `(N, 4)` |
#
# <details><summary><b>Have a guess, with pencil and paper:</b> what is the first loss of an untrained detector on
# VOC?</summary>
#
# Say P locations have an object, and the losses are divided by N. Classes: a score of 0.01 where 1 is right costs
# 0.25 * 0.99 * 0.99 * 4.6 = 1.13 each, and background costs next to nothing: 1.13 P / N. Boxes: hardly any overlap yet, so
# about 1 each: P / N. Centerness: a sigmoid of 0 is 0.5, which costs log 2 = 0.69 whatever is right: 0.69 P / N. In
# VOC's first batch P / N is about 0.47: 0.53 + 0.47 + 0.32 = 1.3. If yours starts elsewhere, you know where to look.
# </details>


# %% nbgrader={"grade": false, "grade_id": "i-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
class FCOS(nn.Module):
    """
    The detector.

    Args:
        num_classes: Number of classes.
        fpn_channels: Channels of the feature pyramid.
        stem_channels: Channels of the stems of the prediction network.
    """

    def __init__(self, num_classes: int, fpn_channels: int, stem_channels: List[int]):
        super().__init__()
        self.num_classes = num_classes

        # TODO: make the two networks of (b) and (c).
        self.backbone = None
        self.pred_net = None
        ### BEGIN SOLUTION
        self.backbone = DetectorBackboneWithFPN(out_channels=fpn_channels)
        self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)
        ### END SOLUTION

        # A running average of the number of locations with an object in an image. The losses are divided by it.
        self._normalizer = 150

    def forward(
        self,
        images: torch.Tensor,
        gt_boxes: Optional[torch.Tensor] = None,
        test_score_thresh: float = 0.3,
        test_nms_thresh: float = 0.5,
    ):
        """
        Args:
            images: `(B, 3, H, W)`.
            gt_boxes: In training, `(B, N, 5)` boxes (x1, y1, x2, y2, class), padded with -1.
            test_score_thresh, test_nms_thresh: In inference, see `inference`.

        Returns:
            In training the losses, {"loss_cls", "loss_box", "loss_ctr"}, each a single number. In inference
            (no gt_boxes) what `inference` returns; B has to be 1 then.
        """
        # TODO: run the two networks, and get the locations of all levels from the shapes of their feature maps (the
        # dtype and device of the locations should be those of the images).
        pred_cls_logits, pred_boxreg_deltas, pred_ctr_logits = None, None, None
        locations_per_fpn_level = None
        ### BEGIN SOLUTION
        fpn_feats = self.backbone(images)
        pred_cls_logits, pred_boxreg_deltas, pred_ctr_logits = self.pred_net(fpn_feats)
        strides_per_fpn_level = self.backbone.fpn_strides
        fpn_shapes = {level_name: features.shape for level_name, features in fpn_feats.items()}
        locations_per_fpn_level = get_fpn_location_coords(
            fpn_shapes, strides_per_fpn_level, dtype=images.dtype, device=images.device
        )
        ### END SOLUTION

        if not self.training:
            return self.inference(
                images,
                locations_per_fpn_level,
                pred_cls_logits,
                pred_boxreg_deltas,
                pred_ctr_logits,
                test_score_thresh=test_score_thresh,
                test_nms_thresh=test_nms_thresh,
            )

        # TODO: for every image, append a new dictionary over the levels to each of these two lists: the matched
        # boxes `(H * W, 5)` of fcos_match_locations_to_gt, which takes one image's boxes; and the deltas
        # `(H * W, 4)` of the locations to their matched boxes, by your function of (f).
        matched_gt_boxes = []
        matched_gt_deltas = []
        ### BEGIN SOLUTION
        for boxes_of_image in gt_boxes:
            matched = fcos_match_locations_to_gt(locations_per_fpn_level, strides_per_fpn_level, boxes_of_image)
            deltas = {
                level_name: fcos_get_deltas_from_locations(
                    locations_per_fpn_level[level_name], matched[level_name], strides_per_fpn_level[level_name]
                )
                for level_name in matched
            }
            matched_gt_boxes.append(matched)
            matched_gt_deltas.append(deltas)
        ### END SOLUTION

        # One dictionary for the whole batch: (B, H * W, 5) and (B, H * W, 4) on each level.
        matched_gt_boxes = default_collate(matched_gt_boxes)
        matched_gt_deltas = default_collate(matched_gt_deltas)

        # TODO: the loss compares boxes, so turn the predicted deltas of each level into boxes, (B, H * W, 4). Your
        # function of (f) takes (N, 4): go image by image, or reshape.
        pred_boxes = {}
        ### BEGIN SOLUTION
        for level_name, level_deltas in pred_boxreg_deltas.items():
            level_locations = locations_per_fpn_level[level_name].repeat(len(images), 1)
            level_boxes = fcos_apply_deltas_to_locations(
                level_deltas.reshape(-1, 4), level_locations, strides_per_fpn_level[level_name]
            )
            pred_boxes[level_name] = level_boxes.reshape(level_deltas.shape)
        ### END SOLUTION

        # From here on the levels are joined: one long row of locations for each image.
        matched_gt_boxes = self._cat_across_fpn_levels(matched_gt_boxes)
        matched_gt_deltas = self._cat_across_fpn_levels(matched_gt_deltas)
        pred_boxes = self._cat_across_fpn_levels(pred_boxes)
        pred_cls_logits = self._cat_across_fpn_levels(pred_cls_logits)
        pred_ctr_logits = self._cat_across_fpn_levels(pred_ctr_logits)

        # Keep the average of the number of locations with an object up to date.
        num_pos_locations = (matched_gt_boxes[:, :, 4] != -1).sum()
        pos_loc_per_image = num_pos_locations.item() / images.shape[0]
        self._normalizer = 0.9 * self._normalizer + 0.1 * pos_loc_per_image

        # TODO: compute the three losses for every location (reduction="none"). Classes: the focal loss, with
        # all zeros as the target of background. Boxes: generalized_box_iou_loss. Centerness: the targets come
        # from fcos_make_centerness_targets. The last two have to be zero for background.
        loss_cls, loss_box, loss_ctr = None, None, None
        ### BEGIN SOLUTION
        is_background = matched_gt_boxes[:, :, 4] == -1
        class_index = matched_gt_boxes[:, :, 4].long().clamp(min=0)
        gt_one_hot = F.one_hot(class_index, self.num_classes).to(pred_cls_logits.dtype)
        gt_one_hot[is_background] = 0.0
        loss_cls = sigmoid_focal_loss(pred_cls_logits, gt_one_hot)

        loss_box = generalized_box_iou_loss(pred_boxes, matched_gt_boxes[:, :, :4], reduction="none")
        loss_box = torch.where(is_background, torch.zeros_like(loss_box), loss_box)

        gt_centerness = fcos_make_centerness_targets(matched_gt_deltas.reshape(-1, 4)).reshape(is_background.shape)
        pred_centerness = pred_ctr_logits.squeeze(-1)
        loss_ctr = F.binary_cross_entropy_with_logits(pred_centerness, gt_centerness, reduction="none")
        loss_ctr = torch.where(is_background, torch.zeros_like(loss_ctr), loss_ctr)
        ### END SOLUTION

        return {
            "loss_cls": loss_cls.sum() / (self._normalizer * images.shape[0]),
            "loss_box": loss_box.sum() / (self._normalizer * images.shape[0]),
            "loss_ctr": loss_ctr.sum() / (self._normalizer * images.shape[0]),
        }

    @staticmethod
    def _cat_across_fpn_levels(dict_with_fpn_levels: TensorDict, dim: int = 1) -> torch.Tensor:
        """Join the tensors of all levels, in the order p3, p4, p5, along a dimension."""
        return torch.cat(list(dict_with_fpn_levels.values()), dim=dim)

    def inference(
        self,
        images: torch.Tensor,
        locations_per_fpn_level: TensorDict,
        pred_cls_logits: TensorDict,
        pred_boxreg_deltas: TensorDict,
        pred_ctr_logits: TensorDict,
        test_score_thresh: float = 0.3,
        test_nms_thresh: float = 0.5,
    ):
        """
        Turn the predictions for one image into detections.

        Args:
            images: `(1, 3, H, W)`.
            locations_per_fpn_level, pred_cls_logits, pred_boxreg_deltas, pred_ctr_logits: As in `forward`.
            test_score_thresh: Detections with a lower score are dropped.
            test_nms_thresh: Of two boxes of a class that overlap more than this, the better one stays.

        Returns:
            Boxes `(N, 4)` in pixels, classes `(N,)`, integers from 0, and scores `(N,)`, best first; N may be 0.
        """
        # Predictions of all levels, to be joined at the end.
        pred_boxes_all_levels = []
        pred_classes_all_levels = []
        pred_scores_all_levels = []

        for level_name in locations_per_fpn_level.keys():
            # There is one image in the batch: leave its dimension out.
            level_locations = locations_per_fpn_level[level_name]
            level_cls_logits = pred_cls_logits[level_name][0]
            level_deltas = pred_boxreg_deltas[level_name][0]
            level_ctr_logits = pred_ctr_logits[level_name][0]

            # The score of each class at each location: (H * W, num_classes).
            level_pred_scores = torch.sqrt(level_cls_logits.sigmoid() * level_ctr_logits.sigmoid())

            # TODO, for the locations of this level:
            # 1. the best class of each location, and its score;
            # 2. keep those whose score is above the threshold: one location, or none, may be left on a level;
            # 3. their boxes, from deltas and locations;
            # 4. clip the boxes to the image: x to [0, width], y to [0, height] (width - 1 and height - 1 are accepted, too).
            # In the end there are, for the n that are kept: level_pred_boxes (n, 4), level_pred_classes (n,) and
            # level_pred_scores (n,): assign the scores of the n to that name again.
            level_pred_boxes, level_pred_classes = None, None
            ### BEGIN SOLUTION
            level_pred_scores, level_pred_classes = level_pred_scores.max(dim=1)
            is_kept = level_pred_scores > test_score_thresh
            level_pred_scores = level_pred_scores[is_kept]
            level_pred_classes = level_pred_classes[is_kept]
            level_pred_boxes = fcos_apply_deltas_to_locations(
                level_deltas[is_kept], level_locations[is_kept], self.backbone.fpn_strides[level_name]
            )
            image_height, image_width = images.shape[2:]
            left, top, right, bottom = level_pred_boxes.unbind(dim=1)
            level_pred_boxes = torch.stack(
                [
                    left.clamp(0, image_width),
                    top.clamp(0, image_height),
                    right.clamp(0, image_width),
                    bottom.clamp(0, image_height),
                ],
                dim=1,
            )
            ### END SOLUTION

            pred_boxes_all_levels.append(level_pred_boxes)
            pred_classes_all_levels.append(level_pred_classes)
            pred_scores_all_levels.append(level_pred_scores)

        pred_boxes_all_levels = torch.cat(pred_boxes_all_levels)
        pred_classes_all_levels = torch.cat(pred_classes_all_levels)
        pred_scores_all_levels = torch.cat(pred_scores_all_levels)

        # Of boxes of the same class that overlap, keep the best.
        keep = class_spec_nms(
            pred_boxes_all_levels, pred_scores_all_levels, pred_classes_all_levels, iou_threshold=test_nms_thresh
        )
        return pred_boxes_all_levels[keep], pred_classes_all_levels[keep], pred_scores_all_levels[keep]


# %% [markdown]
# The first check is about the losses, the second about inference. Both run your code of (d) and (f); if the fault lies
# there, they say so. (A line of (f) in an error message may come of what you hand to it.) Simple networks take the place
# of your own of (b) and (c) meanwhile.

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1i-losses", "locked": true, "points": 20, "schema_version": 3, "solution": false, "task": false}
check("7.1i-losses")

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1i-inference", "locked": true, "points": 15, "schema_version": 3, "solution": false, "task": false}
check("7.1i-inference")

# %% [markdown]
# ## 7.1 (j) Training
#
# **First, overfit.** A detector that cannot learn a handful of images by heart has a bug, and it is quicker to
# find out now than after forty minutes. On VOC the loss starts at about 1.3 and should fall far below that.
#
# In the short run without a GPU it starts near 0.5, *rises* to 1.8 within forty iterations, and ends below 1. That is no
# mistake of yours: the losses are divided by a running average of how many locations of an image lie in an object. The
# average starts from 150, which is right for photographs as large as VOC's, and needs some thirty iterations to come
# down to what the small drawn images have. The check below trains a detector of its own, on three pictures.

# %%
reset_seed(0)

small_dataset = Subset(train_dataset, range(BATCH_SIZE if not SHORT_RUN else 4))
small_loader = DataLoader(small_dataset, batch_size=min(BATCH_SIZE, len(small_dataset)), pin_memory=pin_memory)

small_detector = FCOS(num_classes=NUM_CLASSES, fpn_channels=64, stem_channels=[64, 64]).to(DEVICE)
small_history = train_detector(
    small_detector,
    small_loader,
    learning_rate=5e-3 if not SHORT_RUN else 2e-2,
    max_iters=500 if not SHORT_RUN else 150,
    log_period=20,
    device=DEVICE,
    max_grad_norm=10.0 if not SHORT_RUN else 3.0,
)

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1j", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
check("7.1j")

# %% [markdown]
# **Then, train.** On a Colab GPU with VOC this takes 35 to 40 minutes. You can interrupt it (the stop button):
# the detector keeps what it has learned so far. Without a GPU it is some minutes: `recipe="strong"` (another optimizer,
# a learning rate that rises and falls smoothly, mirrored images, averaged weights) gets further in few iterations.
#
# *If Colab disconnects.* Every 500 iterations the state of the training goes into `CHECKPOINT`. Run the notebook
# again, and the cell goes on from there and ends with the numbers it would have had. Colab deletes its own disk when
# it disconnects, so set `KEEP_ON_DRIVE = True` there: the file then lies on your Google Drive. A finished training is
# not repeated: delete the file when you have changed your detector.
#
# *If the loss becomes NaN.* One unlucky batch can have a gradient many times the usual one. A step along it makes the
# predictions large, the next gradient is larger still, and soon a number is infinite, then NaN, and so is every weight.
# That is why `max_grad_norm=10.0` shortens gradients longer than that. If a number goes wrong all the same, training
# stops *before* it reaches the weights, and names the iteration, the images, and the line of your code whose result
# was wrong first. If that line is right, lower `learning_rate` or `max_grad_norm` and run the cell again: it goes on from
# the last checkpoint, if there is one.

# %%
reset_seed(0)

if SHORT_RUN:
    detector = FCOS(num_classes=NUM_CLASSES, fpn_channels=64, stem_channels=[64, 64])
else:
    detector = FCOS(num_classes=NUM_CLASSES, fpn_channels=128, stem_channels=[128, 128])
detector = detector.to(DEVICE)

KEEP_ON_DRIVE = False  # on Colab: True, and you are asked for access to your Google Drive
CHECKPOINT = None if SHORT_RUN else "fcos_training.pt"
if IN_COLAB and KEEP_ON_DRIVE and not SHORT_RUN:
    from google.colab import drive

    drive.mount("/content/drive")
    CHECKPOINT = "/content/drive/MyDrive/fcos_training.pt"

history = train_detector(
    detector,
    train_loader,
    learning_rate=5e-3 if not SHORT_RUN else 2e-2,
    max_iters=9000 if not SHORT_RUN else 500,
    log_period=100 if not SHORT_RUN else 50,
    device=DEVICE,
    max_grad_norm=10.0 if not SHORT_RUN else 3.0,
    recipe="plain" if not SHORT_RUN else "strong",
    checkpoint=CHECKPOINT,
)

# %% [markdown]
# *Reading the plot.* Each thin line is a loss batch by batch, the bold or dashed one over it a running mean. Look at
# the means: single batches jump, because some images hold one easy object and others five hard ones. The losses for
# classes and boxes should fall, quickly at first and then slowly. `loss_ctr` soon lies flat, and far from zero: that is
# no mistake. Its targets are numbers between 0 and 1, and the cross-entropy of a target of 0.6 is 0.67 even if the
# prediction is exactly 0.6. The mean over all targets is a floor that no detector gets below (0.54 on the short run's
# drawn images), and the sum of the three, `loss`, has that floor, too.

# %% [markdown]
# ## 7.1 (k) Looking at detections
#
# Save the weights, then look at ten validation images. Boxes of the data set and boxes of your detector are
# drawn differently, so you can see at a glance what was found, what was missed and what was invented.

# %%
weights_path = "fcos_detector.pt"
torch.save(detector.state_dict(), weights_path)
print(f"Saved {os.path.getsize(weights_path) / 2**20:.1f} MB to {weights_path}.")

# %%
ten_images = DataLoader(Subset(val_dataset, range(10)), batch_size=1)
inference_with_detector(detector, ten_images, val_dataset.idx_to_class, score_thresh=0.5, nms_thresh=0.5, device=DEVICE)

# %% [markdown]
# **Look inside.** How sure is each cell of its best class, how central does it think it is, and which score do the two
# give together? Which level lights up for which object?

# %%
show_score_maps(detector, val_dataset[0][1])

# %% [markdown]
# And the boxes before and after non-maximum suppression: many locations see the same object, and each says so.

# %%
show_suppression(detector, val_dataset[0][1], val_dataset.idx_to_class, score_thresh=0.2, nms_thresh=0.5)

# %% [markdown]
# ## 7.1 (l) Mean average precision
#
# One number for a whole detector: for each class, the *average precision* is the area under the curve of
# precision against recall as the score threshold falls; a detection counts as right if it overlaps a box of its
# class by an IoU of at least 0.5. The mean over the classes is the mAP. Every validation image counts, also
# those in which nothing was found, and no image is cropped.
#
# Figures elsewhere differ in two ways. They go down to a threshold of almost 0, which can only add to the area; here it
# is 0.4 (0.05 for a detector from the short run, which is sure of little). And they ignore VOC's *difficult* objects;
# here these are not in the data, so finding one counts as a mistake.
#
# Expect a figure near 40% on VOC after 9000 iterations: one run of this assignment had 40.0% over all 2510 validation
# images, cropped to their middle, and 42.5% without the 146 in which it found nothing. Compare figures only when they
# count the same images. On the built-in shapes it says nothing about VOC.

# %%
inference_with_detector(
    detector,
    val_loader,
    val_dataset.idx_to_class,
    score_thresh=0.4 if not SHORT_RUN else 0.05,
    nms_thresh=0.6,
    output_dir="mAP",
    device=DEVICE,
)
evaluation = evaluate_folders("mAP/ground-truth", "mAP/detection-results")
print(evaluation)

# %% [markdown]
# Where is it good, where not? Each class with its curve; then the worst mistakes: detections with a high score where
# there is no such object, and large objects that were not found.

# %%
plot_average_precision(evaluation)
plot_precision_recall(evaluation)
plot_worst_misses("mAP/ground-truth", "mAP/detection-results", val_dataset)

# %% [markdown]
# **What is each part good for?** Take it away and see. Have a guess first: what costs more, to suppress too much or too
# little? Why does a lower score threshold raise the mAP, though most of what it adds is wrong? (Look at how the curve of
# precision against recall goes on.) Change the numbers and run it again: a setting takes some
# seconds on a GPU, more without.

# %%
compare_settings(
    detector, val_dataset, val_dataset.idx_to_class, score_thresh=0.4 if not SHORT_RUN else 0.05, nms_thresh=0.6
)

# %% [markdown]
# **What is left out here.** The paper's detector has two more levels, P6 and P7, for objects larger than any in a 224 x 224
# image; GroupNorm in the stems; a factor of its own for the boxes of each level; and exp where we clip at zero. Later it
# got *centre sampling*: only locations near the middle of an object answer for it. Each is a few lines, and with a GPU
# and an evening you can see what it brings: only names that are asked for are graded, so keep yours beside them.

# %% [markdown]
# ## Handing in
#
# **Save this notebook first** (Ctrl+S, on a Mac Cmd+S; Colab does it by itself). The next cell runs the checks of all
# exercises once more, says what is missing, and puts what is to be handed in into one file: this notebook, and the
# weights from (k) if they are there. It does so however much is done; run it as often as you like. On Colab the
# file is then downloaded by your browser, elsewhere it lies beside this notebook.

# %%
make_submission()

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
# `check("7.1x")`: run it as often as you like. It tells you what is right, what is not, and often why. The
# checks here are the public half; grading runs more of the same kind on other inputs.

# %% [markdown]
# ## 7.1 (a) Set-up, and a look at the data
#
# The next cell finds out where this notebook runs, installs the course's helpers if they are not there yet
# (the `.whl` file that lies beside this notebook), and imports what you need.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

IN_COLAB = "google.colab" in sys.modules

if importlib.util.find_spec("ps7_helpers") is None:
    wheels = sorted(Path.cwd().glob("ps7_helpers-*.whl"))
    if not wheels:
        raise FileNotFoundError(
            "The course's helpers are not installed, and no ps7_helpers-*.whl lies in "
            f"{Path.cwd()}. Put the .whl file of the release beside this notebook "
            "(on Colab: drag it into the Files pane on the left) and run this cell again."
        )
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", str(wheels[-1])], check=True)

# %%
import os
from typing import Dict, List, Optional, Tuple

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from autograder.check import check
from ps7_helpers import ShapesDetection, VOC2007Detection, detection_visualizer, rel_error, reset_seed

# %% [markdown]
# A few names that the whole notebook uses. A GPU is used if there is one; everything up to the long training
# run is quick without.

# %%
NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2

TensorDict = dict[str, torch.Tensor]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
print(f"Using {DEVICE}.")

# %% [markdown]
# **The data.** If Pascal VOC 2007 lies in `data/` beside this notebook (with its two lists,
# `voc07_train.json` and `voc07_val.json`), it is used. If not, you get a small built-in data set of drawn
# shapes that go by VOC's class names: good enough to see every part of the detector work.
#
# An item is a triple: the path of the image, the image as a `(3, H, W)` tensor, and `(40, 5)` boxes. A box is
# `(x1, y1, x2, y2, class)` in pixels: the left, top, right and bottom edge. Images hold different numbers of
# objects, and a batch needs equal shapes, so each list of boxes is padded with rows of `-1`.

# %%
DATASET_PATH = Path("data")

if (DATASET_PATH / "voc07_train.json").exists():
    train_dataset = VOC2007Detection(str(DATASET_PATH), "train", image_size=IMAGE_SHAPE[0])
    val_dataset = VOC2007Detection(str(DATASET_PATH), "val", image_size=IMAGE_SHAPE[0])
else:
    print("No VOC 2007 in data/: using the built-in shapes.")
    train_dataset = ShapesDetection("train", image_size=IMAGE_SHAPE[0])
    val_dataset = ShapesDetection("val", image_size=IMAGE_SHAPE[0])

train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, pin_memory=True, num_workers=NUM_WORKERS)
val_loader = DataLoader(val_dataset, batch_size=1, pin_memory=True, num_workers=NUM_WORKERS)

print(f"{len(train_dataset)} images to train on, {len(val_dataset)} to validate on.")

# %% [markdown]
# Always look at the data first. Three training images with their boxes (the images are stored normalised, with
# mean 0 and variance 1 a channel; the first line undoes that):

# %%
mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

for index in range(3):
    image_path, image, gt_boxes = train_dataset[index]
    image = (image * std + mean).clamp(0, 1)
    is_object = gt_boxes[:, 4] != -1
    print(f"{image_path}: {tuple(image.shape)}, {int(is_object.sum())} objects")
    detection_visualizer(image, val_dataset.idx_to_class, gt_boxes[is_object])

# %% [markdown]
# ## 7.1 (b) The backbone with a feature pyramid

# %% [markdown]
# ## 7.1 (c) The prediction network

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
# Note the two orders that meet here, and that are easy to confuse: a tensor is indexed `[row, column]`, but a
# location is written `(x, y)`: column first.


# %% nbgrader={"grade": false, "grade_id": "d-solution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def get_fpn_location_coords(
    shape_per_fpn_level: dict[str, tuple],
    strides_per_fpn_level: dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> dict[str, torch.Tensor]:
    """
    Give the location of every cell of every feature map.

    Args:
        shape_per_fpn_level: The shape `(B, C, H, W)` of the feature map of each level ("p3", "p4", "p5").
        strides_per_fpn_level: The stride of each level.
        dtype, device: What the result is to have.

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
# cover the whole image, with the coarsest one the widest.

# %%
fpn_shapes = {"p3": (2, 64, 28, 28), "p4": (2, 64, 14, 14), "p5": (2, 64, 7, 7)}
fpn_strides = {"p3": 8, "p4": 16, "p5": 32}
locations_per_fpn_level = get_fpn_location_coords(fpn_shapes, fpn_strides)

for level_name, locations in locations_per_fpn_level.items():
    print(f"{level_name}: {tuple(locations.shape)}, first rows {locations[:3].tolist()}")
    detection_visualizer(image, val_dataset.idx_to_class, points=locations)

# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "7-1d", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
check("7.1d")

# %% [markdown]
# ## 7.1 (e) Which location answers for which object?

# %% [markdown]
# ## 7.1 (f) Boxes as four distances
#
# A location predicts a box by four numbers: how far it is from the location to the left, top, right and bottom
# edge of the box (`l, t, r, b`; equation 1 of the FCOS paper). These *deltas* are divided by the stride of the
# level, so that the network sees numbers of about the same size on every level.
#
# For a location inside its box all four are positive. A location outside has a negative one, and that is as it
# should be. Locations that belong to no object, the *background*, come with a box of `-1`s, and get deltas of
# `-1`.


# %% nbgrader={"grade": false, "grade_id": "f-deltas", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fcos_get_deltas_from_locations(
    locations: torch.Tensor, gt_boxes: torch.Tensor, stride: int
) -> torch.Tensor:
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
def fcos_apply_deltas_to_locations(
    deltas: torch.Tensor, locations: torch.Tensor, stride: int
) -> torch.Tensor:
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
input_boxes = torch.tensor(
    [[10.0, 15.0, 100.0, 115.0], [30.0, 20.0, 40.0, 30.0], [120.0, 100.0, 200.0, 200.0]]
)
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

# %% [markdown]
# ## 7.1 (h) The losses by example

# %% [markdown]
# ## 7.1 (i) The detector

# %% [markdown]
# ## 7.1 (j) Training

# %% [markdown]
# ## 7.1 (k) Looking at detections

# %% [markdown]
# ## 7.1 (l) Mean average precision

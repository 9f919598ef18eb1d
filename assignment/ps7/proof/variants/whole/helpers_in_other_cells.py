# %% [markdown]
# Problem set 7.1 by a student who writes a helper for everything and leaves it wherever the cursor was: constants sit
# among the data loading, some helpers stand in cells above the class that needs them and some below it, and one is a
# first draft that a later cell replaces. The coarser level is handed down after its own output convolution, enlarged
# bilinearly.

# %%
import math
from functools import partial
from typing import Dict, List, Optional, Tuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data._utils.collate import default_collate
from torchvision import models, ops
from torchvision.models import feature_extraction

import ps7_helpers
from ps7_helpers import fcos_make_centerness_targets, fcos_match_locations_to_gt, reset_seed

# %%
NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2
TensorDict = Dict[str, torch.Tensor]
DEVICE = torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")

# %% [markdown]
# ### Data loading, and a few things I keep needing

# %%
train_dataset = ps7_helpers.VOC2007Detection("./data", "train", image_size=IMAGE_SHAPE[0], download=True)
LEVEL_NUMBERS = 3, 4, 5
train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=NUM_WORKERS)
FINEST, MIDDLE, COARSEST = (f"p{number}" for number in LEVEL_NUMBERS)
val_dataset = ps7_helpers.VOC2007Detection("./data", "val", image_size=IMAGE_SHAPE[0])
val_loader = DataLoader(val_dataset, batch_size=1, num_workers=NUM_WORKERS)
STRIDE_OF = {FINEST: 8}
STRIDE_OF[MIDDLE] = 2 * STRIDE_OF[FINEST]
STRIDE_OF[COARSEST] = 2 * STRIDE_OF[MIDDLE]
print(len(train_dataset), len(val_dataset), STRIDE_OF)


# %%
conv1x1 = partial(nn.Conv2d, kernel_size=1, stride=1, padding=0)
conv3x3 = partial(nn.Conv2d, kernel_size=3, stride=1, padding=1)


def regnet_extractor():
    cnn = models.regnet_x_400mf(weights=models.RegNet_X_400MF_Weights.IMAGENET1K_V2)
    nodes = {"trunk_output.block2": "c3", "trunk_output.block3": "c4", "trunk_output.block4": "c5"}
    return feature_extraction.create_feature_extractor(cnn, return_nodes=nodes)


def cell_centres(n: int, stride: int):
    # first draft
    return torch.arange(stride / 2, n * stride, stride)


# %% [markdown]
# ### (b)


# %%
class DetectorBackboneWithFPN(nn.Module):
    def __init__(self, out_channels: int):
        super().__init__()
        self.out_channels = out_channels
        self.backbone = regnet_extractor()

        dummy_out = self.backbone(torch.randn(2, 3, 224, 224))
        print("For dummy input images with shape: (2, 3, 224, 224)")
        for level_name, feature in dummy_out.items():
            print(f"Shape of {level_name} features: {feature.shape}")

        # coarsest first, the way they are used
        self.fpn_params = nn.ModuleDict()
        for number in reversed(LEVEL_NUMBERS):
            self.fpn_params[f"smooth_p{number}"] = conv3x3(out_channels, out_channels)
            self.fpn_params[f"squeeze_c{number}"] = conv1x1(dummy_out[f"c{number}"].shape[1], out_channels)

    @property
    def fpn_strides(self) -> Dict[str, int]:
        return dict(STRIDE_OF)

    def forward(self, images: torch.Tensor) -> TensorDict:
        backbone_feats = self.backbone(images)
        p5 = self.fpn_params["smooth_p5"](self.fpn_params["squeeze_c5"](backbone_feats["c5"]))
        p4 = self.fpn_params["smooth_p4"](add_from_above(self.fpn_params["squeeze_c4"](backbone_feats["c4"]), p5))
        p3 = self.fpn_params["smooth_p3"](add_from_above(self.fpn_params["squeeze_c3"](backbone_feats["c3"]), p4))
        return {FINEST: p3, MIDDLE: p4, COARSEST: p5}


# %%
def add_from_above(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    return fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)


# %%
for name, feats in DetectorBackboneWithFPN(64)(torch.rand(1, 3, 64, 96)).items():
    print(name, tuple(feats.shape))

# %% [markdown]
# ### (c)


# %%
class FCOSPredictionNetwork(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, stem_channels: List[int]):
        super().__init__()
        self.stem_cls = make_stem(in_channels, stem_channels)
        self.stem_box = make_stem(in_channels, stem_channels)
        self.pred_cls = conv3x3(stem_channels[-1], num_classes)
        self.pred_box = conv3x3(stem_channels[-1], 4)
        self.pred_ctr = conv3x3(stem_channels[-1], 1)
        self.apply(small_normal_init)
        torch.nn.init.constant_(self.pred_cls.bias, -math.log(99))

    def forward(self, feats_per_fpn_level: TensorDict) -> List[TensorDict]:
        class_logits, boxreg_deltas, centerness_logits = {}, {}, {}
        for level_name, feats in feats_per_fpn_level.items():
            for_classes, for_boxes = self.stem_cls(feats), self.stem_box(feats)
            class_logits[level_name] = cells_as_rows(self.pred_cls(for_classes))
            boxreg_deltas[level_name] = cells_as_rows(self.pred_box(for_boxes))
            centerness_logits[level_name] = cells_as_rows(self.pred_ctr(for_boxes))
        return [class_logits, boxreg_deltas, centerness_logits]


# %%
def make_stem(channels: int, widths: List[int]) -> nn.Sequential:
    stem = nn.Sequential()
    for width in widths:
        stem.append(conv3x3(channels, width))
        stem.append(nn.ReLU())
        channels = width
    return stem


def small_normal_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0, 0.01)
        nn.init.constant_(module.bias, 0)


cells_as_rows = lambda maps: maps.flatten(start_dim=2).transpose(1, 2)

# %% [markdown]
# ### (d) The draft of `cell_centres` knew neither dtype nor device


# %%
def cell_centres(n: int, stride: int, dtype: torch.dtype, device) -> torch.Tensor:
    return (stride * (torch.arange(n, device=device) + 0.5)).to(dtype)


def get_fpn_location_coords(
    shape_per_fpn_level: Dict[str, Tuple],
    strides_per_fpn_level: Dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> TensorDict:
    coords = {}
    for level_name, shape in shape_per_fpn_level.items():
        stride = strides_per_fpn_level[level_name]
        across, down = (cell_centres(n, stride, dtype, device) for n in (shape[-1], shape[-2]))
        x, y = torch.meshgrid(across, down, indexing="xy")
        coords[level_name] = torch.stack((x.flatten(), y.flatten()), dim=-1)
    return coords


# %%
print(get_fpn_location_coords({"p4": (1, 64, 2, 3)}, {"p4": 16}))

# %% [markdown]
# ### (f)


# %%
def is_background(boxes: torch.Tensor) -> torch.Tensor:
    # The last column is the class, or y2 where there is no class. Only in a background box it is below 0.
    return boxes[:, -1] < 0


def fcos_get_deltas_from_locations(locations: torch.Tensor, gt_boxes: torch.Tensor, stride: int) -> torch.Tensor:
    x, y = locations[:, 0], locations[:, 1]
    left, top = x - gt_boxes[:, 0], y - gt_boxes[:, 1]
    right, bottom = gt_boxes[:, 2] - x, gt_boxes[:, 3] - y
    deltas = torch.stack((left, top, right, bottom), dim=1).div(stride)
    deltas[is_background(gt_boxes)] = BACKGROUND_DELTA
    return deltas


def fcos_apply_deltas_to_locations(deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    left, top, right, bottom = (F.relu(deltas) * stride).unbind(dim=1)
    x, y = locations.unbind(dim=1)
    return torch.stack((x - left, y - top, x + right, y + bottom), dim=1)


# %%
BACKGROUND_DELTA = -1.0
print(fcos_get_deltas_from_locations(torch.tensor([[30.0, 40.0]]), torch.tensor([[10.0, 15.0, 100.0, 115.0]]), 8))

# %% [markdown]
# ### (i)


# %%
class FCOS(nn.Module):
    def __init__(self, num_classes: int, fpn_channels: int, stem_channels: List[int]):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = DetectorBackboneWithFPN(fpn_channels)
        self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)
        self._normalizer = 150

    def forward(
        self,
        images: torch.Tensor,
        gt_boxes: Optional[torch.Tensor] = None,
        test_score_thresh: Optional[float] = None,
        test_nms_thresh: Optional[float] = None,
    ):
        feats = self.backbone.forward(images)
        cls_logits, deltas, ctr_logits = self.pred_net.forward(feats)
        strides = self.backbone.fpn_strides
        locations = get_fpn_location_coords(
            {level: feat.shape for level, feat in feats.items()}, strides, device=images.device
        )
        if not self.training:
            return self.inference(
                images,
                locations,
                cls_logits,
                deltas,
                ctr_logits,
                test_score_thresh=test_score_thresh,
                test_nms_thresh=test_nms_thresh,
            )

        targets = [targets_of_one_image(locations, strides, boxes) for boxes in gt_boxes]
        gt = self._cat_across_fpn_levels(default_collate([boxes for boxes, _ in targets]))
        gt_deltas = self._cat_across_fpn_levels(default_collate([dist for _, dist in targets]))
        pred_boxes = self._cat_across_fpn_levels(boxes_of_a_batch(deltas, locations, strides))
        cls_logits = self._cat_across_fpn_levels(cls_logits)
        ctr_logits = self._cat_across_fpn_levels(ctr_logits)

        found = gt[..., 4] != -1
        self._normalizer = update_normalizer(self._normalizer, found)

        wanted = gt[..., 4:5] == torch.arange(self.num_classes, device=gt.device)
        loss_cls = ops.sigmoid_focal_loss(cls_logits, wanted.to(cls_logits.dtype), reduction="sum")
        loss_box = ops.generalized_box_iou_loss(pred_boxes[found], gt[found][:, :4], reduction="sum")
        loss_ctr = F.binary_cross_entropy_with_logits(
            ctr_logits[found].squeeze(-1), fcos_make_centerness_targets(gt_deltas[found]), reduction="sum"
        )
        share = self._normalizer * images.shape[0]
        return {"loss_cls": loss_cls / share, "loss_box": loss_box / share, "loss_ctr": loss_ctr / share}

    @staticmethod
    def _cat_across_fpn_levels(dict_with_fpn_levels: TensorDict, dim: int = 1) -> torch.Tensor:
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
        found = []
        for level, locations in locations_per_fpn_level.items():
            found.append(
                detections_of_one_level(
                    pred_cls_logits[level][0],
                    pred_boxreg_deltas[level][0],
                    pred_ctr_logits[level][0],
                    locations,
                    self.backbone.fpn_strides[level],
                    test_score_thresh,
                )
            )
        boxes, classes, scores = map(torch.cat, zip(*found))
        boxes = inside_the_image(boxes, *images.shape[-2:])
        keep = ps7_helpers.class_spec_nms(boxes, scores, classes, iou_threshold=test_nms_thresh)
        return boxes[keep], classes[keep], scores[keep]


# %% [markdown]
# What the detector leans on:


# %%
def targets_of_one_image(locations: TensorDict, strides: Dict[str, int], boxes: torch.Tensor):
    matched = fcos_match_locations_to_gt(locations, strides, boxes)
    deltas = {
        level: fcos_get_deltas_from_locations(locations[level], matched[level], strides[level]) for level in matched
    }
    return matched, deltas


def boxes_of_a_batch(deltas: TensorDict, locations: TensorDict, strides: Dict[str, int]) -> TensorDict:
    return {
        level: torch.stack(
            [fcos_apply_deltas_to_locations(image, locations[level], strides[level]) for image in deltas[level]]
        )
        for level in deltas
    }


def update_normalizer(old: float, found: torch.Tensor) -> float:
    return MOMENTUM * old + (1 - MOMENTUM) * (found.sum().item() / found.shape[0])


def detections_of_one_level(cls_logits, deltas, ctr_logits, locations, stride, threshold):
    scores = torch.sqrt(cls_logits.sigmoid() * ctr_logits.sigmoid())
    classes = scores.argmax(dim=1)
    scores = scores.amax(dim=1)
    confident = (scores > threshold).nonzero().flatten()
    boxes = fcos_apply_deltas_to_locations(deltas, locations, stride)
    return boxes[confident], classes[confident], scores[confident]


def inside_the_image(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    corner = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes, corner).clamp(min=0)


MOMENTUM = 0.9

# %% [markdown]
# ### (j) to (l)

# %%
reset_seed(0)
detector = FCOS(NUM_CLASSES, fpn_channels=128, stem_channels=[128, 128]).to(DEVICE)
ps7_helpers.train_detector(detector, train_loader, learning_rate=5e-3, max_iters=9000, log_period=100, device=DEVICE)
torch.save(detector.state_dict(), "fcos_detector.pt")

# %%
detector.load_state_dict(torch.load("fcos_detector.pt", map_location="cpu"))
ps7_helpers.inference_with_detector(
    detector, val_loader, val_dataset.idx_to_class, score_thresh=0.4, nms_thresh=0.6, output_dir="out", device=DEVICE
)

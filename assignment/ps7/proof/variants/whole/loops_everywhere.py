# %% [markdown]
# Problem set 7.1, handed in by a student who learned programming in C and trusts nothing but a `for` loop. Loops run
# over cells, rows, edges, classes, levels and images; distances are worked out on Python floats; the losses are summed
# image by image, and the boxes to suppress are looked for on the CPU.

# %%
import os

import matplotlib.pyplot as plt
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.data._utils.collate import default_collate
from torchvision import models
from torchvision.models import feature_extraction
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss
from typing import Dict, List, Optional

from ps7_helpers import (
    VOC2007Detection,
    class_spec_nms,
    detection_visualizer,
    fcos_make_centerness_targets,
    fcos_match_locations_to_gt,
    inference_with_detector,
    reset_seed,
    train_detector,
)

TensorDict = Dict[str, torch.Tensor]

# %%
NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2

if torch.cuda.is_available():
    DEVICE = torch.device("cuda")
else:
    DEVICE = torch.device("cpu")
print("Using", DEVICE)

# %% [markdown]
# ## Data

# %%
DATA_DIR = "./voc"
train_dataset = VOC2007Detection(DATA_DIR, "train", image_size=IMAGE_SHAPE[0], download=True)
val_dataset = VOC2007Detection(DATA_DIR, "val", image_size=IMAGE_SHAPE[0], download=False)
train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=NUM_WORKERS)
val_loader = DataLoader(val_dataset, batch_size=1, num_workers=NUM_WORKERS)

for idx in range(3):
    _, image, gt_boxes = train_dataset[idx]
    print(idx, image.shape, gt_boxes[:2])
    detection_visualizer(image * 0.2 + 0.45, val_dataset.idx_to_class, gt_boxes[gt_boxes[:, 4] != -1])
    plt.show()

# %% [markdown]
# ## (b) Feature pyramid


# %%
class DetectorBackboneWithFPN(nn.Module):
    def __init__(self, out_channels: int):
        super().__init__()
        self.out_channels = out_channels

        _cnn = models.regnet_x_400mf(weights=models.RegNet_X_400MF_Weights.IMAGENET1K_V2)
        self.backbone = feature_extraction.create_feature_extractor(
            _cnn,
            return_nodes={
                "trunk_output.block2": "c3",
                "trunk_output.block3": "c4",
                "trunk_output.block4": "c5",
            },
        )

        dummy_out = self.backbone(torch.randn(2, 3, 224, 224))
        print("For dummy input images with shape: (2, 3, 224, 224)")
        for level_name in dummy_out:
            print(f"Shape of {level_name} features: {dummy_out[level_name].shape}")

        self.fpn_params = nn.ModuleDict()
        for i in range(3, 6):
            channels = dummy_out[f"c{i}"].shape[1]
            self.fpn_params[f"lateral_{i}"] = nn.Conv2d(channels, out_channels, kernel_size=1, stride=1, padding=0)
            self.fpn_params[f"output_{i}"] = nn.Conv2d(out_channels, out_channels, kernel_size=3, stride=1, padding=1)

    @property
    def fpn_strides(self):
        return {"p3": 8, "p4": 16, "p5": 32}

    def forward(self, images: torch.Tensor):
        backbone_feats = self.backbone(images)
        fpn_feats = {"p3": None, "p4": None, "p5": None}

        above = None
        for i in (5, 4, 3):
            here = self.fpn_params[f"lateral_{i}"](backbone_feats[f"c{i}"])
            if above is not None:
                height = here.shape[2]
                width = here.shape[3]
                here = here + F.interpolate(above, size=(height, width), mode="nearest")
            fpn_feats[f"p{i}"] = self.fpn_params[f"output_{i}"](here)
            above = here
        return fpn_feats


# %%
backbone = DetectorBackboneWithFPN(out_channels=64)
for level_name, feats in backbone(torch.randn(2, 3, 224, 224)).items():
    print(level_name, feats.shape)

# %% [markdown]
# ## (c) Head


# %%
class FCOSPredictionNetwork(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, stem_channels: List[int]):
        super().__init__()

        stem_cls = []
        stem_box = []
        for stem in (stem_cls, stem_box):
            channels = in_channels
            for i in range(len(stem_channels)):
                conv = nn.Conv2d(channels, stem_channels[i], kernel_size=3, stride=1, padding=1)
                nn.init.normal_(conv.weight, mean=0.0, std=0.01)
                nn.init.zeros_(conv.bias)
                stem.append(conv)
                stem.append(nn.ReLU())
                channels = stem_channels[i]
        self.stem_cls = nn.Sequential(*stem_cls)
        self.stem_box = nn.Sequential(*stem_box)

        self.pred_cls = nn.Conv2d(channels, num_classes, kernel_size=3, stride=1, padding=1)
        self.pred_box = nn.Conv2d(channels, 4, kernel_size=3, stride=1, padding=1)
        self.pred_ctr = nn.Conv2d(channels, 1, kernel_size=3, stride=1, padding=1)
        for conv in (self.pred_cls, self.pred_box, self.pred_ctr):
            nn.init.normal_(conv.weight, mean=0.0, std=0.01)
            nn.init.zeros_(conv.bias)

        # Given: in the beginning hardly any location holds an object.
        torch.nn.init.constant_(self.pred_cls.bias, -torch.log(torch.tensor(99.0)).item())

    def forward(self, feats_per_fpn_level: TensorDict) -> List[TensorDict]:
        class_logits = {}
        boxreg_deltas = {}
        centerness_logits = {}

        for level_name in feats_per_fpn_level:
            feats = feats_per_fpn_level[level_name]
            cls_feats = self.stem_cls(feats)
            box_feats = self.stem_box(feats)
            outputs = [self.pred_cls(cls_feats), self.pred_box(box_feats), self.pred_ctr(box_feats)]
            for k in range(3):
                B, C, H, W = outputs[k].shape
                outputs[k] = outputs[k].permute(0, 2, 3, 1).reshape(B, H * W, C)
            class_logits[level_name] = outputs[0]
            boxreg_deltas[level_name] = outputs[1]
            centerness_logits[level_name] = outputs[2]

        return [class_logits, boxreg_deltas, centerness_logits]


# %% [markdown]
# ## (d) Locations


# %%
def get_fpn_location_coords(
    shape_per_fpn_level: Dict[str, tuple],
    strides_per_fpn_level: Dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> TensorDict:
    location_coords = {}
    for level_name in shape_per_fpn_level:
        stride = strides_per_fpn_level[level_name]
        height = shape_per_fpn_level[level_name][2]
        width = shape_per_fpn_level[level_name][3]
        rows = []
        for i in range(height):
            for j in range(width):
                rows.append([stride * (j + 0.5), stride * (i + 0.5)])
        location_coords[level_name] = torch.tensor(rows, dtype=dtype, device=device)
    return location_coords


# %%
shapes = {"p3": (2, 64, 28, 28), "p4": (2, 64, 14, 14), "p5": (2, 64, 7, 7)}
coords = get_fpn_location_coords(shapes, {"p3": 8, "p4": 16, "p5": 32})
for level_name in coords:
    print(level_name, coords[level_name][:5].tolist())

# %% [markdown]
# ## (f) Deltas


# %%
def fcos_get_deltas_from_locations(locations: torch.Tensor, gt_boxes: torch.Tensor, stride: int) -> torch.Tensor:
    # Only targets come from here, nothing to differentiate, so plain Python numbers will do.
    points = locations.tolist()
    boxes = gt_boxes.tolist()
    rows = []
    for n in range(len(points)):
        x, y = points[n]
        x1, y1, x2, y2 = boxes[n][:4]
        if x1 < 0:
            rows.append([-1.0, -1.0, -1.0, -1.0])
        else:
            rows.append([(x - x1) / stride, (y - y1) / stride, (x2 - x) / stride, (y2 - y) / stride])
    return torch.tensor(rows, dtype=locations.dtype, device=locations.device).reshape(-1, 4)


def fcos_apply_deltas_to_locations(deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    signs = (-1, -1, 1, 1)
    edges = []
    for k in range(4):
        distance = deltas[:, k].clamp(min=0) * stride
        edges.append(locations[:, k % 2] + signs[k] * distance)
    return torch.stack(edges, dim=1)


# %%
a = torch.tensor([[30.0, 40.0], [32.0, 29.0], [125.0, 150.0], [100.0, 200.0]])
b = torch.tensor([[10.0, 15, 100, 115], [30, 20, 40, 30], [120, 100, 200, 200], [-1, -1, -1, -1]])
d = fcos_get_deltas_from_locations(a, b, stride=8)
print(d)
print(fcos_apply_deltas_to_locations(d, a, stride=8))

# %% [markdown]
# ## (i) The detector


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
        backbone_feats = self.backbone(images)
        pred_cls_logits, pred_boxreg_deltas, pred_ctr_logits = self.pred_net(backbone_feats)

        strides = self.backbone.fpn_strides
        shapes = {}
        for level_name in backbone_feats:
            shapes[level_name] = backbone_feats[level_name].shape
        locations_per_fpn_level = get_fpn_location_coords(shapes, strides, dtype=images.dtype, device=images.device)

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

        batch_size = images.shape[0]
        matched_gt_boxes = []
        matched_gt_deltas = []
        pred_boxes = []
        for b in range(batch_size):
            boxes_b = fcos_match_locations_to_gt(locations_per_fpn_level, strides, gt_boxes[b])
            deltas_b = {}
            pred_boxes_b = {}
            for level_name in locations_per_fpn_level:
                points = locations_per_fpn_level[level_name]
                stride = strides[level_name]
                deltas_b[level_name] = fcos_get_deltas_from_locations(points, boxes_b[level_name], stride)
                pred_boxes_b[level_name] = fcos_apply_deltas_to_locations(
                    pred_boxreg_deltas[level_name][b], points, stride
                )
            matched_gt_boxes.append(boxes_b)
            matched_gt_deltas.append(deltas_b)
            pred_boxes.append(pred_boxes_b)

        matched_gt_boxes = default_collate(matched_gt_boxes)
        matched_gt_deltas = default_collate(matched_gt_deltas)

        matched_gt_boxes = self._cat_across_fpn_levels(matched_gt_boxes)
        matched_gt_deltas = self._cat_across_fpn_levels(matched_gt_deltas)
        pred_cls_logits = self._cat_across_fpn_levels(pred_cls_logits)
        pred_ctr_logits = self._cat_across_fpn_levels(pred_ctr_logits)

        num_pos_locations = (matched_gt_boxes[:, :, 4] != -1).sum()
        pos_loc_per_image = num_pos_locations.item() / batch_size
        self._normalizer = 0.9 * self._normalizer + 0.1 * pos_loc_per_image

        loss_cls = 0.0
        loss_box = 0.0
        loss_ctr = 0.0
        for b in range(batch_size):
            classes = matched_gt_boxes[b, :, 4]
            targets = torch.zeros_like(pred_cls_logits[b])
            for c in range(self.num_classes):
                targets[:, c] = (classes == c).to(targets.dtype)
            loss_cls = loss_cls + sigmoid_focal_loss(pred_cls_logits[b], targets).sum()

            is_object = classes >= 0
            boxes = self._cat_across_fpn_levels(pred_boxes[b], dim=0)
            loss_box = loss_box + generalized_box_iou_loss(
                boxes[is_object], matched_gt_boxes[b, is_object, :4], reduction="sum"
            )

            centerness = fcos_make_centerness_targets(matched_gt_deltas[b])
            loss_ctr = loss_ctr + F.binary_cross_entropy_with_logits(
                pred_ctr_logits[b, is_object, 0], centerness[is_object], reduction="sum"
            )

        return {
            "loss_cls": loss_cls / (self._normalizer * batch_size),
            "loss_box": loss_box / (self._normalizer * batch_size),
            "loss_ctr": loss_ctr / (self._normalizer * batch_size),
        }

    @staticmethod
    def _cat_across_fpn_levels(dict_with_fpn_levels: TensorDict, dim: int = 1):
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
        height = images.shape[2]
        width = images.shape[3]
        limits = (width, height, width, height)

        pred_boxes_all_levels = []
        pred_classes_all_levels = []
        pred_scores_all_levels = []
        for level_name in locations_per_fpn_level.keys():
            level_locations = locations_per_fpn_level[level_name]
            level_cls_logits = pred_cls_logits[level_name][0]
            level_deltas = pred_boxreg_deltas[level_name][0]
            level_ctr_logits = pred_ctr_logits[level_name][0]

            level_pred_scores = torch.sqrt(level_cls_logits.sigmoid() * level_ctr_logits.sigmoid())

            best_scores, best_classes = level_pred_scores.max(dim=1)
            chosen = []
            all_scores = best_scores.tolist()
            for n in range(len(all_scores)):
                if all_scores[n] > test_score_thresh:
                    chosen.append(n)
            chosen = torch.tensor(chosen, dtype=torch.long, device=level_locations.device)

            stride = self.backbone.fpn_strides[level_name]
            level_boxes = fcos_apply_deltas_to_locations(level_deltas[chosen], level_locations[chosen], stride)
            for k in range(4):
                level_boxes[:, k] = level_boxes[:, k].clamp(min=0, max=limits[k])

            pred_boxes_all_levels.append(level_boxes)
            pred_classes_all_levels.append(best_classes[chosen])
            pred_scores_all_levels.append(best_scores[chosen])

        pred_boxes_all_levels = torch.cat(pred_boxes_all_levels)
        pred_classes_all_levels = torch.cat(pred_classes_all_levels)
        pred_scores_all_levels = torch.cat(pred_scores_all_levels)

        keep = class_spec_nms(
            pred_boxes_all_levels.cpu(),
            pred_scores_all_levels.cpu(),
            pred_classes_all_levels.cpu(),
            iou_threshold=test_nms_thresh,
        ).to(pred_boxes_all_levels.device)
        return (pred_boxes_all_levels[keep], pred_classes_all_levels[keep], pred_scores_all_levels[keep])


# %% [markdown]
# ## (j) Training

# %%
reset_seed(0)
detector = FCOS(num_classes=NUM_CLASSES, fpn_channels=128, stem_channels=[128, 128]).to(DEVICE)
train_detector(detector, train_loader, learning_rate=5e-3, max_iters=9000, log_period=100, device=DEVICE)
torch.save(detector.state_dict(), os.path.join(".", "fcos_detector.pt"))

# %%
inference_with_detector(
    detector, val_loader, val_dataset.idx_to_class, score_thresh=0.4, nms_thresh=0.6, output_dir="mAP", device=DEVICE
)

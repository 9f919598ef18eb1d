# %% [markdown]
# Problem set 7.1 by a student who started from a friend's notebook of some years ago: Colab cells, `typing.Dict` and
# `List`, the weights named by a string, `DEVICE` set to cuda in both branches, imports wherever they were first
# needed, the sigmoid worked in place, unwanted losses overwritten by zero, and boxes clipped to the last pixel, width
# minus one.

# %%
# %load_ext autoreload
# %autoreload 2

# %%
import os
import sys

from google.colab import drive

drive.mount("/content/drive")
GOOGLE_DRIVE_PATH = os.path.join("/content/drive/My Drive", "PS7")
sys.path.append(GOOGLE_DRIVE_PATH)
print(os.listdir(GOOGLE_DRIVE_PATH))

# %%
import matplotlib.pyplot as plt
import torch
from typing import Dict, List, Optional, Tuple

# %matplotlib inline
plt.rcParams["figure.figsize"] = (10.0, 8.0)

# %%
from torch.utils.data import DataLoader
from ps7_helpers import VOC2007Detection, infinite_loader, reset_seed

if torch.cuda.is_available():
    print("Good to go!")
    DEVICE = torch.device("cuda")
else:
    print("Please set GPU via Edit -> Notebook Settings.")
    DEVICE = torch.device("cuda")

NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2

# %%
train_dataset = VOC2007Detection(GOOGLE_DRIVE_PATH, "train", image_size=IMAGE_SHAPE[0], download=True)
val_dataset = VOC2007Detection(GOOGLE_DRIVE_PATH, "val", image_size=IMAGE_SHAPE[0])
train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, pin_memory=True, num_workers=NUM_WORKERS, shuffle=True)
val_loader = DataLoader(val_dataset, batch_size=1, pin_memory=True, num_workers=NUM_WORKERS)

image_paths, images, gt_boxes = next(infinite_loader(train_loader))
print(f"image paths: {image_paths}")
print(f"image batch has shape: {images.shape}")
print(f"gt_boxes has shape: {gt_boxes.shape}")

# %%
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models import feature_extraction


class DetectorBackboneWithFPN(nn.Module):
    """
    Detection backbone network: a small RegNet and a Feature Pyramid Network on top of it.
    """

    def __init__(self, out_channels: int):
        super(DetectorBackboneWithFPN, self).__init__()
        self.out_channels = out_channels

        _cnn = torchvision.models.regnet_x_400mf(weights="IMAGENET1K_V2")
        self.backbone = feature_extraction.create_feature_extractor(
            _cnn,
            return_nodes={
                "trunk_output.block2": "c3",
                "trunk_output.block3": "c4",
                "trunk_output.block4": "c5",
            },
        )

        dummy_out = self.backbone(torch.randn(2, 3, 224, 224))
        dummy_out_shapes = [(key, value.shape) for key, value in dummy_out.items()]

        print("For dummy input images with shape: (2, 3, 224, 224)")
        for level_name, feature_shape in dummy_out_shapes:
            print(f"Shape of {level_name} features: {feature_shape}")

        self.fpn_params = nn.ModuleDict()

        # Replace "pass" statement with your code
        self.fpn_params["conv_c3"] = nn.Conv2d(dummy_out_shapes[0][1][1], out_channels, 1, 1, 0)
        self.fpn_params["conv_c4"] = nn.Conv2d(dummy_out_shapes[1][1][1], out_channels, 1, 1, 0)
        self.fpn_params["conv_c5"] = nn.Conv2d(dummy_out_shapes[2][1][1], out_channels, 1, 1, 0)
        self.fpn_params["conv_p3"] = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.fpn_params["conv_p4"] = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
        self.fpn_params["conv_p5"] = nn.Conv2d(out_channels, out_channels, 3, 1, 1)

    @property
    def fpn_strides(self):
        return {"p3": 8, "p4": 16, "p5": 32}

    def forward(self, images: torch.Tensor):
        backbone_feats = self.backbone(images)
        fpn_feats = {"p3": None, "p4": None, "p5": None}

        # Replace "pass" statement with your code
        m3 = self.fpn_params["conv_c3"](backbone_feats["c3"])
        m4 = self.fpn_params["conv_c4"](backbone_feats["c4"])
        m5 = self.fpn_params["conv_c5"](backbone_feats["c5"])
        m4 += F.interpolate(m5, size=(m4.shape[2], m4.shape[3]), mode="nearest")
        m3 += F.interpolate(m4, size=(m3.shape[2], m3.shape[3]), mode="nearest")
        fpn_feats["p3"] = self.fpn_params["conv_p3"](m3)
        fpn_feats["p4"] = self.fpn_params["conv_p4"](m4)
        fpn_feats["p5"] = self.fpn_params["conv_p5"](m5)

        return fpn_feats


# %%
backbone = DetectorBackboneWithFPN(out_channels=64)
dummy_images = torch.randn(2, 3, 224, 224)
dummy_fpn_feats = backbone(dummy_images)
for level_name, feat in dummy_fpn_feats.items():
    print(f"FPN features {level_name}: {feat.shape}")

# %%
import math

TensorDict = Dict[str, torch.Tensor]


class FCOSPredictionNetwork(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, stem_channels: List[int]):
        super(FCOSPredictionNetwork, self).__init__()

        stem_cls = []
        stem_box = []
        # Replace "pass" statement with your code
        prev_channels = in_channels
        for channels in stem_channels:
            cls_conv = nn.Conv2d(prev_channels, channels, 3, 1, 1)
            box_conv = nn.Conv2d(prev_channels, channels, 3, 1, 1)
            torch.nn.init.normal_(cls_conv.weight, 0, 0.01)
            torch.nn.init.normal_(box_conv.weight, 0, 0.01)
            torch.nn.init.constant_(cls_conv.bias, 0)
            torch.nn.init.constant_(box_conv.bias, 0)
            stem_cls += [cls_conv, nn.ReLU()]
            stem_box += [box_conv, nn.ReLU()]
            prev_channels = channels

        # Wrap the layers defined by student into a `nn.Sequential` module.
        self.stem_cls = nn.Sequential(*stem_cls)
        self.stem_box = nn.Sequential(*stem_box)

        self.pred_cls = None
        self.pred_box = None
        self.pred_ctr = None
        # Replace "pass" statement with your code
        self.pred_cls = nn.Conv2d(prev_channels, num_classes, 3, padding=1)
        self.pred_box = nn.Conv2d(prev_channels, 4, 3, padding=1)
        self.pred_ctr = nn.Conv2d(prev_channels, 1, 3, padding=1)

        # OVERRIDE: Use a negative bias in `pred_cls` to improve training stability.
        torch.nn.init.constant_(self.pred_cls.bias, -math.log(99))

    def forward(self, feats_per_fpn_level: TensorDict) -> List[TensorDict]:
        class_logits = {}
        boxreg_deltas = {}
        centerness_logits = {}

        # Replace "pass" statement with your code
        for level_name, feat in feats_per_fpn_level.items():
            B, _, H, W = feat.shape
            cls_feat = self.stem_cls(feat)
            box_feat = self.stem_box(feat)
            class_logits[level_name] = self.pred_cls(cls_feat).contiguous().view(B, -1, H * W).permute(0, 2, 1)
            boxreg_deltas[level_name] = self.pred_box(box_feat).contiguous().view(B, 4, H * W).permute(0, 2, 1)
            centerness_logits[level_name] = self.pred_ctr(box_feat).contiguous().view(B, 1, H * W).permute(0, 2, 1)

        return [class_logits, boxreg_deltas, centerness_logits]


# %%
pred_net = FCOSPredictionNetwork(num_classes=20, in_channels=64, stem_channels=[128, 64])
print(pred_net)
cls_out, box_out, ctr_out = pred_net(dummy_fpn_feats)
print({k: v.shape for k, v in cls_out.items()})


# %%
def get_fpn_location_coords(
    shape_per_fpn_level: Dict[str, Tuple],
    strides_per_fpn_level: Dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Dict[str, torch.Tensor]:
    # Set these to `(N, 2)` Tensors giving absolute location co-ordinates.
    location_coords = {level_name: None for level_name, _ in shape_per_fpn_level.items()}

    for level_name, feat_shape in shape_per_fpn_level.items():
        level_stride = strides_per_fpn_level[level_name]
        # Replace "pass" statement with your code
        H, W = feat_shape[2], feat_shape[3]
        ys = level_stride * (torch.arange(0, H, dtype=dtype, device=device) + 0.5)
        xs = level_stride * (torch.arange(0, W, dtype=dtype, device=device) + 0.5)
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        location_coords[level_name] = torch.cat([grid_x.reshape(-1, 1), grid_y.reshape(-1, 1)], dim=1)
    return location_coords


# %%
from ps7_helpers import detection_visualizer, fcos_match_locations_to_gt

fpn_feats_shapes = {level_name: feat.shape for level_name, feat in dummy_fpn_feats.items()}
locations_per_fpn_level = get_fpn_location_coords(fpn_feats_shapes, backbone.fpn_strides)
matched_boxes = fcos_match_locations_to_gt(locations_per_fpn_level, backbone.fpn_strides, gt_boxes[0])
print({k: int((v[:, 4] != -1).sum()) for k, v in matched_boxes.items()})
detection_visualizer(images[0], val_dataset.idx_to_class, gt_boxes[0], points=locations_per_fpn_level["p5"])


# %%
def fcos_get_deltas_from_locations(locations: torch.Tensor, gt_boxes: torch.Tensor, stride: int) -> torch.Tensor:
    # Set this to Tensor of shape (N, 4) giving deltas (left, top, right, bottom)
    # from the locations to GT box edges, normalized by FPN stride.
    deltas = None

    # Replace "pass" statement with your code
    deltas = torch.empty(locations.shape[0], 4, dtype=locations.dtype, device=locations.device)
    deltas[:, 0] = (locations[:, 0] - gt_boxes[:, 0]) / stride
    deltas[:, 1] = (locations[:, 1] - gt_boxes[:, 1]) / stride
    deltas[:, 2] = (gt_boxes[:, 2] - locations[:, 0]) / stride
    deltas[:, 3] = (gt_boxes[:, 3] - locations[:, 1]) / stride
    deltas[gt_boxes[:, :4].sum(dim=1) == -4] = -1

    return deltas


def fcos_apply_deltas_to_locations(deltas: torch.Tensor, locations: torch.Tensor, stride: int) -> torch.Tensor:
    # Replace "pass" statement with your code
    clipped_deltas = deltas.clone()
    clipped_deltas[clipped_deltas < 0] = 0
    clipped_deltas = clipped_deltas * stride
    output_boxes = torch.zeros_like(clipped_deltas)
    output_boxes[:, 0] = locations[:, 0] - clipped_deltas[:, 0]
    output_boxes[:, 1] = locations[:, 1] - clipped_deltas[:, 1]
    output_boxes[:, 2] = locations[:, 0] + clipped_deltas[:, 2]
    output_boxes[:, 3] = locations[:, 1] + clipped_deltas[:, 3]

    return output_boxes


# %%
from ps7_helpers import rel_error

input_boxes = torch.Tensor([[10, 15, 100, 115], [30, 20, 40, 30], [120, 100, 200, 200], [-1, -1, -1, -1]])
input_locations = torch.Tensor([[30, 40], [32, 29], [125, 150], [100, 200]])
_deltas = fcos_get_deltas_from_locations(input_locations, input_boxes, stride=8)
output_boxes = fcos_apply_deltas_to_locations(_deltas, input_locations, stride=8)
print("Rel error in reconstructed boxes:", rel_error(input_boxes[:3], output_boxes[:3]))
print("Background deltas should be all -1:", _deltas[3])

# %%
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

_logits = torch.Tensor([[0, 2, -1], [1, 0, 0]])
print("Focal loss (dummy inputs):", sigmoid_focal_loss(inputs=_logits, targets=torch.eye(2, 3)))

# %%
from torch.utils.data._utils.collate import default_collate

from ps7_helpers import class_spec_nms, fcos_make_centerness_targets


class FCOS(nn.Module):
    def __init__(self, num_classes: int, fpn_channels: int, stem_channels: List[int]):
        super(FCOS, self).__init__()
        self.num_classes = num_classes

        # Replace "pass" statement with your code
        self.backbone = DetectorBackboneWithFPN(fpn_channels)
        self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)

        # Averaging factor for training loss; EMA of foreground locations.
        self._normalizer = 150  # per image

    def forward(
        self,
        images: torch.Tensor,
        gt_boxes: Optional[torch.Tensor] = None,
        test_score_thresh: Optional[float] = None,
        test_nms_thresh: Optional[float] = None,
    ):
        # Replace "pass" statement with your code
        backbone_feats = self.backbone.forward(images)
        pred_cls_logits, pred_boxreg_deltas, pred_ctr_logits = self.pred_net.forward(backbone_feats)

        fpn_feats_shapes = {}
        for level_name, feat in backbone_feats.items():
            fpn_feats_shapes[level_name] = feat.shape
        locations_per_fpn_level = get_fpn_location_coords(
            fpn_feats_shapes, self.backbone.fpn_strides, dtype=torch.float32, device=images.device
        )

        if not self.training:
            # During inference, just go to this method and skip rest of the forward pass.
            return self.inference(
                images,
                locations_per_fpn_level,
                pred_cls_logits,
                pred_boxreg_deltas,
                pred_ctr_logits,
                test_score_thresh=test_score_thresh,
                test_nms_thresh=test_nms_thresh,
            )

        matched_gt_boxes = []
        matched_gt_deltas = []
        pred_boxes = []
        # Replace "pass" statement with your code
        for i in range(images.shape[0]):
            matched = fcos_match_locations_to_gt(locations_per_fpn_level, self.backbone.fpn_strides, gt_boxes[i, :, :])
            matched_gt_boxes.append(matched)
            deltas_i = {}
            boxes_i = {}
            for level_name, stride in self.backbone.fpn_strides.items():
                locs = locations_per_fpn_level[level_name]
                deltas_i[level_name] = fcos_get_deltas_from_locations(locs, matched[level_name], stride)
                boxes_i[level_name] = fcos_apply_deltas_to_locations(pred_boxreg_deltas[level_name][i], locs, stride)
            matched_gt_deltas.append(deltas_i)
            pred_boxes.append(boxes_i)

        # Collate lists of dictionaries, to dictionaries of batched tensors.
        matched_gt_boxes = default_collate(matched_gt_boxes)
        matched_gt_deltas = default_collate(matched_gt_deltas)
        pred_boxes = default_collate(pred_boxes)

        # Combine predictions and GT from across all FPN levels.
        matched_gt_boxes = self._cat_across_fpn_levels(matched_gt_boxes)
        matched_gt_deltas = self._cat_across_fpn_levels(matched_gt_deltas)
        pred_boxes = self._cat_across_fpn_levels(pred_boxes)
        pred_cls_logits = self._cat_across_fpn_levels(pred_cls_logits)
        pred_boxreg_deltas = self._cat_across_fpn_levels(pred_boxreg_deltas)
        pred_ctr_logits = self._cat_across_fpn_levels(pred_ctr_logits)

        # Perform EMA update of normalizer by number of positive locations.
        num_pos_locations = (matched_gt_boxes[:, :, 4] != -1).sum()
        pos_loc_per_image = num_pos_locations.item() / images.shape[0]
        self._normalizer = 0.9 * self._normalizer + 0.1 * pos_loc_per_image

        loss_cls, loss_box, loss_ctr = None, None, None
        # Replace "pass" statement with your code
        background = matched_gt_boxes[:, :, 4] == -1

        gt_classes = matched_gt_boxes[:, :, 4].long()
        gt_classes[background] = 0
        gt_one_hot = F.one_hot(gt_classes, num_classes=self.num_classes).float()
        gt_one_hot[background] = 0
        loss_cls = sigmoid_focal_loss(inputs=pred_cls_logits, targets=gt_one_hot)

        loss_box = generalized_box_iou_loss(pred_boxes.view(-1, 4), matched_gt_boxes[:, :, :4].reshape(-1, 4))
        loss_box[background.view(-1)] *= 0.0

        gt_centerness = fcos_make_centerness_targets(matched_gt_deltas.view(-1, 4))
        loss_ctr = F.binary_cross_entropy_with_logits(pred_ctr_logits.reshape(-1), gt_centerness, reduction="none")
        loss_ctr[gt_centerness < 0] = 0

        return {
            "loss_cls": loss_cls.sum() / (self._normalizer * images.shape[0]),
            "loss_box": loss_box.sum() / (self._normalizer * images.shape[0]),
            "loss_ctr": loss_ctr.sum() / (self._normalizer * images.shape[0]),
        }

    @staticmethod
    def _cat_across_fpn_levels(dict_with_fpn_levels: Dict[str, torch.Tensor], dim: int = 1):
        """Convert a dict of tensors across FPN levels {"p3", "p4", "p5"} to a single tensor."""
        return torch.cat(list(dict_with_fpn_levels.values()), dim=dim)

    @torch.no_grad()
    def inference(
        self,
        images: torch.Tensor,
        locations_per_fpn_level: Dict[str, torch.Tensor],
        pred_cls_logits: Dict[str, torch.Tensor],
        pred_boxreg_deltas: Dict[str, torch.Tensor],
        pred_ctr_logits: Dict[str, torch.Tensor],
        test_score_thresh: float = 0.3,
        test_nms_thresh: float = 0.5,
    ):
        pred_boxes_all_levels = []
        pred_classes_all_levels = []
        pred_scores_all_levels = []

        for level_name in locations_per_fpn_level.keys():
            # We index predictions by `[0]` to remove batch dimension.
            level_locations = locations_per_fpn_level[level_name]
            level_cls_logits = pred_cls_logits[level_name][0]
            level_deltas = pred_boxreg_deltas[level_name][0]
            level_ctr_logits = pred_ctr_logits[level_name][0]

            # Compute geometric mean of class logits and centerness:
            level_pred_scores = torch.sqrt(level_cls_logits.sigmoid_() * level_ctr_logits.sigmoid_())

            # Step 1 and 2:
            # Replace "pass" statement with your code
            level_pred_scores, level_pred_classes = torch.max(level_pred_scores, dim=1)
            mask = level_pred_scores > test_score_thresh
            level_pred_scores = level_pred_scores[mask]
            level_pred_classes = level_pred_classes[mask]

            # Step 3:
            # Replace "pass" statement with your code
            level_pred_boxes = fcos_apply_deltas_to_locations(
                level_deltas, level_locations, self.backbone.fpn_strides[level_name]
            )[mask]

            # Step 4: Use `images` to get (height, width) for clipping.
            # Replace "pass" statement with your code
            _, _, H, W = images.shape
            level_pred_boxes[:, 0] = torch.clamp(level_pred_boxes[:, 0], min=0, max=W - 1)
            level_pred_boxes[:, 1] = torch.clamp(level_pred_boxes[:, 1], min=0, max=H - 1)
            level_pred_boxes[:, 2] = torch.clamp(level_pred_boxes[:, 2], min=0, max=W - 1)
            level_pred_boxes[:, 3] = torch.clamp(level_pred_boxes[:, 3], min=0, max=H - 1)

            pred_boxes_all_levels.append(level_pred_boxes)
            pred_classes_all_levels.append(level_pred_classes)
            pred_scores_all_levels.append(level_pred_scores)

        # Combine predictions from all levels and perform NMS.
        pred_boxes_all_levels = torch.cat(pred_boxes_all_levels)
        pred_classes_all_levels = torch.cat(pred_classes_all_levels)
        pred_scores_all_levels = torch.cat(pred_scores_all_levels)

        keep = class_spec_nms(
            pred_boxes_all_levels,
            pred_scores_all_levels,
            pred_classes_all_levels,
            iou_threshold=test_nms_thresh,
        )
        pred_boxes_all_levels = pred_boxes_all_levels[keep]
        pred_classes_all_levels = pred_classes_all_levels[keep]
        pred_scores_all_levels = pred_scores_all_levels[keep]
        return (
            pred_boxes_all_levels,
            pred_classes_all_levels,
            pred_scores_all_levels,
        )


# %%
from ps7_helpers import train_detector

reset_seed(0)
detector = FCOS(num_classes=NUM_CLASSES, fpn_channels=128, stem_channels=[128, 128])
detector = detector.to(DEVICE)
train_detector(detector, train_loader, learning_rate=5e-3, max_iters=9000, log_period=100, device=DEVICE)
torch.save(detector.state_dict(), os.path.join(GOOGLE_DRIVE_PATH, "fcos_detector.pt"))

# %%
from ps7_helpers import inference_with_detector

# !rm -rf mAP/input/*
detector.to(device=DEVICE)
inference_with_detector(
    detector,
    val_loader,
    val_dataset.idx_to_class,
    score_thresh=0.4,
    nms_thresh=0.6,
    output_dir="mAP/input",
    device=DEVICE,
)

# %% [markdown]
# Problem set 7.1 by a student who came from JAX and Haskell: many tiny pure functions, `einsum` in place of permute,
# `accumulate` for the top-down pass, `torch.where` in place of masks, nothing written in place. The pyramid is kept
# from coarse to fine, so every dictionary begins with p5. (einops was not installed, hence the imitation.)

# %%
import math
from itertools import accumulate, chain, pairwise, starmap
from operator import itemgetter
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate
from torchvision.models import RegNet_X_400MF_Weights, regnet_x_400mf
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

import ps7_helpers as ps7

NUM_CLASSES = 20
BATCH_SIZE = 16
IMAGE_SHAPE = (224, 224)
NUM_WORKERS = 2
TensorDict = dict[str, Tensor]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


# %%
def dataset(split):
    return ps7.VOC2007Detection("data", split, image_size=min(IMAGE_SHAPE), download=True)


train_dataset, val_dataset = map(dataset, ("train", "val"))
train_loader = DataLoader(train_dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=NUM_WORKERS)
val_loader = DataLoader(val_dataset, batch_size=1)
ps7.detection_visualizer(ps7.denormalize(train_dataset[0][1]), val_dataset.idx_to_class, train_dataset[0][2][:1])


# %% [markdown]
# ### The algebra of dictionaries


# %%
def map_levels(function, *dicts):
    """{level: function(a[level], b[level], ...)}, levels in the order of the first dictionary."""
    return {level: function(*(d[level] for d in dicts)) for level in dicts[0]}


def cells_to_rows(maps: Tensor) -> Tensor:
    """b c h w -> b (h w) c"""
    return torch.einsum("bchw->bhwc", maps).flatten(1, 2)


def double(maps: Tensor) -> Tensor:
    """b c h w -> b c (2 h) (2 w)"""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def pour_down(coarse: Tensor, fine: Tensor) -> Tensor:
    return double(coarse) + fine


# %%
class DetectorBackboneWithFPN(nn.Module):
    def __init__(self, out_channels: int):
        super().__init__()
        self.out_channels = out_channels
        self.backbone = create_feature_extractor(
            regnet_x_400mf(weights=RegNet_X_400MF_Weights.IMAGENET1K_V2),
            return_nodes={"trunk_output.block2": "c3", "trunk_output.block3": "c4", "trunk_output.block4": "c5"},
        )
        dummy_out = self.backbone(torch.randn(2, 3, 224, 224))
        print("For dummy input images with shape: (2, 3, 224, 224)")
        print("\n".join(f"Shape of {level} features: {feat.shape}" for level, feat in dummy_out.items()))

        def lateral(level):
            return nn.Conv2d(dummy_out["c" + level].shape[1], out_channels, kernel_size=1)

        def output(_):
            return nn.Conv2d(out_channels, out_channels, kernel_size=3, padding="same")

        self.fpn_params = nn.ModuleDict(
            {kind.__name__ + level: kind(level) for kind in (lateral, output) for level in "543"}
        )

    @property
    def fpn_strides(self) -> dict[str, int]:
        return {"p5": 32, "p4": 16, "p3": 8}

    def forward(self, images: Tensor) -> TensorDict:
        feats = self.backbone(images)
        laterals = (self.fpn_params["lateral" + level](feats["c" + level]) for level in "543")
        return {
            "p" + level: self.fpn_params["output" + level](merged)
            for level, merged in zip("543", accumulate(laterals, pour_down))
        }


# %%
print(map_levels(lambda feats: tuple(feats.shape), DetectorBackboneWithFPN(8)(torch.zeros(1, 3, 96, 64))))


# %%
def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=1, padding=1)


def quiet(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)
    return conv


def stem(*channels: int) -> nn.Sequential:
    return nn.Sequential(*chain.from_iterable((quiet(conv3x3(i, o)), nn.ReLU()) for i, o in pairwise(channels)))


class FCOSPredictionNetwork(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, stem_channels: list[int]):
        super().__init__()
        self.stem_cls = stem(in_channels, *stem_channels)
        self.stem_box = stem(in_channels, *stem_channels)
        last = (in_channels, *stem_channels)[-1]
        self.pred_cls, self.pred_box, self.pred_ctr = starmap(conv3x3, ((last, n) for n in (num_classes, 4, 1)))
        nn.init.constant_(self.pred_cls.bias, math.log(1 / 99))

    def one_level(self, feats: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cls_feats, box_feats = self.stem_cls(feats), self.stem_box(feats)
        # Boxes and centerness read the same features: one convolution with both kernels, then split again.
        both = F.conv2d(
            box_feats,
            torch.cat((self.pred_box.weight, self.pred_ctr.weight)),
            torch.cat((self.pred_box.bias, self.pred_ctr.bias)),
            padding=1,
        )
        return cells_to_rows(self.pred_cls(cls_feats)), *cells_to_rows(both).split((4, 1), dim=2)

    def forward(self, feats_per_fpn_level: TensorDict) -> list[TensorDict]:
        triples = map_levels(self.one_level, feats_per_fpn_level)
        return [map_levels(itemgetter(k), triples) for k in range(3)]


# %%
def get_fpn_location_coords(
    shape_per_fpn_level: dict[str, tuple],
    strides_per_fpn_level: dict[str, int],
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> TensorDict:
    def axis(cells, stride):
        return torch.arange(cells, dtype=dtype, device=device).add(0.5).mul(stride)

    def level(shape, stride):
        height, width = shape[-2:]
        x = axis(width, stride)[None, :].expand(height, width)
        y = axis(height, stride)[:, None].expand(height, width)
        return torch.stack((x, y), dim=-1).flatten(0, 1)

    return map_levels(level, shape_per_fpn_level, strides_per_fpn_level)


def fcos_get_deltas_from_locations(locations: Tensor, gt_boxes: Tensor, stride: int) -> Tensor:
    boxes = gt_boxes[:, :4]
    outward = locations.new_tensor([-1, -1, 1, 1])
    deltas = outward * (boxes - locations.tile(1, 2)) / stride
    return torch.where((boxes < 0).any(dim=1, keepdim=True), -torch.ones_like(deltas), deltas)


def fcos_apply_deltas_to_locations(deltas: Tensor, locations: Tensor, stride: int) -> Tensor:
    outward = locations.new_tensor([-1, -1, 1, 1])
    return locations.tile(1, 2) + outward * deltas.clamp_min(0) * stride


# %%
rows = get_fpn_location_coords({"p3": (1, 1, 2, 3)}, {"p3": 8})["p3"]
print(rows)
print(fcos_get_deltas_from_locations(rows, torch.tensor([[0.0, 0.0, 24.0, 16.0, 7.0]]).expand(6, 5), 8))


# %% [markdown]
# ### Losses as functions of flat rows, detections as functions of one level


# %%
class Targets(NamedTuple):
    boxes: TensorDict
    deltas: TensorDict


def make_targets(locations: TensorDict, strides: dict[str, int], boxes: Tensor) -> Targets:
    matched = ps7.fcos_match_locations_to_gt(locations, strides, boxes)
    return Targets(matched, map_levels(fcos_get_deltas_from_locations, locations, matched, strides))


def one_hot_or_nothing(classes: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Class -1 goes to an extra column, which is then cut off."""
    column = torch.where(classes < 0, num_classes, classes).long()
    return like.new_zeros(*classes.shape, num_classes + 1).scatter(-1, column[..., None], 1.0)[..., :num_classes]


def on_foreground(loss: Tensor, foreground: Tensor) -> Tensor:
    return torch.where(foreground, loss, torch.zeros_like(loss)).sum()


def detect_level(threshold, locations, stride, cls_logits, deltas, ctr_logits):
    scores, classes = (torch.sigmoid(cls_logits[0]) * torch.sigmoid(ctr_logits[0])).sqrt().max(dim=-1)
    boxes = fcos_apply_deltas_to_locations(deltas[0], locations, stride)
    return tuple(rows[scores >= threshold] for rows in (boxes, classes, scores))


def clip_to(image_size, boxes: Tensor) -> Tensor:
    height, width = image_size
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    return torch.stack((x, y), dim=2).flatten(1)


# %%
class FCOS(nn.Module):
    def __init__(self, num_classes: int, fpn_channels: int, stem_channels: list[int]):
        super().__init__()
        self.num_classes = num_classes
        self.backbone = DetectorBackboneWithFPN(fpn_channels)
        self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)
        self._normalizer = 150

    @staticmethod
    def _cat_across_fpn_levels(dict_with_fpn_levels: TensorDict, dim: int = 1) -> Tensor:
        return torch.cat(tuple(dict_with_fpn_levels.values()), dim=dim)

    def forward(self, images, gt_boxes=None, test_score_thresh=None, test_nms_thresh=None):
        feats = self.backbone(images)
        predictions = self.pred_net(feats)
        strides = self.backbone.fpn_strides
        locations = get_fpn_location_coords(
            map_levels(Tensor.size, feats), strides, dtype=images.dtype, device=images.device
        )
        if not self.training:
            return self.inference(images, locations, *predictions, test_score_thresh, test_nms_thresh)

        def rows(levels):
            return self._cat_across_fpn_levels(map_levels(lambda _, tensor: tensor, locations, levels))

        boxes, deltas = map(rows, default_collate([make_targets(locations, strides, image) for image in gt_boxes]))
        cls_logits, pred_deltas, ctr_logits = map(rows, predictions)

        # The stride differs from row to row once all levels lie behind one another; it broadcasts all the same.
        points = self._cat_across_fpn_levels(locations, dim=0)
        stride = torch.cat([pts.new_full((len(pts), 1), strides[level]) for level, pts in locations.items()])
        pred_boxes = torch.stack([fcos_apply_deltas_to_locations(image, points, stride) for image in pred_deltas])

        foreground = boxes[..., 4] != -1
        self._normalizer = 0.9 * self._normalizer + 0.1 * foreground.sum(dim=1).double().mean().item()

        one_hot = one_hot_or_nothing(boxes[..., 4], self.num_classes, like=cls_logits)
        centerness = torch.stack([ps7.fcos_make_centerness_targets(image) for image in deltas])
        losses = {
            "loss_cls": sigmoid_focal_loss(cls_logits, one_hot, reduction="sum"),
            "loss_box": on_foreground(generalized_box_iou_loss(pred_boxes, boxes[..., :4]), foreground),
            "loss_ctr": on_foreground(
                F.binary_cross_entropy_with_logits(ctr_logits.squeeze(-1), centerness, reduction="none"), foreground
            ),
        }
        return {name: loss / self._normalizer / len(images) for name, loss in losses.items()}

    def inference(
        self,
        images: Tensor,
        locations_per_fpn_level: TensorDict,
        pred_cls_logits: TensorDict,
        pred_boxreg_deltas: TensorDict,
        pred_ctr_logits: TensorDict,
        test_score_thresh: float = 0.3,
        test_nms_thresh: float = 0.5,
    ) -> tuple[Tensor, Tensor, Tensor]:
        per_level = map_levels(
            lambda *level: detect_level(test_score_thresh, *level),
            locations_per_fpn_level,
            self.backbone.fpn_strides,
            pred_cls_logits,
            pred_boxreg_deltas,
            pred_ctr_logits,
        )
        boxes, classes, scores = map(torch.cat, zip(*per_level.values()))
        boxes = clip_to(images.shape[-2:], boxes)
        keep = ps7.class_spec_nms(boxes, scores, classes, test_nms_thresh)
        return boxes[keep], classes[keep], scores[keep]


# %%
ps7.reset_seed(0)
detector = FCOS(NUM_CLASSES, fpn_channels=128, stem_channels=[128, 128]).to(DEVICE)
ps7.train_detector(detector, train_loader, learning_rate=5e-3, max_iters=9000, log_period=100, device=DEVICE)
torch.save(detector.state_dict(), "fcos_detector.pt")

# %%
ps7.inference_with_detector(
    detector, val_loader, val_dataset.idx_to_class, score_thresh=0.4, nms_thresh=0.6, output_dir="mAP", device=DEVICE
)

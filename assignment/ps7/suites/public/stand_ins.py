"""Canned networks that take the place of a student's own while FCOS is checked.

They predict waves, not detections: what they give depends on nothing but the images' mean colour, the level and
the cell, and on parameters that gradients can be seen to reach. No answer to any exercise is in them.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

NUMBERS = {"p3": 0, "p4": 1, "p5": 2}  # of the levels


class DetectorBackboneWithFPN(nn.Module):
    """Feature maps of the right shapes: the images, pooled."""

    IDLE = ("backbone", "fpn_params")

    def __init__(self, out_channels: int, *_: object, **__: object) -> None:
        nn.Module.__init__(self)
        self.out_channels, self.made_with = out_channels, [out_channels]
        self.scale = nn.Parameter(torch.ones(1))
        self.backbone, self.fpn_params = nn.Sequential(), nn.ModuleDict()  # a detector may freeze them, say

    @property
    def fpn_strides(self) -> dict[str, int]:
        """Strides of the levels."""
        return {"p3": 8, "p4": 16, "p5": 32}

    def forward(self, *given: Any, **named: Any) -> dict[str, torch.Tensor]:
        """Pool images `(B, 3, H, W)` to one `(B, out_channels, H / s, W / s)` a level."""
        images, feats = _first(given, named), {}
        for level, stride in self.fpn_strides.items():
            pooled = F.avg_pool2d(images, stride).mean(dim=1, keepdim=True)  # (B, 1, H / s, W / s)
            feats[level] = self.scale * pooled.expand(-1, self.out_channels, -1, -1)
        return feats


class FCOSPredictionNetwork(nn.Module):
    """Predictions of the right shapes: waves over the cells."""

    IDLE = ("stem_cls", "stem_box", "pred_cls", "pred_box", "pred_ctr")

    def __init__(self, num_classes: int, in_channels: int, stem_channels: list[int], *_: object, **__: object) -> None:
        nn.Module.__init__(self)
        self.made_with = [num_classes, in_channels, list(stem_channels)]
        self.cls_offset = nn.Parameter(torch.full((num_classes,), -1.0))
        self.box_offset = nn.Parameter(torch.full((4,), 2.0))
        self.ctr_offset = nn.Parameter(torch.zeros(1))
        self.stem_cls, self.stem_box = nn.Sequential(), nn.Sequential()  # as above; these take no part, either
        self.pred_cls, self.pred_box, self.pred_ctr = (nn.Conv2d(1, width, 1) for width in (num_classes, 4, 1))

    def forward(self, *given: Any, **named: Any) -> list[dict[str, torch.Tensor]]:
        """Predict `(B, cells, channels)` of each kind for features `(B, C, H, W)`."""
        kinds = [(self.cls_offset, 3.0, 0.37), (self.box_offset, 2.5, 0.53), (self.ctr_offset, 2.0, 0.71)]
        made: list[dict[str, torch.Tensor]] = [{}, {}, {}]
        for place, (level, features) in enumerate(_first(given, named).items()):
            number = NUMBERS.get(level, place)  # the order of the levels is open, and how many there are at a time
            for result, (offset, height, step) in zip(made, kinds, strict=True):
                result[level] = height * self._wave(features, len(offset), step, number) + offset
        return made

    @staticmethod
    def _wave(features: torch.Tensor, channels: int, step: float, number: int) -> torch.Tensor:
        cells = features.shape[2] * features.shape[3]
        phase = 5 * features.mean(dim=(1, 2, 3))[:, None, None] + number  # (B, 1, 1)
        cell = torch.arange(cells, dtype=features.dtype, device=features.device)[None, :, None]
        channel = torch.arange(channels, dtype=features.dtype, device=features.device)[None, None, :]
        return torch.sin(step * cell + 1.3 * channel + phase)  # (B, cells, channels)


def _first(given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What a network is called with, whatever a student's own `forward` calls it."""
    for value in (*given, *named.values()):
        return value
    raise TypeError("forward() missing 1 required positional argument")

"""Right answers of (d) and (f) on the inputs of the checks of (i), looked up in tables: nothing is computed here.

They take the place of a student's own where a check of (i) fails: if it passes with them, the fault lies there. For
whatever the tables do not have, the answer is NaN.
"""

import functools
import math
from pathlib import Path

import safetensors.torch
import torch

NEAR = 1e-2  # other versions of torch round otherwise


@functools.cache
def _tables() -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(Path(__file__).parents[2] / "reference" / "public" / "replayed.safetensors")


def get_fpn_location_coords(shape_per_fpn_level, strides_per_fpn_level, dtype=torch.float32, device="cpu"):  # type: ignore[no-untyped-def]
    """Stored locations."""
    found = {}
    for level, shape in shape_per_fpn_level.items():
        height, width = shape[-2:]
        unknown = torch.full((height * width, 2), math.nan)
        stored = _tables().get(f"locations/{strides_per_fpn_level[level]}/{height}x{width}", unknown)
        found[level] = stored.to(dtype=dtype, device=device)
    return found


def fcos_get_deltas_from_locations(locations, gt_boxes, stride):  # type: ignore[no-untyped-def]
    """Stored deltas."""
    return _looked_up("deltas", [gt_boxes[:, :4], locations], stride)


def fcos_apply_deltas_to_locations(deltas, locations, stride):  # type: ignore[no-untyped-def]
    """Stored boxes."""
    return _looked_up("boxes", [deltas, locations], stride)


def _looked_up(kind: str, columns: list[torch.Tensor], stride: int) -> torch.Tensor:
    """The stored answer `(N, 4)` of each row: that of the nearest row stored, if it is near."""
    rows = torch.cat(columns, dim=1).detach()  # (N, 6)
    asked = _tables().get(f"{kind}/{stride}/asked")
    answers = torch.full((len(rows), 4), math.nan)
    if asked is not None and len(rows):
        known = _tables()[f"{kind}/{stride}/answers"]
        distance, nearest = torch.cdist(rows.cpu().float(), asked, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        answers = torch.where((distance < NEAR)[:, None], known[nearest], answers)
    asked_for = columns[0][:, :4]
    through = asked_for - asked_for.detach()  # zeros, by which a gradient passes on to what was asked for
    return answers.to(dtype=rows.dtype, device=rows.device) + through

"""Notebooks that work on a GPU: the solution, written in the ways in which people find their device."""

from __future__ import annotations

import types
from typing import Any

import nbformat
import torch

from autograder.checks.result import CheckResult
from autograder.course.assignment import Assignment
from autograder.grading.samples import solved
from autograder.notebook_kit.run_public import run_public
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.runtime.loading import load

Change = tuple[str, str]
COLUMNS = "columns = (torch.arange(width, dtype=dtype, device=device) + 0.5) * level_stride"
ROWS = "rows = (torch.arange(height, dtype=dtype, device=device) + 0.5) * level_stride"
WHERE = "dtype=images.dtype, device=images.device\n"
ONE_HOT = "F.one_hot(class_index, self.num_classes).to(pred_cls_logits.dtype)"
SIGNATURE = '    device: str = "cpu",\n) -> TensorDict:'
NETWORKS = "self.pred_net = FCOSPredictionNetwork(num_classes, fpn_channels, stem_channels)"
SIZE = "image_height, image_width = images.shape[2:]"

# Right ways; each a list of changes of the solution.
RIGHT: dict[str, list[Change]] = {
    "by the argument, and from other tensors": [],
    "the global in functions": [
        (ONE_HOT, "torch.eye(self.num_classes, device=DEVICE)[class_index]"),
        (SIZE, SIZE + "\n            is_kept = is_kept & torch.ones(len(is_kept), dtype=torch.bool, device=DEVICE)"),
    ],
    "caught by a default argument": [
        (SIGNATURE, "    device: str = DEVICE,\n) -> TensorDict:"),
        (WHERE, "dtype=images.dtype\n"),
    ],
    "moved in __init__, kept on self": [
        (NETWORKS, NETWORKS + ".to(DEVICE)\n        self.where = DEVICE"),
        (WHERE, "dtype=images.dtype, device=self.where\n"),
    ],
    "an attribute of the class": [
        ("class FCOS(nn.Module):", "class FCOS(nn.Module):\n    where = DEVICE\n"),
        (ONE_HOT, "torch.eye(self.num_classes, device=self.where)[class_index]"),
    ],
    "a tensor made at the top": [
        (
            "def fcos_apply_deltas_to_locations(",
            "SIGNS = torch.tensor([-1.0, -1.0, 1.0, 1.0], device=DEVICE)\n\n\ndef fcos_apply_deltas_to_locations(",
        ),
        (
            "output_boxes = torch.cat([top_left, bottom_right], dim=1)",
            "output_boxes = locations.repeat(1, 2) + SIGNS * distances",
        ),
    ],
    "made within `with torch.device`": [
        (
            NETWORKS,
            f"with torch.device(DEVICE):\n            {NETWORKS}",
        ),
        (
            ROWS,
            "with torch.device(device):\n            rows = (torch.arange(height, dtype=dtype) + 0.5) * level_stride",
        ),
    ],
}
WRITTEN_OUT: list[Change] = [
    (WHERE, 'dtype=images.dtype, device="cuda"\n'),
    (ONE_HOT, ONE_HOT.replace(".to(", ".cuda().to(")),
]


def notebook(assignment: Assignment, changes: list[Change] = (), device: Any = None) -> dict[str, Any]:
    """The globals of the solved notebook with texts changed, and `DEVICE` bound.

    Args:
        assignment: Whose.
        changes: What is written in place of what.
        device: A text, a `torch.device`, or None: `DEVICE` is not defined.
    """
    content = nbformat.writes(solved(assignment))
    made = nbformat.reads(content, as_version=4)
    for old, new in changes:
        cells = [cell for cell in made.cells if old in cell.source]
        assert cells, f"the solution does not hold {old!r}"
        for cell in cells:
            cell.source = cell.source.replace(old, new)
    return namespace_of(assignment, nbformat.writes(made).encode(), ".ipynb", device)


def namespace_of(assignment: Assignment, data: bytes, suffix: str, device: Any) -> dict[str, Any]:
    """What a notebook file defines, with `DEVICE` bound before anything runs; it need not load whole."""
    names = tuple(dict.fromkeys(name for exercise in assignment.exercises for name in exercise.names))
    given = {"DEVICE": device} if device is not None else {}
    cells = read_notebook(data, suffix)
    piece = make_slice(cells, names, assignment.not_run | set(assignment.wanted), given)
    module = types.ModuleType("a_notebook")
    load(piece.to_json(given), module)
    return module.__dict__


def checked(
    assignment: Assignment, namespace: dict[str, Any], *exercises: str, device: torch.device | None = None
) -> dict[str, list[CheckResult]]:
    """What `check()` finds for some exercises, or for all, by id; on one device alone if it is given."""
    wanted = [e for e in assignment.exercises if not exercises or e.id in exercises]
    folders = assignment.suites, assignment.reference
    return {e.id: run_public(e.id, namespace, list(e.canned), *folders, device) for e in wanted}


def not_passed(found: dict[str, list[CheckResult]]) -> list[str]:
    """The checks that did not pass, with the first line that each says."""
    return [
        f"{exercise} {result.name}: {result.status} {result.message.partition(chr(10))[0]}"
        for exercise, results in found.items()
        for result in results
        if result.status != "passed"
    ]

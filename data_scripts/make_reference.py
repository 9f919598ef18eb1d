"""Make the stored tensors of `autograder/reference` from the instructor's solution.

Usage: python data_scripts/make_reference.py [--check]

With --check nothing is written; the exit code says whether what is stored is what this script makes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import safetensors.torch
import torch
import torchvision

from autograder.assignment import PACKAGE, load_assignment
from autograder.reference import load_solution
from autograder.student import LocalStudent

Tensors = dict[str, torch.Tensor]


def locations(solution: LocalStudent) -> Tensors:
    """7.1 (d): the locations of the three levels of a 224 x 224 image."""
    shapes = {"p3": (2, 64, 28, 28), "p4": (2, 64, 14, 14), "p5": (2, 64, 7, 7)}
    made: Tensors = solution.call("get_fpn_location_coords", shapes, {"p3": 8, "p4": 16, "p5": 32})
    return made


def deltas(solution: LocalStudent) -> Tensors:
    """7.1 (f): the worked example, background, and negative deltas, at stride 8."""
    boxes = torch.tensor([[10.0, 15, 100, 115], [30, 20, 40, 30], [120, 100, 200, 200]])
    centres = torch.tensor([[30.0, 40], [32, 29], [125, 150]])
    negative = torch.tensor([[-1.0, 2, 3, 4], [1, -2, 3, 4], [1, 2, -3, -4], [-1, -1, -1, -1]])
    where = torch.tensor([[50.0, 60], [52, 40], [100, 30], [100, 200]])
    centre = torch.cat([where, where], dim=1)
    return {
        "worked/boxes": boxes,
        "worked/locations": centres,
        "worked/deltas": solution.call("fcos_get_deltas_from_locations", centres, boxes, 8),
        "background/locations": torch.tensor([[100.0, 200], [4, 4]]),
        "negative/deltas": negative,
        "negative/locations": where,
        "negative/boxes": solution.call("fcos_apply_deltas_to_locations", negative, where, 8),
        "negative/unclipped": centre + 8 * negative * torch.tensor([-1.0, -1, 1, 1]),
    }


MAKERS = {"public/7.1d": locations, "public/7.1f": deltas}


def make() -> dict[str, bytes]:
    """Every file of `autograder/reference`, by its path there."""
    torch.manual_seed(0)
    solution = load_solution(load_assignment("ps7"))
    files = {f"{name}.safetensors": safetensors.torch.save(maker(solution)) for name, maker in MAKERS.items()}
    manifest = {
        "made_by": "data_scripts/make_reference.py",
        "seed": 0,
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files["MANIFEST.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    return files


def differences(files: dict[str, bytes], folder: Path) -> list[str]:
    """Where the folder's files are not the ones made."""
    known = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix in (".safetensors", ".json")
    }
    wrong = [
        name for name in files if not (folder / name).is_file() or (folder / name).read_bytes() != files[name]
    ]
    return sorted(wrong) + sorted(known - set(files))


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the stored files differ"
    )
    folder = PACKAGE / "reference"
    if parser.parse_args().check:
        wrong = differences(make(), folder)
        print(
            "\n".join(f"differs: {name}" for name in wrong) or "The stored tensors are what the script makes."
        )
        return 1 if wrong else 0
    for name, content in make().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"wrote {path.relative_to(PACKAGE.parent)} ({len(content)} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

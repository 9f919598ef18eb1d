"""Make the stored tensors of `assignment/ps7/reference` from the instructor's solution.

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
from known_faults import INFERENCE_FAULTS, LOSS_FAULTS, Changes

from autograder.checks.student import LocalStudent
from autograder.checks.suite_imports import importable
from autograder.course.assignment import load_assignment
from autograder.grading.substitutes import load_solution

ASSIGNMENT = load_assignment("ps7")
with importable(ASSIGNMENT.suites):
    from suites.scenes import few_left, fixed_boxes, other_batches, predictions, striped_images

Tensors = dict[str, torch.Tensor]
_LAST_DIGITS = 1e-5, 1e-6  # relative, absolute


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


def losses(solution: LocalStudent, faults: dict[str, tuple[tuple[str, ...], Changes]] = LOSS_FAULTS) -> Tensors:
    """7.1 (i): the losses of two images, and what solutions with a known fault would give."""
    module = solution.new("FCOS", 20, 16, [16])
    module.train()
    made: Tensors = dict(module(striped_images(), fixed_boxes()))
    for fault, (shown, changes) in faults.items():
        wrong = faulty("7.1i-losses", changes).new("FCOS", 20, 16, [16])
        wrong.train()
        got = wrong(striped_images(), fixed_boxes())
        made |= {f"{loss}/{fault}": got[loss].detach().clone() for loss in shown}
    other = solution.new("FCOS", 5, 8, [8])
    other.train()
    for name, (images, boxes) in other_batches().items():
        made |= {f"{name}/{loss}": value for loss, value in other(images, boxes).items()}
    return made


def inference(solution: LocalStudent, faults: dict[str, Changes] = INFERENCE_FAULTS) -> Tensors:
    """7.1 (i): stored predictions for an image of 96 x 128, the detections, and those of solutions with a fault."""
    height, width = 96, 128
    strides = {"p3": 8, "p4": 16, "p5": 32}
    shapes = {level: (1, 1, height // s, width // s) for level, s in strides.items()}
    locator = load_solution(ASSIGNMENT, ASSIGNMENT.exercise("7.1d"))
    where = locator.call("get_fpn_location_coords", shapes, strides)
    rng = torch.Generator().manual_seed(7)
    parts = (where, *predictions(where, 6, rng))
    made = {
        f"{kind}/{k}": v
        for kind, part in zip(("where", "cls", "box", "ctr"), parts, strict=True)
        for k, v in part.items()
    }
    answers = {"right": solution} | {name: faulty("7.1i-inference", c) for name, c in faults.items()}
    for name, who in answers.items():
        module = who.new("FCOS", 6, 16, [16])
        module.eval()
        found = module.call(
            "inference", torch.zeros(1, 3, height, width), *parts, test_score_thresh=0.5, test_nms_thresh=0.5
        )
        made |= _named(name, found)
    made |= few(solution, parts, (height, width)) | tall(solution, rng)
    module = solution.new("FCOS", 4, 8, [8])
    module.eval()
    for score, nms in ((0.5, 0.5), (0.7, 0.2)):
        made |= _named(f"forward-{score}-{nms}/right", module(striped_images(1, 96, 160), None, score, nms))
    return made


def few(solution: LocalStudent, parts: tuple[Tensors, ...], size: tuple[int, int]) -> Tensors:
    """7.1 (i): detections where a level has none and another has one, and what is left where an empty level ends it."""
    module, (where, logits, *others) = solution.new("FCOS", 6, 16, [16]), parts
    module.eval()
    thresholds = {"test_score_thresh": 0.5, "test_nms_thresh": 0.5}
    made: Tensors = {}
    for less, name in enumerate(("right", "right-minus-one")):
        image = torch.zeros(1, 3, size[0] - less, size[1] - less)
        made |= _named(f"few/{name}", module.call("inference", image, where, few_left(logits), *others, **thresholds))
    image, first = torch.zeros(1, 3, *size), [{"p3": part["p3"]} for part in parts]
    return made | _named("few/until-empty", module.call("inference", image, *first, **thresholds))


def tall(solution: LocalStudent, rng: torch.Generator) -> Tensors:
    """7.1 (i): stored predictions for an image of 128 x 64, with other thresholds, and what these mean."""
    height, width, thresholds = 128, 64, (0.6, 0.3)
    strides = {"p3": 8, "p4": 16, "p5": 32}
    shapes = {level: (1, 1, height // s, width // s) for level, s in strides.items()}
    locator = load_solution(ASSIGNMENT, ASSIGNMENT.exercise("7.1d"))
    where = locator.call("get_fpn_location_coords", shapes, strides)
    parts = (where, *predictions(where, 6, rng))
    kinds = zip(("where", "cls", "box", "ctr"), parts, strict=True)
    made = {f"tall/{kind}/{level}": rows for kind, part in kinds for level, rows in part.items()}
    module = solution.new("FCOS", 6, 16, [16])
    module.eval()
    cases = {
        "right": (0, *thresholds),
        "right-minus-one": (1, *thresholds),
        "nms-by-default": (0, thresholds[0], 0.5),
        "score-by-default": (0, 0.3, thresholds[1]),
    }
    for name, (less, score, nms) in cases.items():
        image = torch.zeros(1, 3, height - less, width - less)
        found = module.call("inference", image, *parts, test_score_thresh=score, test_nms_thresh=nms)
        made |= _named(f"tall/{name}", found)
    return made


def _named(name: str, found: tuple[torch.Tensor, ...]) -> Tensors:
    return {f"{name}/{kind}": value for kind, value in zip(("boxes", "classes", "scores"), found, strict=True)}


def replayed(solution: LocalStudent) -> Tensors:
    """Answers of (d) and (f) in the checks of (i), for `suites/public/replayed.py`: rows asked, rows answered."""
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    made: Tensors = {}
    own = dict(solution.workbench.namespace)
    deltas_of, boxes_of = own["fcos_get_deltas_from_locations"], own["fcos_apply_deltas_to_locations"]

    def located(shapes, strides, **options):  # type: ignore[no-untyped-def]
        found = own["get_fpn_location_coords"](shapes, strides, **options)
        for level, rows in found.items():
            made[f"locations/{strides[level]}/{shapes[level][-2]}x{shapes[level][-1]}"] = rows.clone()
        return found

    def deltas_asked(where, boxes, stride):  # type: ignore[no-untyped-def]
        answers = deltas_of(where, boxes, stride)
        seen.setdefault(f"deltas/{stride}", []).append((torch.cat([boxes[:, :4], where], dim=1), answers))
        return answers

    def boxes_asked(deltas, where, stride):  # type: ignore[no-untyped-def]
        answers = boxes_of(deltas, where, stride)
        seen.setdefault(f"boxes/{stride}", []).append((torch.cat([deltas, where], dim=1), answers))
        return answers

    names = ("get_fpn_location_coords", "fcos_get_deltas_from_locations", "fcos_apply_deltas_to_locations")
    solution.workbench.namespace.update(zip(names, (located, deltas_asked, boxes_asked), strict=True))
    losses(solution, {})
    found = inference(solution, {})
    for level, stride in {"p3": 8, "p4": 16, "p5": 32}.items():
        boxes_asked(found[f"box/{level}"][0], found[f"where/{level}"], stride)  # rows below the threshold, too
    solution.workbench.namespace.update(own)
    for key, pairs in seen.items():
        rows = torch.unique(torch.cat([torch.cat(pair, dim=1).detach().float() for pair in pairs]), dim=0)
        made |= {f"{key}/asked": rows[:, :6].clone(), f"{key}/answers": rows[:, 6:].clone()}
    return made


def faulty(exercise: str, changes: dict[str, str]) -> LocalStudent:
    """The solution with some texts replaced; each must stand in the source exactly once."""
    text = ASSIGNMENT.source.read_text(encoding="utf-8")
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SystemExit(f"make_reference: {old!r} stands {text.count(old)} times in the source, not once.")
        text = text.replace(old, new)
    return load_solution(ASSIGNMENT, ASSIGNMENT.exercise(exercise), text)


MAKERS = {
    "public/7.1d": locations,
    "public/7.1f": deltas,
    "public/7.1i-losses": losses,
    "public/7.1i-inference": inference,
}
REPLAYED = "public/replayed"


def make() -> dict[str, bytes]:
    """Every file of tensors of `assignment/ps7/reference`, by its path there."""
    torch.manual_seed(0)
    files = {}
    for name, maker in MAKERS.items():
        solution = load_solution(ASSIGNMENT, ASSIGNMENT.exercise(name.partition("/")[2]))
        files[f"{name}.safetensors"] = safetensors.torch.save(maker(solution))
    solution = load_solution(ASSIGNMENT, ASSIGNMENT.exercise("7.1i-losses"))
    files[f"{REPLAYED}.safetensors"] = safetensors.torch.save(replayed(solution))
    return files


def manifest(files: dict[str, bytes]) -> bytes:
    """What MANIFEST.json says of the files beside it."""
    told = {
        "made_by": "data_scripts/make_reference.py",
        "seed": 0,
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0],
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    return (json.dumps(told, indent=2) + "\n").encode()


def with_stored(files: dict[str, bytes], folder: Path) -> dict[str, bytes]:
    """The files, those in the folder in place of made ones that say the same: last digits differ between processors."""
    stored = {name: (folder / name).read_bytes() for name in files if (folder / name).is_file()}
    kept = {name: stored[name] if same(content, stored.get(name)) else content for name, content in files.items()}
    return kept | {"MANIFEST.json": manifest(kept)}


def same(made: bytes, stored: bytes | None) -> bool:
    """Whether two files hold the same tensors: names, shapes, dtypes, and numbers but for their last digits."""
    if stored is None or made == stored:
        return made == stored
    try:
        mine, theirs = safetensors.torch.load(made), safetensors.torch.load(stored)
    except safetensors.SafetensorError:
        return False
    return mine.keys() == theirs.keys() and all(_alike(tensor, theirs[name]) for name, tensor in mine.items())


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, *_LAST_DIGITS) if one.is_floating_point() else torch.equal(one, other)


def differences(files: dict[str, bytes], folder: Path) -> list[str]:
    """Where the folder's files are not what they must be.

    Args:
        files: From `with_stored`.
        folder: Of the stored tensors.
    """
    known = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".safetensors", ".json")}
    wrong = [name for name in files if not (folder / name).is_file() or (folder / name).read_bytes() != files[name]]
    return sorted(wrong) + sorted(known - set(files))


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the stored files differ")
    folder, check = ASSIGNMENT.reference, parser.parse_args().check
    files = with_stored(make(), folder)
    wrong = differences(files, folder)
    if check:
        print("\n".join(f"differs: {name}" for name in wrong) or "The stored tensors are what the script makes.")
        return 1 if wrong else 0
    for name, content in files.items():
        path = folder / name
        if name in wrong:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        said = f"wrote {{}} ({len(content)} bytes)" if name in wrong else "kept {}: it says the same"
        print(said.format(path.relative_to(ASSIGNMENT.root)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

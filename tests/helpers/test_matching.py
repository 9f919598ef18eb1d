"""The matcher and the centerness targets, beside loops that say what they mean."""

import math

import pytest
import torch

from ps7_helpers import fcos_make_centerness_targets, fcos_match_batch, fcos_match_locations_to_gt

STRIDES = {"p3": 8, "p4": 16, "p5": 32}
BACKGROUND = [-1.0] * 5


def grid(height: int, width: int) -> dict[str, torch.Tensor]:
    """The centres of the cells of three feature maps of an image of this size."""
    return {
        level: torch.tensor([[s * (j + 0.5), s * (i + 0.5)] for i in range(height // s) for j in range(width // s)])
        for level, s in STRIDES.items()
    }


def slow_match(locations, strides, boxes):
    """Every location, every box, one comparison after the other."""
    matched = {}
    for level, points in locations.items():
        stride = strides[level]
        low = 0 if stride == min(strides.values()) else 4 * stride
        high = math.inf if stride == max(strides.values()) else 8 * stride
        rows = []
        for x, y in points.tolist():
            best, best_area = BACKGROUND, math.inf
            for x1, y1, x2, y2, class_id in boxes.tolist():
                distances = (x - x1, y - y1, x2 - x, y2 - y)
                area = (x2 - x1) * (y2 - y1)
                if class_id >= 0 and min(distances) > 0 and low <= max(distances) < high and area < best_area:
                    best, best_area = [x1, y1, x2, y2, class_id], area
            rows.append(best)
        matched[level] = torch.tensor(rows)
    return matched


def random_boxes(count: int, height: int, width: int) -> torch.Tensor:
    """Boxes with corners on whole and half pixels, so that edges meet locations and areas meet each other."""
    corners = torch.rand(count, 2, 2).sort(dim=1).values * torch.tensor([width, height]) * 2
    boxes = corners.round().flatten(1) / 2  # (count, 4)
    return torch.cat([boxes, torch.randint(0, 20, (count, 1))], dim=1)


def match_one(x: float, y: float, boxes: list[list[float]], level: str = "p3") -> list[float]:
    """The row that a single location of a level gets."""
    locations = {name: torch.empty(0, 2) for name in STRIDES}
    locations[level] = torch.tensor([[x, y]])
    return fcos_match_locations_to_gt(locations, STRIDES, torch.tensor(boxes).reshape(-1, 5))[level][0].tolist()


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_oracle(seed):
    """On random scenes of any number of boxes the result is that of the loop, to the last bit."""
    torch.manual_seed(seed)
    height, width = [(96, 160), (224, 224), (320, 64)][seed % 3]
    boxes = random_boxes([0, 1, 5, 40][seed % 4], height, width)
    boxes = torch.cat([boxes, torch.full((40 - len(boxes), 5), -1.0)])[torch.randperm(40)]
    locations = grid(height, width)
    wanted = slow_match(locations, STRIDES, boxes)
    found = fcos_match_locations_to_gt(locations, STRIDES, boxes)
    assert list(found) == list(locations)
    for level in STRIDES:
        assert torch.equal(found[level], wanted[level])


def test_a_batch_is_its_images():
    """The batched form gives what the images give one by one, whatever their padding."""
    locations = grid(128, 128)
    images = [torch.cat([random_boxes(n, 128, 128), torch.full((40 - n, 5), -1.0)]) for n in (0, 3, 40, 12)]
    batch = fcos_match_batch(locations, STRIDES, torch.stack(images))
    for i, boxes in enumerate(images):
        single = fcos_match_locations_to_gt(locations, STRIDES, boxes)
        for level in STRIDES:
            assert batch[level].shape == (4, len(locations[level]), 5)
            assert torch.equal(batch[level][i], single[level])


@pytest.mark.parametrize("edge", range(4))
def test_on_an_edge_is_outside(edge):
    """A location exactly on an edge of a box is background; half a pixel further in it is not."""
    box = [10.0, 20.0, 40.0, 50.0, 3.0]
    x, y = [(10.0, 30.0), (30.0, 20.0), (40.0, 30.0), (30.0, 50.0)][edge]
    assert match_one(x, y, [box]) == BACKGROUND
    dx, dy = [(0.5, 0.0), (0.0, 0.5), (-0.5, 0.0), (0.0, -0.5)][edge]
    assert match_one(x + dx, y + dy, [box]) == box


@pytest.mark.parametrize("edge", range(4))
@pytest.mark.parametrize(
    ("distance", "level"),
    [
        (1.0, "p3"),
        (32.0, "p3"),
        (63.75, "p3"),
        (64.0, "p4"),
        (127.75, "p4"),
        (128.0, "p5"),
        (256.0, "p5"),
        (4000.0, "p5"),
    ],
)
def test_every_distance_has_one_level(distance, level, edge):
    """The largest distance decides the level: 4 s belongs to a level, 8 s to the next, on every side."""
    distances = [0.5] * 4
    distances[edge] = distance
    left, top, right, bottom = distances
    box = [100.0 - left, 100.0 - top, 100.0 + right, 100.0 + bottom, 0.0]
    for name in STRIDES:
        assert match_one(100.0, 100.0, [box], name) == (box if name == level else BACKGROUND)


def test_the_smallest_box_wins():
    """Among several boxes the one of smallest area is matched, wherever it stands."""
    large, small, other = (
        [0.0, 0.0, 60.0, 60.0, 1.0],
        [20.0, 20.0, 40.0, 40.0, 2.0],
        [0.0, 20.0, 60.0, 40.0, 4.0],
    )
    assert match_one(30.0, 30.0, [large, small, other]) == small
    assert match_one(30.0, 30.0, [other, large, small]) == small
    assert match_one(5.0, 30.0, [large, small, other]) == other


def test_the_first_of_equal_areas_wins():
    """Among boxes of equal area the first in the list is matched, also among forty."""
    flat, tall = [0.0, 20.0, 40.0, 40.0, 1.0], [10.0, 10.0, 30.0, 50.0, 2.0]
    assert match_one(20.0, 30.0, [flat, tall]) == flat
    assert match_one(20.0, 30.0, [tall, flat]) == tall
    forty = [[0.0, 0.0, 30.0, 30.0, float(c)] for c in range(40)]
    assert match_one(20.0, 20.0, forty) == forty[0]


def test_a_box_of_another_level_does_not_shadow():
    """The smallest box counts only among those that suit the level."""
    huge, small = [0.0, 0.0, 200.0, 200.0, 1.0], [80.0, 80.0, 120.0, 120.0, 2.0]
    assert match_one(100.0, 100.0, [huge, small], "p3") == small
    assert match_one(100.0, 100.0, [huge, small], "p4") == huge
    assert match_one(100.0, 100.0, [huge, small], "p5") == BACKGROUND


@pytest.mark.parametrize("boxes", [[], [BACKGROUND], [BACKGROUND] * 40], ids=["no rows", "one padded", "all padded"])
def test_no_boxes(boxes):
    """Without boxes, be it no rows at all or rows of -1, every location is background."""
    boxes = torch.tensor(boxes).reshape(-1, 5)
    matched = fcos_match_locations_to_gt(grid(64, 64), STRIDES, boxes)
    assert {level: len(rows) for level, rows in matched.items()} == {"p3": 64, "p4": 16, "p5": 4}
    assert all((rows == -1).all() and rows.shape[1] == 5 for rows in matched.values())


def test_padding_never_matches():
    """A row of class -1 matches nothing, even with the coordinates of a box around everything."""
    assert match_one(10.0, 10.0, [[0.0, 0.0, 20.0, 20.0, -1.0]]) == BACKGROUND
    assert match_one(-1.0, -1.0, [BACKGROUND]) == BACKGROUND
    real = [0.0, 0.0, 20.0, 20.0, 0.0]
    assert match_one(10.0, 10.0, [BACKGROUND, real, BACKGROUND]) == real


def test_padding_beside_real_boxes():
    """In a batch, a padded row matches nothing even where other images have a real box in that row."""
    box = [0.0, 0.0, 20.0, 20.0]
    boxes = torch.tensor([[[*box, -1.0]], [[*box, 3.0]]])
    matched = fcos_match_batch({"p3": torch.tensor([[10.0, 10.0]])}, {"p3": 8}, boxes)["p3"]
    assert matched[:, 0].tolist() == [BACKGROUND, [*box, 3.0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtypes(dtype):
    """The result has the dtype of the boxes, whatever that of the locations; halves do not overflow."""
    boxes = torch.tensor([[0.0, 0.0, 2000.0, 2000.0, 1.0], [0.0, 0.0, 1000.0, 1000.0, 2.0]], dtype=dtype)
    matched = fcos_match_locations_to_gt({"p5": torch.tensor([[500.0, 500.0]])}, {"p5": 32}, boxes)["p5"]
    assert matched.dtype == dtype
    assert matched[0].tolist() == [0, 0, 1000, 1000, 2]


def test_order_of_levels_is_free():
    """First and last level are those of smallest and largest stride, whatever the dict's order."""
    locations, boxes = grid(128, 128), random_boxes(10, 128, 128)
    backwards = fcos_match_locations_to_gt(dict(reversed(locations.items())), dict(reversed(STRIDES.items())), boxes)
    forwards = fcos_match_locations_to_gt(locations, STRIDES, boxes)
    assert all(torch.equal(backwards[level], forwards[level]) for level in STRIDES)


def test_inputs_are_left_alone():
    """Neither boxes nor locations are written into, and the result is a copy."""
    locations, boxes = grid(64, 64), random_boxes(10, 64, 64)
    before = boxes.clone()
    for rows in fcos_match_locations_to_gt(locations, STRIDES, boxes).values():
        rows.zero_()
    assert torch.equal(boxes, before)


def test_wrong_arguments():
    """A batch in place of an image, boxes without class, and levels that differ are refused."""
    with pytest.raises(ValueError, match=r"\(N, 5\), got \(2, 40, 5\).*fcos_match_batch"):
        fcos_match_locations_to_gt(grid(64, 64), STRIDES, torch.zeros(2, 40, 5))
    with pytest.raises(ValueError, match=r"\(N, 5\), got \(3, 4\)"):
        fcos_match_locations_to_gt(grid(64, 64), STRIDES, torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"\(B, N, 5\), got \(40, 5\)"):
        fcos_match_batch(grid(64, 64), STRIDES, torch.zeros(40, 5))
    with pytest.raises(ValueError, match=r"levels differ.*'p3'"):
        fcos_match_locations_to_gt({"p4": torch.zeros(1, 2)}, {"p3": 8}, torch.zeros(1, 5))


def slow_centerness(deltas):
    """The formula, row by row."""
    result = []
    for left, top, right, bottom in deltas.tolist():
        if left == top == right == bottom == -1:
            result.append(-1.0)
        else:
            ratio = min(left, right) * min(top, bottom) / (max(left, right) * max(top, bottom))
            result.append(math.sqrt(ratio))
    return torch.tensor(result)


def test_centerness_equals_the_oracle():
    """For locations inside their boxes, and for background, the targets are those of the formula."""
    deltas = torch.rand(200, 4) * 10 + 0.01
    deltas[::7] = -1.0
    torch.testing.assert_close(fcos_make_centerness_targets(deltas), slow_centerness(deltas))


@pytest.mark.parametrize(
    ("deltas", "centerness"),
    [
        ([2.0, 3.0, 2.0, 3.0], 1.0),
        ([1.0, 1.0, 4.0, 1.0], 0.5),
        ([1.0, 4.0, 4.0, 1.0], 0.25),
        ([0.0, 1.0, 4.0, 1.0], 0.0),
        ([0.0, 0.0, 0.0, 0.0], 0.0),
        ([-1.0, -1.0, -1.0, -1.0], -1.0),
        ([-1.0, -1.0, 5.0, 5.0], 0.0),
        ([-1.0, 2.0, 3.0, 2.0], 0.0),
    ],
)
def test_centerness_by_hand(deltas, centerness):
    """Worked values: the middle, off the middle, on an edge, an empty box, background, outside of the box."""
    assert fcos_make_centerness_targets(torch.tensor([deltas])).tolist() == [centerness]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_centerness_form(dtype):
    """The result has the dtype of the deltas; no rows give no targets; half precision does not overflow."""
    assert fcos_make_centerness_targets(torch.full((3, 4), 500.0, dtype=dtype)).tolist() == [1, 1, 1]
    empty = fcos_make_centerness_targets(torch.empty(0, 4, dtype=dtype))
    assert empty.shape == (0,) and empty.dtype == dtype


def test_centerness_of_wrong_shape():
    """Another shape than (N, 4) is named."""
    with pytest.raises(ValueError, match=r"\(N, 4\), got \(2, 5\)"):
        fcos_make_centerness_targets(torch.zeros(2, 5))


@pytest.mark.parametrize("batch", [1, 2])
def test_levels_share_no_memory(batch):
    """Each level's boxes are a tensor of their own: changed in place, or saved, it drags no other along."""
    boxes = torch.tensor([[[2.0, 2.0, 30.0, 30.0, 1.0]]] * batch)
    levels = {"p3": torch.tensor([[4.0, 4.0], [12.0, 4.0]]), "p4": torch.tensor([[8.0, 8.0]])}
    matched = fcos_match_batch(levels, {"p3": 8, "p4": 16}, boxes)
    assert all(m.is_contiguous() and m.untyped_storage().nbytes() == m.nbytes for m in matched.values())
    weight = torch.ones(1, requires_grad=True)
    loss = (weight * matched["p3"]).sum()
    matched["p4"][0] = -1.0
    loss.backward()
    matched["p3"].mul_(weight)


def test_no_levels():
    """Without levels there is nothing to match."""
    assert fcos_match_batch({}, {}, torch.zeros(1, 1, 5)) == {}


def test_levels_of_different_dtypes():
    """Locations may be of another dtype at each level; the boxes' is what comes back."""
    boxes = torch.tensor([[[2.0, 2.0, 30.0, 30.0, 1.0]]], dtype=torch.float16)
    levels = {"p3": torch.tensor([[4, 4]]), "p4": torch.tensor([[8.0, 8.0]], dtype=torch.float64)}
    matched = fcos_match_batch(levels, {"p3": 8, "p4": 16}, boxes)
    assert {m.dtype for m in matched.values()} == {torch.float16}
    assert matched["p3"][0, 0].tolist() == [2.0, 2.0, 30.0, 30.0, 1.0]

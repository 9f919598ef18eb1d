"""Inference over a data set, with detectors that answer what they are told."""

import re

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from ps7_helpers import ShapesDetection, VOC2007Detection, inference_with_detector
from ps7_helpers.evaluation_files import evaluate_folders
from ps7_helpers.shapes import write_voc

NAMES = ShapesDetection("val").idx_to_class


class Oracle(nn.Module):
    """Finds exactly the true boxes of a data set, one image after the other."""

    def __init__(self, dataset) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.answers = iter([item[2] for item in dataset])
        self.calls = []

    def forward(self, images, gt_boxes=None, test_score_thresh=None, test_nms_thresh=None):
        """Answer without looking."""
        self.calls.append((images.shape, images.dtype, test_score_thresh, test_nms_thresh))
        assert gt_boxes is None and not self.training and not torch.is_grad_enabled()
        rows = next(self.answers)
        rows = rows[rows[:, 4] >= 0]
        return rows[:, :4], rows[:, 4].long(), torch.linspace(0.9, 0.5, len(rows))


class Fixed(nn.Module):
    """Gives one answer, whatever it sees."""

    def __init__(self, *answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images, gt_boxes=None, test_score_thresh=None, test_nms_thresh=None):
        """Answer without looking."""
        return self.answer


NOTHING = (torch.empty(0, 4), torch.empty(0, dtype=torch.int64), torch.empty(0))


@pytest.fixture
def shapes():
    """A few drawn scenes."""
    return ShapesDetection("val", image_size=100, length=5)


def lines(path):
    """The lines of a text file, as words."""
    return [line.split() for line in path.read_text().splitlines()]


def test_writes_a_perfect_detector(shapes, tmp_path, capsys):
    """Two files are written for every image; the true boxes as detections have a mean of 1."""
    oracle = Oracle(shapes)
    assert inference_with_detector(oracle, DataLoader(shapes), NAMES, 0.4, 0.6, tmp_path / "out") is None
    truth, found = tmp_path / "out" / "ground-truth", tmp_path / "out" / "detection-results"
    wanted = [f"{i:06d}.txt" for i in range(5)]
    assert sorted(p.name for p in truth.iterdir()) == sorted(p.name for p in found.iterdir()) == wanted
    assert evaluate_folders(truth, found).mean_ap == 1.0
    name, *box = lines(truth / "000000.txt")[0]
    row = shapes[0][2][0]
    assert name == NAMES[int(row[4])]
    assert [float(v) for v in box] == pytest.approx(row[:4].tolist(), abs=0.005)
    assert lines(found / "000000.txt")[0][:2] == [name, "0.900000"]
    assert oracle.calls == [((1, 3, 128, 128), torch.float32, 0.4, 0.6)] * 5
    assert re.fullmatch(r"Total inference time: \d+\.\ds\n", capsys.readouterr().out)


def test_original_coordinates(tmp_path):
    """For images on disk, the written coordinates are those of the annotations, up to the rounding."""
    write_voc(tmp_path, train=1, val=6)
    dataset = VOC2007Detection(tmp_path, "val", image_size=96)
    inference_with_detector(Oracle(dataset), DataLoader(dataset), NAMES, 0.5, 0.5, tmp_path / "out")
    for path, objects in dataset.instances:
        image_id = path[-10:-4]
        wanted = [[o["name"], *o["xyxy"]] for o in objects]
        truth = [[n, *map(float, box)] for n, *box in lines(tmp_path / "out" / "ground-truth" / f"{image_id}.txt")]
        found = [[n, *map(float, b)] for n, _, *b in lines(tmp_path / "out" / "detection-results" / f"{image_id}.txt")]
        assert truth == found
        for row, want in zip(truth, wanted, strict=True):
            assert row[0] == want[0] and row[1:] == pytest.approx(want[1:], abs=0.01)


def test_nothing_found(shapes, tmp_path):
    """An image in which nothing was found has an empty file and counts in the evaluation."""
    inference_with_detector(Fixed(*NOTHING), DataLoader(shapes), NAMES, 0.5, 0.5, tmp_path)
    files = sorted((tmp_path / "detection-results").iterdir())
    assert len(files) == 5 and all(f.read_text() == "" for f in files)
    result = evaluate_folders(tmp_path / "ground-truth", tmp_path / "detection-results")
    assert result.mean_ap == 0.0 and result.ap


def test_results_of_before_are_gone(shapes, tmp_path):
    """A run over fewer images leaves no files of the run before; other files in the folder stay."""
    (tmp_path / "notes.txt").write_text("mine")
    inference_with_detector(Fixed(*NOTHING), DataLoader(shapes), NAMES, 0.5, 0.5, tmp_path)
    inference_with_detector(Fixed(*NOTHING), DataLoader(Subset(shapes, [3])), NAMES, 0.5, 0.5, tmp_path)
    assert [p.name for p in (tmp_path / "detection-results").iterdir()] == ["000003.txt"]
    assert [p.name for p in (tmp_path / "ground-truth").iterdir()] == ["000003.txt"]
    assert (tmp_path / "notes.txt").exists()


def test_subsets_with_tensor_indices(shapes, tmp_path):
    """A subset of a subset, picked by a tensor, is written like the data set itself."""
    subset = Subset(Subset(shapes, torch.tensor([0, 2, 4])), torch.tensor([0, 2]))
    inference_with_detector(Fixed(*NOTHING), DataLoader(subset), NAMES, 0.5, 0.5, tmp_path)
    assert sorted(p.stem for p in (tmp_path / "ground-truth").iterdir()) == ["000000", "000004"]


def test_batches_are_taken_apart(shapes, tmp_path):
    """Batches of several images go through the detector one image at a time."""
    oracle = Oracle(shapes)
    inference_with_detector(oracle, DataLoader(shapes, batch_size=4), NAMES, 0.5, 0.5, tmp_path)
    assert [call[0] for call in oracle.calls] == [(1, 3, 128, 128)] * 5
    assert len(list((tmp_path / "ground-truth").iterdir())) == 5


def test_boxes_in_the_padding(shapes, tmp_path):
    """Detections are clipped to the original image; those wholly in the padding are left out."""
    boxes = torch.tensor([[101.0, 10.0, 120.0, 40.0], [90.0, 10.0, 128.0, 128.0]])
    detector = Fixed(boxes, torch.tensor([6, 6]), torch.tensor([0.9, 0.8]))
    inference_with_detector(detector, DataLoader(shapes), NAMES, 0.5, 0.5, tmp_path)
    assert lines(tmp_path / "detection-results" / "000000.txt") == [
        ["car", "0.800000", "90.00", "10.00", "100.00", "100.00"]
    ]


def test_falling_score(shapes, tmp_path):
    """The lines of an image are sorted by falling score, and a class without a name has its number."""
    boxes = torch.tensor([[1.0, 1.0, 9.0, 9.0]]).repeat(3, 1)
    detector = Fixed(boxes, torch.tensor([6, 77, 6]), torch.tensor([0.1, 0.9, 0.5]))
    inference_with_detector(detector, DataLoader(shapes), NAMES, 0.0, 0.5, tmp_path)
    assert [row[:2] for row in lines(tmp_path / "detection-results" / "000001.txt")] == [
        ["77", "0.900000"],
        ["car", "0.500000"],
        ["car", "0.100000"],
    ]


def test_draws_without_output_dir(shapes, figures, capsys):
    """Without output_dir every image is shown with its boxes, and no file is written."""
    inference_with_detector(Oracle(shapes), DataLoader(shapes), NAMES, 0.5, 0.5)
    assert len(figures) == 5
    legend = [t.get_text() for t in figures[0].axes[0].get_legend().get_texts()]
    assert legend == ["ground truth", "prediction"]
    assert capsys.readouterr().out.startswith("Total inference time: ")


def test_dtype(shapes, figures):
    """Images and detector have the dtype that was asked for."""
    oracle = Oracle(shapes)
    inference_with_detector(oracle, DataLoader(Subset(shapes, [0])), NAMES, 0.5, 0.5, dtype=torch.float64)
    assert oracle.calls[0][1] == torch.float64 and oracle.weight.dtype == torch.float64


@pytest.mark.parametrize("answer", [(None,), (torch.zeros(1, 4), torch.zeros(1))])
def test_a_detector_without_results(shapes, figures, answer):
    """Anything but three tensors is refused, with what was expected."""
    with pytest.raises(TypeError, match=r"three tensors, boxes \(N, 4\).*got tuple of.*forward"):
        inference_with_detector(Fixed(*answer), DataLoader(shapes), NAMES, 0.5, 0.5)


def test_results_of_different_lengths(shapes, figures):
    """Boxes that were filtered without their scores are named with all lengths."""
    detector = Fixed(torch.zeros(2, 4), torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="2 boxes, 2 classes and 3 scores"):
        inference_with_detector(detector, DataLoader(shapes), NAMES, 0.5, 0.5)


def test_a_data_set_without_originals(shapes, tmp_path):
    """A data set that cannot tell original coordinates is refused before any work, with what it lacks."""
    bare = [shapes[0]]
    with pytest.raises(TypeError, match=r"list has no to_original\(image_path, boxes\)"):
        inference_with_detector(Fixed(*NOTHING), DataLoader(bare), NAMES, 0.5, 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_image_twice(shapes, tmp_path):
    """Two images with one id would overwrite each other, and are refused."""
    with pytest.raises(ValueError, match="the id '000002'"):
        inference_with_detector(Fixed(*NOTHING), DataLoader(Subset(shapes, [2, 2])), NAMES, 0.5, 0.5, tmp_path)

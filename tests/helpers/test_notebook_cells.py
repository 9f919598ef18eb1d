"""Given cells of the notebook that fetch something, run with stand-ins for what they call."""

from pathlib import Path

import pytest
import torch
from torchvision import models

from autograder.grading.samples import solved_code


class Asked:
    """Stands in for a function or a class: notes its call, then does what it is told."""

    def __init__(self, name, calls, then=None):
        self.name, self.calls, self.then = name, calls, then

    def __call__(self, *args, **options):
        """A data set of three, if anything."""
        self.calls.append(self.name)
        if isinstance(self.then, Exception):
            raise self.then
        if self.then is not None:
            self.then.parent.mkdir(exist_ok=True)
            self.then.write_text("[]")
        return range(3)


NO, GOOD = ConnectionError("The quota is used up."), Path("data/voc07_val.json")


@pytest.fixture
def run(assignment, tmp_path, monkeypatch):
    """Runs the cell of the data; gives what it called."""
    monkeypatch.chdir(tmp_path)
    (cell,) = (cell for cell in solved_code(assignment) if 'PACKED_ID = ""' in cell)

    def run(short, packed, drive, home):
        calls = []
        given = {"Path": Path, "SHORT_RUN": short, "IMAGE_SHAPE": (224, 224), "DEVICE": torch.device("cpu")}
        given |= {"BATCH_SIZE": 1, "NUM_WORKERS": 0, "DataLoader": lambda *args, **options: None}
        for name, then in (("download_packed_voc2007", drive), ("download_voc2007", home)):
            given[name] = Asked(name, calls, then)
        given |= {name: Asked(name, calls) for name in ("VOC2007Detection", "ShapesDetection")}
        exec(cell.replace('PACKED_ID = ""', f'PACKED_ID = "{packed}"'), given)
        return list(dict.fromkeys(calls))

    return run


@pytest.mark.parametrize(
    ("packed", "drive", "home", "failures", "calls"),
    [
        ("", NO, GOOD, 0, ["download_voc2007", "VOC2007Detection"]),
        ("abc", GOOD, NO, 0, ["download_packed_voc2007", "VOC2007Detection"]),
        ("abc", NO, GOOD, 1, ["download_packed_voc2007", "download_voc2007", "VOC2007Detection"]),
        ("abc", NO, NO, 2, ["download_packed_voc2007", "download_voc2007", "ShapesDetection"]),
    ],
)
def test_where_the_data_come_from(run, capsys, packed, drive, home, failures, calls):
    """With a GPU the packed copy is tried, then the official home, then there are shapes; each failure is said."""
    assert run(False, packed, drive, home) == calls
    assert capsys.readouterr().out.count("The quota is used up.") == failures


def test_data_that_are_there(run):
    """What was fetched is neither fetched again, nor used in the short run, whose settings are for the shapes."""
    assert run(True, "abc", GOOD, GOOD) == ["ShapesDetection"]
    run(False, "", NO, GOOD)
    assert run(False, "abc", NO, NO) == ["VOC2007Detection"]
    assert run(True, "abc", NO, NO) == ["ShapesDetection"]


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError('invalid hash value (expected "ab", got "cd")')])
def test_weights_that_cannot_be_had(assignment, monkeypatch, capsys, error):
    """Without a network, or where the download of ImageNet's weights was cut short, training starts from scratch."""

    def regnet(weights):
        if weights:
            raise error
        return "from scratch"

    monkeypatch.setattr(models, "regnet_x_400mf", regnet)
    (cell,) = (cell for cell in solved_code(assignment) if "def load_backbone" in cell)
    given = {"models": models, "nn": torch.nn}
    exec(cell, given)
    assert given["load_backbone"]() == "from scratch"
    assert f"The ImageNet weights could not be downloaded ({error})" in capsys.readouterr().out

"""What a checkpoint holds beside weights, what it is refused for, and what may differ when training goes on from it."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from ps7_helpers import NonFiniteLoss, ShapesDetection, train_detector
from ps7_helpers import training as training_module
from ps7_helpers.checkpoints import moving_parts, put_back, read_checkpoint, set_plain_attributes, write_checkpoint

SETTINGS = {"learning_rate": 0.05, "max_iters": 9, "log_period": 100, "checkpoint_period": 2}


class Net(nn.Module):
    """A small network whose loss is infinite in one call, and which is cut off in another."""

    def __init__(self, dies_at=None, infinite_at=None):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(3, 1, 3), nn.Dropout(0.5))
        self.calls, self.events = 0, {"dies": dies_at, "infinite": infinite_at}

    def forward(self, images, gt_boxes):
        """One loss."""
        if self.calls == self.events["dies"]:
            raise ConnectionAbortedError("Colab is gone")
        self.calls += 1
        loss = self.net(images).square().mean()
        return {"loss_cls": loss * (math.inf if self.calls - 1 == self.events["infinite"] else 1.0)}


class Blank(Dataset):
    """Images of one colour, as many and as large as asked for."""

    def __init__(self, length=8, image_size=8):
        self.length, self.image_size = length, image_size

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return f"{index}.jpg", torch.ones(3, self.image_size, self.image_size), torch.full((40, 5), -1.0)


def batches(dataset=None, batch_size=2):
    """Batches of a data set."""
    return DataLoader(dataset or Blank(), batch_size=batch_size)


def cut_off(path, at=5, **options):
    """A checkpoint of a training that was cut off."""
    with pytest.raises(ConnectionAbortedError):
        train_detector(Net(dies_at=at), batches(), checkpoint=path, **{**SETTINGS, **options})


@pytest.mark.parametrize(
    ("loader", "difference"),
    [
        (batches(Blank(length=9)), "number of images is 8 there and 9 here"),
        (batches(Subset(Blank(), range(6))), "number of images is 8 there and 6 here"),
        (batches(Blank(image_size=16)), "image_size is 8 there and 16 here"),
        (batches(batch_size=4), "batch_size is 2 there and 4 here"),
        (batches(ShapesDetection("train", image_size=8, length=8)), "data set is Blank there and ShapesDetection here"),
    ],
)
def test_other_data(tmp_path, figures, loader, difference):
    """A checkpoint of other data is refused with what differs, be it set, length, image size or batch size."""
    path = tmp_path / "run.pt"
    cut_off(path)
    with pytest.raises(ValueError, match=rf"another training: {re.escape(difference)}\. Delete it"):
        train_detector(Net(), loader, checkpoint=path, **SETTINGS)


def test_a_checkpoint_from_before_data_were_noted(tmp_path, figures):
    """A checkpoint that does not say which data it had is gone on from."""
    path = tmp_path / "run.pt"
    cut_off(path)
    state = read_checkpoint(path)
    del state["data"]
    torch.save(state, path)
    assert len(train_detector(Net(), batches(), checkpoint=path, **SETTINGS)) == 9


@pytest.mark.parametrize("changed", [{"learning_rate": 0.01}, {"max_grad_norm": 5.0}])
def test_the_advice_after_nan_can_be_followed(tmp_path, figures, capsys, monkeypatch, changed):
    """With a lower rate or a limit the same call goes on from the kept checkpoint, says so, and uses them."""
    path, used = tmp_path / "run.pt", []
    with pytest.raises(NonFiniteLoss, match=r"or less; the same call with one of these changed goes on from"):
        train_detector(Net(infinite_at=5), batches(), checkpoint=path, **SETTINGS)
    clip = nn.utils.clip_grad_norm_
    step = torch.optim.SGD.step
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda p, limit: used.append(limit) or clip(p, limit))
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: used.append(self.param_groups[0]["lr"]) or step(self))
    history = train_detector(Net(), batches(), checkpoint=path, **{**SETTINGS, **changed})
    (name, value), old = *changed.items(), SETTINGS.get(*changed)
    assert len(history) == 9 and used[:2] == [
        changed.get("max_grad_norm", math.inf),
        changed.get("learning_rate", 0.05),
    ]
    assert f"at iteration 4 of 9; {name} is {old} there and {value} here." in capsys.readouterr().out


def test_a_finished_training_with_another_rate(tmp_path, figures):
    """The weights of a finished training are not given out as those of one with another rate."""
    path = tmp_path / "run.pt"
    train_detector(Net(), batches(), checkpoint=path, **SETTINGS)
    with pytest.raises(ValueError, match=r"learning_rate is 0\.05 there and 0\.01 here"):
        train_detector(Net(), batches(), checkpoint=path, **{**SETTINGS, "learning_rate": 0.01})


def test_numbers_of_numpy(tmp_path, figures):
    """Numbers of numpy, as settings or as a running number, are kept as plain ones, and the file can be read."""
    path, net = tmp_path / "run.pt", Net(dies_at=5)
    net.normalizer, net.weight = np.float64(0.1) + 0.2, np.float32(0.5)
    settings = {**SETTINGS, "learning_rate": np.float64(0.05), "max_iters": np.int64(9), "max_grad_norm": np.float32(8)}
    with pytest.raises(ConnectionAbortedError):
        train_detector(net, batches(), checkpoint=path, **settings)
    assert read_checkpoint(path)["plain"][""] == {"calls": 4, "normalizer": 0.1 + 0.2, "weight": 0.5}
    assert len(train_detector(Net(), batches(), checkpoint=path, **settings)) == 9


def test_numbers_that_become_tensors(figures):
    """Where an attribute turned from a number into a tensor in the bad batch, the number is put back."""

    class Turning(Net):
        def forward(self, images, gt_boxes):
            self.count = self.count + torch.ones(())
            return super().forward(images, gt_boxes)

    net = Turning(infinite_at=0)
    net.count = 0
    with pytest.raises(NonFiniteLoss, match="Iteration 0"):
        train_detector(net, batches())
    assert net.count == 0 and isinstance(net.count, int)


def test_tensors_go_where_the_detector_is():
    """A tensor that is put where a number was goes to the detector's device, otherwise to that of the old one."""
    net = Net()
    net.new, net.old = 1, torch.ones(1, device="meta")
    set_plain_attributes(net, {"": {"new": torch.ones(1), "old": torch.ones(1)}}, torch.device("meta"))
    assert net.new.device.type == net.old.device.type == "meta"


def test_a_folder_that_is_not_there(tmp_path, figures):
    """Without the disk of the checkpoint nothing is trained, and its folder is not made up; one folder is made."""
    net = Net()
    with pytest.raises(FileNotFoundError, match=r"no folder .*drive.*drive\.mount"):
        train_detector(net, batches(), checkpoint=tmp_path / "drive" / "MyDrive" / "run.pt", **SETTINGS)
    assert net.calls == 0 and list(tmp_path.iterdir()) == []
    train_detector(net, batches(), checkpoint=tmp_path / "runs" / "run.pt", **{**SETTINGS, "max_iters": 1})
    assert (tmp_path / "runs" / "run.pt").exists()


def test_from_bfloat16_to_float16(tmp_path, figures, monkeypatch):
    """A checkpoint of half precision from a GPU with bfloat16 is gone on from on an older one, which scales losses."""
    path = tmp_path / "run.pt"
    cut_off(path, precision="half")
    monkeypatch.setattr(training_module, "half_type", lambda device: torch.float16)
    assert len(train_detector(Net(), batches(), checkpoint=path, precision="half", **SETTINGS)) == 9


def test_a_checkpoint_cut_while_it_is_written(tmp_path, monkeypatch):
    """A disk that is full, or a kill, in the middle of writing leaves the checkpoint before as it was."""
    path = tmp_path / "run.pt"
    write_checkpoint({"training": {}, "number": 1}, path)

    def half(state, file):
        file.write(b"PK\x03\x04 half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint({"training": {}, "number": 2}, path)
    assert read_checkpoint(path)["number"] == 1


def test_a_gpu_s_random_numbers_are_put_back(monkeypatch):
    """Before a bad batch is computed again, the generator of the GPU is as it was, as that of the CPU is."""
    state = {"now": torch.tensor([1])}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: state["now"])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda value, device: state.update(now=value))
    net, device = Net(), torch.device("cuda")
    before = moving_parts(net, device)
    wanted = torch.rand(3)
    state["now"] = torch.tensor([2])
    put_back(net, before, device)
    assert state["now"] == 1 and torch.equal(torch.rand(3), wanted)


def test_a_bad_batch_is_explained_with_its_own_random_numbers(figures):
    """What a detector draws by chance it draws again when the batch is explained, and afterwards once more."""
    drawn = []

    class Gambler(Net):
        def forward(self, images, gt_boxes):
            drawn.append(torch.rand(()).item())
            return super().forward(images, gt_boxes)

    with pytest.raises(NonFiniteLoss):
        train_detector(Gambler(infinite_at=2), batches(), **SETTINGS)
    assert len(drawn) == 4 and drawn[3] == drawn[2] == torch.rand(()).item() and len(set(drawn)) == 3

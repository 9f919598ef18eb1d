"""A training that was cut off and taken up again ends with the numbers of one that was not."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ps7_helpers import reset_seed, train_detector
from ps7_helpers.batches import ResumableBatches
from ps7_helpers.checkpoints import plain_attributes, read_checkpoint

SETTINGS = {"learning_rate": 0.05, "max_iters": 23, "log_period": 100, "checkpoint_period": 5, "seed": 7}


class Noisy(Dataset):
    """Eleven images with noise from all three generators, as an augmentation would add."""

    def __len__(self):
        return 11

    def __getitem__(self, index):
        noise = torch.rand(3, 8, 8) + random.random() + np.random.rand()
        return f"{index}.jpg", noise + index, torch.full((40, 5), -1.0)


class Net(nn.Module):
    """Batch norm, dropout and a running number beside the weights, as a student's detector may have."""

    def __init__(self, dies_at=None):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 1, 3))
        self._normalizer = 150
        self.calls, self.dies_at = 0, {dies_at}
        self.register_buffer("extra", torch.zeros(()))

    def forward(self, images, gt_boxes):
        """One loss."""
        if self.calls in self.dies_at:
            raise ConnectionAbortedError("Colab is gone")
        self.calls += 1
        self._normalizer = 0.9 * self._normalizer + 0.1 * images.mean().item()
        return {"loss_cls": (self.net(images) ** 2).mean() / self._normalizer}


def loader(kind):
    """Loaders that shuffle, each with another source of randomness."""
    if kind == "list":
        reset_seed(1)
        return [next(iter(DataLoader(Noisy(), batch_size=4))) for _ in range(3)]
    generator = torch.Generator().manual_seed(5) if kind == "generator" else None
    return DataLoader(
        Noisy(), batch_size=4, shuffle=True, num_workers=2 if kind == "workers" else 0, generator=generator
    )


def final(net):
    """All numbers that training changes."""
    return {**net.state_dict(), "normalizer": torch.tensor(net._normalizer, dtype=torch.float64)}


CASES = [
    ("plain", 5, "plain"),
    ("plain", 13, "strong"),
    ("plain", 22, "plain"),
    ("generator", 13, "plain"),
    ("list", 8, "strong"),
    pytest.param("workers", 13, "plain", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "dies_at", "recipe"), CASES)
def test_resumed_equals_whole(tmp_path, figures, capsys, kind, recipe, dies_at):
    """Cut off at the first checkpoint, within an epoch or at the end: the same weights and losses, to the last bit."""
    torch.manual_seed(1)
    batches = loader(kind)
    whole = Net()
    history = train_detector(whole, batches, recipe=recipe, **SETTINGS)
    torch.manual_seed(1)
    batches = loader(kind)
    path = tmp_path / "run.pt"
    with pytest.raises(ConnectionAbortedError):
        train_detector(Net(dies_at), batches, recipe=recipe, checkpoint=path, **SETTINGS)
    torch.manual_seed(99)  # a new process knows nothing of the old one's generators
    resumed = Net()
    again = train_detector(resumed, loader(kind), recipe=recipe, checkpoint=path, **SETTINGS)
    assert f"Going on from {path} at iteration {dies_at // 5 * 5} of 23" in capsys.readouterr().out
    assert again.losses == history.losses
    wanted = final(whole)
    assert all(torch.equal(value, wanted[name]) for name, value in final(resumed).items())
    assert len(figures) == 2


SCRIPT = """
import os, signal, sys, torch
import matplotlib; matplotlib.use("Agg")
torch.set_num_threads(1)
sys.path.insert(0, {here!r})
from test_resuming import Net, SETTINGS, loader, train_detector
class Killed(Net):
    def forward(self, images, gt_boxes):
        if self.calls == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images, gt_boxes)
torch.manual_seed(1)
train_detector(Killed(), loader("plain"), checkpoint={path!r}, **SETTINGS)
"""


@pytest.mark.slow
def test_a_killed_process(tmp_path, figures):
    """A process that is killed without warning at a random iteration leaves a file to go on from exactly."""
    at = random.Random(tmp_path.name).randint(5, 22)
    path = tmp_path / "run.pt"
    script = SCRIPT.format(here=str(Path(__file__).parent), at=at, path=str(path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    torch.manual_seed(1)
    whole, resumed = Net(), Net()
    torch.manual_seed(1)
    train_detector(whole, loader("plain"), **SETTINGS)
    train_detector(resumed, loader("plain"), checkpoint=path, **SETTINGS)
    assert all(torch.equal(value, final(whole)[name]) for name, value in final(resumed).items())


def test_a_finished_training_is_not_repeated(tmp_path, figures, capsys):
    """The file of a finished training gives its weights and says so; nothing is trained."""
    path = tmp_path / "run.pt"
    first, second = Net(), Net()
    train_detector(first, loader("plain"), checkpoint=path, recipe="strong", **SETTINGS)
    before = path.read_bytes()
    history = train_detector(second, loader("plain"), checkpoint=path, recipe="strong", **SETTINGS)
    assert second.net[1].num_batches_tracked == 23 and len(history) == 23 and path.read_bytes() == before
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in second.state_dict().items())
    assert "finished" in capsys.readouterr().out


def test_another_training(tmp_path, figures):
    """A checkpoint of other settings, or of another detector, is refused; what differs is named; the file stays."""
    path = tmp_path / "run.pt"
    train_detector(Net(), loader("plain"), checkpoint=path, **SETTINGS)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"max_iters is 23 there and 50 here.*Delete it"):
        train_detector(Net(), loader("plain"), checkpoint=path, **{**SETTINGS, "max_iters": 50})
    other = Net()
    other.net.append(nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match=r"(?s)another detector.*net\.4\.weight"):
        train_detector(other, loader("plain"), checkpoint=path, **SETTINGS)
    assert path.read_bytes() == before


def test_another_optimizer(tmp_path, figures):
    """A checkpoint of a recipe from when it used another optimizer is refused, not loaded into the wrong one."""
    path = tmp_path / "run.pt"
    settings = {**SETTINGS, "max_iters": 5}
    train_detector(Net(), loader("plain"), checkpoint=path, recipe="strong", **settings)
    state = read_checkpoint(path)
    del state["training"]["optimizer"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="optimizer is None there and AdamW here"):
        train_detector(Net(), loader("plain"), checkpoint=path, recipe="strong", **settings)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"cposix\nsystem\n(S'true'\ntR."])
def test_what_is_no_checkpoint(tmp_path, figures, content):
    """A damaged file, or one that would run something, is refused with what to do."""
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt is not a checkpoint.*Delete it"):
        train_detector(Net(), loader("plain"), checkpoint=path, **SETTINGS)


def test_a_bad_state_is_never_written(tmp_path, figures, capsys):
    """Weights that are not finite do not replace the last good checkpoint."""

    class Spoiled(Net):
        def forward(self, images, gt_boxes):
            losses = super().forward(images, gt_boxes)
            if self.calls == 8:
                self.extra.fill_(float("inf"))  # does not show in the losses
            return losses

    path = tmp_path / "run.pt"
    train_detector(Spoiled(), loader("plain"), checkpoint=path, **SETTINGS)
    assert len(read_checkpoint(path)["history"]["loss"]) == 5
    assert "extra holds numbers that are not finite" in capsys.readouterr().out


def test_same_seed_same_weights(figures):
    """A seed decides everything; another seed gives other weights."""
    nets = [Net() for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.manual_seed(int(torch.randint(1000, ())))
        train_detector(net, loader("plain"), **{**SETTINGS, "seed": seed})
    first, second, third = (net.net[0].weight for net in nets)
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_place_in_the_batches():
    """A place written down anywhere, also between two epochs, leads to the batches that came after it."""
    whole = ResumableBatches(loader("plain"))
    torch.manual_seed(0)
    states, taken = [whole.state()], []
    now = [torch.get_rng_state()]
    for _ in range(8):
        taken.append(whole.take()[0])
        states.append(whole.state())
        now.append(torch.get_rng_state())
    for place in range(8):
        torch.manual_seed(50)
        other = ResumableBatches(loader("plain"))
        other.resume(states[place])
        torch.set_rng_state(now[place])
        assert [other.take()[0] for _ in range(8 - place)] == taken[place:]


def test_running_numbers_are_kept():
    """Numbers and tensors that are plain attributes belong to the state; flags and layers' sizes do not."""
    net = Net()
    net.history = torch.tensor([1.0])
    assert plain_attributes(net) == {"": {"_normalizer": 150, "calls": 0, "history": torch.tensor([1.0])}}

"""The training loop, with a detector that is a few numbers: what it does, prints, plots and refuses."""

import re
from collections import UserDict

import pytest
import torch
from torch import nn

from ps7_helpers import LossHistory, plot_losses, train_detector
from ps7_helpers.losses import running_mean
from ps7_helpers.recipes import steps

LINE = re.compile(r"\[Iter (\d+)\]\[loss: (\d+\.\d{3})\]\[loss_cls: (\d+\.\d{3})\]\[loss_box: (\d+\.\d{3})\]")


class Toy(nn.Module):
    """Two losses: a parameter has to become the mean of the images, another one zero."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(4.0))
        self.other = nn.Parameter(torch.tensor(1.0))
        self.frozen = nn.Parameter(torch.tensor(7.0), requires_grad=False)
        self.calls: list[tuple[torch.Size, torch.Size]] = []

    def forward(self, images, gt_boxes):
        """Losses of one batch."""
        self.calls.append((images.shape, gt_boxes.shape))
        return {"loss_cls": (self.mean - images.mean()) ** 2, "loss_box": self.other**2}


def loader(batches: int = 3, value: float = 1.0):
    """Batches as the data sets give them."""
    return [(("a.jpg", f"b{i}.jpg"), torch.full((2, 3, 8, 8), value), -torch.ones(2, 40, 5)) for i in range(batches)]


class Broken(nn.Module):
    """Returns what it was told to, from some iteration on."""

    def __init__(self, result, start: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.result, self.start, self.calls = result, start, 0

    def forward(self, images, gt_boxes):
        """Losses of one batch."""
        self.calls += 1
        if self.calls > self.start:
            return self.result(self.weight)
        return {"loss_cls": self.weight**2, "loss_box": self.weight**2}


def test_it_learns(figures):
    """The sum of the losses is minimised for as long as asked for, though the loader is shorter."""
    toy = Toy().eval()
    history = train_detector(toy, loader(), learning_rate=0.05, weight_decay=0.0, max_iters=200)
    assert toy.mean.item() == pytest.approx(1.0, abs=0.05)
    assert toy.other.item() == pytest.approx(0.0, abs=0.05)
    assert toy.frozen.item() == 7.0
    assert toy.calls == [((2, 3, 8, 8), (2, 40, 5))] * 200
    assert toy.training
    assert len(history) == 200
    assert history.losses["loss"][0] == pytest.approx(9.0 + 1.0)


def test_printed_lines(figures, capsys):
    """Every log_period iterations a line gives iteration, total and parts with three decimals."""
    train_detector(Toy(), loader(), max_iters=7, log_period=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[Iter 0][loss: 10.000][loss_cls: 9.000][loss_box: 1.000]"
    assert [LINE.fullmatch(line)[1] for line in lines] == ["0", "3", "6"]


def test_nothing_on_stderr_in_a_pipe(figures, capsys):
    """Where nobody watches there is no progress bar."""
    train_detector(Toy(), loader(), max_iters=3)
    assert capsys.readouterr().err == ""


def test_it_is_sgd_with_momentum(figures):
    """The steps are those of SGD with momentum 0.9, weight decay and a learning rate that drops twice."""
    toy = Toy()
    train_detector(toy, loader(), learning_rate=0.02, weight_decay=0.3, max_iters=10)
    mean, velocity = 4.0, 0.0
    for rate in [0.02] * 6 + [0.002] * 3 + [0.0002]:
        velocity = 0.9 * velocity + 2 * (mean - 1.0) + 0.3 * mean
        mean -= rate * velocity
    assert toy.mean.item() == pytest.approx(mean, rel=1e-5)


def test_long_gradients_are_shortened(figures):
    """With max_grad_norm, no step follows a gradient longer than that; shorter ones are left as they are."""
    toy = Toy()
    options = {"learning_rate": 0.5, "weight_decay": 0.0, "max_iters": 1}
    train_detector(toy, loader(), max_grad_norm=0.1, **options)
    step = torch.tensor([toy.mean.item() - 4.0, toy.other.item() - 1.0])
    torch.testing.assert_close(step, -0.5 * 0.1 * torch.tensor([6.0, 2.0]) / 40**0.5, rtol=1e-4, atol=0)
    unlimited, limited = Toy(), Toy()
    train_detector(unlimited, loader(), **options)
    train_detector(limited, loader(), max_grad_norm=100.0, **options)
    assert limited.mean.item() == unlimited.mean.item() == pytest.approx(4.0 - 0.5 * 6.0)


@pytest.mark.parametrize("max_iters", [1, 2, 5, 10, 500, 9000])
def test_learning_rate_drops(max_iters):
    """The first 60% of the iterations have the full rate, the next 30% a tenth, the rest a hundredth."""
    rates = [steps(i, max_iters) for i in range(max_iters)]
    for i, rate in enumerate(rates):
        wanted = 1.0 if 10 * i < 6 * max_iters else 0.1 if 10 * i < 9 * max_iters else 0.01
        assert rate == pytest.approx(wanted)
    assert rates[0] == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number(figures, value):
    """An infinite or NaN loss stops the training; iteration, loss and images are named, weights stay."""
    broken = Broken(lambda w: {"loss_cls": w**2, "loss_box": w * value}, start=4)
    with pytest.raises(FloatingPointError, match=rf"Iteration 4: loss_box is {value}\..*a\.jpg, b1\.jpg"):
        train_detector(broken, loader(), max_iters=10)
    assert broken.weight.isfinite()


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (lambda w: None, "a NoneType"),
        (lambda w: w, "a Parameter"),
        (lambda w: {}, "0 entries"),
        (lambda w: {"loss_cls": w.expand(3)}, r"loss_cls.*\(3,\)"),
        (lambda w: {"loss_cls": 0.5}, "1 entries"),
    ],
)
def test_a_detector_without_losses(figures, result, got):
    """What is not a dictionary of scalar losses is refused, and what came instead is named."""
    with pytest.raises(TypeError, match=rf"dictionary of scalar losses.*{got}.*forward"):
        train_detector(Broken(result), loader())


def test_what_is_like_a_dictionary_will_do(figures):
    """Losses may come in any mapping: nothing is asked of it that a dictionary alone can do."""
    history = train_detector(Broken(lambda w: UserDict(loss_cls=w**2)), loader(), max_iters=3)
    assert len(history) == 3


def test_an_empty_loader(figures):
    """A loader without batches is refused instead of waited for."""
    with pytest.raises(ValueError, match="no batch"):
        train_detector(Toy(), [])


def test_interrupt(figures, capsys):
    """An interrupt ends the training, says where, plots, and gives the losses so far."""

    def interrupt(weight):
        raise KeyboardInterrupt

    history = train_detector(Broken(interrupt, start=5), loader(), max_iters=100)
    assert len(history) == 5
    assert "Interrupted after 5 of 100 iterations" in capsys.readouterr().out
    assert len(figures) == 1


def test_no_iterations(figures, capsys):
    """Zero iterations change nothing, print nothing and plot nothing."""
    toy = Toy()
    assert len(train_detector(toy, loader(), max_iters=0)) == 0
    assert toy.mean.item() == 4.0
    assert capsys.readouterr().out == "" and figures == []


def test_plot(figures):
    """The figure has a curve for the total and for each part, all labelled, and labelled axes."""
    train_detector(Toy(), loader(), max_iters=120)
    (axes,) = figures[0].axes
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["loss", "loss_cls", "loss_box"]
    assert axes.get_xlabel() == "iteration"
    assert axes.get_ylabel() == "loss (mean of the last 2 iterations)"
    smooth = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert len({line.get_linestyle() for line in smooth}) == 3
    assert all(len(line.get_xdata()) == 120 for line in axes.lines)


def test_one_bad_batch_does_not_flatten_the_plot(figures):
    """The axis follows the running means: the loss of one batch far above them leaves the picture."""
    history = LossHistory({"loss": [2.0] * 300 + [50.0] + [1.0] * 499})
    plot_losses(history)
    assert figures[0].axes[0].get_ylim() == pytest.approx((0.0, 1.1 * (50 + 15 * 2.0) / 16))


def test_running_mean():
    """A running mean is over the last values, fewer at the beginning."""
    assert running_mean([1.0, 3.0, 5.0, 9.0], 2) == [1.0, 2.0, 4.0, 7.0]
    assert running_mean([1.0, 3.0], 1) == [1.0, 3.0]


def test_history_in_a_cell(figures):
    """As the result of a notebook cell the history is one short line; an empty one plots nothing."""
    history = train_detector(Toy(), loader(), max_iters=30)
    assert re.fullmatch(r"LossHistory\(30 iterations, last loss: \d\.\d{3}, loss_cls: .*\)", repr(history))
    assert repr(LossHistory()) == "LossHistory(0 iterations, last none)"
    plot_losses(LossHistory())
    assert len(figures) == 1

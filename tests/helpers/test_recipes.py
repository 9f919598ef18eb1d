"""Recipes, half precision, and the plot that grows."""

import math
import sys
import types

import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from torch import nn

from ps7_helpers import train_detector, training
from ps7_helpers.live import LivePlot
from ps7_helpers.losses import LossHistory
from ps7_helpers.precision import networks_in_half
from ps7_helpers.recipes import MOMENTUM, RECIPES, AveragedWeights, warm_cosine


class Toy(nn.Module):
    """A parameter that has to become 1, and a network whose calls are recorded."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(4.0))
        self.net = nn.Conv2d(3, 2, 3)
        self.seen, self.last = [], None

    def forward(self, images, gt_boxes):
        """One loss."""
        self.last = out = self.net.forward(images)
        self.seen.append((out.dtype, self.net.weight.dtype, images[0, 0, 0, 0].item()))
        return {"loss_cls": (self.mean - 1.0) ** 2 + 0 * out.mean()}


def batches():
    """One batch that is not the same left and right."""
    return [(("a.jpg",), torch.arange(192.0).view(1, 3, 8, 8) / 100, -torch.ones(1, 40, 5))]


@pytest.mark.parametrize("max_iters", [1, 2, 30, 9000])
def test_warm_cosine(max_iters):
    """The rate rises for a twentieth, never above 1, then falls without a jump to about a hundredth."""
    rates = [warm_cosine(i, max_iters) for i in range(max_iters)]
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(1.0) and min(rates) > 0
    assert top <= max(1, max_iters // 20)
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    if max_iters == 9000:
        assert rates[0] == pytest.approx(1 / 450) and rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_averaged_weights():
    """The average is the one worked out by hand; counters are copied, not averaged."""
    module = nn.BatchNorm1d(1)
    average = AveragedWeights(module, 0.5)
    wanted = 1.0
    for n, value in enumerate((3.0, 5.0, 7.0), start=1):
        module.weight.data.fill_(value)
        module.num_batches_tracked += 1
        average.update(module)
        decay = min(0.5, (1 + n) / (10 + n))
        wanted = decay * wanted + (1 - decay) * value
    assert average.values["weight"].item() == pytest.approx(wanted)
    assert average.values["num_batches_tracked"].item() == 3


def test_strong(figures, monkeypatch):
    """It alters batches, takes AdamW's steps at a twentieth of the rate with warm-up and cosine, and averages."""
    rates, means, toy = [], [4.0], Toy()
    adam = torch.optim.AdamW.step

    def step(self, *args):
        rates.append(self.param_groups[0]["lr"])
        adam(self, *args)
        means.append(toy.mean.item())

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    torch.manual_seed(0)
    train_detector(toy, batches(), recipe="strong", learning_rate=4.0, max_iters=60)
    assert len({corner for _, _, corner in toy.seen}) == 2  # as it is, and mirrored
    assert rates == pytest.approx([0.2 * warm_cosine(i, 60) for i in range(60)])
    average = means[0]
    for n, mean in enumerate(means[1:], start=1):
        average += (1 - min(0.9, (1 + n) / (10 + n))) * (mean - average)
    assert toy.mean.item() == pytest.approx(average, rel=1e-5) and average != pytest.approx(means[-1], rel=1e-4)
    assert average == pytest.approx(1.0, abs=0.4)


@pytest.mark.parametrize(("recipe", "limit", "length"), [("strong", None, 10), ("strong", 3, 3), ("plain", None, 600)])
def test_gradients_of_the_recipes(figures, monkeypatch, recipe, limit, length):
    """The strong recipe shortens gradients to 10 unless told otherwise; the plain one leaves them as they are."""

    class Steep(Toy):
        def forward(self, images, gt_boxes):
            return {name: 100 * loss for name, loss in super().forward(images, gt_boxes).items()}

    lengths = []
    optimizer = torch.optim.AdamW if recipe == "strong" else torch.optim.SGD
    monkeypatch.setattr(optimizer, "step", lambda self: lengths.append(toy.mean.grad.abs().item()))
    toy = Steep()
    train_detector(toy, batches(), max_iters=1, recipe=recipe, max_grad_norm=limit)
    assert lengths == pytest.approx([length], rel=1e-4)


def test_weight_decay_is_converted():
    """Where there is no gradient, the weights shrink as fast in one recipe as in the other."""
    left = {}
    for name, recipe in RECIPES.items():
        weight = nn.Parameter(torch.ones(1))
        optimizer = recipe.optimizer([weight], 0.02, 1e-2)
        weight.grad = torch.zeros(1)
        for _ in range(500):
            optimizer.step()
        left[name] = weight.item()
    assert left["plain"] == pytest.approx(math.exp(-500 * 0.02 * 1e-2 / (1 - MOMENTUM)), rel=0.01)
    assert left["strong"] == pytest.approx(left["plain"], rel=0.03)


def test_plain_alters_nothing(figures):
    """The plain recipe hands every batch on as it is."""
    toy = Toy()
    train_detector(toy, batches(), max_iters=5)
    assert len({corner for _, _, corner in toy.seen}) == 1


@pytest.mark.parametrize(("choice", "value"), [("recipe", "weak"), ("precision", "double")])
def test_unknown_choices(choice, value):
    """Another recipe or precision is refused, and the choices are named."""
    with pytest.raises(ValueError, match=f"no {choice} '{value}': choose"):
        train_detector(Toy(), batches(), **{choice: value})


def test_half_precision(figures):
    """Networks compute in 16 bits also when called by forward, and give out float32; afterwards they are as before."""
    toy, full = Toy(), Toy()
    full.load_state_dict(toy.state_dict())
    images = torch.randn(2, 3, 8, 8)
    wanted = full.net(images)
    with networks_in_half(toy, torch.device("cpu")):
        got, called = toy.net.forward(images), toy.net(images)
    assert got.dtype == torch.float32 and torch.equal(got, called)
    assert torch.equal(got, got.bfloat16().float()) and not torch.equal(wanted, wanted.bfloat16().float())
    torch.testing.assert_close(got, wanted, atol=0.05, rtol=0.05)
    assert "forward" not in vars(toy.net) and torch.equal(toy.net(images), wanted)


def test_training_in_half_precision(figures):
    """Where asked for, networks compute in 16 bits in training, too, their results and weights in 32."""
    results = {}
    for precision in ("float32", "half"):
        toy = Toy()
        train_detector(toy, batches(), max_iters=2, precision=precision)
        assert {(out, weight) for out, weight, _ in toy.seen} == {(torch.float32, torch.float32)}
        results[precision] = torch.equal(toy.last, toy.last.bfloat16().float())
    assert results == {"float32": False, "half": True}


def test_half_precision_is_left_on_errors():
    """After an error the networks are as before, too."""
    toy = Toy()
    with pytest.raises(RuntimeError, match="stop"), networks_in_half(toy, torch.device("cpu")):
        raise RuntimeError("stop")
    assert "forward" not in vars(toy.net)


class Handle:
    """A displayed picture that can be replaced."""

    def __init__(self):
        self.pictures = []

    def update(self, picture):
        """Keep what is shown, which has to say in words what it shows."""
        _, metadata = DisplayFormatter().format(picture)
        assert metadata["image/png"]["alt"].startswith("LossHistory(")
        self.pictures.append(picture.data)


@pytest.fixture
def notebook(monkeypatch):
    """A notebook's display, as far as it is used."""
    import IPython.display

    handles = []

    def display(picture, display_id=False):
        assert display_id
        handles.append(Handle())
        handles[-1].update(picture)
        return handles[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    return handles


def test_live_plot(notebook, figures):
    """In a notebook one picture is drawn anew as losses come in, the last time at the end; none is shown twice."""
    history, plot = LossHistory(), LivePlot(period_s=0.0, clock=lambda: 0.0)  # drawing takes no time
    for value in (3.0, 2.0, 1.0):
        history.append({"loss": value})
        plot.update(history)
    plot.finish(history)
    (handle,) = notebook
    assert len(handle.pictures) == 4 and len(set(handle.pictures)) == 3
    assert all(picture.startswith(b"\x89PNG") for picture in handle.pictures)
    assert figures == []


def test_no_live_plot_elsewhere(figures):
    """Elsewhere nothing is drawn until the end; then one figure is."""
    history, plot = LossHistory({"loss": [1.0, 2.0]}), LivePlot(period_s=0.0)
    plot.update(history)
    assert figures == []
    plot.finish(history)
    assert len(figures) == 1


def test_a_short_training_has_one_plot(notebook, figures):
    """A training that is over before the first drawing is plotted once, at the end."""
    train_detector(Toy(), batches(), max_iters=3)
    assert notebook == [] and len(figures) == 1


def test_the_plot_grows_while_it_trains(notebook, figures, monkeypatch):
    """In a notebook the losses are drawn before the training is over, and its end takes the same place."""
    monkeypatch.setattr(training, "LivePlot", lambda: LivePlot(period_s=0.0))
    train_detector(Toy(), batches(), max_iters=3)
    (handle,) = notebook
    assert len(handle.pictures) >= 2 and handle.pictures[0] != handle.pictures[-1] and figures == []


def test_a_bar_shows_how_far_it_is(figures, monkeypatch, tmp_path):
    """A training goes through a bar over all its iterations, which begins where a checkpoint left off."""
    bars, path = [], tmp_path / "run.pt"

    def bar(iterations, total, description, done):
        bars.append((list(iterations), total, done))
        for i in iterations:
            if i == 4:  # as by the stop button
                raise KeyboardInterrupt
            yield i

    monkeypatch.setattr(training, "progress", bar)
    for _ in range(2):
        train_detector(Toy(), batches(), max_iters=6, checkpoint=path, checkpoint_period=2)
    assert bars == [([0, 1, 2, 3, 4, 5], 6, 0), ([4, 5], 6, 4)]

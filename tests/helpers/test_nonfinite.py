"""What is said when a loss or a gradient stops being a number: the first tensor that went wrong, and its line."""

import math
import re

import pytest
import torch
from torch import nn
from torchvision.ops import generalized_box_iou_loss

from ps7_helpers import NonFiniteLoss, train_detector
from ps7_helpers.nonfinite import explain_nonfinite

IMAGES, BOXES = torch.ones(2, 3, 8, 8), -torch.ones(2, 40, 5)


class Net(nn.Module):
    """Turns its batch into a loss by a function of (network's output, images)."""

    def __init__(self, loss, good=0):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
        self._normalizer, self.loss, self.good = 150.0, loss, (good,)

    def forward(self, images, gt_boxes):
        """One loss."""
        self._normalizer *= 0.9
        out = self.net(images)
        if self.net[1].num_batches_tracked <= self.good[0]:
            return {"loss_cls": out.square().mean() + self.net[0].bias.square().sum()}
        return {"loss_cls": self.loss(out, images)}


def zero_by_zero(out, images):
    """An infinite number that harms nothing, then 0 / 0, then steps that carry the NaN on in place and in views."""
    areas = torch.where(images > 0, images, math.inf).min()
    ratio = (images - images)[0, 0] / torch.zeros(8, 8)  # the culprit
    ratio += areas
    return torch.cat([ratio.view(-1), out.flatten()]).mean()


def log_of_a_negative(out, images):
    """NaN from a logarithm."""
    return (images * -1).log().sum() + out.sum()  # a minus too many


def root_of_zero(out, images):
    """A finite loss whose gradient is not."""
    distance = (out * 0).square().sum()
    return distance.sqrt() + out.mean()  # infinite slope, times zero


def far_boxes(out, images):
    """Boxes so large that their areas overflow float32, masked away afterwards."""
    boxes = torch.stack([out.flatten()[:1] - 1e20, out.flatten()[:1] - 1e20, out.flatten()[:1] + 1e20] * 2, dim=1)
    boxes = boxes[:, [0, 1, 2, 5]]
    loss = generalized_box_iou_loss(boxes, torch.tensor([[1.0, 1.0, 2.0, 2.0]]), reduction="none")
    return torch.where(torch.tensor([True]), out.mean(), loss).sum()


@pytest.mark.parametrize(
    ("loss", "operation", "line"),
    [
        (zero_by_zero, r"the result of div, 64 of 64 values not finite \(NaN\), shape \(8, 8\)", "# the culprit"),
        (log_of_a_negative, r"the result of log, 384 of 384", "# a minus too many"),
        (root_of_zero, r"losses are finite. First wrong: the gradient of (div|mul)", "# infinite slope"),
        (far_boxes, r"the result of mul, 1 of 1 values not finite \(infinite\)", "loss = generalized_box_iou_loss"),
    ],
)
def test_the_first_wrong_tensor(loss, operation, line):
    """The operation that made a bad number out of good ones is named, with shape and the student's line."""
    said = explain_nonfinite(Net(loss).train(), IMAGES, BOXES)
    assert re.search(operation, said), said
    assert line in said and loss.__name__ in said, said


def test_given_bad():
    """A bad image or parameter is named before anything computed from it."""
    net = Net(lambda out, images: out.sum())
    images = IMAGES.clone()
    images[1, 0, 3, 3] = math.inf
    assert "the images of the batch, before anything was computed: 1 of 384" in explain_nonfinite(net, images, BOXES)
    net.net[0].weight.data[0] = math.nan
    assert "the parameter net.0.weight, before" in explain_nonfinite(net, IMAGES, BOXES)


def test_not_reproducible():
    """Where the batch is fine when computed again, that is said."""
    assert "something outside of it" in explain_nonfinite(Net(lambda out, images: out.mean()), IMAGES, BOXES)


def test_a_gradient_too_long_for_a_number(figures):
    """Where all numbers of the gradient are finite and only its length is not, that is said, with the largest."""

    def huge(out, images):
        return out.sum() * 1e25

    said = r"length of the gradient is inf\. .*Each number of the gradient is finite, .* [67]\.\de\+26 of net\.1\.bias"
    with pytest.raises(NonFiniteLoss, match=said):
        train_detector(Net(huge), [(("a.jpg",), IMAGES, BOXES)])


@pytest.mark.parametrize("loss", [zero_by_zero, root_of_zero])
@pytest.mark.parametrize("precision", ["float32", "half"])
def test_training_stops_at_once(tmp_path, figures, loss, precision):
    """Iteration, origin and images are in the error; the detector is as before that batch; the checkpoint stays."""
    batches = [((f"{i}a.jpg", f"{i}b.jpg"), IMAGES * (i + 1), BOXES) for i in range(3)]
    path = tmp_path / "run.pt"
    settings = {"max_iters": 20, "checkpoint": path, "checkpoint_period": 2, "precision": precision}
    torch.manual_seed(0)
    wanted, net = Net(loss, good=99), Net(loss, good=5)
    net.load_state_dict(wanted.state_dict())
    train_detector(wanted, batches, max_iters=5, precision=precision, learning_rate=1e-9)
    with pytest.raises(NonFiniteLoss, match=r"Iteration 5: .*First wrong: .*2a\.jpg, 2b\.jpg") as caught:
        train_detector(net, batches, learning_rate=1e-9, **settings)
    assert caught.value.iteration == 5 and caught.value.image_paths == ("2a.jpg", "2b.jpg")
    assert caught.value.checkpoint == path and str(path) in str(caught.value)
    assert net._normalizer == pytest.approx(wanted._normalizer)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, wanted.state_dict()[name], msg=lambda m, name=name: f"{name}: {m}")
    assert len(torch.load(path, weights_only=True)["history"]["loss"]) == 4


def test_a_gradient_that_is_no_number_never_reaches_the_weights(figures):
    """A finite loss with an infinite gradient stops the training before the step."""
    net = Net(root_of_zero)
    with pytest.raises(NonFiniteLoss, match="Iteration 0: the length of the gradient is nan"):
        train_detector(net, [(("a.jpg",), IMAGES, BOXES)])
    assert all(bool(p.isfinite().all()) and p.grad is None for p in net.parameters())

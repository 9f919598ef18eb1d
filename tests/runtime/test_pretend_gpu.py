"""Tensors left on the CPU are found without a GPU, and nothing else is."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from autograder.runtime.pretend_gpu import CPU, GPU, DeviceMismatch, PretendGpu

# Each takes a (3, 4) tensor on the GPU.
MIXES = {
    "adding": lambda x: x + torch.ones(3, 4),
    "adding-in-place": lambda x: x.add_(torch.ones(3, 4)),
    "from-the-other-side": lambda x: torch.ones(3, 4) * x,
    "comparing": lambda x: x > torch.arange(4.0),
    "where": lambda x: torch.where(x > 0, x, torch.tensor([1.0, 2, 3, 4])),
    "joining": lambda x: torch.cat([x, torch.zeros(2, 4)]),
    "stacking": lambda x: torch.stack([x[0], torch.zeros(4)]),
    "matrices": lambda x: x @ torch.ones(4, 2),
    "a-layer": lambda x: F.linear(x, torch.ones(2, 4)),
    "a-loss": lambda x: F.mse_loss(x, torch.zeros(3, 4)),
    "the-cpu-indexed-by-the-gpu": lambda x: torch.arange(3)[x[:, 0] > 0],
    "written-out": lambda x: x - torch.zeros(3, 4, device="cpu"),
    "brought-back": lambda x: x + x.cpu(),
    "a-scalar-of-the-gpu": lambda x: torch.ones(3, 4) * x.sum(),
}
FINE = {
    "numbers": lambda x: x * 2 + 1,
    "zeros-like": lambda x: x + torch.zeros_like(x),
    "new-zeros": lambda x: x + x.new_zeros(3, 4),
    "the-device-of-another": lambda x: x + torch.arange(4.0, device=x.device),
    "the-device-as-text": lambda x: x + torch.ones(4, device=str(x.device)),
    "cuda": lambda x: x + torch.ones(3, 4).cuda(),
    "to-a-device": lambda x: x + torch.ones(3, 4).to(x.device),
    "to-another-tensor": lambda x: x + torch.ones(3, 4).to(x),
    "to-a-device-and-a-dtype": lambda x: x + torch.ones(3, 4, dtype=torch.int64).to(x.device, torch.float32, True),
    "the-type-of-another": lambda x: x + torch.ones(3, 4, dtype=torch.int64).type_as(x),
    "by-dlpack": lambda x: torch.from_dlpack(x) + x,
    "sparse-of-its-values": lambda x: torch.sparse_coo_tensor(
        torch.arange(4, device=x.device)[None], x[0], check_invariants=True
    ),
    "to-a-dtype": lambda x: x.to(torch.float64) + torch.ones(4, dtype=torch.float64, device=x.device),
    "scalars-of-the-cpu": lambda x: torch.where(x > 0, x, torch.tensor(0.0)) * torch.tensor(2.0),
    "the-gpu-indexed-by-the-cpu": lambda x: x[torch.tensor([2, 0])],
    "a-mask": lambda x: x[x[:, 0] > 0],
    "writing-across": lambda x: x.clone().copy_(torch.ones(3, 4)),
    "rows": lambda x: torch.stack([row * 2 for row in x]),
    "unbound": lambda x: torch.stack(x.unbind(dim=1), dim=1) + x,
    "transposed": lambda x: x.T @ x,
    "both-on-the-cpu": lambda x: (x.cpu() + torch.ones(3, 4)).to("cuda"),
    "one-hot": lambda x: F.one_hot(x.argmax(dim=1), 4) * x,
    "clamped": lambda x: torch.minimum(x, x.new_tensor([1.0, 2, 3, 4])),
}
# The same, where torch is asked whether there is a GPU.
ASKED = {
    "is-available": lambda x: x + torch.ones(3, 4, device="cuda" if torch.cuda.is_available() else "cpu"),
    "a-count": lambda x: x + torch.ones(3, 4, device=f"cuda:{torch.cuda.device_count() - 1}"),
    "the-current-one": lambda x: x + torch.ones(3, 4, device=torch.cuda.current_device()),
    "an-accelerator": lambda x: x + torch.ones(3, 4, device=torch.accelerator.current_accelerator()),
    "waiting-for-it": lambda x: torch.cuda.synchronize() or x + 1,
}


def verdict(function) -> str:
    """What the pretended GPU says: "mix", or where the result is."""
    with PretendGpu() as gpu:
        x = gpu.put(torch.linspace(-1, 2, 12).reshape(3, 4))
        try:
            return str(gpu.place(function(x)))
        except DeviceMismatch:
            return "mix"


@pytest.mark.parametrize("name", MIXES)
def test_two_devices_that_meet_are_found(name):
    """Whatever would stop on a GPU stops here."""
    assert verdict(MIXES[name]) == "mix"


@pytest.mark.parametrize("name", FINE)
def test_what_a_gpu_allows_is_allowed(name):
    """Whatever runs on a GPU runs here, and the result is there."""
    assert verdict(FINE[name]) == "cuda:0"


@pytest.mark.parametrize("name", ASKED)
def test_torch_says_that_there_is_a_gpu(name):
    """Code that asks for a GPU finds one, as on Colab."""
    if name == "an-accelerator" and not hasattr(torch, "accelerator"):
        pytest.skip("torch has no accelerators before 2.6")
    assert verdict(ASKED[name]) == "cuda:0"


def fake_verdict(function) -> str:
    """What torch's own fake tensors say: "mix", a place, or "unknown" where values decide."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x = mode.from_tensor(torch.linspace(-1, 2, 12).reshape(3, 4)).to("cuda")
        try:
            return str(function(x).device)
        except Exception as error:
            return "mix" if "device" in str(error) else "unknown"


@pytest.mark.parametrize("name", [*MIXES, *FINE])
def test_the_same_as_torch_s_fake_tensors(name):
    """Where torch's own fake tensors come to a verdict, ours is the same."""
    function = (MIXES | FINE)[name]
    theirs = fake_verdict(function)
    if theirs == "unknown":
        pytest.skip("values decide here: fake tensors have none")
    assert verdict(function) == theirs


def test_values_are_real():
    """Code that looks at values runs as it is: loops, `if`, `item()`, and the numbers are right."""

    def looped(x):
        total = x.new_zeros(())
        for row in x:
            if row.sum().item() > 0:
                total = total + row.max()
        return total

    with PretendGpu() as gpu:
        x = gpu.put(torch.arange(-6.0, 6.0).reshape(3, 4))
        assert looped(x).item() == looped(torch.arange(-6.0, 6.0).reshape(3, 4)).item()


def test_a_result_on_the_cpu_is_known():
    """A result that was made on the CPU and written into is still there."""

    def filled(x):
        out = torch.zeros(3, 4)
        out[:, :2] = x[:, :2]
        return out

    assert verdict(filled) == "cpu"


def test_numpy_wants_the_cpu():
    """`numpy()` of a tensor on the GPU stops, after `cpu()` it works."""
    assert verdict(lambda x: torch.from_numpy(x.numpy())) == "mix"
    assert verdict(lambda x: torch.from_numpy(x.cpu().numpy())) in ("cpu", "None")


def test_a_module_s_plain_attributes_stay_behind():
    """`Module.to` moves parameters and buffers, nothing else."""

    class Shifted(torch.nn.Module):
        def __init__(self, *, buffered: bool) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 4)
            self.register_buffer("shift", torch.ones(4)) if buffered else setattr(self, "shift", torch.ones(4))

        def forward(self, x):
            return self.layer(x) + self.shift

    for buffered in (True, False):
        with PretendGpu() as gpu:
            module = Shifted(buffered=buffered).to(GPU)
            x = gpu.put(torch.ones(2, 4))
            if buffered:
                assert gpu.place(module(x)) == GPU
            else:
                with pytest.raises(DeviceMismatch):
                    module(x)


def test_tensors_older_than_the_mode_are_never_a_fault():
    """Nobody knows where a constant of the notebook would be: it goes with everything."""
    constant = torch.ones(4)
    assert verdict(lambda x: x + constant) == "cuda:0"


def test_the_device_that_a_notebook_was_given_counts_as_the_gpu():
    """`DEVICE`, which grading sets to the CPU, stands for what it is on Colab; another CPU does not."""
    given = torch.device("cpu")
    with PretendGpu([given]) as gpu:
        assert gpu.place(torch.zeros(2, device=given)) == GPU
        assert gpu.place(torch.zeros(2, device=torch.device("cpu"))) == CPU


def test_outside_nothing_is_changed():
    """After the mode, devices are what they are, and torch says what it said."""
    said = torch.cuda.is_available(), torch.cuda.device_count()
    with PretendGpu() as gpu:
        x = gpu.put(torch.ones(2))
        assert x.device == GPU and x.is_cuda
    assert x.device == CPU and not x.is_cuda
    assert (x + torch.ones(2)).tolist() == [2, 2]
    assert (torch.cuda.is_available(), torch.cuda.device_count()) == said
    with pytest.raises(ZeroDivisionError), PretendGpu():
        raise ZeroDivisionError
    assert (torch.cuda.is_available(), torch.cuda.device_count()) == said

"""A sandbox starts without torch's compiler; workers have it from the preloader once it is known that they train."""

from __future__ import annotations

import os

import pytest
import torch

from autograder.sandbox.inside import preloader
from tests.support.sandboxes import Sandbox

LOOKS = "import sys\ndef f():\n    return 'torch._dynamo' in sys.modules"
TRAINS = "from torch import nn\nclass Net(nn.Linear):\n    pass\nf = Net"
OPTIMIZES = """
import torch
def f():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    weight.sum().backward()
    optimizer.step()
    return weight.detach()
"""


@pytest.fixture(name="own", params=["bwrap", pytest.param("uid", marks=[pytest.mark.open_python])])
def _own(request):
    if request.param == "bwrap":
        request.getfixturevalue("sandbox")
    elif os.geteuid() != 0:
        pytest.skip("only root can have another user's rights")
    made = Sandbox(request.param, call_seconds=60)
    yield made
    made.close()


def test_the_compiler_comes_with_the_first_training(own):
    """Not before it, in its own worker for itself alone, and from then on with the sandbox, which is the same one."""
    assert own.run(LOOKS) is False
    pid = own.host.pid
    assert own.run(OPTIMIZES).tolist() == [0.5]  # an optimizer of the notebook's own: its worker imports it itself
    assert own.run(LOOKS) is False
    history = own.student(TRAINS).new("f", 2, 1).minimise([[torch.ones(1, 2)]], steps=2, lr=0.1)
    assert history[1] < history[0]
    assert own.run(LOOKS) is True
    assert own.run(OPTIMIZES).tolist() == [0.5]
    assert own.host.pid == pid


def test_a_new_sandbox_of_a_host_that_trains_has_it(own):
    """Where the one that had it is gone, the next has it, too."""
    own.host.trains = True
    assert own.run(LOOKS) is True
    own.leave()
    own.host.close()
    assert own.run(LOOKS) is True


def test_after_many_workers_the_sandbox_is_what_it_was(own):
    """Its memory is gathered into large pages between two workers: the next ones answer, in the same sandbox."""
    own.run(LOOKS)
    pid = own.host.pid
    for _ in range(preloader.GATHER_AFTER + 1):
        own.host.clean(own.host.spawn())
    assert own.run(OPTIMIZES).tolist() == [0.5]
    assert own.host.pid == pid

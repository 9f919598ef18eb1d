"""What notebooks have torch compile, cast or run again runs in the sandbox as it is written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from autograder.course.assignment import load_assignment
from autograder.parsing.cells import read_notebook
from autograder.parsing.slicing import make_slice
from autograder.sandbox.client import SandboxedStudent
from autograder.sandbox.host import Host
from tests.conftest import ROOT

pytestmark = [pytest.mark.usefixtures("sandbox")]
X = torch.linspace(-1, 2, 12).reshape(3, 4)
TOP = "import torch\nfrom torch import nn\n"

# Each defines f(x), which gives 2 x + 1 with all digits, in a moment.
WAYS = {
    "decorated": "@torch.compile\ndef f(x):\n    return 2 * x + 1",
    "decorated-with-options": '@torch.compile(mode="max-autotune", fullgraph=True)\ndef f(x):\n    return 2 * x + 1',
    "called": "def g(x):\n    return 2 * x + 1\nf = torch.compile(g, backend='inductor')",
    "a-backend-of-its-own": "def mine(graph, inputs):\n    raise ValueError\n"
    "@torch.compile(backend=mine)\ndef f(x):\n    return 2 * x + 1",
    "a-lambda": "f = torch.compile(lambda x: 2 * x + 1)",
    "kept-out": "@torch.compiler.disable\ndef g(x):\n    return 2 * x\n@torch.compile\ndef f(x):\n    return g(x) + 1",
    "kept-out-with-options": "@torch.compiler.disable(recursive=False)\ndef f(x):\n    return 2 * x + 1",
    "a-module-in-place": "net = nn.Identity()\nnet.compile(mode='default')\ndef f(x):\n    return 2 * net(x) + 1",
    "the-module-within": "net = torch.compile(nn.Identity())\ndef f(x):\n    return 2 * net._orig_mod(x) + 1",
    "scripted": "@torch.jit.script\ndef f(x):\n    return 2 * x + 1",
    "traced": "def g(x):\n    return 2 * x + 1\nf = torch.jit.trace(g, torch.zeros(3, 4))",
    "vmapped": "f = torch.vmap(lambda row: 2 * row + 1)",
    "autocast-on-the-cpu": "def f(x):\n    with torch.autocast('cpu', dtype=torch.bfloat16):\n"
    "        return x @ (2 * torch.eye(4)) + 1",
    "autocast-of-the-device": "@torch.no_grad()\ndef f(x):\n    with torch.autocast(x.device.type):\n"
    "        return x @ (2 * torch.eye(4)) + 1",
    "checkpointed": "from torch.utils.checkpoint import checkpoint\ndef f(x):\n"
    "    return checkpoint(lambda y: 2 * y + 1, x.requires_grad_(), use_reentrant=False).detach()",
}


@pytest.fixture(scope="module")
def sandbox_host() -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    made = Host(load_assignment("ps7", ROOT))
    yield made
    made.close()


@pytest.fixture
def student(sandbox_host):
    """Make a student whose notebook is one cell below the imports."""
    made = []

    def make(source: str, name: str) -> SandboxedStudent:
        piece = make_slice(read_notebook(f"# %%\n{TOP}{source}".encode(), ".py"), (name,), frozenset())
        made.append(SandboxedStudent(load_assignment("ps7", ROOT), piece, sandbox_host))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("way", WAYS)
def test_it_runs_as_it_is_written(student, way):
    """There is no compiler in the sandbox, and no less precision than was written; the numbers are right at once."""
    who = student(WAYS[way], "f")
    assert torch.equal(who.call("f", X), 2 * X + 1)
    assert who.problems == []


NETWORK = """
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.compile(Head(), mode="reduce-overhead")
        self.head.compile()

    @torch.compile
    def forward(self, x):
        return {"y": self.head(x)}
"""


@pytest.mark.parametrize("source", [NETWORK, NETWORK + "\nNet = torch.compile(Net)\n"], ids=["parts", "class"])
def test_a_compiled_module_keeps_its_names(student, source):
    """Parameters go by the names that the student gave them, and gradients reach them."""
    net = student(source, "Net").new("Net")
    assert set(net.parameters()) == {"head.layer.weight", "head.layer.bias"}
    net.load({"head.layer.weight": torch.ones(2, 4), "head.layer.bias": torch.zeros(2)})
    assert torch.allclose(net(X)["y"], X.sum(dim=1, keepdim=True).expand(3, 2))
    assert torch.allclose(net.gradients(X)["head.layer.bias"], torch.tensor([3.0, 3.0]))


def test_what_has_no_source_is_not_scripted(student):
    """A network that stands in for a student's own has no text in the sandbox: it stays as it is."""
    module = "class N(nn.Module):\\n    def forward(self, x):\\n        return 2 * x + 1"
    source = f"made = {{}}\nexec('{module}', globals(), made)\ndef f(x):\n    return torch.jit.script(made['N']())(x)"
    assert torch.equal(student(source, "f").call("f", X), 2 * X + 1)

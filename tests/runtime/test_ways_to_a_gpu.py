"""Small notebooks, each with one way to find a GPU and to use it: what the check of devices says, and the numbers."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from autograder.checks.student import Handle, LocalStudent
from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import StudentError
from autograder.runtime.loading import load
from tests.support.ways_to_a_gpu import ALONE, FAULTS, FUNCTIONS, MODULES

GIVEN = {"DEVICE": {"device": "cpu"}}
X = torch.linspace(-1, 2, 12).reshape(3, 4)
TOP = "import torch\nimport numpy as np\nfrom torch import nn\n"


def student(source: str, *wanted: str) -> LocalStudent:
    """A student whose notebook is one cell below the usual imports."""
    module = types.ModuleType("a_notebook")
    made = LocalStudent(module.__dict__)
    cells = [parse_cell(1, TOP), parse_cell(2, source)]
    sys.modules.pop("a_notebook", None)
    made.workbench, _ = load(make_slice(cells, wanted, frozenset(), GIVEN).to_json(GIVEN), module)
    return made


def network(methods: str) -> str:
    """A cell with the class N."""
    return "class N(nn.Module):\n" + "".join(f"    {line}\n" for line in methods.splitlines())


def examined(who: LocalStudent, name: str, new: list[object] | None = None) -> object:
    """What the check of devices finds: "mix", or where the result is."""
    try:
        found = who.do("on_gpu", name=name, new=new, method="", train=new is not None, args=[X], kwargs={})
    except StudentError as error:
        if error.kind != "DeviceMismatch":
            raise
        return "mix"
    assert found["broke"] == ""
    return found["places"]


@pytest.fixture(autouse=True)
def _nothing_stays():
    """No notebook leaves a default device or a random state behind."""
    with torch.random.fork_rng(devices=[]):
        yield
    made = torch.empty(0)
    assert (made.device.type, made.dtype) == ("cpu", torch.float32)
    torch.set_default_device(None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_runs_on_a_gpu(name):
    """It gives the numbers on the CPU, and nothing is found wrong with it on the pretended GPU, where its result is."""
    who = student(FUNCTIONS[name], "f")
    assert torch.allclose(who.call("f", X), X + 1)
    assert examined(who, "f") == ["cuda"]
    assert torch.allclose(who.call("f", X), X + 1), "and on the CPU it still works"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_runs_on_a_gpu(name):
    """The same of modules, which move by their own `to`."""
    who = student(network(MODULES[name]), "N")
    assert torch.allclose(who.new("N")(X), X + 1)
    assert examined(who, "N", []) == ["cuda"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_on_a_gpu_is_found(name):
    """What would stop there is stopped."""
    assert examined(student(FAULTS[name], "f"), "f") == "mix"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ALONE)
def test_a_function_that_runs_on_a_gpu_alone(name):
    """Where there is no GPU its numbers are those of one, each time; the check of devices knows it."""
    who = student(ALONE[name], "f")
    for _ in range(2):
        assert torch.allclose(who.call("f", X), X + 1)
    found = who.do("on_gpu", name="f", new=None, method="", train=False, args=[X], kwargs={})
    assert (found["places"], found["broke"], found["alone"]) == (["cuda"], "", True)
    assert found["where"].startswith("code cell 2, line ") or name == "defined-with-a-gpu-only"


LAYER = """
class N(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.l = nn.Linear(width, 1)
        self.steps = 0

    def forward(self, x):
        self.steps += 1
        return {"y": self.l(x.cuda()) + torch.zeros(1, device="cuda")}

    def times(self, x, by=2):
        return by * x.cuda()
"""


def _made() -> tuple[LocalStudent, Handle]:
    who = student(LAYER, "N")
    return who, who.new("N")


def test_an_object_made_before_works_there_with_its_weights():
    """An object whose first call needs a GPU is made there, too, and has the weights that it was given before."""
    _, net = _made()
    net.load({"l.weight": torch.ones(1, 4), "l.bias": torch.full((1,), 0.5)})
    assert torch.allclose(net(X)["y"], X.sum(dim=1, keepdim=True) + 0.5)
    assert set(net.parameters()) == {"l.weight", "l.bias"} and net.get("steps") == 1
    net.load({"l.bias": torch.zeros(1)})
    assert torch.allclose(net(X)["y"], X.sum(dim=1, keepdim=True))
    assert net.call("times", X, by=3).equal(3 * X)


def test_gradients_and_training_work_there():
    """Gradients reach the layers, and a few steps of training make the sum of the outputs smaller."""
    _, net = _made()
    gradients = net.gradients(X)
    assert torch.allclose(gradients["l.weight"], X.sum(dim=0, keepdim=True))
    history = net.minimise([[X]], steps=3, lr=0.1)
    assert history[0] > history[1] > history[2]
    assert torch.allclose(net(X)["y"].sum(), net(X)["y"].sum())


def test_what_works_on_a_gpu_alone_is_found_out_once():
    """The class and its objects go there at once from then on."""
    who, net = _made()
    net(X)
    made, tried = who.workbench.plainly, []
    who.workbench.plainly = lambda *args: tried.append(args) or made(*args)
    other = who.new("N", 4)
    net(X)
    other(X)
    assert tried == []


def test_a_module_whose_making_needs_a_gpu():
    """`.cuda()` in `__init__`: the object lives on the GPU, and its parameters are read from there."""
    source = network("def __init__(self):\n    super().__init__()\n    self.l = nn.Linear(4, 1).cuda()\n"
                     "def forward(self, x):\n    return self.l(x)")  # fmt: skip
    net = student(source, "N").new("N")
    net.load({"l.weight": torch.ones(1, 4), "l.bias": torch.zeros(1)})
    assert torch.allclose(net(X), X.sum(dim=1, keepdim=True))


def test_a_fault_of_code_that_needs_a_gpu_is_told_as_it_is_there():
    """Not that there is no GPU: what is wrong on one."""
    with pytest.raises(StudentError, match="IndexError"):
        student("def f(x):\n    return x.cuda()[7]", "f").call("f", X)


def test_a_fault_that_only_speaks_of_a_gpu_is_told_as_it_is_here():
    """The second try is there to save points, not to change what is said."""
    with pytest.raises(StudentError, match="no gpu, no cry") as caught:
        student(
            "def f(x):\n    if not x.is_cuda:\n        raise ValueError('no gpu, no cry')\n    return x[7]", "f"
        ).call("f", X)
    assert caught.value.kind == "ValueError"


def test_without_a_way_to_load_it_again_devices_are_renamed():
    """In a kernel the notebook is not run again: its globals name the GPU meanwhile, and the rest is unknown."""
    namespace = {}
    exec(TOP + 'device = torch.device("cpu")\nONES = torch.ones(4)\ndef f(x):\n'
         "    return x + torch.ones(4, device=device) * ONES", namespace)  # fmt: skip
    who = LocalStudent(namespace)
    assert examined(who, "f") == ["cuda"]
    assert namespace["device"] == torch.device("cpu") and torch.allclose(who.call("f", X), X + 1)
    exec("def g(x):\n    return x.cuda() + 1", namespace)
    assert torch.allclose(who.call("g", X), X + 1)


def test_a_notebook_that_does_not_load_again_is_examined_as_it_is():
    """Where the second load fails, the first one's definitions serve, and no fault is made up."""
    source = "if torch.cuda.is_available():\n    raise SystemExit\nelse:\n    BY = 1\ndef f(x):\n    return x + BY"
    assert examined(student(source, "f"), "f") == ["cuda"]


def test_the_definitions_run_again_once():
    """And only if somebody asks: right code on the CPU costs no second load."""
    runs = []
    torch.runs_of_the_test = runs
    try:
        who = student("BY = torch.runs_of_the_test.append(1) or 1\ndef f(x):\n    return x + BY", "f")
        who.call("f", X)
        assert len(runs) == 1
        assert examined(who, "f") == examined(who, "f") == ["cuda"]
        assert len(runs) == 2
    finally:
        del torch.runs_of_the_test

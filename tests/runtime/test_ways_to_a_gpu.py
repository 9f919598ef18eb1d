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

GIVEN = {"DEVICE": {"device": "cpu"}}
X = torch.linspace(-1, 2, 12).reshape(3, 4)
TOP = "import torch\nimport numpy as np\nfrom torch import nn\n"
ASK = 'device = torch.device("cuda" if torch.cuda.is_available() else "cpu")\n'

# Each defines f(x), which gives x + 1, on the GPU where there is one. Right on the CPU, and right on a GPU.
FUNCTIONS = {
    "global-DEVICE": "ONES = torch.ones(4, device=DEVICE)\ndef f(x):\n    return x + ONES",
    "DEVICE-made-a-text": 'DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"\n'
    'ONES = torch.ones(4).to(DEVICE)\ndef f(x):\n    assert DEVICE.startswith(x.device.type)\n    return x + ONES',
    "own-device": ASK + "ONES = torch.ones(4, device=device)\ndef f(x):\n    return x + ONES",
    "try_gpu": 'def try_gpu(i=0):\n    if torch.cuda.device_count() >= i + 1:\n        return torch.device(f"cuda:{i}")\n'
    '    return torch.device("cpu")\nwhere = try_gpu()\nONES = torch.ones(4, device=where)\ndef f(x):\n    return x + ONES',
    "use_gpu": "use_gpu = torch.cuda.is_available()\nONES = torch.ones(4)\nif use_gpu:\n    ONES = ONES.cuda()\n"
    "def f(x):\n    return x + ONES",
    "float-tensor": "FloatTensor = torch.cuda.FloatTensor if torch.cuda.is_available() else torch.FloatTensor\n"
    "def f(x):\n    assert isinstance(x, FloatTensor)\n    return x + FloatTensor([1, 1, 1, 1])",
    "cast-to-a-type": "KIND = torch.cuda.FloatTensor if torch.cuda.is_available() else torch.FloatTensor\n"
    "def f(x):\n    return x + torch.ones(4).type(KIND)",
    "type-as-text": "def f(x):\n    return x + torch.ones(4, dtype=torch.int64).type(x.type())",
    "class-attribute": ASK + "class Config:\n    where = device\ndef f(x):\n    return x + torch.ones(4, device=Config.where)",
    "default-argument": ASK + "def f(x, where=device):\n    return x + torch.ones(4, device=where)",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass Config:\n"
    '    device: str = "cuda" if torch.cuda.is_available() else "cpu"\n'
    "cfg = Config()\ndef f(x):\n    return x + torch.ones(4, device=cfg.device)",
    "dictionary": 'CONFIG = {"device": "cuda" if torch.cuda.is_available() else "cpu"}\n'
    'def f(x):\n    return x + torch.ones(4, device=CONFIG["device"])',
    "accelerator": 'device = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"\n'
    "ONES = torch.ones(4, device=device)\ndef f(x):\n    return x + ONES",
    "default-device": 'torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")\n'
    "UNUSED = torch.get_default_device()\ndef f(x):\n    return x + torch.ones(4, device=UNUSED)",
    "context": ASK + "def f(x):\n    with device:\n        return x + torch.ones(4)",
    "compared-as-text": 'def f(x):\n    where = "cuda" if str(x.device).startswith("cuda") else "cpu"\n'
    "    return x + torch.ones(4, device=where)",
    "compared-as-device": 'def f(x):\n    same = x.device == torch.device("cuda", 0)\n'
    '    return x + torch.ones(4, device="cuda" if same else "cpu")',
    "is-cuda": "def f(x):\n    ones = torch.ones(4)\n    return x + (ones.cuda() if x.is_cuda else ones)",
    "get-device": "def f(x):\n    n = x.get_device()\n    return x + torch.ones(4, device=n if n >= 0 else 'cpu')",
    "index": "def f(x):\n    ones = torch.ones(4)\n    return x + (ones.to(torch.cuda.current_device()) if x.is_cuda else ones)",
    "new": "def f(x):\n    return x + x.new(4).fill_(1)",
    "new-tensor": "def f(x):\n    return x + x.new_tensor([1.0, 1, 1, 1])",
    "to-another": "def f(x):\n    return x + torch.ones(4).to(x)",
    "numpy-round-trip": "def f(x):\n    return torch.from_numpy(x.detach().cpu().numpy() + 1).to(x.device)",
    "cpu-and-back": "def f(x):\n    y = x.cpu()\n    y += torch.ones(4)\n    return y.to(x.device)",
    "a-copy-is-a-copy": "def f(x):\n    y = x.to('cpu', copy=True)\n    y.zero_()\n    return x + 1",
    "rows-from-a-list": "def f(x):\n    return torch.stack([torch.as_tensor(row.tolist(), device=x.device) for row in x]) + 1",
    "arange-meshgrid": "def f(x):\n    i, j = torch.meshgrid(torch.arange(3, device=x.device), torch.arange(4, device=x.device),"
    ' indexing="ij")\n    return x + (i + j >= 0)',
    "half-on-the-gpu-only": "def f(x):\n    y = x.half() if x.is_cuda else x\n    return y + torch.ones_like(y)",
    "autocast": 'def f(x):\n    with torch.autocast("cuda", enabled=torch.cuda.is_available()):\n'
    "        return x @ torch.eye(4, device=x.device) + 1",
    "old-autocast": "from torch.cuda.amp import autocast\ndef f(x):\n    with autocast():\n"
    "        return x @ torch.eye(4, device=x.device) + 1",
    "timed-by-events": "def f(x):\n    if x.is_cuda:\n        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event()\n"
    "        a.record()\n        b.record()\n        torch.cuda.synchronize()\n        assert a.elapsed_time(b) >= 0\n    return x + 1",
    "asked-for-its-name": "if torch.cuda.is_available():\n    NAME = torch.cuda.get_device_name(0)\n"
    "    MEMORY = torch.cuda.get_device_properties(0).total_memory / 2**30\n    torch.cuda.empty_cache()\n"
    'else:\n    NAME, MEMORY = "", 0.0\ndef f(x):\n    assert (MEMORY > 1) == x.is_cuda\n    return x + 1',
    "a-stream": "def f(x):\n    if not x.is_cuda:\n        return x + 1\n    s = torch.cuda.Stream()\n"
    "    with torch.cuda.stream(s):\n        y = x + 1\n    torch.cuda.current_stream().wait_stream(s)\n    return y",
    "a-generator": ASK + "def f(x):\n    g = torch.Generator(device=device).manual_seed(0)\n"
    "    return x + 1 + 0 * torch.rand(4, generator=g, device=device)",
    "pinned": "def f(x):\n    y = torch.ones(4)\n    y = y.pin_memory().to(x.device, non_blocking=True) if x.is_cuda else y\n"
    "    return x + y",
    "vmapped": "def g(x):\n    return x + torch.ones(4, device=x.device)\ndef f(x):\n    return torch.vmap(g)(x)",
    "vmapped-at-the-top": "def g(x):\n    return x + torch.ones_like(x)\nf = torch.vmap(g)",
    "functional-gradient": "def f(x):\n    return torch.func.grad(lambda y: (y * y / 2 + y).sum())(x)",
    "scripted": "def g(x):\n    return x + torch.ones(4, device=x.device)\ndef f(x):\n    return h(x)\nh = torch.jit.trace(g, X_HERE)"
    .replace("X_HERE", "torch.zeros(3, 4)"),
    "one-hot-index-nonzero": "def f(x):\n    i = torch.nonzero(x.sum(dim=1) > -100).squeeze(1)\n"
    "    y = torch.zeros_like(x)\n    y[i] = 1.0\n    return x + y",
    "picked-by-an-index-of-the-cpu": "ROWS = torch.tensor([0, 1, 2])\ndef f(x):\n    return x[ROWS] + 1",
    "a-table-of-the-cpu-by-a-number": "TABLE = torch.ones(12)\ndef f(x):\n    return x + TABLE[x.argmax()]",
}
# Each defines class N with a forward that gives x + 1.
MODULES = {
    "buffer": "def __init__(self):\n    super().__init__()\n    self.register_buffer('ones', torch.ones(4))\n"
    "def forward(self, x):\n    return x + self.ones",
    "not-persistent": "def __init__(self):\n    super().__init__()\n"
    "    self.register_buffer('ones', torch.ones(4), persistent=False)\ndef forward(self, x):\n    return x + self.ones",
    "parameter-device": "def __init__(self):\n    super().__init__()\n    self.p = nn.Parameter(torch.zeros(1))\n"
    "def forward(self, x):\n    return x + torch.ones(4, device=next(self.parameters()).device) + self.p",
    "device-property": "def __init__(self):\n    super().__init__()\n    self.register_buffer('dummy', torch.empty(0))\n"
    "@property\ndef device(self):\n    return self.dummy.device\ndef forward(self, x):\n"
    "    return x.to(self.device) + torch.ones(4, device=self.device)",
    "self-device": "def __init__(self):\n    super().__init__()\n"
    "    self.device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
    "def forward(self, x):\n    return x + torch.ones(4, device=self.device)",
    "own-to": "def __init__(self):\n    super().__init__()\n    self.ones = torch.ones(4)\ndef to(self, *args, **kwargs):\n"
    "    self.ones = self.ones.to(*args, **kwargs)\n    return super().to(*args, **kwargs)\n"
    "def forward(self, x):\n    return x + self.ones",
    "own-to-that-returns-nothing": "def __init__(self):\n    super().__init__()\n    self.ones = torch.ones(4)\n"
    "def to(self, where):\n    super().to(where)\n    self.ones = self.ones.to(where)\n"
    "def forward(self, x):\n    return x + self.ones",
    "own-apply": "def __init__(self):\n    super().__init__()\n    self.ones = torch.ones(4)\ndef _apply(self, fn, *rest):\n"
    "    super()._apply(fn, *rest)\n    self.ones = fn(self.ones)\n    return self\ndef forward(self, x):\n    return x + self.ones",
    "moved-in-init": "def __init__(self):\n    super().__init__()\n    self.l = nn.Linear(4, 4).to(DEVICE)\n"
    "    nn.init.eye_(self.l.weight)\n    nn.init.ones_(self.l.bias)\ndef forward(self, x):\n    return self.l(x)",
    "made-late": "def __init__(self):\n    super().__init__()\n    self.l = None\ndef forward(self, x):\n    if self.l is None:\n"
    "        self.l = nn.Linear(4, 4).to(x.device)\n        nn.init.eye_(self.l.weight)\n        nn.init.ones_(self.l.bias)\n"
    "    return self.l(x)",
    "channels-last": "def forward(self, x):\n    y = x[None, None].to(memory_format=torch.channels_last)\n    return y[0, 0] + 1",
    "data-parallel": "def __init__(self):\n    super().__init__()\n    inner = nn.BatchNorm1d(4).eval()\n"
    "    self.inner = nn.DataParallel(nn.Sequential(nn.Identity()))\ndef forward(self, x):\n    return self.inner(x) + 1",
    "checkpointed": "def forward(self, x):\n    from torch.utils.checkpoint import checkpoint\n"
    "    return checkpoint(lambda y: y + torch.ones(4, device=y.device), x, use_reentrant=False)",
    "batch-norm": "def __init__(self):\n    super().__init__()\n    self.bn = nn.BatchNorm1d(4, eps=0.0)\n"
    "def forward(self, x):\n    self.bn.eval()\n    return self.bn(x) + 1",
}
# They stop on a GPU, whatever they do on the CPU, with the sentence or without a result there.
FAULTS = {
    "a-constant-of-the-top": "ONES = torch.ones(4)\ndef f(x):\n    return x + ONES",
    "a-tensor-type": "def f(x):\n    return x + torch.FloatTensor([1, 1, 1, 1])",
    "from-numpy": "def f(x):\n    return x + torch.from_numpy(np.ones(4, dtype=np.float32))",
    "numpy-at-once": "def f(x):\n    return torch.tensor(np.asarray(x.detach()) + 1)",
    "a-mask-and-values-of-the-cpu": "def f(x):\n    y = x + 0\n    y[x > -9] = torch.ones(12)\n    return x + 1",
    "a-module-made-late": "def f(x):\n    return nn.Linear(4, 4)(x)",
    "a-parameter-of-the-top": "P = nn.Parameter(torch.ones(4))\ndef f(x):\n    return x + P",
    "an-index-of-the-gpu": "TABLE = torch.ones(9)\ndef f(x):\n    return TABLE[x.argmax(dim=1)]",
    "a-view-of-the-cpu": "ONES = torch.ones(8)\ndef f(x):\n    return x + ONES.view(2, 4)[0]",
    "scripted": "@torch.jit.script\ndef g(x):\n    return x + torch.ones(4)\ndef f(x):\n    return g(x)",
    "vmapped": "def g(x):\n    return x + torch.ones(4)\ndef f(x):\n    return torch.vmap(g)(x)",
    "the-default-device-is-the-cpu": "def f(x):\n    with torch.device('cpu'):\n        return x + torch.ones(4)",
}
# They run where there is a GPU and nowhere else; their numbers count.
ALONE = {
    "cuda": "def f(x):\n    return x.cuda() + torch.ones(4).cuda()",
    "device-text": "def f(x):\n    return x.to('cuda') + torch.ones(4, device='cuda:0')",
    "device-number": "def f(x):\n    return x.to(0) + torch.ones(4, device=0)",
    "synchronize": "def f(x):\n    torch.cuda.synchronize()\n    return x + 1",
    "asserted": "def f(x):\n    assert x.is_cuda, 'choose a GPU'\n    return x + 1",
    "raised": "def f(x):\n    if x.device.type != 'cuda':\n        raise RuntimeError('Runtime > Change runtime type > GPU')\n"
    "    return x + 1",
    "a-constant": "ONES = torch.ones(4).cuda()\ndef f(x):\n    return x + ONES",
    "a-constant-under-a-name": "device = torch.device('cuda')\nONES = torch.ones(4, device=device)\ndef f(x):\n    return x + ONES",
    "default-device": "torch.set_default_device('cuda')\nONES = torch.ones(4)\ndef f(x):\n    return x + ONES",
    "default-type": "torch.set_default_tensor_type(torch.cuda.FloatTensor)\nONES = torch.ones(4)\ndef f(x):\n    return x + ONES",
    "default-argument": "def f(x, ones=torch.ones(4, device='cuda')):\n    return x + ones",
    "defined-with-a-gpu-only": "if torch.cuda.is_available():\n    def f(x):\n        return x + 1",
    "tensor-type": "def f(x):\n    return x.type(torch.cuda.FloatTensor) + torch.cuda.FloatTensor([1, 1, 1, 1])",
    "stream": "def f(x):\n    with torch.cuda.stream(torch.cuda.Stream()):\n        return x.cuda() + 1",
    "generator": "def f(x):\n    g = torch.Generator(device='cuda')\n    return x.cuda() + 1 + 0 * torch.rand(4, device='cuda', generator=g)",
    "pinned": "def f(x):\n    return x.pin_memory().cuda(non_blocking=True) + 1",
    "written-into-before-it-fails": "def f(x):\n    x += 1\n    return x.cuda()",
}


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
    assert torch.get_default_device().type == "cpu"
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
    """Where there is no GPU its numbers are those that it would give on one, each time; the check of devices knows it."""
    who = student(ALONE[name], "f")
    for _ in range(2):
        assert torch.allclose(who.call("f", X), X + 1)
    found = who.do("on_gpu", name="f", new=None, method="", train=False, args=[X], kwargs={})
    assert found == {"places": ["cuda"], "broke": "", "alone": True}


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
    """An object of which the first call needs a GPU is made there, too, and has the weights that it was given before."""
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
        student("def f(x):\n    if not x.is_cuda:\n        raise ValueError('no gpu, no cry')\n    return x[7]", "f").call("f", X)
    assert caught.value.kind == "ValueError"


def test_without_a_way_to_load_it_again_devices_are_renamed():
    """In a kernel the notebook is not run again: its globals name the GPU meanwhile, and the rest is unknown."""
    namespace = {}
    exec(TOP + 'device = torch.device("cpu")\nONES = torch.ones(4)\ndef f(x):\n'  # noqa: S102
         "    return x + torch.ones(4, device=device) * ONES", namespace)  # fmt: skip
    who = LocalStudent(namespace)
    assert examined(who, "f") == ["cuda"]
    assert namespace["device"] == torch.device("cpu") and torch.allclose(who.call("f", X), X + 1)
    exec("def g(x):\n    return x.cuda() + 1", namespace)  # noqa: S102
    assert torch.allclose(who.call("g", X), X + 1)


def test_a_notebook_that_does_not_load_again_is_examined_as_it_is():
    """Where the second load fails, the first one's definitions serve, and no fault is made up."""
    source = "import os\nif torch.cuda.is_available():\n    raise SystemExit\nelse:\n    BY = 1\ndef f(x):\n    return x + BY"
    assert examined(student(source, "f"), "f") == ["cuda"]


def test_the_definitions_run_again_once():
    """And only if somebody asks: right code on the CPU costs no second load."""
    source = "class Counter:\n    runs = 0\ntorch.runs_of_the_test = getattr(torch, 'runs_of_the_test', 0) + 1\n"
    try:
        who = student(source + "RUNS = torch.runs_of_the_test\nBY = (setattr(torch, 'runs_of_the_test', RUNS + 1), 1)[1]\n"
                      "def f(x):\n    return x + BY", "f")  # fmt: skip
        who.call("f", X)
        before = torch.runs_of_the_test
        examined(who, "f")
        after = torch.runs_of_the_test
        examined(who, "f")
        assert after > before and torch.runs_of_the_test == after
    finally:
        del torch.runs_of_the_test

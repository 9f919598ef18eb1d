"""When the first reading may say that it is certain: nothing that it left out could matter. In doubt it says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autograder.course.assignment import load_assignment
from autograder.grading.cases import load_proof, write_case
from autograder.grading.released import released_texts
from autograder.grading.samples import load_samples, write_sample
from autograder.parsing.cells import read_notebook
from autograder.parsing.certainty import texts_of
from autograder.parsing.slicing import make_slice
from tests.conftest import ROOT
from tests.support.cut_notebooks import cut, parsed

HABITS = ROOT.parent / "shared" / "habits"
F = "def f(): return K"
GIVEN = (
    "import torch\nimport os, sys",
    "data = DataLoader()",
    "def g():\n    raise NotImplementedError",
    "x = g()\nshow(x)",
)

CERTAIN = {
    "alone": ["K = 1", F],
    "demos of plain values": ["K = 1", F, "y = f()\nprint(y, len(str(y)))\nassert y == 1\ny"],
    "a demo of a class": ["class C:\n    def g(self): return 1", "c = C()\nprint(c.g())", "def f(): return C().g()"],
    "other functions and classes": ["def other(): return show(1)", "class Other:\n    z = 3", "f = lambda: 1"],
    "imports that are there": ["import math, json\nfrom collections import OrderedDict", "def f(): return 1"],
    "shell and harmless magics": [
        "!pip install x\n%matplotlib inline\n%load_ext autoreload\nfiles = !ls",
        "%%time\nf = lambda: 1",
    ],
    "plots": [
        "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 9",
        "plt.plot([1, 2])\nplt.show()",
        "f = lambda: 1",
    ],
    "an own training loop on own objects": [
        "import torch\nclass N(torch.nn.Module): pass",
        "n = N()\nopt = torch.optim.SGD(n.parameters(), 1)\nfor _ in range(3):\n    opt.step()",
        "def f(): return N()",
    ],
    "a constant given to a function": ["K = 3", "class C: pass", "c = C(K)\ntrain(c, K)", F],
    "demos of what it leans on": ["def g(x=1): return x", "print(g(2) + 1)\ny = g()", "def f(): return g()"],
    "patches that are kept": ["class C: pass", "C.g = lambda self: 1", "def f(): return C().g()"],
    "a list that is filled": ["K = []\nK.append(1)", F],
    "a name for a type": [
        "from typing import Dict\nT = Dict[str, int]\nclass C:\n    def g(self) -> T: return 1",
        "print(C().g())",
        "def f(x: T): return C().g()",
    ],
    "a plain list shown and gone through": ["K = [1, 2]", "print(K, len(K))\nfor k in K:\n    print(k + 1)\nK[0]", F],
    "seeds": ["import torch\ntorch.manual_seed(0)", "import random\nrandom.seed(1)", "def f(): return torch.ones(1)"],
    "a table of its own": ["losses = []\nlosses.append(3)\nt = {}\nt['a'] = 1", "def f(): return 2"],
    "as released": [*GIVEN, "def f(): return 1"],
    "untouched": [*GIVEN[:2], "class Own:\n    pass\nOwn.x = [1]\nOwn.x.append(show(Own))", *GIVEN[2:]],
}

DOUBTFUL = {
    "a trained global": (["data = train()", "K = len(data)", F], "`K` comes from"),
    "missing": (["def ff(): return 1"], "defines `f`"),
    "globals written": (["cfg = {'K': 1}\nglobals().update(cfg)", F], "cell 1 reaches names by their text"),
    "globals read": (["K = 1", "def f(): return globals()['K']"], "cell 2 reaches"),
    "exec": (["exec(open('a.py').read())", "K = 1", F], "cell 1 reaches"),
    "eval": (["K = 1", "def f(): return eval('K')"], "cell 2 reaches"),
    "main module": (["import sys\nsys.modules['__main__'].K = 1", F], "cell 1"),
    "shell object": (["get_ipython().run_cell('K = 1')", F], "cell 1"),
    "importlib": (["import importlib\nU = importlib.import_module('mine')", "K = 1", F], "`importlib`"),
    "a module of its own": (["from mine_of_this_test import K", F], "`mine_of_this_test`, which is not installed"),
    "a relative import": (["from . import mine", "K = 1", F], "not installed"),
    "a package that is not here": (["import wandb_of_this_test", "K = 1", F], "not installed"),
    "%run": (["%run helpers.py", F], "`%run helpers.py`, which grading did not run"),
    "%%writefile": (["%%writefile a.py\nK = 1", "K = 1", F], "%%writefile"),
    "%load": (["%load a.py\n!ls", "K = 1", F], "%load"),
    "a name that an unread cell alone binds": (
        ["while K = 1", F],
        "Python cannot read code cell 1, which mentions `K`",
    ),
    "a name that bash keeps its output under": (["%%bash --out K\npwd", F], "cell 1 has `%%bash --out K`"),
    "%pylab": (["%pylab\n!ls", "K = 1", F], "%pylab"),
    "%store": (["%store -r K\n!ls", F], "%store"),
    "a magic that nobody knows": (["%%clock\ndef f(): return 1"], "%%clock"),
    "a variable from the shell": (["K = !ls", F], "K"),
    "environment": (["import os\nos.environ['A'] = '1'", "def f(): return os.environ['A']"], "environ"),
    "environment by magic": (["%env A=1\n!ls", "import os\ndef f(): return os.getenv('A')"], "environ"),
    "path": (["import sys\nsys.path.append('.')", "K = 1", F], "sys.path"),
    "a method for tensors": (["import torch\ntorch.Tensor.rows = len", "K = 1", F], "changes something in `torch`"),
    "a function of torch replaced": (["from torch import nn\nnn.functional.relu = abs", "K = 1", F], "`nn`"),
    "default dtype": (["import torch\ntorch.set_default_dtype(torch.float64)", "K = 1", F], "set_default_dtype"),
    "gradients off": (["import torch\ntorch.set_grad_enabled(False)", "K = 1", F], "set_grad_enabled"),
    "builtins": (["import builtins\nbuiltins.K = 1", F], "cell 1"),
    "subclass hook": (["class B:\n    def __init_subclass__(cls): cls.z = 1", "K = 1", F], "__init_subclass__"),
    "metaclass": (["class M(type): pass\nclass B(metaclass=M): pass", "K = 1", F], "cell 1"),
    "a counter": (["N = 0", "def f():\n    global N\n    N += 1\n    return N"], "a function that changes `N`"),
    "a cache": (["D = {}", "def f():\n    D[1] = 2\n    return D"], "a function that changes `D`"),
    "a timed cell": (["K = [1]", "%%timeit\nK.append(1)", F], "timed"),
    "a star import left out": (["from math import *", "K = 1", F], "star import"),
    "a file read": (["K = open('a').read()", F], "`open`"),
    "display without import": (["def f():\n    display(1)\n    return 1"], "`display`"),
    "a list given away": (["K = [1]", "out = change(K)", F], "calls `change`"),
    "a class given away": (["class C: pass", "ok = mend(C)", "def f(): return C()"], "calls `mend`"),
    "an object's method": (["import types\nK = types.SimpleNamespace()", "old = K.swap(3)", F], "calls `K.swap`"),
    "given away through another name": (["K = [1]", "L = K", "out = change(L)", F], "calls `change`"),
    "given away while it trains": (["K = [1]", "train(K)", F], "calls `train`"),
    "set in an object that holds it": (["K = [1]", "class C: pass\nc = C()\nc.k.x = 3", F], "sets `c.k.x`"),
    "awaited": (["K = [1]", "await go()", F], "await"),
    "a broken cell that mentions it": (["def f(): return 1", "def f( return 2"], "cannot read code cell 2"),
    "a setter of a closure": (
        [
            "def make(v):\n    def put(x):\n        nonlocal v\n        v = x\n    return lambda: v, put",
            "get, put = make(1)\nput(2)",
            "def f(): return get()",
        ],
        "calls `put`",
    ),
    "a bound method under another name": (["K = {}\nput = K.update", "put(a=1)", F], "calls `put`"),
    "an operator of an own class": (
        ["class C:\n    def __or__(self, x): self.x = x", "c = C()", "c | 3", "def f(): return c.x"],
        "leads to `c`",
    ),
    "an operator of an own class, through another name": (
        ["class C:\n    def __or__(self, x): self.x = x", "c = C()", "d = c\nd | 3", "def f(): return d.x"],
        "leads to `c`",
    ),
    "an operator of an own class, out of a list": (
        [
            "class C:\n    def __or__(self, x): self.x = x",
            "c = C()",
            "many = [c]\nmany[0] | 3",
            "def f(): return many[0].x",
        ],
        "leads to `c`",
    ),
    "a `with` of an own class": (
        ["class C(dict):\n    def __enter__(self): self['a'] = 1", "c = C()", "with c:\n    pass", "def f(): return c"],
        "leads to `c`",
    ),
    "an own object printed": (
        ["class C:\n    def __str__(self): self.x = 1", "c = C()", "print(f'{c}')", "def f(): return c.x"],
        "leads to `c`",
    ),
    "an own object asked for its truth, inside another": (
        [
            "class C: x = 0\nclass D:\n    def __bool__(self): return K.x > 0",
            "K = C()\nd = D()",
            "not d",
            "def f(): return K.x",
        ],
        "leads to `K`",
    ),
    "an item read that makes one": (
        ["from collections import defaultdict\nK = defaultdict(list)", "K['a']", "def f(): return K"],
        "leads to `K`",
    ),
    "enlarged through another name": (["K = []", "parts = K\nparts += [1]", F], "grading did not run"),
    "multiplied through a loop's name": (
        ["import torch\nK = torch.ones(2)", "for x in (K, 1):\n    x *= 2", F],
        "grading did not run",
    ),
    "multiplied through a part of it": (
        ["import torch\nK = torch.ones(2)", "a, b = K\na *= 2", F],
        "grading did not run",
    ),
    "a part that a pattern caught": (
        ["K = {'a': {}}", "match K:\n    case {'a': dict() as part}:\n        part['b'] = 1", F],
        "sets `part['b']`",
    ),
    "what an own function gave": (["K = {}\ndef part(): return K", "p = part()\np['a'] = 1", F], "leads to `K`"),
    "the class above another": (
        ["class C: x = 1\nclass D(C): pass", "(up,) = D.__bases__\nup.x = 3", "def f(): return C().x"],
        "sets `up.x`",
    ),
    "an object that a function gives": (
        ["K = {}\ndef cfg(): return K", "cfg().update(a=1)", "def f(): return cfg()"],
        "calls `cfg().update`",
    ),
    "a function that remembers by a default": (
        ["def m(x=0, kept=[]):\n    kept.append(x)\n    return kept", "m(1)", "def f(): return m()"],
        "calls `m`",
    ),
    "a function that remembers by a decorator": (
        ["import functools\n@functools.cache\ndef m(): return {}", "m().update(a=1)", "def f(): return m()"],
        "calls `m().update`",
    ),
    "objects that share what is the class's": (
        ["class S:\n    kept = {}\n    def __init__(self, **k): self.kept.update(k)", "S(a=1)", "def f(): return S()"],
        "calls `S`",
    ),
    "set on the class of an object": (
        ["class C: pass\nc = C()", "setattr(type(c), 'x', 1)", "def f(): return C()"],
        "calls `setattr`",
    ),
    "a name that is deleted": (
        ["K = 1", "del K", "try:\n    K\nexcept NameError:\n    K = 2", F],
        "cell 2 deletes `K`",
    ),
    "a block cut in two": (["if 1:\n    K = 1\n    data = train()", F], "a block"),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_what_does_nothing_leaves_no_doubt(name):
    """Nothing left out could change what the wanted names give."""
    wanted = ("g",) if name == "untouched" else ("f",)
    released = texts_of(parsed(*GIVEN)) if GIVEN[0] in CERTAIN[name] else frozenset()
    assert cut(*CERTAIN[name], wanted=wanted, released=released).doubt == ""


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_could_matter_is_named(name):
    """The doubt says which cell, and what in it."""
    cells, says = DOUBTFUL[name]
    assert says in cut(*cells).doubt


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_the_release_says_is_no_doubt_of_the_notebooks_statements(name):
    """The same statements are taken for inert where the released notebook has them; what is no statement stays one."""
    cells, _ = DOUBTFUL[name]
    all_given = texts_of(parsed(*cells))
    doubt = cut(*cells, released=all_given).doubt
    assert doubt == "" or any(
        word in doubt for word in ("%", "!ls", "timed", "comes from", "cannot read", "defines", "a block")
    )


def test_a_name_that_the_loader_binds_is_a_doubt_where_a_notebook_binds_it():
    """A notebook's own `DEVICE` may be another kind of thing."""
    assert "grading binds itself" in cut("DEVICE = 'cuda'", "def f(): return DEVICE", given=("DEVICE",)).doubt
    assert cut("DEVICE = 'cuda'", "def f(): return 1", given=("DEVICE",)).doubt == ""


def test_the_doubt_does_not_cross_into_the_sandbox():
    """What is loaded is the same with a doubt and without."""
    piece = cut("K = [1]", "out = change(K)", F)
    assert piece.doubt and "doubt" not in piece.to_json({}) and piece.doubt not in json.dumps(piece.to_json({}))


@pytest.fixture(name="course_doubts", scope="module")
def _course_doubts():
    assignment = load_assignment("ps7", ROOT)
    released = released_texts(assignment)

    def doubts(path: Path, given: frozenset[str] = frozenset()) -> dict[str, str]:
        cells = read_notebook(path.read_bytes(), path.suffix)
        rest = (assignment.not_run, assignment.globals, assignment.wanted, released | given)
        return {e.id: make_slice(cells, e.names, *rest).doubt for e in assignment.exercises}

    return assignment, doubts


def test_the_release_the_solution_and_wrong_solutions_are_certain(course_doubts, tmp_path):
    """But for those that keep something from call to call, and whose names or cells are lost.

    And one whose own demo cells run own classes that lean on own objects: what those do is not looked into.
    """
    assignment, doubts = course_doubts
    told = {}
    for case in load_proof(assignment):
        path = write_case(assignment, case, tmp_path).path
        if found := {doubt for doubt in doubts(path).values() if doubt}:
            told[case.sample.student] = found
    for sample in load_samples(assignment):
        if any(doubts(write_sample(assignment, sample, tmp_path, assignment.release)).values()):
            told[sample.student] = set()
    remember = {"grid-remembers-first-maps", "deltas-remember-first-stride"}
    lost = {"pyramid-class-misspelt", "network-class-misspelt", "grid-function-misspelt", "boxes-function-misspelt"}
    others = {"grid-colon-missing", "gwen-syntax-error", "kira-writes-files", "old-notebook-habits", "vectorised-terse"}
    others |= {"helpers-in-other-cells"}
    assert set(told) == remember | lost | others


# What costs points there is no matter of what was left out: stand-ins, a GPU that is not there, the time of a compiler,
# and a learnable scale that the text does not ask for.
NOT_BY_LEAVING_OUT = {
    *("alias_of_the_backbone", "networks_as_class_attributes", "networks_in_a_dictionary", "registry_of_networks"),
    *("gpu_assert_is_cuda", "gpu_cuda_written_out", "gpu_synchronize_unguarded", "torch_compile_of_the_head_inside"),
    "scale_parameters_as_in_the_paper",
}
# Right ones that the first reading cannot give every point, each with a word of its doubt.
BEYOND = {
    "writefile_of_the_whole_detector": "%%writefile",
    "writefile_then_exec_open": "%%writefile",
    "writefile_then_import_module": "%%writefile",
    "writefile_then_star_import": "%%writefile",
    "file_magic_then_from_import": "%%file",
    "logging_and_display_unimported": "display",
    "gpu_DEVICE_made_a_string_startswith": "DEVICE",
}


@pytest.fixture(name="of_an_older_release", scope="module")
def _of_an_older_release():
    """What all of those notebooks say: the release that they were made from, which need not be today's."""
    paths = [HABITS / f"{name}.ipynb" for name in BEYOND]
    return frozenset.intersection(*(texts_of(read_notebook(path.read_bytes(), path.suffix)) for path in paths))


@pytest.mark.skipif(not HABITS.is_dir(), reason="the collected habits are not here")
@pytest.mark.parametrize("name", BEYOND)
def test_habits_beyond_the_first_reading_leave_a_doubt(course_doubts, of_an_older_release, name):
    """Where the slice cannot give what the notebook gives, it does not say that it is certain."""
    _, doubts = course_doubts
    told = doubts(HABITS / f"{name}.ipynb", of_an_older_release)
    assert any(BEYOND[name] in doubt for doubt in told.values())

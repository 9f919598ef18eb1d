"""A notebook that is run whole in a sandbox: what a cell did is there, each exercise has a process of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pytest
import torch

from autograder.course.assignment import Assignment
from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import StudentError
from autograder.sandbox.host import Host
from autograder.sandbox.whole import BranchedStudent, WholeNotebook
from tests.support.sandboxes import limited

pytestmark = [pytest.mark.usefixtures("sandbox")]

LIMITS = {"call_seconds": 2, "notebook_seconds": 20, "cell_seconds": 1}
NAME = "get_fpn_location_coords"  # one that the assignment asks for


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    """The assignment with limits that are soon met."""
    return limited(**LIMITS)


@pytest.fixture(scope="module")
def host(assignment) -> Iterator[Host]:
    """One sandbox for the whole module, as in a slot."""
    made = Host(assignment)
    yield made
    made.close()


class Notebook:
    """A notebook run whole, and students of it.

    Args:
        assignment: Limits.
        host: The sandbox.
        cells: Sources.
    """

    def __init__(self, assignment: Assignment, host: Host, *cells: str) -> None:
        host.next_submission()
        self.cells = [textwrap.dedent(cell) for cell in cells]
        self.whole = WholeNotebook(assignment, list(enumerate(self.cells, start=1)), host)

    def student(self, stand_ins=(), wanted=NAME) -> BranchedStudent:
        """A student in a process of its own."""
        parsed = [parse_cell(number, source) for number, source in enumerate(self.cells, start=1)]
        return self.whole.student(make_slice(parsed, (wanted,), frozenset()), list(stand_ins))

    def call(self, name: str, *args: object) -> object:
        """Call a function in a process of its own, and let the process leave."""
        student = self.student()
        try:
            return student.call(name, *args)
        finally:
            student.close()


@pytest.fixture
def notebook(assignment, host):
    """Make a notebook of some cells."""
    made: list[Notebook] = []

    def make(*cells: str) -> Notebook:
        made.append(Notebook(assignment, host, *cells))
        return made[-1]

    yield make
    for each in made:
        each.whole.close()


# What people write, and what f() gives after it on Colab. Each of these is lost where text alone is followed.
WAYS = {
    "a-counter-that-a-loop-moves": ("n = 0\nfor _ in range(3):\n    n += 1\ndef f():\n    return n", 3),
    "a-global-statement": ("n = 1\ndef more():\n    global n\n    n += 1\nmore()\ndef f():\n    return n", 2),
    "setattr-by-a-name": (
        "class A: pass\nfor k in ('f',):\n    setattr(A, k, lambda self: 4)\ndef f():\n    return A().f()",
        4,
    ),
    "globals-by-text": ("globals().update({'f': lambda: 5})", 5),
    "exec-of-a-text": ("exec('def f():\\n    return 6')", 6),
    "a-timed-cell": ("%%time\ndef f():\n    return 7", 7),
    "two-magics": ("%%capture out\n%%time\ndef f():\n    return 8", 8),
    "an-unknown-magic": ("%%snakeviz -t\ndef f():\n    return 9", 9),
    "a-cell-of-another-python": ("%%python3\ndef f():\n    return 9", 9),
    "a-written-module": ("%%writefile mine.py\ndef g():\n    return 10", "from mine import g as f", 10),
    "a-written-script": ("%%file run_me.py\ndef f():\n    return 11", "%run run_me.py", 11),
    "an-environment-variable": ("%env WIDTH=12\nimport os\ndef f():\n    return int(os.environ['WIDTH'])", 12),
    "a-magic-of-one's-own": (
        "from IPython.core.magic import register_cell_magic\n@register_cell_magic\ndef mine(line, cell):\n"
        "    get_ipython().run_cell(cell)",
        "%%mine\ndef f():\n    return 13",
        13,
    ),
    "await-at-the-top": ("import asyncio\nasync def g():\n    return 14\nx = await g()\ndef f():\n    return x", 14),
    "an-exported-magic": ("get_ipython().run_cell_magic('time', '', 'def f():\\n    return 15\\n')", 15),
    "an-indented-cell": ("    half = 8\n    other = 8", "def f():\n    return half + other", 16),
    "the-name-of-the-gpu": (
        "import torch\nprint(torch.cuda.get_device_name(0))\nn = 21\ndef f():\n    return n",
        21,
    ),
    "a-gpu-asserted": (
        "import torch\nassert torch.cuda.is_available(), 'Runtime > Change runtime type'\ndef f():\n    return 22",
        22,
    ),
    "a-gpu-asked-for": (
        "import torch\nif not torch.cuda.is_available():\n    raise RuntimeError('no GPU')\ndef f():\n    return 23",
        23,
    ),
    "a-try-on-the-gpu": (
        "import torch\nt = torch.ones(1).to('cuda:0')\nprint(t + 1)\ndel t\nn = 24\ndef f():\n    return n",
        24,
    ),
    "what-bash-prints-is-kept": (
        "%%bash --out commit --err oops\ngit rev-parse HEAD",
        "def f():\n    return commit.strip() + oops",
        "",
    ),
    "the-first-line-that-a-shell-prints": ("now = !date\ndef f():\n    return len(now[0].split())", 0),
    "pylab": ("%pylab inline\ndef f():\n    return int(log(exp(25.2))) + np.ones(1).size + len(plt.__name__) * 0", 26),
    "a-shell-line-first": ("!pip install -q einops\nfiles = !ls\ndef f():\n    return 16 + len(files)", 16),
    "an-extension-that-is-not-here": ("%load_ext cudf.pandas\ndef f():\n    return 17", 17),
    "inline-plots": ("%matplotlib inline\n%config InlineBackend.figure_format = 'retina'\ndef f():\n    return 18", 18),
    "reloading": ("%load_ext autoreload\n%autoreload 2\ndef f():\n    return 19", 19),
    "a-package-that-is-not-here": (
        "import wandb, math\nfrom wandb import Api\ndef f():\n    return math.floor(20.5)",
        20,
    ),
    "its-use-at-the-top": ("import wandb\nwandb.init(project='x')\ndef f():\n    return 21", 21),
    "its-absence-expected": (
        "try:\n    import wandb\nexcept ImportError:\n    wandb = None\n"
        "def f():\n    return 22 if wandb is None else 0",
        22,
    ),
    "an-error-before-it": ("1 / 0", "def f():\n    return 23", 23),
    "a-demo-that-trains-by-hand": ("def f():\n    return step\nstep = 24\nwhile True:\n    pass", 24),
    "a-demo-that-catches-everything": (
        "step = 25\ndef f():\n    return step\nfor _ in range(3):\n"
        "    try:\n        while True: pass\n    except BaseException:\n        pass",
        25,
    ),
    "a-restart-of-the-runtime": ("import os\nos.kill(os.getpid(), 9)", "def f():\n    return 26", 26),
    "an-exit": ("import os, sys\nos._exit(0)", "sys.exit()", "exit()", "def f():\n    return 27", 27),
    "a-question": ("name = input('Your name? ')\ndef f():\n    return 28 + len(name)", 28),
    "colab's-drive": ("from google.colab import drive; drive.mount('/content/drive')\ndef f():\n    return 29", 29),
    "a-line-of-a-timed-cell": ("%time x = 30\ndef f():\n    return x", 30),
    "display-and-get-ipython": (
        "display('x'); get_ipython().run_line_magic('time', 'y = 31')\ndef f():\n    return y",
        31,
    ),
    "type-of-the-shell": ("S = type(get_ipython()).__name__\ndef f():\n    return 32 if 'Shell' in S else 0", 32),
    "a-deleted-helper": ("def g():\n    return 33\nf = lambda g=g: g()\ndel g", 33),
    "a-star-import-of-a-written-module": ("%%writefile w.py\ndef f():\n    return 34", "from w import *", 34),
    "a-loader-with-workers": (
        "from torch.utils.data import DataLoader\nn = sum(int(x) for x in DataLoader(range(8), num_workers=2))\n"
        "def f():\n    return n + 7",
        35,
    ),
    "the-course's-names-stand-still": (
        "from ps7_helpers import train_detector, VOC2007Detection, ShapesDetection\n"
        "from autograder.check import check\ncheck('7.1b')\ntrain_detector(None, None)\n"
        "d = VOC2007Detection('data', 'train', download=True)\n"
        "def f():\n    return len(d) + len(ShapesDetection('val')) - 28",
        36,
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_what_a_cell_did_is_there(notebook, name):
    """A function gives what it would on Colab, however its notebook came to it."""
    *cells, expected = WAYS[name]
    assert notebook(*cells).call("f") == expected


@pytest.mark.parametrize(
    "slip",
    [
        "for d in ('cpu', 'cuda' if torch.cuda.is_available() else 'cpu'):\n    y = 1 + 'a'",
        "m = Net().cuda()",
        "class E(NameError):\n    name = []\nraise E('cuda')",
    ],
)
def test_a_slip_beside_the_gpu_stops_its_cell(notebook, slip):
    """What would stop on Colab, too: the rest of the cell does not run."""
    with pytest.raises(StudentError) as raised:
        notebook(f"import torch\n{slip}\ndef f():\n    return 1").call("f")
    assert raised.value.status == "missing"


def test_each_exercise_has_a_process_of_its_own(notebook):
    """What one exercise changes is not there for the next, and the notebook is run once for both."""
    made = notebook("import os\nseen = []\ndef f(x):\n    seen.append(x)\n    return [len(seen), os.getpid()]")
    (first, one), (second, other) = made.call("f", 1), made.call("f", 2)
    assert (first, second) == (1, 1) and one != other and made.whole.runs == 1


def test_one_that_dies_takes_no_other_along(notebook):
    """After a process that ended itself the notebook is run once more, and the next exercise is answered."""
    made = notebook("import os\ndef f():\n    os._exit(3)\ndef g():\n    return 1")
    student = made.student()
    with pytest.raises(StudentError, match="exit 3"):
        student.call("f")
    student.close()
    assert made.call("g") == 1 and made.whole.runs == 2


def test_one_that_hangs_is_ended(notebook):
    """A call without end is stopped in the whole notebook, too, and the next exercise is answered."""
    made = notebook("def f():\n    while True:\n        pass\ndef g():\n    return 1")
    student = made.student()
    with pytest.raises(StudentError, match="Stopped after 2 s"):
        student.call("f")
    student.close()
    assert made.call("g") == 1


def test_a_notebook_that_cannot_be_run_is_not_run_for_ever(notebook):
    """A notebook that ends its process each time is run twice, and then no more."""
    made = notebook("import ctypes\nctypes.string_at(0)\ndef f():\n    return 1")
    for _ in range(4):
        with pytest.raises(StudentError):
            made.call("f")
    assert made.whole.runs == 2


def test_an_endless_cell_costs_its_second_and_no_more(notebook):
    """Slow cells get less and less, so that a definition after them is still reached."""
    slow = ["while True:\n    pass"] * 12
    made = notebook(*slow, "def f():\n    return 1")
    assert made.call("f") == 1
    assert sum("cut off" in line for line in made.whole.problems) == 12


def test_what_stopped_and_what_did_nothing_is_told(notebook):
    """Staff read which cell stopped, which line did nothing and which package is not here."""
    made = notebook("1 / 0", "!nvidia-smi\nimport wandb\ndef f():\n    return 1")
    made.call("f")
    told = "\n".join(made.whole.problems)
    assert "Code cell 1 stopped: Your code raised ZeroDivisionError" in told
    assert "Code cell 2: `!nvidia-smi` does nothing here." in told and "imports wandb, which is not here" in told


@pytest.mark.parametrize("top", ["", "%%time\n", "%%capture\n%%time\n", "\n\n"])
def test_an_error_names_its_own_line(notebook, top):
    """The line of an error is the notebook's, whatever magic stands above."""
    made = notebook("x = 1", f"{top}# a comment\ndef f():\n    return 1 / 0")
    with pytest.raises(StudentError) as caught:
        made.call("f")
    assert (caught.value.place.cell, caught.value.place.line) == (2, top.count("\n") + 3)
    assert caught.value.place.text == "return 1 / 0"


def test_a_name_whose_cell_stopped_says_why(notebook):
    """Asked for a name that a cell did not come to define, the error of that cell is the answer."""
    made = notebook("width = undefined_thing\ndef get_fpn_location_coords():\n    pass")
    with pytest.raises(StudentError, match="NameError: name 'undefined_thing' is not defined"):
        made.call(NAME)


def test_a_missing_name_is_missing(notebook):
    """A name that nobody defines is told as in the first reading."""
    with pytest.raises(StudentError, match="does not define"):
        notebook("x = 1").call(NAME)


def test_stand_ins_meet_an_alias(notebook):
    """A stand-in bound in one exercise is met through another name, and gone in the next."""
    made = notebook(
        "def get_fpn_location_coords():\n    return 1\nalias = get_fpn_location_coords\ndef f():\n    return alias()"
    )
    code = "def get_fpn_location_coords():\n    return 2"
    student = made.student([{"names": [NAME], "code": code, "slice": None}])
    assert student.call("f") == 2
    student.close()
    assert made.call("f") == 1


def test_nobody_above_holds_the_text_of_a_stand_in(notebook):
    """Code that searches the frames above its own finds no text that a stand-in was made from."""
    canned = "def get_fpn_location_coords():\n    return 'a text that nobody may read'"
    source = """
    import sys
    def f():
        frame, seen = sys._getframe(1), []
        while frame:
            for name, value in list(frame.f_locals.items()):
                if "nobody may read" in repr(value):
                    seen.append(f"{frame.f_code.co_qualname}: {name}")
            frame = frame.f_back
        return seen
    """
    student = notebook(source).student([{"names": [NAME], "code": canned}])
    assert student.call("f") == [] and student.call(NAME) == "a text that nobody may read"
    student.close()


def test_given_globals_stay(notebook):
    """A device written out is the CPU, as a text where the notebook has a text."""
    assert notebook("DEVICE = 'cuda'\ndef f():\n    return DEVICE").call("f") == "cpu"
    assert notebook("import torch\nDEVICE = torch.device('cuda')\ndef f():\n    return DEVICE.type").call("f") == "cpu"


def test_modules_are_made_and_run(notebook):
    """A module of a whole notebook is made, run and differentiated like any other."""
    made = notebook("import torch\nclass Net(torch.nn.Linear):\n    pass").student()
    net = made.new("Net", 2, 1)
    assert net(torch.ones(1, 2)).shape == (1, 1) and set(net.gradients(torch.ones(1, 2))) == {"weight", "bias"}
    made.close()

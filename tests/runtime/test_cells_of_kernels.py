"""Every kind of kernel calls the file of a cell differently: code out of a cell is known by all of these names."""

from __future__ import annotations

import pytest

from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain

UNWRITTEN = "def f():\n    raise NotImplementedError('to be written')\n"


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/ipykernel_4711/2938354417.py",
        r"C:\Users\Ann\AppData\Local\Temp\ipykernel_4711\2938354417.py",
        "/tmp/ipython-input-2938354417.py",  # Colab
        "/tmp/ipython-input-3-2938354417.py",  # Colab, some time ago
        "<ipython-input-3-e4e7ade8fa45>",  # IPython's shell, and Colab before that
        "<code cell 3>",  # when graded
    ],
)
def test_an_unwritten_exercise_is_missing_and_no_error(name):
    """The line that raises NotImplementedError lies in the notebook, so the exercise is as given."""
    assert _raised(name).status == "missing"


@pytest.mark.parametrize("name", ["/usr/lib/python3/site-packages/ipykernel/kernelbase.py", "/usr/lib/python3/abc.py"])
def test_a_library_is_no_cell(name):
    """What a library raises, the kernel's own too, is an error of the code that called it."""
    assert _raised(name).status == "error"


def _raised(name: str) -> StudentError:
    """What a student is told of an exception that code in a file raised."""
    namespace: dict = {}
    exec(compile(UNWRITTEN, name, "exec"), namespace)
    with pytest.raises(NotImplementedError) as caught:
        namespace["f"]()
    return explain(caught.value)


def test_in_a_kernel_a_place_is_a_line_of_a_function():
    """Cells have no number there: a line is told with the function that it stands in; when graded, with the cell."""
    assert "line 2 of the cell with `f`" in _raised("/tmp/ipykernel_4711/2938354417.py").message
    assert "code cell 3, line 2" in _raised("<code cell 3>").message


def test_a_forgotten_self_is_told():
    """A name that the module has, used without `self.`; other undefined names are told as they are."""
    code = (
        "import torch\nclass N(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = torch.nn.ReLU()\n    def forward(self, x):\n        return layer(x) if x else other(x)\n"
    )
    namespace: dict = {}
    exec(compile(code, "<code cell 1>", "exec"), namespace)
    told = []
    for argument in (1, 0):
        with pytest.raises(NameError) as caught:
            namespace["N"]()(argument)
        told.append(explain(caught.value).message)
    assert "Is `self.` missing? The module has `self.layer`." in told[0] and "self." not in told[1]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("/tmp/ipykernel_4711/2938354417.py", "called in line 4 of the cell with `g`"),
        ("<code cell 3>", "called in code cell 3, line 4"),
    ],
)
def test_the_line_that_called_a_function_is_told(name, call):
    """Where a function of the notebook stops that another one called, its line and that of the call are both told."""
    namespace: dict = {}
    code = "def f(x):\n    return [x[0] for _ in '1'][0]\ndef g(x):\n    return [f(x) for _ in '1']\n"
    exec(compile(code, name, "exec"), namespace)
    for function, told in (("g", True), ("f", False)):
        with pytest.raises(IndexError) as caught:
            namespace[function]([])
        message = explain(caught.value).message
        assert "line 2" in message and (call in message) == told

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

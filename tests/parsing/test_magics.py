"""What IPython alone understands: cell magics around Python, line magics, IPython's own calls in exported scripts."""

from __future__ import annotations

import ast
import json

import jupytext
import nbformat
import pytest
from nbconvert import MarkdownExporter, PythonExporter

from autograder.parsing.cells import parse_cell, read_notebook
from autograder.parsing.magics import python_in
from autograder.parsing.slicing import make_slice
from tests.support.cut_notebooks import by_slice, cut, kept, parsed


@pytest.mark.parametrize(
    "magic",
    [
        "%%time",
        "%%prun -q -l 5",
        "%%snakeviz",
        "%%wandb",
        "%%cudf.pandas.profile",
        "%%clock",
        "%%capture out",
        "%%no_such 3",
    ],
)
def test_unknown_magics_keep_the_python_below_them(magic):
    """Most cell magics run what stands below them in the notebook."""
    assert by_slice(f"{magic}\ndef f(): return 3") == 3


@pytest.mark.parametrize(
    "cell",
    [
        "%%bash\nx=1",
        "%%R\nx = c(1, 2)",
        "%%julia\nx = 1",
        "%%writefile a.py\nx = 1",
        "%%file a.py\nx = 1",
        "%%SQL\nselect 1",
        "%%somelang\nx := 1;",
        "%%HTML\n<b>",
        "%%script perl\n$x = 1;",
    ],
)
def test_other_languages_leave_nothing(cell):
    """What is no Python of this notebook binds nothing and is no error; the magic is remembered."""
    read = parse_cell(1, cell)
    assert read.tree.body == [] and read.problem is None and read.dropped == (cell.split("\n")[0],)


@pytest.mark.parametrize("magic", ["%%timeit", "%%timeit -n 3", "%%python", "%%python3"])
def test_what_is_only_timed_binds_nothing(magic):
    """A draft that is timed does not take the right function's place; one that stands alone is better than none."""
    assert by_slice("def f(): return 1", f"{magic}\ndef f(): return 2") == 1
    assert by_slice(f"{magic}\ndef f(): return 2", "def f(): return 1") == 1
    assert by_slice(f"{magic}\ndef f(): return 2") == 2


def test_line_magics_that_time_keep_their_statement():
    """`%time x = 3` binds, `%timeit` does not, and the options of `%prun` do not get in the way."""
    assert by_slice("%time K = 3\n!ls", "def f(): return K") == 3
    assert by_slice("K = 1\n%timeit K = 3", "def f(): return K") == 1
    assert parse_cell(1, "%prun -q g()\nx = 1").problem is None


@pytest.mark.parametrize("line", ["%env HALF=0.5", "%env HALF = 0.5", "%set_env HALF 0.5", "  %env HALF=0.5"])
def test_the_environment_is_set(line, monkeypatch):
    """A function that reads what `%env` has set finds it."""
    monkeypatch.setenv("HALF", "1")
    text = f"if True:\n{line}" if line.startswith(" ") else line
    assert by_slice(f"import os\n{text}", "def f(): return float(os.environ['HALF'])") == 0.5


@pytest.mark.parametrize("line", ["%env", "%env HALF", "%env HALF=$x", "%env HALF={x}"])
def test_what_cannot_be_told_is_dropped(line):
    """`%env` that shows, or takes its value from elsewhere, does nothing here."""
    assert [ast.unparse(node) for node in parse_cell(1, f"{line}\n!ls").tree.body] == ["pass", "pass"]


CALLS = {
    "a timed cell": ("get_ipython().run_cell_magic('time', '', 'def f():\\n    return 3\\n')", 3),
    "options": ("get_ipython().run_cell_magic('capture', 'out --no-stderr', 'def f(): return 3')", 3),
    "a comment above": (
        "# mine\nget_ipython().run_cell_magic('prun', '-q', 'def f():\\n    return \"a\\\\n\"')",
        "a\n",
    ),
    "a line": ("get_ipython().run_line_magic('time', 'K = 4')\ndef f(): return K", 4),
    "a shell": (
        "get_ipython().system('pip install x')\nget_ipython().run_line_magic('matplotlib', 'inline')\nf = lambda: 5",
        5,
    ),
    "another language": ("def f(): return 6", 6),
    "within a function": ("def f():\n    get_ipython().system('ls')\n    return 7", 7),
}


@pytest.mark.parametrize("name", CALLS)
def test_ipythons_calls_are_the_lines_they_were_made_from(name):
    """As nbconvert writes them, and as somebody may paste them into a cell."""
    text, expected = CALLS[name]
    assert by_slice(text) == expected
    assert by_slice("get_ipython().run_cell_magic('bash', '', 'ls\\n')", text) == expected


NOTEBOOK = (
    "%%time\ndef helper(x):\n    return x + K",
    "!pip install something\nK = 3",
    "%%bash\nls",
    "# a comment\n\ndef f():\n    # inside\n\n    return helper(1)",
    "class Broken(:\n    pass",
    "%matplotlib inline\nimport math",
)


def _node(*sources):
    cells = [nbformat.v4.new_markdown_cell("# Title\n\n```\nno code\n```"), *map(nbformat.v4.new_code_cell, sources)]
    language = {"name": "python", "file_extension": ".py"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"language_info": language})


def _exports():
    node = _node(*NOTEBOOK)
    yield "nbconvert script", ".py", PythonExporter().from_notebook_node(node)[0]
    yield "nbconvert markdown", ".md", MarkdownExporter().from_notebook_node(node)[0]
    for form, suffix in (("py:light", ".py"), ("py:percent", ".py"), ("md", ".md"), ("md:myst", ".md"), ("Rmd", ".md")):
        yield f"jupytext {form}", suffix, jupytext.writes(node, fmt=form)


@pytest.mark.parametrize(
    ("name", "suffix", "text"), list(_exports()), ids=lambda value: value if len(value) < 30 else ""
)
def test_exports_give_the_notebook_back(name, suffix, text):
    """Each tool's script or Markdown is read as the notebook that it was made from; a broken cell costs itself."""
    cells = read_notebook(text.encode(), suffix)
    piece = make_slice(cells, ("f",), frozenset())
    assert sorted(s.source.split("\n")[0] for s in piece.statements) == ["K = 3", "def f():", "def helper(x):"], name
    assert sum(cell.problem is not None for cell in cells) == 1


def test_prompts_are_taken_off():
    """Code pasted with Python's or IPython's prompts is read as IPython reads it."""
    assert by_slice(">>> def f():\n...     return 3\n") == 3
    assert by_slice("In [3]: def f():\n   ...:     return 4\n   ...: ") == 4


def test_a_cell_of_myst_has_options():
    """Options at the top of a fenced cell are no code."""
    for options in (":tags: [a]\n:name: b\n", "---\ntags: [a]\n---\n"):
        (cell,) = read_notebook(f"```{{code-cell}} ipython3\n{options}\nx = 1\n```\n".encode(), ".md")
        assert cell.problem is None and cell.source.strip() == "x = 1"


def test_the_kept_text_has_no_magic():
    """What is loaded is plain Python, and the released notebook's cells are not touched."""
    piece = cut("%%wandb\ndef f():\n    %cd ..\n    return 1")
    assert "%" not in kept(piece)[0] and parsed("x = 5 % 3")[0].dropped == ()
    assert json.dumps(kept(piece))


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("    x = 1\n    y = 2", "x = 1\ny = 2"),
        ("\tx = 1\n\n\tdef f():\n\t\treturn x", "x = 1\n\ndef f():\n\treturn x"),
        ("%%time\n  x = 1\n  y = 2", "\nx = 1\ny = 2"),
    ],
)
def test_a_cell_that_is_indented_as_a_whole_is_moved_to_the_left(cell, python):
    """As IPython does: somebody has moved the lines out of a function. Lines stay where they are."""
    assert python_in(cell)[0].rstrip("\n") == python


@pytest.mark.parametrize("cell", ["x = 1\n    y = 2", "    x = 1\ny = 2"])
def test_a_cell_that_is_indented_in_part_is_not(cell):
    """IPython does nothing about it, either."""
    with pytest.raises(SyntaxError):
        python_in(cell)


@pytest.mark.parametrize(
    ("cell", "taken_out"),
    [
        ("pip install -q einops", "pip install -q einops"),
        ("cd ..", "cd .."),
        ("\nrun common.py", "run common.py"),
        ("matplotlib inline", "matplotlib inline"),
        ("ls", None),  # a name: Python reads it, and nothing is taken out
    ],
)
def test_a_magic_without_its_mark_is_one_where_it_is_the_whole_cell(cell, taken_out):
    """As in IPython, which needs no mark there."""
    python, _, _, dropped = python_in(cell)
    assert [line.lstrip("%") for line in dropped] == ([taken_out] if taken_out else [])
    assert python.strip() == ("pass" if taken_out else cell)


@pytest.mark.parametrize("cell", ["cd = = 1", "pip install einops\nx = 1", "run (", "if x", "install einops"])
def test_what_is_no_magic_stays_unread(cell):
    """A slip is told: more lines than one, an assignment, a word that IPython does not know."""
    with pytest.raises(SyntaxError):
        python_in(cell)

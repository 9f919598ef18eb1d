"""Any notebook file becomes cells that Python can parse, line by line where they were."""

import ast
import json

import pytest
from IPython.core import inputtransformer2

from autograder.parsing.cells import all_cells, parse_cell, read_notebook
from autograder.runtime.errors import SubmissionError


def _ipynb(*sources, **extra):
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **extra}).encode()


def _sources(cells):
    return [cell.source.strip("\n") for cell in cells]


def test_cells_are_numbered_from_one_and_empty_ones_do_not_count():
    """Code cells count from 1; empty ones are left out, as nobody sees them as a cell."""
    cells = read_notebook(_ipynb("x = 1", "  \n", "y = 2"), ".ipynb")
    assert [(cell.number, cell.source) for cell in cells] == [(1, "x = 1"), (2, "y = 2")]


def test_source_as_a_list_of_lines():
    """A source may be a list of lines, as Jupyter writes it."""
    assert read_notebook(_ipynb(["x = 1\n", "y = 2"]), ".ipynb")[0].source == "x = 1\ny = 2"


def test_neither_ids_nor_metadata_are_needed():
    """A notebook stripped of ids, metadata, outputs and format numbers reads the same."""
    bare = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1"}]}).encode()
    assert _sources(read_notebook(bare, ".ipynb")) == ["x = 1"]


def test_broken_cells_are_skipped():
    """Cells that are no cells cost nothing but themselves."""
    odd = [None, 3, {"cell_type": "code"}, {"cell_type": "code", "source": [1, "x = 1"]}, {"source": "y"}]
    assert _sources(read_notebook(json.dumps({"cells": odd}).encode(), ".ipynb")) == ["x = 1"]


def test_format_three_is_upgraded():
    """A notebook of nbformat 3 is read, too."""
    cell = {"cell_type": "code", "input": ["x = 1"], "language": "python", "outputs": [], "collapsed": False}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell]}]}
    assert _sources(read_notebook(json.dumps(old).encode(), ".ipynb")) == ["x = 1"]


def test_percent_py():
    """Percent `.py`: code cells only, and commented magics are magics."""
    text = "# %% [markdown]\n# # Title\n\n# %%\nx = 1\n\n# %%\n# !pip install torch\ny = 2\n"
    cells = read_notebook(text.encode(), ".py")
    assert _sources(cells) == ["x = 1", "pass\ny = 2"]


def test_a_plain_script_is_one_cell():
    """A `.py` file without any cell header is a single cell."""
    assert _sources(read_notebook(b"x = 1\n\ndef f():\n    return x\n", ".py")) == ["x = 1\n\ndef f():\n    return x"]


@pytest.mark.parametrize("fence", ["```python", "```py", "~~~Python3", "```{code-cell} ipython3", "```python title=x"])
def test_markdown_fences_of_python(fence):
    """Markdown: fenced Python in any of its spellings."""
    close = fence[:3]
    assert _sources(read_notebook(f"# Text\n\n{fence}\nx = 1\n{close}\n".encode(), ".md")) == ["x = 1"]


def test_markdown_fences_of_other_languages_are_no_code():
    """Markdown: shell and nameless fences are text."""
    text = "```bash\nls\n```\n\n```\nx = 2\n```\n\n- item\n\n  ```python\n  x = 1\n  ```\n"
    assert _sources(read_notebook(text.encode(), ".md")) == ["x = 1"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"this is no notebook", "not a notebook: it does not begin as one does. Save the notebook, download it again"),
        (b"<!DOCTYPE html><html></html>", "not a notebook: it is a web page"),
        (b"{not json", "damaged in line 1, column 2"),
        (b'{"cells": [\n', "breaks off in line 2"),
        (b'{"cells": [\n"x', "breaks off in line 2"),
        (b'{"cells": ' + b"1" * 5000 + b"}", "damaged"),
        (b"[1, 2]", "no list"),
        (b'{"cells": 3}', "no list"),
        (b'{"cells": []}', "no code"),
        (b"\x80\x81\xff\x00PK", "no text"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"worksheets": 7}', "old format"),
    ],
)
def test_what_is_no_notebook_is_refused_in_a_line(data, says):
    """A file that is no notebook is the student's, and one line says why."""
    with pytest.raises(SubmissionError, match=says) as caught:
        read_notebook(data, ".ipynb")
    assert len(str(caught.value)) < 300


def test_unknown_suffix_is_refused():
    """Only the three kinds of file are read."""
    with pytest.raises(SubmissionError, match="pdf"):
        read_notebook(b"x = 1", ".pdf")


def test_too_much_code_is_refused():
    """Code beyond the limit is refused before it is parsed."""
    with pytest.raises(SubmissionError, match="at most 1 "):
        read_notebook(_ipynb("x = 1\n" * 1000), ".ipynb", code_kilobytes=1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding):
    """A byte order mark or UTF-16 of a Windows editor does not matter."""
    assert _sources(read_notebook("s = 'ü'\r\nt = 1\r\n".encode(encoding), ".py")) == ["s = 'ü'\nt = 1"]


def test_a_syntax_error_costs_its_own_cell():
    """A cell that Python cannot read says where and why; the others are as they were."""
    good, bad, after = read_notebook(_ipynb("x = 1", "y = 2\nfor in z:\n    pass", "w = 3"), ".ipynb")
    assert good.problem is None and after.problem is None and len(after.tree.body) == 1
    place, why = bad.problem
    assert (place.cell, place.line, place.text, bad.tree.body) == (2, 2, "for in z:", [])
    assert why


@pytest.mark.parametrize("source", ["x = '\0'", "x = '\ud800'", "x = " + "(" * 5000, "x = " + "-" * 100_000 + "1"])
def test_what_breaks_pythons_parser_is_a_problem_of_the_cell(source):
    """Null bytes, halves of surrogate pairs and depth do not get past the cell."""
    cell = parse_cell(1, source)
    assert cell.problem is not None and cell.tree.body == []


def test_a_line_separator_in_a_comment_does_not_shift_the_problem():
    """Only a line feed ends a line: a separator copied from a web page does not."""
    place, _ = parse_cell(1, "# a\u2028b\x0cc\nx = 1\ny = = 2").problem
    assert (place.line, place.text) == (3, "y = = 2")


@pytest.mark.parametrize("magic", ["%%bash", "%%writefile a.py", "%%html", "%%javascript", "%%", "%%R", "%%sh -e"])
def test_cells_that_are_not_python_are_dropped(magic):
    """A cell magic whose body is not Python leaves nothing of the cell."""
    assert parse_cell(1, f"{magic}\nx = 1\ndef f(): pass").tree.body == []


@pytest.mark.parametrize("magic", ["%%time", "%%timeit -n 3", "%%capture out --no-stderr", "%%capture\n%%time"])
def test_magics_around_python_keep_it(magic):
    """The code below `%%time` and its like stays, on its own lines, also below two of them."""
    cell = parse_cell(1, f"\n{magic}\n\nx = 1")
    assert cell.source.split("\n")[-1] == "x = 1"
    assert cell.source.count("\n") == magic.count("\n") + 3
    assert len(cell.tree.body) == 1


@pytest.mark.parametrize(
    "shell",
    [
        "!pip install torch",
        "%matplotlib inline",
        "f?",
        "f??",
        "files = !ls",
        "!pip install \\\n   torch \\\n   numpy",
        "%cd /tmp",
        "%timeit -n 10 f(3)",
        "%pip install x\n\n!ls",
    ],
)
@pytest.mark.parametrize("before", ["", "\n\n", "%%time\n", "y = 2\n"])
def test_shell_lines_go_and_all_others_stay_where_they_are(shell, before):
    """Lines that only IPython understands are blanked; a definition below keeps its line number."""
    source = f"{before}{shell}\ndef f(x):\n    return x"
    tree = parse_cell(1, source).tree
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert function.lineno == source.split("\n").index("def f(x):") + 1


def test_shell_lines_inside_a_function():
    """A function that calls the shell keeps its body and its indentation."""
    namespace = {}
    exec(parse_cell(1, "def f():\n    !ls\n    x = 1\n    if x:\n        %cd ..\n    return x").source, namespace)
    assert namespace["f"]() == 1


def test_timed_statements_stay():
    """`%time y = g()` is the statement."""
    namespace = {}
    exec(parse_cell(1, "%time y = [1, 'a', \"b\"]\n!ls").source, namespace)
    assert namespace["y"] == [1, "a", "b"]


def test_colabs_own_question_stays_beside_shell_lines():
    """`if ... get_ipython():` with a shell line below is kept as it is: only what IPython makes is blanked."""
    source = "if 'colab' in str(get_ipython()):\n    !pip install torch\nx = 1"
    assert parse_cell(1, source).source.splitlines() == ["if 'colab' in str(get_ipython()):", "    pass", "x = 1"]


def test_strings_with_shell_marks_are_left_alone():
    """A `!` or `%` in a string is no shell line, even in a cell that has one."""
    namespace = {}
    exec(parse_cell(1, "s = '''\n!ls\n%cd\nwhy?\n'''\n!ls\nt = 7 % 4 != 2").source, namespace)
    assert namespace["s"] == "\n!ls\n%cd\nwhy?\n" and namespace["t"] is True


def test_python_alone_never_meets_ipython(monkeypatch):
    """A cell that is Python is returned as it stands."""
    monkeypatch.setattr(inputtransformer2, "TransformerManager", None)
    source = "x = 5 % 3\nprint('!'); y = x / 2"
    assert parse_cell(1, source).source == source


def test_all_cells_counts_text_too():
    """`all_cells` gives text cells with their kind."""
    data = json.dumps(
        {"cells": [{"cell_type": "markdown", "source": ["# T"]}, {"cell_type": "code", "source": "!ls"}, 3, {}]}
    )
    assert all_cells(data.encode(), ".ipynb") == [("markdown", "# T"), ("code", "!ls"), ("raw", "")]

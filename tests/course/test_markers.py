"""Solution markers: a pair parts a cell, and whatever is nearly a marker stops the release."""

import pytest

from autograder.course.markers import BEGIN, END, Parted, looks_like_marker, part
from autograder.course.notebook import first_lines
from autograder.runtime.errors import KitError


def _cell(*lines):
    return "\n".join(lines)


def _refused(*lines):
    with pytest.raises(KitError) as caught:
        part(_cell(*lines), "fcos.py, cell 7")
    return str(caught.value)


def test_a_pair_parts_a_cell():
    """Lines outside are given, lines between are solution, `merged` is the cell without markers."""
    source = _cell("def f():", "    " + BEGIN, "    x = 1", "", "    return x", "    " + END, "# after")
    parted = part(source, "cell")
    assert parted.given == ("def f():", "# after")
    assert parted.solution == ("    x = 1", "", "    return x")
    assert parted.merged == _cell("def f():", "    x = 1", "", "    return x", "# after")


def test_two_pairs_in_one_cell():
    """A cell may hold several solutions."""
    parted = part(_cell("a", BEGIN, "b", END, "c", BEGIN, "d", END), "cell")
    assert parted == Parted(("a", "c"), ("b", "d"), "a\nb\nc\nd")


def test_a_cell_without_markers_is_given():
    """No markers, no solution; the text is as it was."""
    assert part("a\n\nb", "cell") == Parted(("a", "", "b"), (), "a\n\nb")
    assert part("", "cell") == Parted((), (), "")


def test_an_empty_solution():
    """A pair with nothing between is a pair."""
    assert part(_cell("a", BEGIN, END), "cell").solution == ()


def test_nested_markers_are_refused():
    """A solution within a solution is refused, with both lines."""
    said = _refused("a", BEGIN, "b", BEGIN, "c", END, END)
    assert "cell 7, line 4" in said and "begun in line 2" in said


def test_a_stray_end_is_refused():
    """An end without a beginning is refused: what stands before it may have been the solution."""
    assert "cell 7, line 2" in _refused("a", END) and "never begun" in _refused("a", END)


def test_an_end_twice_is_refused():
    """A second end is a stray one."""
    assert "line 4" in _refused(BEGIN, "a", END, END)


def test_an_open_solution_is_refused():
    """A solution that is never ended is refused, with the line where it begins."""
    assert "begun in line 2" in _refused("a", "  " + BEGIN, "b")


MISSPELT = [
    "### BEGIN SOLUTON",
    "### BEGN SOLUTION",
    "### BEGINN SOLUTION",
    "### EDN SOLUTION",
    "### END SOLUTIONS",
    "###END SOLUTION",
    "###  END  SOLUTION",
    "# END SOLUTION",
    "### end solution",
    "### Begin Solution",
    "### BEGIN_SOLUTION",
    "### BEGINSOLUTION",
    "### BEGIN SOLUTION ###",
    "### BEGIN SOLUTION: the locations of every level of the pyramid",
    "<!-- END SOLUTION -->",
    "// BEGIN SOLUTION",
    "END SOLUTION",
    "### END HIDDEN TESTS",
    "### BEGIN MARK SCHEME",
    "    return x  ### END SOLUTION",
    "x = 1  # begin solution",
]


@pytest.mark.parametrize("line", MISSPELT)
def test_a_misspelt_marker_is_refused(line):
    """Whatever was probably meant as a marker and is none stops the release, with line and text."""
    said = _refused("a", line)
    assert "looks like a marker" in said and "line 2" in said and BEGIN in said and END in said


@pytest.mark.parametrize("line", MISSPELT)
def test_a_misspelt_marker_within_a_solution_is_refused(line):
    """Also between two right ones, where it would be cut away in silence."""
    assert "line 2" in _refused(BEGIN, line, "x", END)


ORDINARY = [
    "",
    "x = 1",
    "# TODO: write your solution here",
    "# the solution",
    "# One solution",
    "# Resolution",
    "## Resolutions",
    "# our solution:",
    "# see solution",
    "# convolution",
    "# begin with the p3 level",
    "# END",
    "# begin",
    "### Training",
    "begin_solution = solve(begin, solution)",
    "for begin, end in solutions:",
    "# Every solution begins with the locations and ends with the boxes of a level",
    "solution",
    "print('end')",
    "color = '#e5d501'",
    "#" * 40,
    "# %% [markdown]",
]


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_lines_are_not_markers(line):
    """Comments, prose and code about solutions stay what they are."""
    assert not looks_like_marker(line)
    assert part(line, "cell").merged == line


@pytest.mark.parametrize("line", [BEGIN, END, "    " + BEGIN, END + "  "])
def test_a_right_marker_looks_like_one(line):
    """The leak check finds a right marker that was left over, too."""
    assert looks_like_marker(line)


def test_lines_are_those_of_the_file():
    """Told by the number that the TA's editor shows, where the cell's first line is known."""
    with pytest.raises(KitError, match=r"fcos\.py, line 103: '### END SOLUTION' ends a solution"):
        part(_cell("a", "b", END), "fcos.py", 101)
    with pytest.raises(KitError, match="begun in line 102 is never ended"):
        part(_cell("a", BEGIN, "b"), "fcos.py", 101)


def test_where_the_cells_of_a_percent_file_begin():
    """After the head, and after blank lines, which are no part of a cell; nothing is told where heads do not match."""
    text = "# ---\n# jupyter: x\n# ---\n# %% [markdown]\n# Text\n\n# %%\n\n\na = 1\n# %% [markdown]\n# More\n"
    assert first_lines(text, 3) == [5, 10, 12]
    assert first_lines("b = 2\n" + text, 4) == []

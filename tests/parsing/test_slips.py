"""Characters that look like others, and blanks mixed with tabs: Python stumbles, and the student reads over what."""

from __future__ import annotations

import pytest

from autograder.parsing.cells import parse_cell

SLIPS = {
    "x\u00a0= 3": "a no-break space, U+00A0, in front of `=`: it looks like a blank",
    "def f(x):\n\u00a0   return x": "a no-break space, U+00A0, in front of `return`",
    "if x:\n\u00a0\u00a0\u00a0\u00a0y = 1": "a no-break space, U+00A0, in front of `y`",
    "y = 1\nx = 3\u200b": "a zero-width space, U+200B, behind `3`: nobody can see it",
    "x = \u200cf(3)": "a zero-width non-joiner, U+200C, in front of `f`",
    "x = \u200df(3)": "a zero-width joiner, U+200D, in front of `f`",
    "x = 1\n\ufeffy = 2": "a byte order mark, U+FEFF, in front of `y`",
    "x =\u2060 3": "the invisible character WORD JOINER, U+2060",
    "x\u3000= 3": "an ideographic space, U+3000",
    "x = “a”": "a curly quote “, U+201C, in front of `a`",
    "x = ‘a’": "a curly quote ‘, U+2018",
    "print(“hi”)": "a curly quote “",
    "x = 'a’": "a curly quote ’, U+2019",
    "x = 5 − 3": "the character −, U+2212, in front of `3`: Python does not know it. Type -",
    "x = 5 – 3": "the character –, U+2013",
    "x = 3 × 4": "Type *",
    "if x ≥ 3: pass": "Type >=",
    "x = y²": "Type **2",
    "def f(a) → int: pass": "Type ->",
    "x = f（3）": "a full-width （, U+FF08, in front of `3`: Python knows the narrow one. Type (",
    "x = [1，2]": "Type ,",
    "if x：\n    pass": "a full-width ：, U+FF1A, behind `x`",
    "def f():\n\tx = 1\n        y = 2\n": "tabs and others with blanks",
    "def f():\n    x = 1\n\ty = 2\n": "tabs and others with blanks",
    "class C:\n\tdef f(self):\n\t\tx = 1\n  y = 2\n": "use blanks everywhere",
    "x = “a”\n!ls\n%cd ..": "a curly quote “",
}
PLAIN = [
    "x = = 3",
    "s = 'a\u00a0b'\nx = = 3",
    "# “a” − ×\nx = = 3",
    "x = 'it’s' y",
    "x = (1,\n",
    "def f():\n    x = 1\n  y = 2\n",
    "größe = = 3",
    'x = "→" "',
]


@pytest.mark.parametrize("source", SLIPS)
def test_the_character_is_named(source):
    """With its code, where it stands and what to type; the line is the one that it stands in."""
    place, why = parse_cell(1, source).problem
    assert SLIPS[source] in why
    assert not why.isascii() or "U+" in why or "blanks" in why
    assert place.text in {line.strip()[:200] for line in source.split("\n")}


def test_a_joiner_within_a_name():
    """From Python 3.13 on it is a part of the name, as in a Persian one; before, it is a slip and named."""
    problem = parse_cell(1, "x = f\u200c(3)").problem
    if "f\u200c".isidentifier():
        assert problem is None
    else:
        assert problem is not None and "a zero-width non-joiner, U+200C" in problem[1]


@pytest.mark.parametrize("source", PLAIN)
def test_other_mistakes_keep_pythons_words(source):
    """A character within a text or a comment is none that Python stumbles over."""
    _, why = parse_cell(1, source).problem
    assert "U+" not in why and "tabs" not in why


@pytest.mark.parametrize("source", ["x = '“a”\u00a0'", "# a\u200bb\nx = 1", "π = 3\nü = π", "s = '''\n“\u00a0−\n'''"])
def test_what_python_reads_is_no_slip(source):
    """Such characters may stand in texts, comments and names."""
    assert parse_cell(1, source).problem is None

"""What a message may repeat of values that student code chose: bounded, whoever writes it and whatever it holds."""

from __future__ import annotations

import ast
import re

import pytest
import torch

from autograder.checks.bounded import (
    MAX_DETAILS,
    MAX_DIMENSIONS,
    MAX_LINES,
    MAX_NAME,
    MAX_NAMES,
    MAX_NUMBERS,
    MAX_TEXT,
    MAX_WORD,
    bounded_details,
    bounded_text,
    name_text,
    names_text,
    numbers_text,
    shape_text,
    shapes_text,
)
from autograder.checks.compare import CheckFailed, expect_close, expect_levels, expect_shape
from autograder.checks.result import CheckResult
from autograder.checks.verdicts import judge
from autograder.runtime.errors import StudentError
from tests.conftest import ROOT

BITS = tuple(n * n % 3 % 2 for n in range(60_000))
SUITES = sorted(ROOT.glob("assignment/*/suites/**/*.py")) + sorted(
    ROOT.glob("tests/second/assignment/*/suites/**/*.py")
)
SUITES += [ROOT / "autograder" / "checks" / name for name in ("compare.py", "gpu.py", "drawings.py")]


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (shape_text((2, 3)), "(2, 3)"),
        (shape_text(torch.zeros(4)), "(4,)"),
        (shape_text(()), "()"),
        (shape_text(range(8)), "(0, 1, 2, 3, 4, 5, 6, 7)"),
        (shape_text(range(9)), "(0, 1, 2, 3, 4, 5, 6, 7, ...) with 9 dimensions"),
        (shapes_text([(2, 3), (4,)]), "[(2, 3), (4,)]"),
        (shapes_text([(1,)] * 9), f"[{'(1,), ' * 8}...]"),
        (numbers_text(torch.tensor([1.5, 2.0])), "(1.5, 2)"),
        (numbers_text([3] * 7, "d"), "(3, 3, 3, 3, 3, 3, ...)"),
        (name_text("p3"), "p3"),
        (name_text("a\nb"), "a b"),
        (names_text({"p4": 1, "p3": 2, None: 3}), "['None', 'p3', 'p4']"),
        (names_text(range(9)), "['0', '1', '2', '3', '4', '5', '6', '7', ...]"),
    ],
)
def test_ordinary_values_are_told_as_they_are(made, text):
    """Shapes, numbers and names of usual size read as Python writes them; longer ones are cut, and it is seen."""
    assert made == text


@pytest.mark.parametrize(
    "text",
    [
        "The result came in the wrong shape: expected (3, 2), got (2, 3).",
        "The locations of p3: 4 of 784 rows differ.\nrow 0: expected (4, 4), got (0, 0)\nrow 1: got (0, 0)",
        "row 0: expected (0, 0, 0, 0, 0, 0, ...), got (1, 1, 1, 1, 1, 1, ...)",
        "`fpn_params.p3.weight` has mean 1e-05 and standard deviation 0.02, 3 of 5; see https://pytorch.org/docs.",
        "",
    ],
)
def test_ordinary_messages_stay_as_they_are(text):
    """What checks say of ordinary mistakes is not touched."""
    assert bounded_text(text) == text and CheckFailed(text).message == text


@pytest.mark.parametrize(
    "text",
    [
        f"got {BITS}",
        f"got {list(BITS)}",
        "got " + ",".join(map(str, BITS)),
        "got " + "\n".join(map(str, BITS)),
        "got " + "".join(map(str, BITS)),
        "got " + " ".join(map(str, BITS)),
        "got " + ", ".join(f"{bit}.5e+3" for bit in BITS),
        "9" * 10**6,
        "9." * 10**6,
    ],
    ids=["tuple", "list", "no spaces", "lines", "digits", "words", "floats", "a number", "points"],
)
def test_by_whatever_means_little_is_told(text):
    """A suite that repeats a value without a thought is cut all the same: numbers in a row, words, lines, the whole."""
    error = CheckFailed(text, text, text)
    for told in (error.message, error.diagnosis, error.public_text, bounded_text(text)):
        assert len(told) <= MAX_TEXT and told.count("\n") < MAX_LINES and "..." in told
        assert all(len(word) <= MAX_WORD for word in told.split())
        assert not re.search(rf"\d(?:, ?\d){{{MAX_DIMENSIONS}}}", told)


def raised(call):
    """What a check raised."""
    with pytest.raises(CheckFailed) as caught:
        call()
    return caught.value.message


def test_the_comparisons_keep_to_it():
    """Dimensions, numbers and keys: as many as is said, and no more."""
    shape = raised(lambda: expect_shape(torch.zeros([0, *BITS[:15]]), (3, 2), "The result"))
    assert shape.count(",") < MAX_DIMENSIONS + 4 and "16 dimensions" in shape
    numbers = raised(lambda: expect_close(torch.ones(3, 500), torch.zeros(3, 500), "The result"))
    assert numbers.count("1,") == 3 * MAX_NUMBERS
    keys = raised(lambda: expect_levels({f"{n}" * 200: 1 for n in range(100)}, {"p3": 1}, "The result"))
    assert keys.count("'") == 2 * MAX_NAMES + 2 and len(keys) < 2 * MAX_NAMES * MAX_NAME


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("guarded", [True, False])
def test_a_verdict_is_bounded_whatever_was_raised(public, guarded):
    """Exceptions of student code and of a check, asserts and our own faults: what is kept of each is short."""
    long = "x" * 10**6
    errors = (StudentError("error", long, public_text=long), CheckFailed(long), AssertionError(long), ValueError(long))
    for error in errors:
        outcome = CheckResult("q", "a", "S.", 1.0, "", public)
        judge(outcome, error, guarded)
        assert outcome.status and len(outcome.message) <= MAX_TEXT and len(outcome.details) <= MAX_DETAILS


def test_details_keep_both_ends():
    """Of a traceback staff see where it begins and what it came to."""
    cut = bounded_details("begins" + "x" * 10**6 + "ends")
    assert cut.startswith("begins") and cut.endswith("ends") and len(cut) <= MAX_DETAILS
    assert bounded_details("short") == "short"


def of_values(path) -> list[str]:
    """Places in a file where a text is made of a whole shape, tensor, list of keys or the like."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FormattedValue) and not node.format_spec and _repeats(node.value):
            found.append(f"{path.name}:{node.lineno}: {ast.unparse(node.value)}")
    return found


def _repeats(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id.endswith("_text"):
        return False
    parts = list(ast.walk(value))
    whole = any(
        isinstance(part, ast.Call)
        and isinstance(part.func, ast.Name)
        and part.func.id in {"tuple", "list", "repr", "str"}
        for part in parts
    )
    lists = any(isinstance(part, ast.Attribute) and part.attr in {"tolist", "keys", "size"} for part in parts)
    sizes = sum(isinstance(part, ast.Attribute) and part.attr == "shape" for part in parts)
    indexed = sum(
        isinstance(part, ast.Subscript)
        and isinstance(part.value, ast.Attribute)
        and part.value.attr == "shape"
        and not isinstance(part.slice, ast.Slice)
        for part in parts
    )
    return whole or lists or sizes > indexed


@pytest.mark.parametrize(
    ("code", "repeats"),
    [
        ('f"{tuple(x.shape)}"', True),
        ('f"{x.shape}"', True),
        ('f"{x.shape[2:]}"', True),
        ('f"{list(got)}"', True),
        ('f"{x.tolist()}"', True),
        ('f"{x.shape[1]}"', False),
        ('f"{shape_text(x)}"', False),
        ('f"{names_text(got.keys())}"', False),
        ('f"{len(boxes)}"', False),
    ],
)
def test_the_search_finds_what_repeats_a_value(code, repeats, tmp_path):
    """The rule below tells a whole shape from one size of it, and both from a helper."""
    path = tmp_path / "suite.py"
    path.write_text(code, encoding="utf-8")
    assert bool(of_values(path)) == repeats


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.name)
def test_suites_format_values_with_the_helpers(path):
    """No suite puts a whole shape, tensor or list of keys into a message by itself."""
    assert len(SUITES) > 20 and of_values(path) == []

"""`expect_same` for assignments without torch: where two values part, and what is only written otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autograder.checks.compare import CheckFailed
from autograder.checks.plain import expect_same

pandas = pytest.importorskip("pandas")
TABLE = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["first", "second"])

SAME = [
    (1, 1.0),
    (1.0, 1.0 + 1e-9),
    ([1, 2], (1.0, 2.0)),
    ({"a": [1], "b": None}, {"b": None, "a": (1,)}),
    (math.nan, math.nan),
    (math.inf, math.inf),
    (True, True),
    ("", ""),
    ([], []),
    (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9])),
    (np.array([1.0], dtype="float32"), np.array([1.0])),
    (torch.ones(2), torch.ones(2)),
    (TABLE, TABLE.copy()),
    (pandas.Series([1, 2]), pandas.Series([1.0, 2.0])),
]
DIFFERENT = [
    (None, 1, "The result: expected 1, got None"),
    (True, 1, "expected 1, got True"),
    (1, True, "expected True, got 1"),
    ("1", 1, 'expected 1, got "1"'),
    (1.001, 1, "expected 1, got 1.001"),
    (math.nan, 1, "expected 1, got nan"),
    ([1, 2], [1, 2, 3], "expected 3 elements, got 2"),
    ([1, [2, 4]], [1, [2, 3]], r"The result at \[1\]\[1\]: expected 3, got 4"),
    ("ab", ["a", "b"], 'expected a list, got "ab"'),
    ({"a": 1}, {"a": 1, "b": 2}, 'the key "b" is missing'),
    ({"a": 1, "c": 2}, {"a": 1}, 'the key "c" is one too many'),
    ({"a": [1, 5]}, {"a": [1, 2]}, r'The result at \["a"\]\[1\]: expected 2, got 5'),
    ([1.0, 2.0], np.array([1.0, 2.0]), "expected a `ndarray`, got a `list`"),
    (np.zeros((2, 3)), np.zeros((3, 2)), r"expected the shape \(3, 2\), got \(2, 3\)"),
    (np.array([1, 2]), np.array([1.0, 2.0]), "expected numbers of kind float64, got int64"),
    (np.array([1.0, 3.0]), np.array([1.0, 2.0]), r"The result at \[1\]: expected 2, got 3"),
    (TABLE.rename(columns={"b": "c"}), TABLE, r'columns\[1\]: expected "b", got "c"'),
    (TABLE.reset_index(drop=True), TABLE, r'index\[0\]: expected "first", got 0'),
    (TABLE.assign(a=[1, 3]), TABLE, r'The result at \["a"\]\[1\]: expected 2, got 3'),
]


@pytest.mark.parametrize(("got", "expected"), SAME)
def test_the_same(got, expected):
    """Written otherwise, or a rounding apart."""
    expect_same(got, expected, "The result")


@pytest.mark.parametrize(("got", "expected", "said"), DIFFERENT)
def test_where_they_part(got, expected, said):
    """The first place, what was expected there and what came; to be hidden, only that it is not right."""
    with pytest.raises(CheckFailed, match=said) as failed:
        expect_same(got, expected, "The result")
    assert failed.value.public_text.endswith("is not right.")


def test_a_fault_that_explains_it_is_the_diagnosis():
    """The first that gives just what came."""
    faults = [("The last is missing.", [1, 2]), ("They are sorted.", [1, 2, 3]), ("Sorted as well.", [1, 2, 3])]
    with pytest.raises(CheckFailed) as failed:
        expect_same([1, 2, 3], [3, 1, 2], "The result", faults)
    assert failed.value.diagnosis == "They are sorted."


def test_tolerances():
    """As the suite says."""
    expect_same([1.05], [1.0], "The result", rtol=0.1)
    expect_same([1e-4], [0.0], "The result", atol=1e-3)
    with pytest.raises(CheckFailed):
        expect_same([1e-4], [0.0], "The result")

"""Comparing what student code gave with what was expected: verdict, words, and nothing told where it is hidden."""

import math
import re

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close, expect_levels, expect_shape, expect_tensor

EXPECTED = torch.tensor([[1.5, 2.0], [3.0, -4.25], [5.0, 6.0]])


def _failure(function, *args, **options):
    with pytest.raises(CheckFailed) as caught:
        function(*args, **options)
    return caught.value


@pytest.mark.parametrize(
    "got",
    [EXPECTED, EXPECTED + 4e-4, EXPECTED.double(), EXPECTED.half()],
    ids=["equal", "within tolerance", "double", "half"],
)
def test_equal_within_tolerance_passes(got):
    """Values within atol plus rtol times the largest magnitude pass, whatever the dtype."""
    expect_close(got, EXPECTED, "The result")


def test_just_outside_the_tolerance_fails():
    """The bound is where it is said to be: atol + rtol * max."""
    bound = 1e-4 + 1e-4 * 6.0
    expect_close(EXPECTED.double() + 0.999 * bound, EXPECTED, "The result")
    _failure(expect_close, EXPECTED.double() + 1.001 * bound, EXPECTED, "The result")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_failure_always_shows_a_row(scale):
    """What fails also differs in the message, for small and for large numbers."""
    expected = EXPECTED * scale
    off = expected.clone()
    off[1, 0] += 1.1 * (1e-4 + 1e-4 * expected.abs().max())
    error = _failure(expect_close, off, expected, "The result")
    assert "1 of 3 rows differ" in error.message and "row 1: expected" in error.message


def test_the_message_shows_three_rows_at_most():
    """Expected and got, for the first rows, cut to six numbers."""
    expected = torch.zeros(10, 20)
    error = _failure(expect_close, expected + 1, expected, "The result")
    assert "10 of 10 rows differ" in error.message and error.message.count("row ") == 3
    assert "expected (0, 0, 0, 0, 0, 0, ...), got (1, 1," in error.message


@pytest.mark.parametrize("got", [1.0, torch.tensor(2.0)])
def test_single_numbers(got):
    """A scalar is compared like a tensor; a plain number is no tensor."""
    error = _failure(expect_close, got, torch.tensor(1.0), "The loss")
    assert ("should be a tensor" in error.message) == isinstance(got, float)


def test_empty_tensors_of_the_right_shape_pass():
    """No rows are right where none are expected."""
    expect_close(torch.empty(0, 4), torch.empty(0, 4), "The boxes")
    assert "wrong shape" in _failure(expect_close, torch.empty(0, 5), torch.empty(0, 4), "The boxes").message


def test_nan_never_passes_for_a_number():
    """NaN is wrong where a number is expected, and the message counts them."""
    got = EXPECTED.clone()
    got[0] = math.nan
    error = _failure(expect_close, got, EXPECTED, "The result")
    assert "2 of the numbers are NaN" in error.message and "1 of 3 rows differ" in error.message


def test_all_nan_is_not_explained_by_anything():
    """No hypothesis matches NaN."""
    nan = torch.full_like(EXPECTED, math.nan)
    assert _failure(expect_close, nan, EXPECTED, "The result", [("zeros", EXPECTED * 0)]).diagnosis == ""


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_right_where_expected(value):
    """An expected NaN or infinity must be there, and does not loosen the bound for the rest."""
    expected = EXPECTED.clone()
    expected[2, 1] = value
    expect_close(expected.clone(), expected, "The result")
    assert "1 of 3 rows" in _failure(expect_close, EXPECTED, expected, "The result").message
    off = expected.clone()
    off[0, 0] += 1
    assert "row 0: expected" in _failure(expect_close, off, expected, "The result").message


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (None, "None: is a `return` missing"),
        ([1.0], "`list`"),
        ({"p3": EXPECTED}, "`dict`"),
        ("tensor", "`str`"),
        (True, "`bool`"),
    ],
)
@pytest.mark.parametrize("function", [expect_tensor, lambda got, what: expect_shape(got, (3, 2), what)])
def test_what_is_no_tensor_is_named(got, says, function):
    """The message says what came instead of a tensor."""
    assert says in _failure(function, got, "The result").message


def test_the_shape_is_said():
    """A wrong shape is told before any value; elements that only lie wrong are hinted at."""
    error = _failure(expect_shape, torch.zeros(2, 3), (3, 2), "The result")
    assert "expected (3, 2), got (2, 3)" in error.message and "transpose" in error.diagnosis
    assert _failure(expect_shape, torch.zeros(4), (3, 2), "The result").diagnosis == ""
    assert expect_shape(EXPECTED, [3, 2], "The result") is EXPECTED


def test_the_first_hypothesis_that_explains_is_named():
    """The likeliest fault, by the order of the list, becomes the diagnosis."""
    faults = [("no", EXPECTED + 9), ("first", EXPECTED + 1), ("second", EXPECTED + 1)]
    assert _failure(expect_close, EXPECTED + 1, EXPECTED, "The result", iter(faults)).diagnosis == "first"


def test_a_hypothesis_may_explain_another_shape():
    """A fault that changes the shape is named with it."""
    error = _failure(expect_close, EXPECTED.t(), EXPECTED, "The result", [("transposed", EXPECTED.t())])
    assert error.diagnosis == "transposed" and "expected shape (3, 2), got (2, 3)" in error.message


def test_a_right_answer_is_right_whatever_the_hypotheses_say():
    """Where a fault happens to give the right answer, it is right."""
    expect_close(EXPECTED, EXPECTED, "The result", [("swapped", EXPECTED)])


LEVELS = {"p3": 1, "p4": 2}


def test_levels():
    """A dict with every level passes, more of them are no fault."""
    got = {"p3": 1, "p4": 2, "p6": 3}
    assert expect_levels(got, LEVELS, "The result") is got


@pytest.mark.parametrize(
    ("got", "says"),
    [
        (None, "`return`"),
        ([1, 2], "`list`"),
        ({"p3": 1}, "came without the level 'p4': the keys are ['p3']"),
        ({3: 1, None: 2}, "['3', 'None']"),
        ({}, "'p3'"),
    ],
)
def test_missing_levels_are_named(got, says):
    """What is no dict of levels is told, with the keys that are there."""
    assert says in _failure(expect_levels, got, LEVELS, "The result").message


HIDDEN = [
    (expect_close, EXPECTED + 1, EXPECTED),
    (expect_close, EXPECTED * math.nan, EXPECTED),
    (expect_close, torch.zeros(7, 2), EXPECTED),
    (expect_close, EXPECTED.t(), EXPECTED),
    (expect_close, None, EXPECTED),
    (expect_close, [31337], EXPECTED),
    (expect_shape, torch.zeros(31, 37), (3, 2)),
    (expect_levels, {"31337": 1}, LEVELS),
    (expect_levels, None, LEVELS),
    (expect_levels, 31337, LEVELS),
]


@pytest.mark.parametrize(("function", "got", "expected"), HIDDEN)
def test_public_text_gives_no_numbers(function, got, expected):
    """What a hidden check may say holds neither expected nor received numbers, shapes or keys."""
    options = {"hypotheses": [("transposed", EXPECTED.t())]} if function is expect_close else {}
    text = _failure(function, got, expected, "The result", **options).public_text
    assert text.startswith("The result") and not re.search(r"\d|p[34]", text)


@pytest.mark.parametrize(
    ("got", "wanted", "said"),
    [
        ((4,), (1, 4), "A dimension of size 1"),
        ((2, 5, 1), (2, 5), "A dimension of size 1"),
        ((1, 0), (0,), "A dimension of size 1"),
        ((0,), (0, 4), "There is nothing in it"),
        ((2, 6), (3, 4), "a reshape or transpose is off"),
        ((2, 3), (3, 4), ""),
    ],
)
def test_a_wrong_shape_is_named(got, wanted, said):
    """A dimension of 1 too many or too few, an empty result without its columns, a reshape; another number: nothing."""
    with pytest.raises(CheckFailed) as failed:
        expect_shape(torch.zeros(got), wanted, "It")
    assert said in failed.value.diagnosis and bool(said) == bool(failed.value.diagnosis)

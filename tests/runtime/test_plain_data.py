"""Arrays and tables cross as plain data: equal, of the same kind, bounded, and rebuilt from bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autograder.runtime.plain_data import NUMBERS
from autograder.runtime.values import ValueRefused, copied, pack, unpack

pandas = pytest.importorskip("pandas")


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_arrays_arrive_with_dtype_and_shape(name):
    """Of each kind of number, empty ones and such without dimensions as well."""
    for shape in ((2, 3), (0, 4), ()):
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(name)
        arrived = copied({"a": array})["a"]
        assert type(arrived) is np.ndarray and arrived.dtype == array.dtype and arrived.shape == shape
        assert np.array_equal(arrived, array) and not np.shares_memory(arrived, array)


def test_arrays_of_every_layout_arrive():
    """Transposed, with steps, of the other byte order, read-only, masked: numbers are numbers."""
    base = np.arange(12.0).reshape(3, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    for array in (base.T, base[::-1, ::2], base.astype(">f8"), frozen, np.ma.masked_array(base)):
        arrived = copied(array)
        assert type(arrived) is np.ndarray and np.array_equal(arrived, np.asarray(array))
        assert arrived.dtype == np.float64


@pytest.mark.parametrize("number", [np.int64(3), np.float32(0.5), np.bool_(True), np.uint8(7)])
def test_numbers_of_numpy_are_numbers(number):
    """They arrive as Python's own."""
    arrived = copied([number])[0]
    assert arrived == number and type(arrived) in (int, float, bool)


TABLES = {
    "numbers and texts": pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", "y"], "d": [True, False]}),
    "labels of rows": pandas.DataFrame({"a": [1, 2]}, index=["first", "second"]),
    "two columns of one name": pandas.DataFrame([[1, 2.5]], columns=["a", "a"]),
    "something missing": pandas.DataFrame({"a": [1.0, None], "b": ["x", None]}),
    "no rows": pandas.DataFrame({"a": []}, dtype="int64"),
    "no columns": pandas.DataFrame(index=[3, 4]),
    "labels in two levels": pandas.DataFrame({"n": [1, 2]}, index=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_arrive(name):
    """Columns, their order and kinds, labels of rows, and what is missing."""
    arrived = copied(TABLES[name])
    pandas.testing.assert_frame_equal(arrived, TABLES[name], check_index_type=False, check_column_type=False)


def test_series_arrive():
    """With name and labels."""
    series = pandas.Series([1, 2, 3], index=["a", "b", "c"], name="n")
    pandas.testing.assert_series_equal(copied(series), series)


@pytest.mark.parametrize("kind", ["array", "frame", "series"])
@pytest.mark.parametrize(
    "parts",
    [
        None,
        3,
        "x",
        [],
        [1],
        [1, 2, 3, 4],
        [[["a", 1]], [1, 2]],
        [[[["b"], [1]]], None],
        [[["a", [1]], ["b", [1, 2]]], None],
    ],
)
def test_forged_parts_are_refused(kind, parts):
    """Whatever does not fit together is no answer: one clear refusal, no other exception."""
    tree, tensors = pack(parts)
    with pytest.raises(ValueRefused):
        unpack({"t": kind, "v": tree}, tensors)


def test_size_is_bounded(monkeypatch):
    """A table's texts are parts like any other's."""
    monkeypatch.setattr("autograder.runtime.values.MAX_NODES", 50)
    with pytest.raises(ValueRefused, match="more than 50 parts"):
        pack(pandas.DataFrame({"a": ["x"] * 100}))
    with pytest.raises(ValueRefused, match="dimensions"):
        pack(np.zeros([1] * 20))
    assert torch.is_tensor(copied(torch.ones(1)))

"""Arrays of numpy's and tables of pandas', taken apart into what crosses anyway, and put together again.

Neither library is imported for it where nobody else has: who has neither can give neither. What comes out is plain:
numbers, truth values and texts, without subclasses, attributes or functions.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

KINDS = ("array", "frame", "series")
NUMBERS = {
    *("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
}


class NotPlain(Exception):
    """An array or a table of something else than numbers and texts; the text says of what."""


def taken_apart(value: object) -> tuple[str, Any] | None:
    """The kind of an array or a table and its parts, which are values that cross; None for anything else.

    A number of numpy's is given as ("number", Python's own).

    Raises:
        NotPlain: It holds what does not cross.
    """
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.generic):
        return "number", value.item()
    if numpy is not None and isinstance(value, numpy.ndarray):
        return "array", _numbers(numpy.array(value, subok=False))
    if pandas is not None and isinstance(value, pandas.DataFrame):
        columns = [[value.columns[n], _column(value.iloc[:, n])] for n in range(value.shape[1])]
        return "frame", [columns, _index(pandas, value.index)]
    if pandas is not None and isinstance(value, pandas.Series):
        return "series", [value.name, _column(value), _index(pandas, value.index)]
    return None


def put_together(kind: str, parts: Any) -> Any:
    """The array or table of some parts, which may be forged.

    Raises:
        NotPlain: They are none of this kind's, or there is no pandas here.
    """
    try:
        if kind == "array":
            return _array(parts)
        pandas = _pandas()
        columns, index = ([parts[:2]], parts[2]) if kind == "series" else parts
        values = [_values(column) for _, column in columns]
        rows = {len(column) for column in values} | ({len(index)} if isinstance(index, list) else set())
        if len(rows) > 1 or not isinstance(index, (list, type(None))):
            raise NotPlain(f"a {kind} whose columns are not equally long")
        names, labels = [_name(name) for name, _ in columns], _labels(pandas, index)
        if kind == "series":
            return pandas.Series(values[0], index=labels, name=names[0])
        made = pandas.DataFrame(dict(enumerate(values)), index=labels)
        made.columns = _labels(pandas, names) if names else made.columns
        return made
    except NotPlain:
        raise
    except Exception as error:  # pandas raises many kinds for parts that do not fit together
        raise NotPlain(f"a {kind} whose parts do not fit together") from error


def _numbers(array: Any) -> torch.Tensor:
    if array.dtype.name not in NUMBERS:
        raise NotPlain(f"a numpy array of dtype {array.dtype.name}, which no exercise asks for")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C").copy())


def _array(parts: Any) -> Any:
    if not isinstance(parts, torch.Tensor):
        raise NotPlain("an array without numbers")
    return parts.numpy()


def _column(series: Any) -> Any:
    """Numbers as a tensor, everything else as a list, what is missing as None."""
    if series.dtype.name in NUMBERS:
        return _numbers(series.to_numpy())
    return [None if missing else item for item, missing in zip(series.tolist(), series.isna(), strict=True)]


def _values(column: Any) -> Any:
    if isinstance(column, torch.Tensor) and column.dim() == 1:
        return column.numpy()
    if not isinstance(column, list):
        raise NotPlain("a column that is none")
    return column


def _name(name: Any) -> Any:
    parts = name if isinstance(name, tuple) else (name,)
    if not all(isinstance(part, (str, int, float, type(None))) for part in parts):
        raise NotPlain("a column whose name is none")
    return name


def _labels(pandas: Any, labels: list[Any] | None) -> Any:
    """Those of rows or columns; tuples are labels in several levels."""
    if labels and all(isinstance(label, tuple) for label in labels):
        return pandas.MultiIndex.from_tuples(labels)
    return labels


def _index(pandas: Any, index: Any) -> list[Any] | None:
    """The labels of rows; None where they are only counted."""
    counted = isinstance(index, pandas.RangeIndex) and (index.start, index.step) == (0, 1)
    return None if counted else index.tolist()


def _pandas() -> Any:
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError as error:
        raise NotPlain("a table of pandas', which is not here") from error
    return pandas

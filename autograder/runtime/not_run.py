"""Names of a notebook that grading does not run: each says so as soon as code touches it."""

from __future__ import annotations

from typing import Any


class NotRun:
    """Stands for a name whose cell grading does not run; says so as soon as it is touched."""

    def __init__(self, reason: str) -> None:
        object.__setattr__(self, "_reason", reason)

    def __getattribute__(self, name: str) -> Any:
        if name in ("__class__", "__dict__", "__module__"):
            return object.__getattribute__(self, name)
        raise NotRunError(object.__getattribute__(self, "_reason"))

    def _touched(self, *_: Any, **__: Any) -> Any:
        raise NotRunError(object.__getattribute__(self, "_reason"))

    __call__ = __iter__ = __len__ = __getitem__ = __setitem__ = __contains__ = __bool__ = _touched
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _touched
    __lt__ = __le__ = __gt__ = __ge__ = __setattr__ = __enter__ = __next__ = __str__ = _touched
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __neg__ = _touched
    __index__ = __int__ = __float__ = __eq__ = __ne__ = __hash__ = __delattr__ = _touched


class NotRunError(Exception):
    """A student's function touched a name that grading replaced by `NotRun`."""

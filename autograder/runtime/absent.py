"""Stands for a package that is not installed where code is graded: it fails when it is used, not when it is imported.

Notebooks import more than they use, and Colab has hundreds of packages.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import Any

# Colab's own: outside of it, to mount a drive or to ask for a file does nothing.
_IDLE = "google.colab."


MOST_STUBS = 20  # packages that one piece of code imports and that are not here
_SHARED = ("google", "mpl_toolkits")  # packages of several homes: one may be here and another not


class AbsentError(ImportError):
    """Code uses a package that is not there.

    Attributes:
        used: What of it, with the package's name first.
    """

    def __init__(self, message: str, used: str) -> None:
        super().__init__(message)
        self.used = used


class AbsentName:
    """Something of a package that is not there. It may be named, in annotations say, and not be used."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> AbsentName:
        if name.startswith("__") and name.endswith("__"):  # Python asks for these to see what a thing can do
            raise AttributeError(name)
        return AbsentName(f"{self._path}.{name}")

    def __getitem__(self, _: Any) -> AbsentName:
        return self

    def __or__(self, _: Any) -> AbsentName:
        return self

    __ror__ = __or__

    def __repr__(self) -> str:
        return f"<{self._path}, which is not here>"

    def _used(self, *_: Any, **__: Any) -> Any:
        if self._path.startswith(_IDLE):
            return None
        package = self._path.partition(".")[0]
        said = f"`{self._path}` is used, but the package {package} is not here, where the code is graded"
        raise AbsentError(said, self._path)

    __call__ = __iter__ = __len__ = __bool__ = __enter__ = __next__ = __contains__ = __setitem__ = _used
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = _used
    __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = __mro_entries__ = _used


class AbsentModule(types.ModuleType):
    """A package or module that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "Not installed where code is graded.")
        self.__path__: list[str] = []
        self.__version__ = "0"

    def __getattr__(self, name: str) -> AbsentName:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return AbsentName(f"{self.__name__}.{name}")


def without_absent_decorators(source: str, namespace: dict[str, Any]) -> ast.Module | None:
    """A function or class without the decorators that come from packages which are not there; None for anything else.

    Most such decorators, those of registries and loggers say, give back what they were given.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if len(tree.body) != 1 or not isinstance(tree.body[0], kinds):
        return None
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            node.decorator_list = [d for d in node.decorator_list if not _is_absent(namespace.get(_root_of(d)))]
    return tree


def stand_for_targets(source: str, namespace: dict[str, Any], used: str) -> None:
    """Let the names that an assignment would have bound stand for what is not there, where they stand for nothing."""
    try:
        (node,) = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    targets = node.targets if isinstance(node, ast.Assign) else []
    for name in [target.id for target in targets if isinstance(target, ast.Name)]:
        namespace.setdefault(name, AbsentName(f"{used}(...)"))


def _is_absent(value: object) -> bool:
    return type(value) in (AbsentName, AbsentModule)


def _root_of(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


class AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives `AbsentModule`s for packages that are known not to be there, and for all that lies in them.

    Attributes:
        packages: Their names.
    """

    def __init__(self) -> None:
        self.packages: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib`."""
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self.packages):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """See `importlib`."""
        return AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""

    def stand_for(self, package: str) -> None:
        """From now on, stand for a package."""
        self.packages.add(package)
        if self not in sys.meta_path:
            sys.meta_path.append(self)


def missing_module(error: BaseException | None) -> str:
    """The module that an import did not find, as its top package or the missing part of one; "" if it is no such error.

    A module of a package that is there ("torch.nonsense") is a slip, not something that Colab has.
    """
    if not isinstance(error, ModuleNotFoundError) or isinstance(error, AbsentError) or not error.name:
        return ""
    top = error.name.partition(".")[0]
    return error.name if top not in sys.modules or top in _SHARED else ""

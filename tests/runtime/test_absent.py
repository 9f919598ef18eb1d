"""A package that is not here fails when it is used, and only then."""

import sys
import typing

import pytest

from autograder.runtime.absent import (
    AbsentError,
    AbsentFinder,
    missing_module,
    stand_for_targets,
    without_absent_decorators,
)

PACKAGE = "package_that_nobody_has"


@pytest.fixture
def absent(monkeypatch):
    """Stand for the package, and forget it afterwards."""
    finder = AbsentFinder()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    finder.stand_for(PACKAGE)
    yield finder
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "line",
    [
        f"import {PACKAGE}",
        f"import {PACKAGE}.part.deeper as deeper",
        f"from {PACKAGE} import one, two as other",
        f"from {PACKAGE}.part import one",
    ],
)
def test_imports_of_every_form_work(absent, line):
    """Importing it, a part of it, or a name from it costs nothing."""
    exec(line, {})


@pytest.mark.parametrize(
    "use",
    ["p.f()", "p.Thing(1)", "list(p.things)", "p.x + 1", "1 + p.x", "bool(p.x)", "p.x < 1", "float(p.x)", "len(p.x)"],
)
def test_each_use_names_the_package(absent, use):
    """Whatever is done with it says which package is not here."""
    space = {}
    exec(f"import {PACKAGE} as p", space)
    with pytest.raises(AbsentError, match=f"the package {PACKAGE} is not here"):
        eval(use, space)


def test_a_class_cannot_derive_from_it(absent):
    """To derive a class from it is to use it."""
    with pytest.raises(AbsentError, match="is not here"):
        exec(f"import {PACKAGE} as p\nclass A(p.Base):\n    pass", {})


REGISTERED = f"""
from {PACKAGE}.registry import Registry
from {PACKAGE} import log
MODELS = Registry("models")
"""
DECORATED = """
@MODELS.register_module()
@log.catch
class Net:
    @log.catch(reraise=True)
    @staticmethod
    def two():
        return 2

    @property
    def three(self):
        return 3
"""


def test_decorators_of_what_is_not_there_are_left_out(absent):
    """Above a class, above its methods, and those of objects that such a package makes; others stay."""
    namespace = {}
    exec(REGISTERED.rpartition("MODELS")[0], namespace)
    with pytest.raises(AbsentError) as caught:
        exec('MODELS = Registry("models")', namespace)
    stand_for_targets('MODELS = Registry("models")', namespace, caught.value.used)
    with pytest.raises(AbsentError, match=r"registry\.Registry\(\.\.\.\)\.register_module` is used"):
        exec(DECORATED, namespace)
    exec(compile(without_absent_decorators(DECORATED, namespace), "cell", "exec"), namespace)
    assert namespace["Net"].two() == 2 and namespace["Net"]().three == 3


@pytest.mark.parametrize("text", ["x = 3", "MODELS.build()", "def f(: pass", "def f(): pass\ndef g(): pass"])
def test_what_is_no_single_definition_has_no_decorators(text):
    """Then nothing is run a second time."""
    assert without_absent_decorators(text, {}) is None


def test_names_that_are_bound_already_are_not_taken(absent):
    """An assignment that failed takes no name from what stood there before; what is none binds nothing."""
    namespace = {"a": 1}
    for text in ("a = b = p.f()", "c, d = p.f()", "e += p.f()", "g = ("):
        stand_for_targets(text, namespace, "p.f")
    assert set(namespace) == {"a", "b"} and namespace["a"] == 1
    with pytest.raises(AbsentError, match=r"`p\.f"):
        namespace["b"]()


def test_annotations_may_name_it(absent):
    """Annotations are no use of it: with a shape, in a union, as an optional."""
    space = {"typing": typing}
    takes = "a: p.Frame, b: p.Float[p.T, 'b n'], c: p.X | None = None"
    text = f"import {PACKAGE} as p\ndef f({takes}) -> typing.Optional[p.Y]:\n    return 1"
    exec(text, space)
    assert space["f"](1, 2) == 1


def test_what_an_error_misses():
    """A package is missing; a part of one that is there, or another error, is the student's own slip."""

    def told(line):
        try:
            exec(line, {})
        except Exception as error:
            return missing_module(error)
        return "nothing"

    assert told(f"import {PACKAGE}.part") == PACKAGE
    assert told("import torch.no_such_part") == "" and told("from torch import no_such_name") == ""
    assert told("1 / 0") == "" and missing_module(None) == ""
    assert told("from google.colab import drive") in ("google", "google.colab")


def test_colab_s_own_does_nothing(absent):
    """To mount a drive or ask for a file, outside of Colab, is no error."""
    absent.stand_for("google")
    space = {}
    exec("from google.colab import drive, files\nx = drive.mount('/content/drive')\ny = files.upload()", space)
    assert space["x"] is None and space["y"] is None
    for name in [name for name in sys.modules if name.startswith("google.colab")]:
        del sys.modules[name]

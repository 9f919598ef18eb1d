"""The tests themselves: they hold behaviour, not private names, and each says what must hold and can fail."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograder import PACKAGE as KIT
from autograder.course.assignment import load_assignment
from tests.conftest import ROOT

TESTS = ROOT / "tests"
HELPERS = ROOT / "helpers" / "ps7_helpers"
SUITES = load_assignment("ps7", ROOT).suites

# The private names that stay, by file: each with its reason. An entry that no longer occurs has to go.
STAYS = {
    ("helpers/test_nan_causes.py", "detector._normalizer"): "the name that the notebook itself gives students",
    (
        "runtime/test_pretend_gpu.py",
        "torch._subclasses.fake_tensor",
    ): "where torch has its fake tensors, no other place",
    ("runtime/test_device_table.py", "torch._subclasses.fake_tensor"): "the same",
    ("runtime/test_device_table.py", "torch.utils._pytree"): "how torch's own samples nest their tensors",
    ("runtime/test_device_table.py", "torch.testing._internal.common_methods_invocations"): "where torch has them",
    ("runtime/test_values.py", "torch._efficientzerotensor"): "torch makes such tensors, and has no public way to",
    ("house/test_in_private_root.py", "made._report_sections"): "where pytest keeps what a test printed",
    ("support/pretended_machine.py", "torch._dynamo"): "imported by torch's optimizers, has to be there before",
}
DOCUMENTED = {"os._exit"}  # public all the same
PRIVATE = re.compile(r"_(?!_)\w+")
BY_STRING = {"setattr", "getattr", "delattr", "hasattr", "object"}  # their second argument is a name
DOTTED = re.compile(r"\b(?:autograder|ps7_helpers|suites|data_scripts)(?:\.\w+)*\.(_(?!_)\w+)")
IMPORT = re.compile(r"\bfrom (?:autograder|ps7_helpers|suites|data_scripts)[\w.]* import [^;\n]*?\b(_(?!_)\w+)")


def _sources(*folders: Path) -> dict[str, ast.Module]:
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def defined(tree: ast.Module) -> set[str]:
    """The names that a module gives to anything, attributes of `self` among them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return found


@functools.cache
def sources() -> dict[str, ast.Module]:
    """The tests, read once, and not by workers that only collect this file."""
    return _sources(TESTS)


@functools.cache
def of_the_kit() -> set[str]:
    """The names that the kit gives to anything."""
    return set().union(*map(defined, _sources(KIT, HELPERS, SUITES).values()))


def private_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each private name that a test file reaches for and that is not its own.

    Its own are attributes of `self`, and names that the file defines and the kit does not.
    """
    own = defined(tree) - of_the_kit()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, part) for alias in node.names for part in alias.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            names = [(alias.name, alias.name) for alias in node.names]
            names += [(node.module or "", part) for part in (node.module or "").split(".")]
        elif isinstance(node, ast.Attribute):
            own_object = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own_object or node.attr in own else [(ast.unparse(node), node.attr)]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            named = node.args[1] if called in BY_STRING and len(node.args) > 1 else None
            text = named.value if isinstance(named, ast.Constant) else None
            names = [(repr(text), text)] if isinstance(text, str) and text not in own else []
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [(found[0], found[1]) for rule in (DOTTED, IMPORT) for found in rule.finditer(node.value)]
        else:
            names = []
        yield from ((node.lineno, said) for said, name in names if PRIVATE.fullmatch(name) and said not in DOCUMENTED)


def test_private_names_are_found():
    """The search finds each way to a private name, and spares the file's own."""
    found = {
        "from autograder.runs.slots import Slot, _begin": "_begin",
        "import concurrent.futures._base": "concurrent.futures._base",
        "from torch._C import x": "torch._C",
        "slot._process.pid": "slot._process",
        "slot._process = None": "slot._process",
        "reading._known.cache_clear()": "reading._known",
        "monkeypatch.setattr(slots, '_begin', None)": "'_begin'",
        "mock.patch.object(slots, '_begin')": "'_begin'",
        "getattr(slot, '_process')": "'_process'",
        "monkeypatch.setattr('autograder.runs.slots._begin', None)": "autograder.runs.slots._begin",
        "code = 'import torch; from ps7_helpers.live import LivePlot, _in_notebook'": "_in_notebook",
        "class Stub:\n    def __init__(self): self._process = 1\nslot._process": "slot._process",  # the kit's, too
    }
    for code, said in found.items():
        uses = [use for _, use in private_uses(ast.parse(code))]
        assert [use.rpartition(" ")[2] for use in uses] == [said], code
    spared = (
        "from autograder import __version__\nx.__class__\nslot.process\nsetattr(x, '__doc__', '')",
        "class Net:\n    def __init__(self): self._of_this_test = 1\n    def f(self): self._other\nn._of_this_test",
        "def _helper(): ...\n_helper()\ntext = '_process'\nname.startswith('_process')",
    )
    assert [use for code in spared for use in private_uses(ast.parse(code))] == []


def test_tests_use_no_private_names():
    """What a test needs is public, or it shows from outside: no private name of the kit's but those of the list.

    This file is left out, for it has samples of them.
    """
    uses = [
        (name.removeprefix("tests/"), line, use) for name, tree in sources().items() for line, use in private_uses(tree)
    ]
    uses = [use for use in uses if use[0] != f"house/{Path(__file__).name}"]
    assert [f"{name}:{line}: {use}" for name, line, use in uses if (name, use) not in STAYS] == []
    assert set(STAYS) - {(name, use) for name, _, use in uses} == set(), "no longer there: take it from the list"
    assert len(STAYS) < 10 and all(STAYS.values())


TEST_FUNCTIONS = {
    f"{name}:{node.lineno}: {node.name}": node
    for name, tree in sources().items()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def test_every_test_says_what_must_hold():
    """Each test has a docstring."""
    assert len(TEST_FUNCTIONS) > 1000
    assert [where for where, node in TEST_FUNCTIONS.items() if not ast.get_docstring(node)] == []


def always_asserts(body: list[ast.stmt]) -> bool:
    """Whether statements come to an assertion whichever way an `if` or an exception goes. A loop counts as run."""
    for node in body:
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.With):
            calls = [ast.unparse(item.context_expr).partition("(")[0] for item in node.items]
            if always_asserts(node.body) or {"pytest.raises", "pytest.warns"} & set(calls):
                return True
        if isinstance(node, (ast.For, ast.While)) and always_asserts(node.body):
            return True
        if isinstance(node, ast.If) and always_asserts(node.body) and always_asserts(node.orelse):
            return True
        if isinstance(node, ast.Try) and (always_asserts(node.finalbody) or always_asserts([*node.body, *node.orelse])):
            return True
    return False


def test_no_test_asserts_in_some_cases_alone():
    """A test that asserts anything does so in every case: not only under an `if` or in an `except`."""
    asserting = {
        where: node
        for where, node in TEST_FUNCTIONS.items()
        if any(isinstance(inner, ast.Assert) for inner in ast.walk(node))
    }
    assert len(asserting) > 1000
    assert [where for where, node in asserting.items() if not always_asserts(node.body)] == []


@pytest.mark.parametrize(
    ("code", "always"),
    [
        ("assert x", True),
        ("if x:\n    assert x", False),
        ("if x:\n    assert x\nelse:\n    assert y", True),
        ("try:\n    f()\nexcept ValueError as error:\n    assert error", False),
        ("try:\n    assert f()\nfinally:\n    g()", True),
        ("for x in y:\n    if x:\n        assert x", False),
        ("for x in y:\n    assert x", True),
        ("with pytest.raises(ValueError):\n    f()", True),
        ("with f():\n    if x:\n        assert x", False),
    ],
)
def test_assertions_in_some_cases_alone_are_found(code, always):
    """The reading of statements sees branches, handlers, loops and blocks."""
    assert always_asserts(ast.parse(code).body) is always

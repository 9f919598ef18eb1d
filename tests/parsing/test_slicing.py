"""From a notebook as students really write it to the few statements that define what is asked for."""

import sys
import types

import pytest

from autograder.checks.student import LocalStudent
from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import StudentError
from autograder.runtime.loading import load

NOT_RUN = frozenset({"train", "DataLoader", "show"})


def _slice(*cells, wanted=("f",), given=()):
    parsed = [parse_cell(number, source) for number, source in enumerate(cells, start=1)]
    return make_slice(parsed, wanted, NOT_RUN, given)


def _student(*cells, wanted=("f",), given=None):
    given = given or {}
    piece = _slice(*cells, wanted=wanted, given=given)
    module = types.ModuleType("notebook_under_test")
    student = LocalStudent(module.__dict__)
    student.workbench, _ = load(piece.to_json(given), module)
    return student


def _value(*cells, **options):
    """What the wanted `f()` of a notebook gives."""
    return _student(*cells, **options).call("f")


def _kept(piece):
    return [statement.source for statement in piece.statements]


SLICES = {
    "import later in the notebook": (["def f(): return math.floor(2.5)", "import math"], 2),
    "import under another name": (["import os.path as p, math as m\ndef f(): return m.floor(2.5)"], 2),
    "dotted import": (["import os.path", "def f(): return os.path.basename('a/b')"], "b"),
    "star import": (["from math import *", "def f(): return floor(2.5)"], 2),
    "constant defined later": (["def f(): return K", "K = 3"], 3),
    "constant through constants": (["A = 1", "B = A + 1", "C = [B, A]", "def f(): return C"], [2, 1]),
    "function through functions": (["def f(): return g()", "def g(): return h()", "h = lambda: K", "K = 4"], 4),
    "constant bound in if and else": (["if 1 > 2:\n    K = 1\nelse:\n    K = 2", "def f(): return K"], 2),
    "constant bound in try": (
        ["try:\n    import no_such\nexcept ImportError:\n    no_such = 5", "f = lambda: no_such"],
        5,
    ),
    "constant bound in with": (["import contextlib\nwith contextlib.suppress():\n    K = 3", "def f(): return K"], 3),
    "constant bound by for": (["for K in range(4):\n    pass", "def f(): return K"], 3),
    "constant bound by while": (["K = 0\nwhile K < 5:\n    K += 1", "def f(): return K"], 5),
    "constant bound by a walrus": (["print(K := 4)", "def f(): return K"], 4),
    "constant bound by match": (["match (1, 2):\n    case (_, K):\n        pass", "def f(): return K"], 2),
    "unpacked constants": (["A, (B, *C) = 1, (2, 3, 4)", "def f(): return [A, B, C]"], [1, 2, [3, 4]]),
    "annotated constant": (["K: int = 6", "def f() -> int: return K"], 6),
    "augmented constant": (["K = 1", "K += 2", "def f(): return K", "K *= 5"], 15),
    "appended list": (["L = [1]", "L.append(2)", "def f(): return L", "L.extend([3])"], [1, 2, 3]),
    "list filled in a loop": (["L = []", "for i in range(3):\n    L.append(i * i)", "def f(): return L"], [0, 1, 4]),
    "dict filled by item": (["D = {}", "D['a'] = 1", "D['b'] = D['a'] + 1", "def f(): return D"], {"a": 1, "b": 2}),
    "item taken away": (["L = [1, 2, 3]", "del L[0]", "def f(): return L"], [2, 3]),
    "tidying up after a demo": (["K = 3\ndef f(): return K", "x = f()\nprint(x)\ndel x, K"], 3),
    "method set after the class": (["class C: pass", "def g(self): return 8\nC.g = g", "def f(): return C().g()"], 8),
    "method set with setattr": (["class C: pass", "setattr(C, 'g', lambda self: 8)", "def f(): return C().g()"], 8),
    "methods set in a loop": (
        ["class C: pass\nfor n in 'ab':\n    setattr(C, n, lambda self: 9)", "def f(): return C().b()"],
        9,
    ),
    "class attribute": (["N = 3\nclass C:\n    size = [N for _ in range(2)]", "def f(): return C.size"], [3, 3]),
    "base class later found": (["class B:\n    x = 1", "class C(B): pass", "def f(): return C.x"], 1),
    "decorator": (["def twice(g): return lambda: 2 * g()", "@twice\ndef f(): return 4"], 8),
    "decorator with arguments on several lines": (
        ["import functools\n@functools.lru_cache(\n    maxsize=None,\n)\n# why not\ndef f():\n    return 3"],
        3,
    ),
    "default argument": (["K = 7", "def f(k=K, *, m=[K for _ in (1,)]): return [k, m]"], [7, [7]]),
    "lambda": (["K = 2", "f = lambda: K"], 2),
    "bound to another function": (["def g(): return 4", "f = g"], 4),
    "partial": (["from functools import partial", "def g(x): return x", "f = partial(g, 4)"], 4),
    "wrapped after the definition": (["def f(): return 1", "def wrap(g): return lambda: [g()]", "f = wrap(f)"], [1]),
    "last definition wins": (["def f(): return 1", "def f(): return 2"], 2),
    "stub, then the student's own cell": (["def f(): raise NotImplementedError", "def f(): return 2"], 2),
    "copy of an old constant": (["K = 1", "def f(): return K", "K = 2"], 2),
    "dataclass": (
        [
            "from dataclasses import dataclass, field\n@dataclass\nclass C:\n    x: list = field(default_factory=list)",
            "def f(): return C([1]).x",
        ],
        [1],
    ),
    "annotations from the future": (
        ["from __future__ import annotations", "def f(x: NoSuch = 1) -> AlsoNot: return x"],
        1,
    ),
    "annotations from the future, in a later cell": (
        ["def f(x: int = 1): return f.__annotations__['x'] is int", "from __future__ import annotations"],
        True,
    ),
    "main guard": (["def f(): return 1\nif __name__ == '__main__':\n    raise SystemExit(f())"], 1),
    "cell magic": (["%%time\ndef f():\n    !ls\n    return 1"], 1),
    "two statements on a line": (["A = 1; B = A + 1; boom = 1 / 0", "def f(): return B"], 2),
    "statement after a list on several lines": (["K = [1,\n2]; boom = train()", "def f(): return K"], [1, 2]),
    "odd line separators": (["# a\u2028b\nK = 'x\x0cy'\n\ndef f():\n    return K"], "x\x0cy"),
    "windows line ends": (["K = [1,\r\n  2]\r\ndef deco(g): return g\r\n@deco\r\ndef f():\r\n  return K\r\n"], [1, 2]),
    "generator and comprehension scopes": (["i = 5\nL = [i for i in range(2)]", "def f(): return [L, i]"], [[0, 1], 5]),
    "global statement in a function": (["K = 1\ndef f():\n    global K\n    K += 1\n    return K"], 2),
    "nested functions": (
        ["K = 2\ndef f():\n    def g():\n        return [K for _ in range(2)]\n    return g()"],
        [2, 2],
    ),
    "builtin taken over by the notebook": (
        ["from math import *", "def sum(x): return 'mine'", "f = lambda: sum([1])"],
        "mine",
    ),
    "heavy cell redefines a light name": (["S = 8", "S = DataLoader()", "def f(): return S"], 8),
    "syntax error in the cell of another name": (["def f(): return 1", "def g(: pass"], 1),
    "syntax error in the stub's own cell, then a new one": (["def f() return 1", "def f(): return 2"], 2),
    "exec": (["exec('def f(): return 5')"], 5),
    "globals()": (["def g(): return 4", "globals()['f'] = lambda: 4"], 4),
    "conditional definition": (["if True:\n    def f(): return 1\nelse:\n    def f(): return 2"], 1),
}


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_behaves_like_the_notebook(name):
    """Whatever way a student writes it, `f()` gives what it gives in the notebook."""
    cells, expected = SLICES[name]
    assert _value(*cells) == expected


@pytest.mark.parametrize(
    "cells",
    [
        ["x = show(f(3))", "def f(x): return x"],
        ["i = 1 / 0", "K = [i for i in range(3)]\ndef f(): return {i: i for i in K}"],
        ["w = 1 / 0", "def f():\n    w = 3\n    return lambda: w"],
        ["images = train()", "for images in DataLoader(): print(images)", "def f(images): return images"],
        ["self = train()\nx = self", "class C:\n    def g(self, x): return self\ndef f(): return C"],
        ["e = 1 / 0", "def f():\n    try:\n        return 1\n    except ValueError as e:\n        return e"],
    ],
)
def test_a_demo_variable_named_like_a_local_is_not_pulled_in(cells):
    """A local name, an argument or a comprehension's own name never reaches for a demo's variable."""
    kept = _kept(_slice(*cells))
    assert any("def f" in source for source in kept)
    assert not any("/ 0" in source or "train" in source or "DataLoader" in source for source in kept)
    assert _slice(*cells).not_run == {}


def test_only_what_is_needed_is_kept():
    """Demos, plots and other exercises stay out; what stays is in the notebook's order."""
    piece = _slice("import math, sys", "K = 2\nprint(K)\nf(1)", "def other(): return K", "def f(x): return K * x")
    assert _kept(piece) == ["K = 2", "def f(x): return K * x"]
    assert [(s.cell, s.line) for s in piece.statements] == [(2, 1), (4, 1)]


def test_training_is_never_run():
    """A statement that trains or loads data is left out, and so is what leans on it."""
    piece = _slice("data = DataLoader()", "batch = next(iter(data))", "N = len(batch)", "def f(): return N")
    assert _kept(piece) == ["def f(): return N"]
    assert list(piece.not_run) == ["N"] and "code cell 3" in piece.not_run["N"]


def test_work_hidden_in_a_function_is_not_run():
    """Calling a helper that trains is training, even through another helper."""
    piece = _slice("def go(): return train()\ndef outer(): return go()", "model = outer()", "def f(): return model")
    assert "model" in piece.not_run and "model = outer()" not in _kept(piece)


def test_constants_that_need_no_work_stay():
    """Plain values and light calls are kept beside training in the same cell."""
    piece = _slice("K = dict(a=1)\nmodel = train(K)\nL = sorted(K)", "def f(): return L")
    assert _kept(piece) == ["K = dict(a=1)", "L = sorted(K)", "def f(): return L"]


@pytest.mark.parametrize(
    "use", ["detector.x", "detector(1)", "len(detector)", "[*detector]", "1 + detector", "-detector"]
)
def test_a_global_that_was_trained_says_so_when_touched(use):
    """A function that leans on a global `detector` is told why that does not work, and in which cell it is made."""
    student = _student("detector = train()", f"def f(): return {use}")
    with pytest.raises(
        StudentError, match=r"`detector` comes from code cell 1.*not run it.*code cell 2, line 1"
    ) as caught:
        student.call("f")
    assert caught.value.status == "error"


def test_a_function_may_mention_a_trained_global_it_does_not_touch():
    """A branch that is never taken costs nothing."""
    assert _value("detector = train()", "def f(m=None): return 3 if m is None else detector(m)") == 3


def test_torch_refusing_a_trained_global_is_explained():
    """Torch's own complaint about a stand-in says what that is."""
    student = _student("import torch\nn = train()", "def f(): return torch.add(torch.ones(2), n)")
    with pytest.raises(StudentError, match="stands for a name whose cell grading does not run"):
        student.call("f")


def test_given_names_win_over_the_notebook():
    """A name that the assignment fixes has its value whatever the notebook binds, before and after."""
    cells = ["DEVICE = train()", "DEVICE = 'cuda'\nK = [DEVICE]", "def f(): return [DEVICE, K]"]
    piece = _slice(*cells, given=["DEVICE"])
    assert "DEVICE" not in piece.not_run
    assert _value(*cells, given={"DEVICE": "cpu"})[0] == "cpu"


def test_a_misspelt_name_is_pointed_out():
    """A missing name comes with the one that looks like it."""
    student = _student("def get_location(): return 1", wanted=("get_locations",))
    with pytest.raises(StudentError, match="There is a `get_location`") as caught:
        student.call("get_locations")
    assert caught.value.status == "missing"


def test_a_syntax_error_around_the_definition_is_named():
    """A wanted name whose cell Python cannot read gets cell, line and text, not "missing"."""
    with pytest.raises(StudentError, match=r"code cell 2, line 3: y = = 1") as caught:
        _value("x = 1", "def f():\n    return 1\ny = = 1")
    assert (caught.value.status, caught.value.kind) == ("error", "SyntaxError")
    assert "y = = 1" not in caught.value.public_text


def test_a_whole_notebook_that_is_hostile_to_parsers_loses_only_itself():
    """Depth that breaks Python's own tools costs that statement alone."""
    assert _value("x = " + "+".join(["1"] * 5000), "y = " + "a" + ".b" * 3000, "def f(): return 1") == 1


def test_slicing_leaves_the_cells_as_they_were():
    """The same parsed cells give the same slice for each exercise."""
    cells = [parse_cell(1, "K = [i for i in range(3)]\ndef f(): return {k: [k] for k in K}")]
    first = make_slice(cells, ("f",), NOT_RUN)
    assert make_slice(cells, ("f",), NOT_RUN) == first and len(first.statements) == 2


def test_dataclasses_with_postponed_annotations(monkeypatch):
    """A dataclass finds its annotations where the module is a registered one, as in the sandbox."""
    module = types.ModuleType("registered_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    piece = _slice(
        "from __future__ import annotations\nimport dataclasses as d\n@d.dataclass\nclass C:\n    x: int = 3",
        wanted=("C",),
    )
    load(piece.to_json({}), module)
    assert module.C().x == 3 and module.C.__annotations__ == {"x": "int"}

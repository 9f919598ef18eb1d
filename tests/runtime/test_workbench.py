"""A student's code through `LocalStudent` and `Handle`: what it gives, and what is said where it gives nothing."""

import contextlib
import gc
import sys
import traceback
import types
import weakref

import pytest
import torch

from autograder.checks.student import LocalStudent
from autograder.parsing.cells import parse_cell
from autograder.parsing.slicing import make_slice
from autograder.runtime.errors import StudentError
from autograder.runtime.explaining import explain
from autograder.runtime.loading import load
from autograder.runtime.not_run import NotRun, NotRunError
from autograder.runtime.values import ValueRefused, copied
from autograder.runtime.workbench import OPERATIONS, Workbench

NOTEBOOK = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=2, *, scale=1.0):
        super().__init__()
        self.head = nn.Linear(width, 1, bias=False)
        self.spare = nn.Linear(1, 1, bias=False)
        self.scale = scale
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        return {"y": self.scale * self.head(x), "x": x, "mode": "train" if self.training else "eval"}

    def double(self, x, *, times=2):
        return times * x


def add(a, b=1):
    return a + b
"""


def _student(*cells, wanted=("f",)):
    """A student whose notebook has these cells."""
    parsed = [parse_cell(number, source) for number, source in enumerate(cells, start=1)]
    module = types.ModuleType("workbench_under_test")
    student = LocalStudent(module.__dict__)
    student.workbench, _ = load(make_slice(parsed, wanted, frozenset()).to_json({}), module)
    return student


@pytest.fixture
def student():
    """A student with a module `Net` and a function `add`."""
    return _student(NOTEBOOK, wanted=("Net", "add"))


def _failure(student, name="f", *args):
    with pytest.raises(StudentError) as caught:
        student.call(name, *args)
    return caught.value


def test_call_passes_arguments_and_keywords(student):
    """A function is called with positional and keyword arguments."""
    assert student.call("add", 2) == 3 and student.call("add", 2, b=5) == 7
    assert student.call("add", torch.ones(2), b=torch.ones(2)).tolist() == [2, 2]


def test_arguments_are_copies():
    """A function that changes its argument in place does not change ours."""
    student = _student("def f(x, k):\n    x.zero_()\n    k.append(1)\n    return x")
    ours, names = torch.ones(2), []
    assert student.call("f", ours, names).tolist() == [0, 0]
    assert ours.tolist() == [1, 1] and names == []


def test_results_are_copies():
    """What was returned once does not change when the student's code goes on."""
    student = _student("import torch\nK = torch.zeros(1)\ndef f():\n    K.add_(1)\n    return K")
    first = student.call("f")
    student.call("f")
    assert first.tolist() == [1]


def test_new_use_and_method(student):
    """A module is made with arguments, called, and its methods are called."""
    net = student.new("Net", 3, scale=2.0)
    net.load({"head.weight": torch.tensor([[1.0, 2.0, 3.0]])})
    assert net(torch.ones(3))["y"].tolist() == [12.0]
    assert net.call("double", 4) == 8 and net.call("double", 4, times=3) == 12


def test_two_modules_are_kept_apart(student):
    """Each handle speaks of its own module."""
    one, two = student.new("Net", scale=1.0), student.new("Net", scale=2.0)
    assert (one.get("scale"), two.get("scale")) == (1.0, 2.0)


def test_get_reaches_inside(student):
    """Dots reach into attributes; a tensor comes back as a copy."""
    net = student.new("Net", 3)
    assert net.get("head.in_features") == 3
    net.get("head.weight").zero_()
    assert net.get("head.weight").abs().sum() > 0


def test_parameters_and_buffers(student):
    """Parameters and buffers are listed by name, as copies."""
    net = student.new("Net")
    assert {name: tuple(p.shape) for name, p in net.parameters().items()} == {
        "head.weight": (1, 2),
        "spare.weight": (1, 1),
    }
    assert {name: b.tolist() for name, b in net.buffers().items()} == {"seen": [0.0]}


def test_load_overwrites_by_name(student):
    """Loading changes the named tensors, buffers too, and no others."""
    net = student.new("Net")
    before = net.parameters()["spare.weight"]
    net.load({"head.weight": torch.full((1, 2), 3.0), "seen": torch.ones(1)})
    assert net.parameters()["head.weight"].tolist() == [[3.0, 3.0]] and net.buffers()["seen"].tolist() == [1.0]
    assert torch.equal(net.parameters()["spare.weight"], before)


def test_train_and_eval(student):
    """The mode reaches the student's module."""
    net = student.new("Net")
    net.eval()
    assert net(torch.ones(2))["mode"] == "eval"
    net.train()
    assert net(torch.ones(2))["mode"] == "train"


def test_gradients_of_the_sum_of_outputs(student):
    """Gradients come by name; a parameter that plays no part has None."""
    grads = student.new("Net", scale=3.0).gradients(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert grads["head.weight"].tolist() == [[12.0, 18.0]] and grads["spare.weight"] is None


def test_gradients_of_named_outputs_only(student):
    """`of` names the outputs that are summed; gradients do not add up over calls."""
    net = student.new("Net")
    assert net.gradients(torch.ones(1, 2), of=["x"])["head.weight"] is None
    for _ in range(2):
        assert net.gradients(torch.ones(1, 2), of=["y"])["head.weight"].tolist() == [[1.0, 1.0]]


def test_one_gradient_for_a_whole_part(student):
    """Of the parameters that `first_of` names the first alone comes; all others do."""
    net = student.new("Net")
    assert list(net.gradients(torch.ones(1, 2), first_of="head.")) == ["head.weight", "spare.weight"]
    assert list(net.gradients(torch.ones(1, 2), first_of="")) == ["head.weight", "spare.weight"]
    both = _student(
        "from torch import nn\nclass f(nn.Sequential):\n    def __init__(self): super().__init__(nn.Linear(2, 1))"
    )
    assert list(both.new("f").gradients(torch.ones(1, 2), first_of="0.")) == ["0.weight"]


def test_a_class_that_gives_no_module():
    """A class that is no `nn.Module` is said to be none."""
    student = _student("class f: pass")
    with pytest.raises(StudentError, match=r"gave a `f`, not an `nn.Module`"):
        student.new("f")


def test_operations_are_a_closed_list(student):
    """Nothing but the listed operations can be asked for."""
    assert "find" not in OPERATIONS
    with pytest.raises(ValueError, match="no operation"):
        student.do("find", name="add")


def test_an_error_names_cell_line_and_text():
    """An exception is told with the innermost line of the student's own."""
    error = _failure(_student("x = 1", "import torch\ndef g(x):\n    return torch.ones(2) @ x\ndef f(): return g(1)"))
    assert (error.status, error.kind) == ("error", "TypeError")
    assert (error.place.cell, error.place.line, error.place.text) == (2, 3, "return torch.ones(2) @ x")
    assert "code cell 2, line 3: return torch.ones(2) @ x" in error.message


def test_public_text_holds_nothing_that_student_code_could_choose():
    """A hidden check names Python's own exception and the place, never message, class name or line."""
    code = "class Secret42(KeyError): pass\ndef f(x):\n    raise Secret42(f'inputs {x}')"
    error = _failure(_student(code), "f", 7)
    assert error.public_text == "Your code raised KeyError in code cell 1, line 3."
    assert "Secret42" in error.message and "inputs 7" in error.message


def test_an_exception_that_cannot_be_printed():
    """A student's exception whose `str` fails is an error like any other."""
    code = "class E(Exception):\n    def __str__(self): raise ValueError\ndef f(): raise E"
    assert "Your code raised E (code cell 1, line 3" in _failure(_student(code)).message


def test_what_is_left_as_given_is_missing():
    """The NotImplementedError of the given stub is "missing", not an error."""
    error = _failure(_student("def f():\n    raise NotImplementedError('TODO')"))
    assert (error.status, error.public_text) == ("missing", "This part is as given.")


def test_torchs_own_not_implemented_is_an_error():
    """A module without `forward` is a fault of the student's, not a part that is as given."""
    code = "import torch\nclass Net(torch.nn.Module):\n    def foward(self, x): return x\ndef f(): return Net()(1)"
    error = _failure(_student(code))
    assert error.status == "error" and "forward" in error.message


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("return f()", "error", "calls itself without end"),
        ("raise MemoryError", "memory", "ran out of memory"),
        ("raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory: 9')", "memory", "ran out of memory"),
        ("exit()", "error", "ends the program"),
        ("import sys; sys.exit(0)", "error", "ends the program"),
        ("return object()", "error", "returned a `object`"),
        ("return (x for x in 'a')", "error", "returned a `generator`"),
        ("return 10 ** 9999", "error", "digits"),
        ("import torch; return torch.ones(1).expand(2**50)", "error", "cannot be copied"),
        ("assert False, 'no'", "error", "AssertionError: no"),
        ("raise StopIteration", "error", "StopIteration"),
        ("return undefined_name", "error", "NameError"),
    ],
)
def test_every_way_to_give_no_value_has_a_status(body, status, says):
    """However a function fails to give a value, the check gets a status and the student a sentence."""
    code = f"import builtins, sys\nexit = sys.exit\ndef f():\n    {body}"
    error = _failure(_student(code))
    assert error.status == status and says in error.message


def test_a_students_interrupt_stays_one():
    """Ctrl-C during `check()` is not turned into a verdict."""
    with pytest.raises(KeyboardInterrupt):
        _student("def f(): raise KeyboardInterrupt").call("f")


def test_an_unknown_name_is_missing():
    """A name that the notebook does not define is missing, and the advice says so."""
    error = _failure(_student("x = 1"))
    assert error.status == "missing" and "does not define `f`" in error.message


def test_a_definition_that_fails_says_why():
    """A statement that raises while loading costs the names it binds, with the reason."""
    student = _student("def f():\n    return 1\n@no_such_decorator\ndef g():\n    return 1", wanted=("f", "g"))
    assert student.call("f") == 1
    assert "NameError" in _failure(student, "g").message and _failure(student, "g").place.line == 3


def test_a_later_definition_makes_good_for_one_that_failed():
    """A definition that fails and is written again counts as written again."""
    assert _student("f = no_such", "def f(): return 2").call("f") == 2


def test_a_broken_name_is_not_served_from_an_older_definition():
    """A last definition that fails is told, instead of grading the older one in silence."""
    assert "NameError" in _failure(_student("def f(): return 1", "f = no_such(f)")).message


TOUCHES = {
    "call": lambda x: x(),
    "attribute": lambda x: x.weight,
    "set attribute": lambda x: setattr(x, "a", 1),
    "item": lambda x: x[0],
    "set item": lambda x: x.__class__.__setitem__(x, 0, 1),
    "iterate": lambda x: list(x),
    "length": len,
    "truth": bool,
    "in": lambda x: 1 in x,
    "plus": lambda x: 1 + x,
    "divide": lambda x: x // 2,
    "power": lambda x: 2**x,
    "matmul": lambda x: x @ x,
    "minus": lambda x: -x,
    "less": lambda x: x < 1,
    "equal": lambda x: x == 1,
    "range": lambda x: range(x),
    "float": float,
    "print": str,
    "format": lambda x: f"{x}",
    "with": lambda x: x.__enter__(),
    "sizes of a tensor": lambda x: torch.ones(2)[x],
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_a_name_that_was_not_run_says_so_when_touched(touch):
    """Whatever is done with the stand-in of a heavy name, it says why there is nothing behind it."""
    with pytest.raises(NotRunError, match="not run it"):
        TOUCHES[touch](NotRun("grading does not run it"))


def test_an_error_that_is_told_again_has_not_grown():
    """Each time a broken name is asked for, its error has the frames of that time alone, and holds no others."""
    bench = Workbench({}, broken={"f": StudentError("error", "It failed.")})
    depths = []
    for _ in range(3):
        with pytest.raises(StudentError) as raised:
            bench.do("call", name="f", args=[], kwargs={})
        depths.append(len(list(traceback.walk_tb(raised.value.__traceback__))))
    assert len(set(depths)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        "raise ValueError(kept)",
        "raise NotImplementedError",
        "kept.cuda()",
        "torch.zeros(2, device='cuda') + kept",
        "return f(kept)",
        "return {0: kept}, object()",
    ],
)
def test_what_code_held_when_it_failed_is_let_go(fault):
    """Memory of a failed call is free at once, not when garbage is collected: the next call might find none left."""
    made = []

    def make():
        kept = torch.zeros(3)
        made.append(weakref.ref(kept))
        return kept

    namespace = {"torch": torch, "make": make}
    exec(compile(f"def f(x):\n    kept = make()\n    {fault}\n", "<code cell 1>", "exec"), namespace)
    bench = Workbench(namespace)
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            with contextlib.suppress(StudentError, ValueRefused):
                copied(bench.do("call", name="f", args=[1], kwargs={}))
        assert [held() for held in made] == [None] * len(made) and made
    finally:
        gc.enable()


def test_explain_finds_no_place_outside_the_notebook():
    """An exception of ours has no line of the student's."""
    try:
        raise ValueError("ours")
    except ValueError as caught:
        error = explain(caught)
    assert error.place is None and error.public_text == "Your code raised ValueError."


def test_a_workbench_over_a_live_notebook():
    """In the students' own notebook names are looked up when they are asked for, not when it was made."""
    namespace = {}
    bench = Workbench(namespace)
    namespace["late"] = lambda: 3
    assert bench.do("call", name="late", args=[], kwargs={}) == 3


def test_loading_leaves_no_module_behind():
    """Loading a notebook registers nothing under its name."""
    _student("def f(): return 1")
    assert "workbench_under_test" not in sys.modules


def test_a_mode_that_was_asked_for_holds_from_the_next_run_on(student):
    """Setting a mode costs no request; the next call, method or gradient is in it, and so are those after."""
    net = student.new("Net")
    net.eval()
    assert [net(torch.ones(1, 2))["mode"] for _ in range(2)] == ["eval", "eval"]
    net.train()
    net.gradients(torch.ones(1, 2), of=["y"])
    assert net(torch.ones(1, 2))["mode"] == "train"
    net.eval()
    assert net.call("forward", torch.ones(1, 2))["mode"] == "eval"


def test_what_several_checks_ask_for_is_made_once(student):
    """A second asker gets the same thing; what raised is tried again, so each check is told the same."""
    asked = []

    def fail():
        asked.append(1)
        raise StudentError("error", "no")

    for _ in range(2):
        with pytest.raises(StudentError, match="no"):
            student.once("a", fail)
    assert len(asked) == 2
    assert student.once("a", lambda: 7) == 7 and student.once("a", lambda: 8) == 7


def test_results_of_calls_in_turn_are_taken_at_the_end(student):
    """A result that a later call changes shows what it has become; a module is run in turn likewise."""
    sharing = _student("KEPT = {}\ndef f(x):\n    KEPT['x'] = x\n    return KEPT")
    first, second = sharing.do("in_turn", name="f", calls=[[1], [2]])
    assert first == second == {"x": 2}
    assert student.do("in_turn", name="add", calls=[[1], [1, 2]]) == [2, 3]
    net = student.new("Net", 1)
    net.eval()
    one, two = net.in_turn([torch.ones(1)], [torch.zeros(1)])
    assert one["x"].tolist() == [1] and two["x"].tolist() == [0] and one["mode"] == "eval"


INTO = """
import torch
from torch import nn


class Greedy(nn.Module):
    def __init__(self, widths, keep=False):
        super().__init__()
        self.inner = nn.Identity()
        if not keep:
            widths.append(1)

    def forward(self, x, maps, much):
        if much:
            x += 1
            maps["a"] = maps["a"] + 0
        return self.inner(2 * x)
"""


def test_what_is_written_into_is_told():
    """By a module's forward pass, by what makes a module, in dictionaries and lists; what stays is not told."""
    module = types.ModuleType("into")
    exec(INTO, module.__dict__)
    student = LocalStudent(module.__dict__)
    made = student.new("Greedy", [3], keep=True)
    for much, changed in ((True, [0, 1]), (False, [])):
        assert made.writes_into(torch.ones(2), {"a": torch.ones(1)}, much) == changed
    assert student.do("writes_into", name="Greedy", args=[[3]]) == [0]
    assert student.do("writes_into", name="Greedy", args=[[3], True]) == []


def test_what_a_part_is_given_is_told():
    """Call by call, and the module is as it was afterwards; a part that is not there is an error."""
    module = types.ModuleType("into")
    exec(INTO, module.__dict__)
    made = LocalStudent(module.__dict__).new("Greedy", [3], keep=True)
    (given,) = made.given_to("inner", torch.ones(2), {"a": torch.ones(1)}, False)
    assert given.tolist() == [2.0, 2.0]
    assert made(torch.ones(2), {"a": torch.ones(1)}, False).tolist() == [2.0, 2.0]
    with pytest.raises(StudentError):
        made.given_to("outer", torch.ones(2), {"a": torch.ones(1)}, False)


class _Liar(LocalStudent):
    """Answers whatever it was told to answer."""

    def __init__(self, answer):
        super().__init__({})
        self.answer = answer

    def perform(self, operation, arguments):
        """The one answer, or the number of a module."""
        return 1 if operation == "new" else self.answer


@pytest.mark.parametrize("answer", [None, True, "text", {"a": 1}, torch.ones(2)], ids=repr)
def test_nonsense_about_arguments_is_no_answer(answer):
    """What is not a list of positions tells nothing of arguments, and nothing of what a part was given."""
    made = _Liar(answer).new("Net")
    with pytest.raises(StudentError, match="did not say which arguments"):
        made.writes_into(1)
    assert made.given_to("inner", 1) == []


TWICE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Linear(2, 2), nn.Linear(2, 1)]
        self.every = nn.ModuleList(layers)
        self.register_buffer("seen", layers[0].weight.detach())
        self.first, self.last = layers
        self.register_buffer("first_seen", self.seen)

    def forward(self, x):
        return self.last(self.first(x))
"""


def test_a_weight_that_is_registered_twice_goes_by_the_name_of_the_text():
    """By the name that came first, as torch has it, where the text has none; once it is, it can be loaded by either."""
    module = types.ModuleType("twice")
    exec(TWICE, module.__dict__)
    student = LocalStudent(module.__dict__)
    made = student.new("Net")
    plain = {f"every.{n}.{kind}" for n in (0, 1) for kind in ("weight", "bias")}
    assert set(made.parameters()) == plain and set(made.buffers()) == {"seen"}
    student.given = ("first", "first_seen")
    told = {"first.weight", "first.bias", "every.1.weight", "every.1.bias"}
    assert set(made.parameters()) == set(made.gradients(torch.ones(2))) == told
    assert set(made.parameters(skip="every.")) == {"first.weight", "first.bias"}
    assert set(made.buffers()) == {"first_seen"}
    for name in ("first.weight", "every.0.weight"):
        made.load({name: torch.full((2, 2), float(len(name)))})
        assert made.parameters()["first.weight"].unique().tolist() == [len(name)]

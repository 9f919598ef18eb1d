"""What is held against answers without work: changes that cannot show, a backbone of ours, questions asked again."""

import contextlib
import io

import pytest
import torch
from torch.nn import functional as F

from autograder.checks.collecting import collect
from autograder.checks.compare import CheckFailed
from autograder.checks.runner import SuitePlugin
from autograder.course.assignment import load_assignment
from autograder.grading.substitutes import load_solution
from autograder.runtime.errors import StudentError
from suites.hidden import confirm, network_runs, pyramid_runs
from suites.hidden.elsewhere import OTHERS, quietly
from suites.hidden.nudges import WAYS, Pairs, changes, most, pretended, seen, unseen, visible
from suites.hidden.our_backbone import our_backbone
from suites.public.test_7_1b import REACHES, made, pyramid_weights
from tests.conftest import ROOT

ONLY_FULL = (
    (
        "dummy_out = self.backbone(",
        'self.backbone.get_submodule("trunk_output.block4.block4-1")\n        dummy_out = self.backbone(',
    ),
)


@pytest.fixture(autouse=True)
def _one_thread():
    """As in a slot: on small tensors several threads cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(name="rng")
def _rng():
    return torch.Generator().manual_seed(5)


def solution(exercise, changed=()):
    """The instructor's solution of an exercise, with changes."""
    assignment = load_assignment("ps7", ROOT)
    with contextlib.redirect_stdout(io.StringIO()):
        return load_solution(assignment, assignment.exercise(exercise), changes=tuple(changed))


@pytest.fixture(name="check_of")
def _check_of():
    """Run all checks of an exercise on the solution with changes."""

    def run(exercise, changed):
        assignment, found = load_assignment("ps7", ROOT), []
        student, right = solution(exercise, changed), solution(exercise)
        plugin = SuitePlugin(assignment.reference, lambda p: found.extend(p.run(exercise, student, 1)), lambda _: right)
        collect([assignment.suites / "public", assignment.suites / "hidden"], plugin)
        return found

    return run


@pytest.mark.parametrize(
    "after", [lambda x: x, torch.relu, torch.sigmoid, lambda x: F.max_pool2d(x, 2), lambda x: x * x]
)
def test_what_is_made_of_a_layer_s_result_does_not_show_an_unseen_change(rng, after):
    """Right or wrong, code that runs the layer gives the same; another change shows."""
    pairs = Pairs(rng, 16)
    read = pairs.twice(torch.randn(16, 1, 6, 8, generator=rng)).transpose(0, 1)
    weight = 0.1 * torch.randn(4, 16, 3, 3, generator=rng)

    def moved(to):
        before, now = ({"": after(F.conv2d(read, w, padding=1))} for w in (weight, to))
        return changes(before, now)

    shown = visible(moved(seen(weight, pairs, rng)))
    assert shown and not pretended(most(*(moved(unseen(weight, pairs, rng, way)) for way in WAYS)), shown)


@pytest.mark.parametrize("beside", [0.0, 30.0])
@pytest.mark.parametrize(
    "idea",
    [
        *(torch.mean, torch.sum, torch.std, lambda w: w.abs().max(), lambda w: w[0, 0, 1, 1]),
        *(lambda w: (60 * w.mean()).exp(), lambda w: (-60 * w.mean()).exp(), lambda w: w.mean().clamp(min=0.1)),
        *(lambda w: (w.mean().abs() * 1e4).sinh(), lambda w: (w.mean() > 0.3).float(), lambda w: w[:, 0].mean() ** 9),
    ],
)
def test_what_is_made_of_the_weights_alone_shows_it(rng, idea, beside):
    """A layer that is not run betrays itself, however steep the function, also beside a number that does not move."""
    pairs = Pairs(rng, 16)
    weight = 0.1 * torch.randn(4, 16, 3, 3, generator=rng)

    def moved(to):
        return changes({"": idea(weight) + beside}, {"": idea(to) + beside})

    for _ in range(20):
        shown = visible(moved(seen(weight, pairs, rng)))
        assert not shown or pretended(most(*(moved(unseen(weight, pairs, rng, way)) for way in WAYS)), shown)


@pytest.mark.parametrize("changed", [(), ONLY_FULL])
@pytest.mark.parametrize("train", [False, True])
def test_our_backbone_s_maps_are_those_of_the_student_s_module(rng, changed, train):
    """Shallow, or as a whole where a solution needs that; pairs of channels differ by a factor of two in each map."""
    student = solution("7.1b", changed)
    module = made(student)
    backbone = our_backbone(student, module, rng)
    images = torch.randn(2, 3, 64, 96, generator=rng)
    module.train(train)
    theirs, ours = module.call("backbone", images), backbone.maps(images, train=train)
    for source, tensor in ours.items():
        torch.testing.assert_close(theirs[source], tensor, rtol=1e-4, atol=1e-4)
        first, second = backbone.pairs.among(tensor.shape[1])
        assert len(first) == tensor.shape[1] // 2 and float(tensor.std()) > 0.01
        torch.testing.assert_close(tensor[:, second], 2 * tensor[:, first], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("changed", [(), ONLY_FULL])
def test_a_pyramid_that_runs_is_seen_to(rng, changed):
    """Each lateral convolution moves what it should, none is idle, and the pyramid is left with its own weights."""
    student = solution("7.1b", changed)
    before = made(student).parameters(skip="backbone.")
    found = pyramid_runs.runs(student, rng)
    lateral, output = pyramid_weights(made(student))
    assert {source: found.moved[name] for source, name in lateral.items()} == REACHES
    assert len(output) == 3 and not found.idle and found.any
    after = made(student).parameters(skip="backbone.")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_that_runs_is_seen_to(rng):
    """Every convolution of it."""
    tried = network_runs.trial(solution("7.1c"), rng)
    layers = [tried.layer(name) for name in tried.convolutions()]
    assert len(layers) == 7 and all(layer.moves and not layer.pretends for layer in layers)


def test_layers_count_where_forward_is_not_done(rng):
    """As for a student who stopped there; what shows in predictions does not count."""
    undone = (("        class_logits = {}\n", "        raise NotImplementedError\n        class_logits = {}\n"),)
    student = solution("7.1c", undone)
    confirm.layers_are_run(student, student, rng)
    with pytest.raises(StudentError):
        confirm.predictions_are_made(student, student, rng)


def test_what_the_networks_are_made_with_is_one_line(check_of):
    """Where the line that makes the pyramid has another number, that check fails, and none of the losses' values."""
    results = check_of("7.1i-losses", (("out_channels=fpn_channels)", "out_channels=fpn_channels + 1)"),))
    assert {check.name for check in results if check.status != "passed"} == {
        "arguments_of_the_networks",  # the public one
        "the_networks_get_the_arguments",
    }


@pytest.mark.parametrize(
    "error", [CheckFailed("expected 12.5, got 3", "x and y are swapped"), StudentError("error", "said by student: 7")]
)
def test_what_fails_elsewhere_is_said_in_constant_words(error):
    """No number, no name of a fault, nothing that student code chose."""
    error.public_text = error.public_text if isinstance(error, CheckFailed) else "Your code raised an exception."
    with pytest.raises(type(error)) as caught, quietly():
        raise error
    said = caught.value.message + caught.value.public_text + getattr(caught.value, "diagnosis", "")
    assert said in (2 * OTHERS, 2 * "Your code raised an exception.")


def test_public_checks_ask_for_what_is_there():
    """Each name that a public check has confirmed is a function of `confirm`, and none is idle."""
    asked = set()
    for path in (load_assignment("ps7", ROOT).suites / "public").glob("test_*.py"):
        asked |= {part.partition('"')[0] for part in path.read_text(encoding="utf-8").split('confirm("')[1:]}
    assert asked == set(confirm.__all__) and all(callable(getattr(confirm, name)) for name in asked)


def test_a_student_s_own_notebook_asks_no_twin():
    """Without a solution, a table of the stored answers passes all public checks of an exercise: nobody is fooled."""
    assignment, seen_there = load_assignment("ps7", ROOT), []
    table = solution("7.1d")
    stored = {}
    plain = table.do

    def typed_in(operation, **arguments):
        key = repr(arguments)
        if operation == "call":
            stored.setdefault("first", plain(operation, **arguments))
            return stored["first"]
        return stored.setdefault(key, plain(operation, **arguments))

    table.do = typed_in

    def serve(plugin):
        seen_there.extend(plugin.run("7.1d", table, 1))

    collect([assignment.suites / "public" / "test_7_1d.py"], SuitePlugin(assignment.reference, serve))
    assert {check.status for check in seen_there if check.points} == {"passed"}
    seen_there.clear()
    table.let_go()
    collect(
        [assignment.suites / "public" / "test_7_1d.py"],
        SuitePlugin(assignment.reference, serve, lambda _: solution("7.1d")),
    )
    counted = [check for check in seen_there if check.points]
    assert {check.status for check in counted} == {"failed"} and {check.message for check in counted} == {OTHERS}

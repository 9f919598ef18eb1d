"""What takes the place of earlier exercises: no line of the solution goes where student code runs."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import re
import textwrap

import nbformat
import pytest

from autograder.checks.collecting import collect
from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.grading.cases import load_proof
from autograder.grading.engine import grade_notebook
from autograder.grading.samples import Sample, solved, write_sample
from autograder.grading.substitutes import load_solution, stand_ins
from autograder.intake.submissions import Submission
from autograder.report.blank import blank_report
from autograder.runtime.errors import KitError
from autograder.sandbox.host import Host
from autograder.sandbox.inside import wire

SHORT = 12  # characters of a statement that anybody writes so: `return made`


def solution_lines(assignment) -> set[str]:
    """Every statement of the solution that is not given to students, as Python writes it."""
    text = assignment.source.read_text(encoding="utf-8")
    hidden = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", text, re.DOTALL)
    given = re.sub(r"### BEGIN SOLUTION\n.*?### END SOLUTION", "", text, flags=re.DOTALL)
    found = set().union(*(statements(part) for part in hidden))
    return {line for line in found if len(line) > SHORT and line not in given}


def statements(source: str) -> set[str]:
    """Each simple statement in a text, the head of each other, and what comprehensions go through; on one line each."""
    found = set()
    for node in ast.walk(ast.parse(textwrap.dedent(source))):
        if isinstance(node, ast.stmt):
            found.add(ast.unparse(node).splitlines()[0])
        elif isinstance(node, ast.comprehension):
            found.add(ast.unparse(node))
    return found


def earlier(assignment, exercise, lost: tuple[str, ...]) -> list[ExerciseResult]:
    """Results of the exercises before one; some of them lost points."""
    ids = [e.id for e in assignment.exercises]
    found = []
    for e in assignment.exercises[: ids.index(exercise.id)]:
        check = CheckResult(e.id, "c", "s", e.points, "failed" if e.id in lost else "passed", True)
        found.append(ExerciseResult(e.id, e.title, e.points, [check]))
    return found


def every_stand_in(assignment):
    """What is sent for every exercise and every set of lost earlier ones."""
    for exercise in assignment.exercises:
        before = [result.id for result in earlier(assignment, exercise, ())]
        for size in range(len(before) + 1):
            for lost in itertools.combinations(before, size):
                yield from stand_ins(assignment, exercise, earlier(assignment, exercise, lost))


def test_no_line_of_the_solution_is_sent(assignment):
    """Over every exercise and every set of lost earlier ones; the solution's own text is found by the same search."""
    secret = solution_lines(assignment)
    assert len(secret) > 40 and "is_kept = level_pred_scores > test_score_thresh" in secret
    seen = 0
    for bound in every_stand_in(assignment):
        for sent in bound.sent:
            assert {"names", "code"} <= set(sent) <= {"names", "code", "own"}
            assert not statements(sent["code"]) & secret
            seen += 1
    assert seen > 50
    shown = re.sub(r"^# %%.*$|^[!%].*$", "", assignment.source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert statements(shown) >= secret


def test_what_is_asked_for_is_earlier_and_a_function(assignment):
    """No companion answers for the exercise that is graded or a later one, and none for a class."""
    for exercise in assignment.exercises:
        ids = [e.id for e in assignment.exercises]
        names = {name for e in assignment.exercises[: ids.index(exercise.id)] for name in e.names}
        for bound in stand_ins(assignment, exercise, []):
            assert set(exercise.solved) <= names
            assert (bound.asked is None) == (not exercise.solved)
            assert bound.asked is None or set(bound.asked.wanted) == set(exercise.solved)
    exercise = assignment.exercise("7.1j")
    slip = dataclasses.replace(exercise, solved=("FCOSPredictionNetwork",))
    with pytest.raises(KitError, match="names `FCOSPredictionNetwork`, which is no function"):
        list(stand_ins(assignment, slip, []))


def test_what_lost_points_is_canned_or_asked_of_the_solution(assignment):
    """A constructor is replaced where student code runs; losses and inference are the solution's, out of its reach."""
    exercise = assignment.exercise("7.1j")
    ways = {
        lost: [
            way for way in stand_ins(assignment, exercise, earlier(assignment, exercise, lost)) if not way.where_stopped
        ]
        for lost in SETS
    }
    assert [way.ours for way in ways[()]] == [frozenset()]
    assert [way.ours for way in ways[("7.1i-losses",)]] == [{"FCOS.forward"}, frozenset()]
    assert [way.ours for way in ways[("7.1i-inference",)]] == [{"FCOS.inference"}, frozenset()]
    assert [way.ours for way in ways[("7.1i-losses", "7.1i-inference")]] == [frozenset()]
    names = [sent["names"] for sent in ways[("7.1i-losses",)][0].sent]
    assert ["DetectorBackboneWithFPN", "FCOSPredictionNetwork", "FCOS.__init__"] in names


def test_what_earned_everything_stays_where_the_code_was_stopped(assignment):
    """First the functions alone, then networks that are made as the student's classes make them; nothing that lost."""
    exercise = assignment.exercise("7.1i-losses")

    def ways(*lost: str) -> list[tuple[bool, bool]]:
        found = [w for w in stand_ins(assignment, exercise, earlier(assignment, exercise, lost)) if w.where_stopped]
        return [(way.asked is None, any(sent.get("own") for sent in way.sent)) for way in found]

    assert ways() == [(True, False), (True, True)]
    assert ways("7.1d") == ways("7.1f", "7.1d") == [(False, True)]
    assert ways("7.1b") == ways("7.1c") == [(True, False)]
    assert ways("7.1c", "7.1f") == []


def graded(assignment, slots, folder, sample):
    """The report of a sample."""
    path = write_sample(assignment, sample, folder, assignment.release)
    slot = slots.get()
    try:
        return slot.grade(Submission("ada", "ada", path), 3)
    finally:
        slots.put(slot)


OPTIONS = {  # what a right notebook may add, and where the detector leans on it
    "an option of the head": [
        ("in_channels: int, stem_channels: List[int])", "in_channels: int, stem_channels: List[int], prior=0.01)"),
        ("(num_classes, fpn_channels, stem_channels)", "(num_classes, fpn_channels, stem_channels, prior=0.02)"),
    ],
    "an option of the locations": [
        ('    device: str = "cpu",\n) -> TensorDict:', '    device: str = "cpu",\n    part=0.5,\n) -> TensorDict:'),
        ("dtype=images.dtype, device=images.device\n", "dtype=images.dtype, device=images.device, part=0.5\n"),
    ],
    "how many layers the head has": [
        ("self._normalizer = 150", "self._normalizer = 150\n        assert len(self.pred_net.stem_cls) > 1"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", OPTIONS)
def test_what_the_detector_finds_in_parts_of_its_own_costs_nothing(assignment, slots, tmp_path, what):
    """Right code may give its networks and functions more than was asked for, and use it."""
    sample = Sample("ada", what, changes=tuple(OPTIONS[what]))
    report = graded(assignment, slots, tmp_path, sample)
    assert [(e.id, e.earned) for e in report.exercises if e.earned < e.max_points] == []


def test_a_detector_made_by_a_base_class_is_not_charged_twice(assignment, slots, tmp_path):
    """Its losses are wrong: (j) has the solution's, and our constructor in place of the one that it extends."""
    case = next(c for c in load_proof(assignment) if c.sample.student == "right-constructor-in-a-base-class")
    wrong = ('"loss_cls": loss_cls.sum() /', '"loss_cls": 0 * loss_cls.sum() /')
    sample = dataclasses.replace(case.sample, changes=(*case.sample.changes, wrong))
    report = graded(assignment, slots, tmp_path, sample)
    earned = {e.id: e.earned / e.max_points for e in report.exercises}
    assert earned["7.1i-losses"] < 1 and earned["7.1i-inference"] == earned["7.1j"] == 1


def test_of_the_hidden_stand_ins_no_more_goes_than_is_bound(assignment):
    """For inference the constructor alone: its page is not guarded, and code tells there what it finds beside it."""
    exercise = assignment.exercise("7.1i-inference")
    first, *_ = stand_ins(assignment, exercise, earlier(assignment, exercise, ("7.1i-losses",)))
    assert not first.guarded
    (sent,) = [sent for sent in first.sent if sent["names"] == ["FCOS.__init__"]]
    tree = ast.parse(sent["code"])
    assert {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))} == {
        "FCOS",
        "__init__",
    }
    exercise = assignment.exercise("7.1j")
    first, *_ = stand_ins(assignment, exercise, earlier(assignment, exercise, ("7.1i-losses",)))
    assert any("def _step" in sent["code"] for sent in first.sent)


SETS = ((), ("7.1i-losses",), ("7.1i-inference",), ("7.1i-losses", "7.1i-inference"))


@pytest.mark.usefixtures("sandbox")
def test_nothing_that_a_worker_is_sent_holds_the_solution(assignment, monkeypatch):
    """Graded for real, with points lost everywhere and everything renamed: the bytes to the student's process."""
    said: list[str] = []
    workers = []
    spawn, send = Host.spawn, wire.send

    def spawned(host):
        workers.append(spawn(host))
        return workers[-1]

    def sent(line, message, tensors):
        if any(worker.socket is line for worker in workers):
            said.append(json.dumps(message))
        send(line, message, tensors)

    monkeypatch.setattr(Host, "spawn", spawned)
    monkeypatch.setattr(wire, "send", sent)
    release = nbformat.read(assignment.release / f"{assignment.notebook}.ipynb", as_version=4)
    report = blank_report(assignment, "nobody", "fcos.ipynb", "", 0)

    def serve(plugin: SuitePlugin) -> None:
        host = Host(assignment)
        try:
            grade_notebook(assignment, plugin, report, nbformat.writes(release).encode(), ".ipynb", host)
        finally:
            host.close()

    solution = lambda exercise: load_solution(assignment, assignment.exercise(exercise))  # noqa: E731
    collect(
        [assignment.suites / "public", assignment.suites / "hidden"], SuitePlugin(assignment.reference, serve, solution)
    )
    assert len(report.exercises) == len(assignment.exercises) and len(said) > 10
    text = " ".join(said)
    found = [line for line in solution_lines(assignment) if json.dumps(line)[1:-1] in text]
    assert found == []
    whole = nbformat.writes(solved(assignment))
    assert sum(line in whole for line in solution_lines(assignment)) > 20

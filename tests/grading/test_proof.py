"""The proof of the suites: its cases are read, judged by the rules, and hold."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.commands.front import tenths
from autograder.commands.validate import Proof, judge, validate
from autograder.grading.cases import Case, load_proof, write_case
from autograder.grading.proof_files import check_mutants
from autograder.grading.record import last_problems, refuse_failing, write_record
from autograder.grading.samples import Sample
from autograder.report import Report
from autograder.runtime.errors import KitError

MUTANT = "[[mutant]]\nname = 'm1'\n"


def report(**checks: str) -> Report:
    """A report with a check an exercise, by status; a failed one has a diagnosis."""
    exercises = [
        ExerciseResult(name, name, 1.0, [CheckResult(name, "a", "A check.", 1.0, status, True, "said", "named")])
        for name, status in checks.items()
    ]
    fields = {"assignment": "ps7", "title": "FCOS", "file": "f", "sha256": "0", "suites": "s", "seed": 1}
    return Report(student="x", max_score=2.0, exercises=exercises, **fields)


def mutant(says: str = "named", kind: str = "mutant") -> Case:
    """A wrong solution of exercise d."""
    return Case(kind, Sample("m", "is wrong", loses=frozenset({"d"}), says=says))


def test_a_mutant_that_loses_its_own_points_and_is_named():
    """Nothing is wrong with it, and its check is tripped."""
    verdict = judge(mutant(), report(d="failed", f="passed"))
    assert not verdict.wrong and verdict.named and verdict.tripped == {"d/a"}


def test_a_mutant_that_nobody_catches():
    """It keeps its points: that is said."""
    assert judge(mutant(), report(d="passed", f="passed")).wrong == ["m: keeps all points of d (is wrong)"]


def test_a_mutant_that_costs_twice():
    """Points lost in another exercise are as wrong as points kept."""
    assert judge(mutant(), report(d="failed", f="failed")).wrong == ["m: loses points in f, too"]


def test_a_mutant_with_another_message():
    """It is caught, but not named."""
    assert not judge(mutant(says="transposed"), report(d="failed")).named
    assert not judge(mutant(says=""), report(d="failed")).named


def test_a_right_solution_that_loses():
    """A variant must lose nothing, whatever the check."""
    (line,) = judge(Case("variant", Sample("v", "is right")), report(d="failed")).wrong
    assert line.startswith("v: right, but loses d/a: named")


def test_a_blank_release_that_earns():
    """As given is worth nothing."""
    assert judge(Case("blank", Sample("b", "as given")), report(d="passed")).wrong == ["b: 1 points, not 0"]


def test_no_verdict_is_never_fine():
    """A check of ours that broke is a problem for every kind of case."""
    for kind in ("solution", "blank", "mutant", "variant"):
        assert "no verdict" in judge(mutant(kind=kind), report(d="grader_error")).wrong[0]


def test_what_makes_the_suites_not_hold():
    """A check that no mutant trips, too few names, a case gone wrong; unseen faults are only counted."""
    good = judge(mutant(), report(d="failed"))
    unseen = judge(mutant(kind="unseen"), report(d="passed"))
    assert Proof([good, unseen], []).problems == []
    assert "no mutant fails the check d/b" in Proof([good], ["d/b"]).problems[0]
    nameless = judge(mutant(says="other"), report(d="failed"))
    assert "50% of the mutants are named" in Proof([good, nameless], []).problems[0]


@pytest.mark.slow
def test_the_real_cases_can_be_written(assignment, tmp_path):
    """Every change still fits the source, names are different, and there are as many as there must be."""
    cases = load_proof(assignment)
    for case in cases:
        write_case(assignment, case, tmp_path)
    kinds = [case.kind for case in cases]
    assert kinds.count("mutant") >= 60 and kinds.count("variant") >= 30
    assert sum(case.whole is not None for case in cases) >= 6
    assert kinds.count("unseen") >= 19


def test_exercises_that_cannot_see_a_fault_are_left_out(assignment, tmp_path):
    """The same code letter by letter, or all that is touched replaced; whatever may see the fault is graded."""
    cases = {case.sample.student: case for case in load_proof(assignment)}
    early = [c for c in cases.values() if c.kind == "mutant" and c.sample.loses == {"7.1d"}]
    skipped = [set(write_case(assignment, case, tmp_path).skip) for case in early]
    others = {e.id for e in assignment.exercises} - {"7.1d"}
    detector = {"7.1i-losses", "7.1i-inference"}
    assert all(found in (others, others - detector) for found in skipped)
    assert skipped.count(others) > 20 and skipped.count(others - detector) >= 2  # some are tried all the same
    misspelt = write_case(assignment, cases["grid-function-misspelt"], tmp_path).skip
    assert not set(misspelt) & {*detector, "7.1d"}  # another name: it is not what is replaced
    late = next(c for c in cases.values() if c.kind == "mutant" and c.sample.loses == {"7.1i-losses"})
    assert not set(write_case(assignment, late, tmp_path).skip) & detector
    skipped = write_case(assignment, cases["networks-under-another-name"], tmp_path).skip
    assert "7.1j" not in skipped and "7.1i-losses" not in skipped  # it changes what makes the networks
    assert write_case(assignment, cases["the-solution"], tmp_path).skip == ()
    assert write_case(assignment, cases["as-released"], tmp_path).skip == ()
    assert write_case(assignment, cases["object-oriented"], tmp_path).skip == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MUTANT, "mutant 'm1' has no 'about'"),
        ("[[mutant]\n", "cannot be used"),
        (f"{MUTANT}about = 'x'\nloses = ['7.1d']\nchange = []\n".replace("m1", "the-solution"), "two cases are called"),
        (
            f"{MUTANT}about = 'x'\nlooses = ['7.1d']\n",
            "mutant 'm1' has an unknown setting 'looses' (known: name,",
        ),
        (f"{MUTANT}about = 'x'\nchange = []\n", "mutant 'm1' has no 'loses'"),
        (f"{MUTANT}about = 'x'\nloses = ['7.1z']\nchange = []\n", "mutant 'm1' loses '7.1z', which is no exercise"),
        (
            f"{MUTANT}about = 'x'\nloses = []\nchange = [{{old = 'a'}}]\n",
            "change of mutant 'm1' lacks 'old' or 'new'",
        ),
        ("[[mutant]]\nabout = 'x'\n", "a mutant has no 'name'"),
        ("mutant = ['m1']\n", "a mutant is written as [[mutant]]"),
        (f"{MUTANT}change = ['a']\n", "a change of it as [[mutant.change]]"),
        (f"{MUTANT}about = 'x'\nloses = '7.1d'\nchange = []\n", "mutant 'm1': 'loses' is a list"),
    ],
)
def test_files_that_cannot_be_used(course, text, said):
    """The file and the reason are named."""
    (course.proof / "mutants").mkdir(parents=True, exist_ok=True)
    (course.proof / "mutants" / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(KitError, match=re.escape(said)):
        load_proof(course)
    if "two cases" not in said and "no exercise" not in said:  # by mutants faults are charged: grading does not begin
        with pytest.raises(KitError, match=re.escape(said)):
            check_mutants(course)


def test_a_release_is_refused_while_the_proof_fails(course):
    """Failed: refused. Never run, or run on other suites: a word. Passed: nothing."""
    assert "Not proven" in refuse_failing(course)
    write_record(course, ["m: keeps all points of 7.1d"])
    with pytest.raises(KitError, match=r"keeps all points of 7\.1d"):
        refuse_failing(course)
    write_record(course, [])
    assert refuse_failing(course) == ""
    text = course.source.read_text(encoding="utf-8")
    course.source.write_text(text.replace("Always look at the data first.", "Look at the data."), encoding="utf-8")
    assert last_problems(course) == []  # words prove nothing and change nothing
    course.source.write_text(text.replace("stride = ", "stride  = ", 1), encoding="utf-8")
    assert last_problems(course) is None


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_the_suites_hold(assignment):
    """`fcoskit validate` on all cases: nothing is wrong with any of them."""
    out = Console(file=io.StringIO(), width=200)
    code = validate(assignment, out, jobs=2)
    assert code == 0, out.file.getvalue()


@pytest.mark.parametrize(("total", "said"), [(25, 10), (10, 10), (3, 3), (0, 0)])
def test_piped_output_says_how_far_the_proof_is(total, said):
    """A line for each tenth, the last of them for the last case; a terminal has a bar, and no lines."""
    piped, terminal = Console(file=io.StringIO(), width=80), Console(file=io.StringIO(), force_terminal=True)
    for console in (piped, terminal):
        say = tenths(console, total, "cases graded")
        for _ in range(total):
            say()
    lines = piped.file.getvalue().splitlines()
    assert len(lines) == said and lines[-1:] == [f"{total} of {total} cases graded"] * bool(total)
    assert terminal.file.getvalue() == ""


def test_why_there_is_no_verdict_is_said():
    """A check of ours that broke: with the last line of what happened, not its status alone."""
    broken = report(d="grader_error")
    broken.exercises[0].checks[0].details = "Traceback ...\nModuleNotFoundError: No module named 'suites.gone'"
    (line,) = judge(mutant(), broken).wrong
    assert "no verdict" in line and "No module named 'suites.gone'" in line

"""Where the feedback page says to begin, what it folds away, and what it says to do next."""

from __future__ import annotations

import re

import pytest

from autograder.checks.result import CheckResult, ExerciseResult, Figure
from autograder.gradescope.results import results
from autograder.report import Report
from autograder.report.html import feedback_page
from autograder.report.next_steps import begin, what_next

NASTY = """</p><script>alert(1)</script><img src=x onerror=alert(2)>"'&"""


def check(status: str = "failed", *, public: bool = True, points: float = 2.0, **extra: object) -> CheckResult:
    """A check of two points."""
    return CheckResult("q", "a", "The rows are right.", points, status, public, **extra)


def report(*exercises: list[CheckResult], **extra: object) -> Report:
    """A report with the exercises q1, q2, ... of these checks."""
    made = [
        ExerciseResult(f"q{number}", f"Title {number}", sum(one.points for one in checks), checks)
        for number, checks in enumerate(exercises, start=1)
    ]
    fields = {"assignment": "a", "title": "T", "file": "f.ipynb", "sha256": "0", "suites": "s", "seed": 1}
    most = sum(exercise.max_points for exercise in made)
    return Report(**{**fields, "student": "alice", "max_score": most, "exercises": made, **extra})


def test_begin_with_the_first_exercise_that_lost_points():
    """Notebook order counts, since later exercises lean on earlier ones; the link leads to it."""
    made = report([check("passed")], [check(diagnosis="Not divided.")], [check(diagnosis="Swapped.")])
    found = begin(made)
    assert (found.number, found.exercise, found.why) == (2, "q2", "Not divided.")
    page = feedback_page(made)
    assert '<p class="begin">Begin with <a href="#e2">q2</a>: Not divided.</p>' in page and 'id="e2"' in page
    assert "Begin with q2: Not divided." in results(made)["output"]


@pytest.mark.parametrize(
    ("checks", "why"),
    [
        ([check(message="The rows: wrong."), check(diagnosis="Swapped.")], "Swapped."),
        ([check("passed"), check(message="expected 1, got 2")], "not right yet: The rows are right."),
        ([check("error", message="Your code raised KeyError (code cell 3).\nMore")], "Your code raised KeyError (code"),
        ([check("missing", message="as given: NotImplementedError")], "not done yet."),
    ],
    ids=["named", "unnamed", "stopped", "blank"],
)
def test_begin_says_why_in_few_words(checks, why):
    """The diagnosis; else where the code stopped; else the check that failed; a blank exercise is not done yet."""
    assert begin(report(checks)).why.startswith(why)
    assert "\n" not in begin(report(checks)).why


def test_begin_is_a_whole_sentence():
    """Of a diagnosis of several sentences those that fit are there, and none is cut within."""
    first, second = f"The order is {'very ' * 20}wrong.", f"Half a cell is {'very ' * 20}wrong."
    assert begin(report([check(diagnosis=f"{first} {second}")])).why == first
    assert begin(report([check(diagnosis=f"{second}")])).why == second


def test_begin_is_short_and_ends_with_a_whole_word():
    """A long diagnosis is cut after a word."""
    why = begin(report([check(diagnosis="enlarge " * 60)])).why
    assert len(why) <= 160 and why.endswith("enlarge…")


@pytest.mark.parametrize(
    "made",
    [
        report([check("passed")]),
        report([check("grader_error")]),
        report([check(points=0.0)]),
        report([check("missing")], outcome="unreadable", problem="no notebook"),
        report(outcome="undecided", problem="two files"),
    ],
    ids=["full", "ours", "worth nothing", "unreadable", "undecided"],
)
def test_there_is_no_beginning_where_nothing_was_lost_or_nothing_is_known(made):
    """Full marks, our own fault, what is worth nothing, no verdict: no exercise is pointed at."""
    assert begin(made) is None and 'class="begin"' not in feedback_page(made)


def test_points_by_hand_count_for_the_beginning():
    """An exercise that staff gave its points has lost none; one that they took points from says why."""
    made = report([check()], [check("passed")])
    made.exercises[0].by_hand, made.exercises[1].by_hand, made.exercises[1].reason = 2.0, 1.0, "copied"
    assert (begin(made).exercise, begin(made).why) == ("q2", "copied")


def test_exercises_that_passed_are_folded():
    """What passed is one line until it is opened; of what did not the points lost are open, the checks below folded."""
    page = feedback_page(report([check("passed"), check("passed")], [check("passed"), check()]))
    assert re.findall(r'<details class="done">\s*<summary>([^<]*)<', page) == ["2 checks passed"]
    first, second = page.split('<section class="exercise"')[1:]
    assert "folded" not in first and re.findall(r"<details[^>]*>\s*<summary>([^<]*)<", second) == [
        "The checks: 1 of 2 passed"
    ]


def test_what_costs_no_points_says_so():
    """An exercise of no points, and a figure that no points hang on; not one that has some."""
    figure = Figure("q9", "mAP", "absent", message="Not handed in.")
    page = feedback_page(report([check("missing", points=0.0)], figures=[figure]))
    assert page.count("costs no points") == 3 and "0 / 0" not in page and "0 of 0 points</p>" not in page
    scored = report([check("missing")], figures=[figure])
    scored.exercises[0].id = "q9"
    assert "costs no points" not in feedback_page(scored)


def test_next_is_to_mend_check_and_hand_in_again():
    """With points lost: mend, run check(), hand in; staff for a check that seems wrong."""
    steps = " ".join(what_next(report([check()], [check()])))
    assert 'run `check("q1")` until it passes; then the next one.' in steps
    assert "make_submission()" in steps and "Tell staff" in steps
    assert "<code>check(&#34;q1&#34;)</code>" in feedback_page(report([check()]))


def test_next_tells_that_check_passes_where_only_hidden_checks_fail():
    """Nobody is sent to a check() that has nothing to say."""
    steps = " ".join(what_next(report([check("passed"), check(public=False)])))
    assert 'check("q1")' not in steps and "has nothing more to say of q1" in steps


def test_next_of_a_figure_with_points_is_to_train():
    """Points of handed-in weights have no check() to run."""
    made = report([check(public=False)], figures=[Figure("q1", "mAP", "measured", 0.1)])
    steps = " ".join(what_next(made))
    assert "q1 goes by the weights" in steps and "check(" not in steps


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (report([check("passed")]), "Nothing is left to mend."),
        (report([check("grader_error")]), "Staff have to grade q1 again: that is our fault"),
        (report(outcome="grader_error", problem="broke"), "Staff have to grade your submission again"),
        (report(outcome="undecided", problem="two files"), "Tell staff which file is the one that counts."),
        (report([check("missing")], outcome="unreadable", problem="no JSON"), "ask staff, and show them this page"),
    ],
)
def test_next_of_every_outcome(made, words):
    """Nothing to mend, our own fault, a choice between files, a file that cannot be read: each has its next step."""
    page = feedback_page(made)
    assert words in " ".join(what_next(made)) and words in page and "What to do next" in page


def test_our_own_fault_does_not_hide_what_is_the_students():
    """Where one exercise broke by our fault and another lost points, both are said."""
    steps = " ".join(what_next(report([check("grader_error")], [check()])))
    assert "Staff have to grade q1 again" in steps and 'check("q2")' in steps


def test_the_lines_are_escaped():
    """A diagnosis, a message and staff's reason are text in the first line, too."""
    by_hand = report([check("passed")])
    by_hand.exercises[0].by_hand, by_hand.exercises[0].reason = 1.0, NASTY
    for made in (report([check(diagnosis=NASTY)]), report([check("error", message=NASTY)]), by_hand):
        page = feedback_page(made)
        assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page.partition("Points by")[0]


def test_what_broke_by_our_fault_shows_no_points_lost():
    """Beside "costs you nothing" stands no zero; points that staff set by hand are shown."""
    made = report([check("passed", points=3.0), check("grader_error", points=4.0)])
    page = feedback_page(made)
    assert page.count("no points yet") == 3 and "0 / 4" not in page and "3 / 7" not in page and "3 of 7" not in page
    made.exercises[0].by_hand = 7.0
    assert "7 / 7" in feedback_page(made) and "7 of 7 points" in feedback_page(made)

"""How a notebook was read and what of it did not run: on the student's page, for staff, in what is shared."""

from __future__ import annotations

import html
import re

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.gradescope.results import results
from autograder.report import Report
from autograder.report.attention import KNOWN, LOOK, who_needs_a_human
from autograder.report.html import exercise_panel, feedback_page
from autograder.report.readings import SECOND_BROKE, how_read, unloaded

NASTY = "Code cell 3 stopped: </li><script>alert(1)</script><img src=x onerror=a> \x1b[2J `b`"
SECOND = "the second reading counts: 10 points, where the first gave 3 (a decorator)"
WANDB = "The notebook imports wandb, which is not here."
STOPPED = "Code cell 7 stopped: boom (code cell 7, line 2)."


def exercise(name: str, *statuses: str, **extra: object) -> ExerciseResult:
    """An exercise with a check of a point for each status."""
    checks = [CheckResult(name, f"c{n}", "The rows are right.", 1.0, s, True) for n, s in enumerate(statuses)]
    return ExerciseResult(name, "Locations", float(len(checks)), checks, **extra)


def report(*exercises: ExerciseResult, **extra: object) -> Report:
    """A report of some exercises."""
    fields = {"assignment": "ps7", "title": "FCOS", "file": "f.ipynb", "sha256": "0", "suites": "s", "seed": 1}
    points = sum(one.max_points for one in exercises)
    return Report(**{**fields, "student": "alice", "max_score": points, "exercises": list(exercises), **extra})


def told(made: Report) -> str:
    """The page's text about what did not run."""
    blocks = re.findall(r'<details class="yours gone".*?</details>', feedback_page(made), re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", "\n".join(blocks)))


def test_what_did_not_run_stands_below_the_exercise_that_lost_points():
    """Each line is there once, and the exercise after it says where."""
    made = report(
        exercise("7.1b", "failed", unloaded=[WANDB, STOPPED]),
        exercise("7.1c", "error", unloaded=[WANDB, STOPPED, "Code cell 9 stopped: late."]),
        exercise("7.1d", "missing", unloaded=[WANDB]),
    )
    page = feedback_page(made)
    assert page.index("7.1b Locations</h2>") < page.index(WANDB) < page.index("7.1c Locations</h2>")
    assert page.count(WANDB) == page.count(STOPPED) == 1 and "Code cell 9 stopped: late." in page
    assert told(made).count("What did not run for 7.1b did not run here, either.") == 2
    assert "(2 lines)" in told(made) and "(1 line)" in told(made)


@pytest.mark.parametrize(
    "made",
    [
        report(exercise("7.1b", "passed", unloaded=[WANDB])),
        report(exercise("7.1b", "failed", unloaded=[WANDB], by_hand=1.0)),
        report(exercise("7.1b", "passed", unloaded=[WANDB], by_hand=0.0)),
        report(exercise("7.1b", "grader_error", unloaded=[WANDB])),
        report(exercise("7.1b", "failed")),
        report(exercise("7.1b", "failed", unloaded=[WANDB]), outcome="unreadable", problem="no notebook"),
    ],
    ids=["passed", "given by hand", "taken by hand", "our fault", "nothing", "no notebook"],
)
def test_it_is_not_told_where_nothing_was_lost_by_it(made):
    """Full points, points that staff set, what broke by our fault: there is nothing for the student to mend."""
    assert told(made) == "" and "wandb" not in feedback_page(made)


def test_a_long_list_is_folded_and_bounded():
    """Three lines stand open; of many the first twelve are told, each of 200 characters, behind a fold."""
    few, many = exercise("7.1b", "failed"), exercise("7.1c", "failed")
    few.unloaded = [f"Code cell {number} stopped." for number in range(3)]
    many.unloaded = [f"Code cell {number} stopped: {'x' * 900}" for number in range(10, 30)]
    page = feedback_page(report(few, many))
    opened = re.findall(r'<details class="yours gone"( open)?>', page)
    assert opened == [" open", ""]
    lines = unloaded(report(few, many))["7.1c"]
    assert (len(lines.lines), lines.more, max(map(len, lines.lines))) == (12, 8, 200)
    assert "And 8 more." in page and page.count("x" * 50) > 0 and "x" * 200 not in page


def test_its_words_are_the_students_and_are_escaped():
    """Markup, escapes and breaks of lines in them do nothing."""
    made = report(exercise("7.1b", "failed", unloaded=[NASTY, "a\nb"], reading="whole", readings=NASTY))
    page = feedback_page(made)
    assert "<script" not in page and "<img" not in page and "\x1b" not in page
    assert "&lt;script&gt;" in page and "<code>b</code>" in page and "a?b" in page


def test_a_student_reads_where_the_whole_notebook_counted():
    """One sentence, on the page, in nbgrader's cell and on Gradescope; what the readings gave is for staff."""
    second = exercise("7.1d", "passed", reading="whole", readings=SECOND)
    first = exercise("7.1b", "passed", readings="the first reading counts: 1 points, the second gave 0 (x)")
    made, sentence = report(first, second), how_read(second)
    assert how_read(first) == "" and "run from top to bottom" in sentence
    page, panels = feedback_page(made), [exercise_panel(exercise=one) for one in (first, second)]
    assert page.count(sentence) == 1 and [panel.count(sentence) for panel in panels] == [0, 1]
    assert "reading counts" not in page + "".join(panels)
    content = results(made)
    shown = content["output"] + str([one for one in content["tests"] if one["visibility"] == "visible"])
    hidden = str([one for one in content["tests"] if one["visibility"] == "hidden"])
    assert content["output"].count(sentence) == 1 and "reading counts" not in shown and SECOND in hidden


def test_staff_see_it_on_gradescope():
    """What did not run is in an entry of theirs."""
    content = results(report(exercise("7.1b", "failed", unloaded=[WANDB])))
    assert [WANDB in one["output"] for one in content["tests"]].count(True) == 1
    assert all(one["visibility"] == "hidden" for one in content["tests"] if WANDB in one["output"])


def test_the_class_report_says_which_reading_counts():
    """For the record where it is the second; worth a look where the second broke by our fault."""
    (one,) = who_needs_a_human([report(exercise("7.1d", "passed", reading="whole", readings=SECOND))])
    assert (one.level, one.reasons) == (KNOWN, (f"7.1d: {SECOND}",))
    (one,) = who_needs_a_human([report(exercise("7.1d", "failed", readings=f"3 points; {SECOND_BROKE} (x)"))])
    assert one.level == LOOK
    assert who_needs_a_human([report(exercise("7.1d", "failed", readings="the first reading counts"))]) == []


def test_a_report_keeps_them_and_an_old_one_has_none():
    """`report.json` has all three; one from before there were such fields is read."""
    made = report(exercise("7.1b", "failed", unloaded=[WANDB], reading="whole", readings=SECOND))
    content = made.to_json()
    assert Report.from_json(content) == made
    entry = content["exercises"][0]
    assert (entry["unloaded"], entry["reading"], entry["readings"]) == ([WANDB], "whole", SECOND)
    for name in ("unloaded", "reading", "readings"):
        del entry[name]
    old = Report.from_json(content).exercises[0]
    assert (old.unloaded, old.reading, old.readings) == ([], "", "")
    assert "did not run" not in feedback_page(Report.from_json(content))


@pytest.mark.parametrize(("name", "value"), [("unloaded", "text"), ("unloaded", [1]), ("readings", 3), ("reading", {})])
def test_a_damaged_report_is_refused(name, value):
    """What is not of its type costs that report and not the class's page."""
    content = report(exercise("7.1b", "failed")).to_json()
    content["exercises"][0][name] = value
    with pytest.raises(ValueError, match="not a report"):
        Report.from_json(content)

"""A page has an end, whatever is in a report: the code goes first, the verdict stays."""

from __future__ import annotations

from autograder.checks.result import CheckResult, Code, ExerciseResult, Figure, Picture
from autograder.report.html import MAX_PAGE, exercise_panel, feedback_page
from autograder.report.model import Report

WORST = "&'\"<" * 5_000  # each becomes five or six characters on a page


def report(text: str, checks: int, lines: int, notes: int) -> Report:
    """A report with a text wherever there may be one."""
    picture = Picture("points", text, [[1.0, 2.0]] * 200, [[1.5, 2.0]] * 200)
    code = [Code(1, 1, "\n".join([text[:200] or "pass"] * lines))]
    results = [
        CheckResult("q", f"c{n}", "A check.", 1.0, "failed", True, text, text, text, cell=1, line=1, picture=picture)
        for n in range(checks)
    ]
    exercise = ExerciseResult("q", "Q", float(checks), results, code=code, reason=text, unloaded=[text] * 20)
    figure = Figure("l", "mAP", "refused", message=text)
    made = Report("a", "A", "s", "f.py", "0", "d", 1, float(checks), [exercise], notes=[text] * notes)
    made.figures = [figure]
    return made


def test_an_ordinary_page_has_all_of_it():
    """Nothing is left out where there is room."""
    page = feedback_page(report("Some text.", 3, 40, 2))
    assert "This page would" not in page and "stopped here" in page and page.count("<svg") > 3


def test_a_page_has_an_end():
    """Megabytes of messages, code, notes and pictures: the page is bounded, says so, and keeps points and checks."""
    huge = report(WORST, 40, 3000, 300)
    page, panel = feedback_page(huge), exercise_panel(exercise=huge.exercises[0])
    assert len(page.encode()) <= MAX_PAGE and len(panel.encode()) <= MAX_PAGE
    assert "This page would have been too long" in page and page.count("A check.") == 40 and "stopped here" not in page
    assert len(huge.exercises[0].code) == 1 and len(huge.notes) == 300  # staff's copy is as it was

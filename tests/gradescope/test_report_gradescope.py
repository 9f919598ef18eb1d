"""`results.json`, in the form that Gradescope documents: what a student sees of a report, and what staff see."""

from __future__ import annotations

import html
import json
import re

import pytest

from autograder.checks.result import Charge, CheckResult, ExerciseResult, Figure
from autograder.gradescope.results import results
from autograder.report.html import feedback_page
from autograder.report.model import Report
from tests.support.classroom import thirty


def hold_to_the_form(content: dict) -> dict:
    """Fail where a `results.json` is not as documented; the content again."""
    texts, shown = ("text", "html", "simple_format", "md", "ansi"), ("hidden", "after_due_date", "after_published")
    kinds = {"score": (int, float), "execution_time": (int, float), "output": str, "tests": list, "leaderboard": list}
    kinds |= dict.fromkeys(("visibility", "stdout_visibility"), str)
    kinds |= dict.fromkeys(("output_format", "test_output_format", "test_name_format"), str)
    test_kinds = {"score": (int, float), "max_score": (int, float), "tags": list}
    test_kinds |= dict.fromkeys(("status", "name", "number", "output", "visibility"), str)
    assert set(content) <= set(kinds) and all(isinstance(content[key], kinds[key]) for key in content)
    assert {content[key] for key in content if key.endswith("_format")} <= set(texts)
    for test in content["tests"]:
        assert set(test) <= set(test_kinds) and all(isinstance(test[key], test_kinds[key]) for key in test)
        assert test.get("status", "passed") in ("passed", "failed")
    for part in (content, *content["tests"]):
        assert part["visibility"] in (*shown, "visible")
    for row in content.get("leaderboard", []):
        assert set(row) == {"name", "value", "order"} and isinstance(row["value"], float)
    return content


def seen_by_the_student(content: dict) -> str:
    """All of it that Gradescope shows a student."""
    visible = [test for test in content["tests"] if test["visibility"] == "visible"]
    return json.dumps({**content, "tests": visible}, ensure_ascii=False)


def some_report(**changes) -> Report:
    """A report with a hidden check that failed, and texts in every place that is for staff."""
    checks = [
        CheckResult("q1", "right", "It is right.", 2.0, "passed", True),
        CheckResult("q1", "shape", "The shape is right.", 1.0, "failed", True, "Got (2, 3).", "Transposed.", "", 0.2),
        CheckResult(
            "q1", "secret", "It holds for others.", 3.0, "failed", False, "Try unequal sides.", details="S3CRET"
        ),
    ]
    exercise = ExerciseResult("q1", "First", 6.0, checks, printed="PR1NTED")
    report = Report("hw", "Homework", "submission", "hw.ipynb", "DIGEST", "SUITES", 271828, 6.0, [exercise])
    report.notes = ["Cell 3 is not Python."]
    for name, value in changes.items():
        setattr(report, name, value)
    return report


def test_results_of_a_report():
    """Score, sentences, messages and hints for the student; details, output and seed in hidden entries alone."""
    content = hold_to_the_form(results(some_report()))
    seen = seen_by_the_student(content)
    assert content["score"] == 2
    assert [(t["number"], t["status"], t["score"], t["max_score"]) for t in content["tests"] if "number" in t] == [
        ("q1.1", "passed", 2.0, 2.0),
        ("q1.2", "failed", 0.0, 1.0),
        ("q1.3", "failed", 0.0, 3.0),
    ]
    for text in (
        "It holds for others.",
        "Try unequal sides.",
        "Transposed.",
        "Got (2, 3).",
        "Cell 3",
        "only when graded",
    ):
        assert text in seen
    for text in ("S3CRET", "PR1NTED", "271828", "SUITES", "DIGEST"):
        assert text not in seen and text in json.dumps(content)
    assert content["stdout_visibility"] == "hidden"


def test_points_of_a_fault_stand_with_the_fault():
    """Checks that it explains have no points of their own; the entries add up to the score all the same."""
    report = some_report()
    exercise = report.exercises[0]
    for check in exercise.checks:
        check.faults = ["swap"] if check.status != "passed" else []
    exercise.charges = [Charge("swap", "Swapped.", 1.5, ["swap"])]
    content = hold_to_the_form(results(report))
    entries = [test for test in content["tests"] if "score" in test]
    assert sum(test["score"] for test in entries) == content["score"] == report.score == 4.5
    assert entries[0]["output"].startswith("-1.5 Swapped. (in 2 checks)") and entries[0]["max_score"] == 4


def test_a_student_sees_what_the_feedback_page_says():
    """Of thirty real reports: every visible sentence stands on the page, and staff's details are on neither."""
    found = lost = 0
    for report in thirty():
        content = hold_to_the_form(results(report))
        page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", feedback_page(report)))
        for exercise in report.exercises:
            for check in exercise.checks:
                check.details = "ST4FF"
        assert "ST4FF" not in seen_by_the_student(results(report))
        page = html.unescape(page)
        told = {check.sentence: sentence for exercise in report.exercises for check, sentence in exercise.told}
        for test in content["tests"]:
            if test["visibility"] == "visible" and not report.problem:
                if test["name"].endswith(": what it lost"):
                    said = [line.partition(" ")[2] for line in test["output"].splitlines() if line.startswith("-")]
                    lost += len(said)
                else:
                    said = [told[test["name"]].replace("`", "")]
                    found += 1
                assert said and all(re.sub(r"\s+", " ", line) in page for line in said)
        assert content.get("score") == report.score
    assert found > 100 and lost > 10


@pytest.mark.parametrize("outcome", ["graded", "grader_error", "undecided"])
def test_without_a_verdict_there_is_no_number(outcome):
    """Gradescope adds up what it finds: where a check of ours broke there is nothing to add up."""
    report = some_report(outcome=outcome, problem="" if outcome == "graded" else "why")
    if outcome == "graded":
        report.exercises[0].checks[0].status = "grader_error"
    content = hold_to_the_form(results(report))
    assert "score" not in content and not [t for t in content["tests"] if "score" in t or "max_score" in t]
    assert "No score yet." in content["output"]
    assert ("points yet" in content["output"]) == (outcome == "graded")


@pytest.mark.parametrize("status", ["measured", "absent", "refused", "timeout", "grader_error"])
def test_the_leaderboard_has_what_was_measured(status):
    """A figure as a percentage, and no row where there is none; names are Gradescope's business."""
    value = 0.41712 if status == "measured" else None
    figure = Figure("q2", "mAP", status, value, "MESSAGE", "D3TAILS", 200, 3.0, 314159, "w.pt", "W")
    content = hold_to_the_form(results(some_report(figures=[figure])))
    assert content.get("leaderboard") == ([{"name": "mAP (%)", "value": 41.71, "order": "desc"}] if value else None)
    assert "MESSAGE" in content["output"] and ("41.71%" in content["output"]) == (value is not None)
    for text in ("D3TAILS", "314159"):
        assert text not in seen_by_the_student(content) and text in json.dumps(content)


def test_hostile_texts_stay_text():
    """Escapes and changes of direction go, half a surrogate pair is no error, a message without end is cut off."""
    report = some_report(notes=["\x1b[2J\u202e<script>\ud800" + "x" * 100_000])
    text = json.dumps(hold_to_the_form(results(report)))
    assert "\\u001b" not in text and "\\u202e" not in text and "\\ud800" not in text and len(text) < 20_000


def test_a_summary_of_unreadable_work():
    """Zero and why; no table of exercises that nobody looked at."""
    content = results(some_report(outcome="unreadable", problem="It is no JSON.", exercises=[]))
    assert content["score"] == 0 and content["output"].startswith("Nothing could be graded. It is no JSON.")

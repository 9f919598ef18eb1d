"""Names and messages that attack whoever reads them: the page, the files, the table stay what they are."""

from __future__ import annotations

import csv
import html.parser
import json
import unicodedata

import pytest

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.report import Report
from autograder.report.files import read_report, write_grades, write_report
from autograder.report.html import exercise_panel, feedback_page
from autograder.report.terminal import first_fault

HOSTILE = {
    "script": "</pre></title><script>alert(1)</script>",
    "handler": '"><img src=x onerror=alert(1)><svg onload=alert(2)>',
    "template": "{{ 7 * 7 }}{% raise %}{# #}",
    "code": "`</code><script>alert(1)</script>`",
    "escapes": "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\r\b",
    "surrogates": "\ud800\udfff and \udcff",
    "directions": "\u202e100 points\u2066\u200f\u2028",
    "link": "javascript:alert(1) <a href='javascript:alert(1)'>x</a> <meta http-equiv=refresh content=0>",
    "formula": '=HYPERLINK(1),\n"x"',
}


class Seen(html.parser.HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it down."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def seen(page: str) -> Seen:
    """What a browser would make of a page."""
    parser = Seen()
    parser.feed(page)
    return parser


def report(text: str) -> Report:
    """A report with a text wherever student code or a file name has a say."""
    check = CheckResult("7.1d", "a", "A check.", 1.0, "error", True, text, text, text)
    hidden = CheckResult("7.1d", "b", "A check.", 1.0, "failed", False, text, text, text)
    exercise = ExerciseResult("7.1d", "Locations", 2.0, [check, hidden], printed=text, by_hand=1.0, reason=text)
    fields = {"assignment": "ps7", "title": "FCOS", "sha256": "0", "suites": "s", "seed": 1, "max_score": 2.0}
    return Report(student=text, file=text, exercises=[exercise], notes=[text], path=text, **fields)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_page_is_as_with_a_harmless_text(name):
    """No tag, no attribute and no control character comes in through a name or a message."""
    plain, page = (feedback_page(report(text)) for text in ("harmless", HOSTILE[name]))
    assert seen(page).tags - {"code"} == seen(plain).tags - {"code"} and "script" not in seen(page).tags
    assert seen(page).attributes == seen(plain).attributes
    assert ("{{ 7 * 7 }}" in page) == (name == "template")  # shown as it stands, not reckoned
    kept = {"\n", "\t"}
    assert not [c for c in page if unicodedata.category(c)[0] == "C" and c not in kept]


@pytest.mark.parametrize("name", HOSTILE)
def test_nbgrader_s_panel_is_as_with_a_harmless_text(name):
    """The same for the panel in nbgrader's feedback."""
    panels = [exercise_panel(exercise=report(text).exercises[0]) for text in ("harmless", HOSTILE[name])]
    assert seen(panels[0]).tags - {"code"} == seen(panels[1]).tags - {"code"}
    assert seen(panels[0]).attributes == seen(panels[1]).attributes


@pytest.mark.parametrize("name", HOSTILE)
def test_files_and_table_can_be_read_back(name, tmp_path, assignment):
    """The report is written whole and read back, grades.csv keeps its rows, a terminal gets one plain line."""
    hostile = report(HOSTILE[name])
    write_report(tmp_path / "x", hostile)
    assert read_report(tmp_path / "x").score == 1.0
    assert json.loads((tmp_path / "x" / "report.json").read_text(encoding="ascii"))["score"] == 1.0
    write_grades(tmp_path / "grades.csv", assignment, [hostile, report("next")])
    with (tmp_path / "grades.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert [row[1] for row in rows] == ["score", "1", "1"] and rows[2][0] == "next"
    assert not rows[1][0].startswith("=")
    assert not [c for c in first_fault(hostile) if unicodedata.category(c)[0] == "C"]

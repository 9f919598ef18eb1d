"""What `check()` shows a student: one line a check, everything escaped, honest about what comes later."""

import html.parser
import sys
import types

import pytest

from autograder.checks.result import STATUSES, CheckResult, ExerciseResult
from autograder.notebook_kit.panel import EDGES, panel_html, panel_text, show_panel
from autograder.report.html import MARKS

NASTY = "<script>alert(1)</script>\"'&</pre></style>"


def _result(*checks, points=10.0, title="Locations"):
    return ExerciseResult("7.1d", title, points, list(checks))


def _check(status, **extra):
    return CheckResult("7.1d", "a", extra.pop("sentence", "The rows are right."), 2.0, status, True, **extra)


class _Tags(html.parser.HTMLParser):
    """Tags that were opened, in order; fails on one that is closed but not open."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_everything_is_escaped():
    """Sentence, diagnosis, message, title and id are text, whatever they hold."""
    page = panel_html(_result(_check("failed", sentence=NASTY, diagnosis=NASTY, message=NASTY), title=NASTY))
    tags = _Tags(page)
    assert "script" not in tags.seen and tags.open == [] and page.count("&lt;script&gt;") == 4


def test_staffs_fields_are_not_shown():
    """Details and what was printed are no part of the panel."""
    result = _result(_check("failed", message="told", details="DETAILS"))
    result.printed = "PRINTED"
    for shown in (panel_html(result), panel_text(result)):
        assert "told" in shown and "DETAILS" not in shown and "PRINTED" not in shown


SHOWN = {"passed": "✓", "failed": "✗", "error": "✗", "timeout": "✗", "memory": "✗", "missing": "–", "grader_error": "!"}


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_words(status):
    """Each status is said in words, not by a mark or a colour alone; only one means right."""
    for shown in (panel_html(_result(_check(status))), panel_text(_result(_check(status)))):
        assert ("its one check passes" in shown) == (status == "passed")
        assert {mark for mark in "✓✗" if mark in shown} == {SHOWN[status]} & set("✓✗")
    assert f" {SHOWN[status]} The rows are right. [" in panel_text(_result(_check(status)))


def test_the_words_tell_the_statuses_apart():
    """No two statuses are shown alike."""
    assert len({panel_text(_result(_check(status))).split("[")[1] for status in STATUSES}) == len(STATUSES)


def test_what_checks_say_alike_is_said_once():
    """Five checks that stop in one place fill no page; names between backquotes are set as code."""
    result = _result(*[_check("missing", message="`f` is as given.") for _ in range(5)])
    assert panel_html(result).count("<code>f</code> is as given.") == 1 == panel_text(result).count("is as given.")
    assert panel_html(result).count("And 4 more checks say the same.") == 1
    assert panel_text(result).count("And 4 more checks say the same.") == 1


def test_the_headline_counts():
    """What passes is counted; an exercise that was not touched is not said to be wrong."""
    assert "1 of 2 checks pass" in panel_text(_result(_check("passed"), _check("failed")))
    assert "not done yet" in panel_text(_result(_check("missing"), _check("missing"))).splitlines()[0]


def test_the_footer_says_what_comes_later():
    """Points of hidden checks are announced, so that nobody takes a full panel for full points."""
    shown = panel_text(_result(_check("passed"), _check("passed"), points=10))
    assert "worth 4 of 10 points" in shown.splitlines()[-1] and "The other 6 are for the same" in shown.splitlines()[-1]


def test_a_result_without_checks_is_no_pass():
    """Nothing checked is never shown as everything right."""
    assert "0 of 0 checks pass" in panel_text(_result()) and "all" not in panel_text(_result()).splitlines()[0]


def test_messages_of_several_lines_are_indented():
    """Diagnosis first, then the message, each line below its check."""
    lines = panel_text(_result(_check("failed", diagnosis="x and y", message="one\ntwo"))).splitlines()
    assert [line.strip() for line in lines[2:5]] == ["x and y", "one", "two"]
    assert all(line.startswith("     ") for line in lines[2:5])


def test_outside_a_notebook_the_panel_is_printed(capsys, monkeypatch):
    """A plain Python session gets plain text."""
    for name in ("ipykernel", "google.colab"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    show_panel(_result(_check("passed")))
    assert capsys.readouterr().out.strip() == panel_text(_result(_check("passed")))


@pytest.mark.parametrize("kernel", ["ipykernel", "google.colab"])
def test_in_a_notebook_the_panel_is_html(capsys, monkeypatch, kernel):
    """Jupyter and Colab get HTML, once."""
    shown = []
    monkeypatch.setitem(sys.modules, kernel, types.ModuleType(kernel))
    monkeypatch.setattr("IPython.display.display", shown.append)
    show_panel(_result(_check("passed")))
    assert [item.data for item in shown] == [panel_html(_result(_check("passed")))]
    assert capsys.readouterr().out == ""


def test_a_fault_with_a_name_comes_first_and_what_passed_last():
    """What to mend stands on top, the named diagnosis before a consequence that has no name."""
    passed, gradient = _check("passed", sentence="P."), _check("failed", sentence="Gradients.", message="other values")
    result = _result(passed, gradient, _check("failed", sentence="Logits.", diagnosis="A sigmoid is applied."))
    for shown in (panel_text(result), panel_html(result)):
        assert shown.index("Logits.") < shown.index("A sigmoid") < shown.index("Gradients.") < shown.index("P.")
    assert [check.sentence for check in result.checks] == ["P.", "Gradients.", "Logits."], (
        "stored as the suites have it"
    )


def test_a_sentence_for_several_cases_is_said_once():
    """The cases below the first are named, and that is all; other sentences stay whole."""
    cases = [_check("passed", sentence=f"Each loss is right (`{name}`).") for name in ("cls", "box", "ctr")]
    shown = panel_text(_result(*cases, _check("passed", sentence="Each is (almost) right (`x`).")))
    assert shown.count("Each loss is right") == 1
    assert all(words in shown for words in ("(`cls`).", "The same for `box`.", "The same for `ctr`.", "(`x`)."))


def test_the_page_and_the_panel_say_the_same_words():
    """A status is called the same in the notebook and on the feedback page; our own fault is told in two ways."""
    for status in set(STATUSES) - {"grader_error"}:
        assert f"[{MARKS[status][1]}]" in panel_text(_result(_check(status)))


def test_one_error_is_said_once():
    """What several checks stopped with stands below the first of them; sizes in it and who called may differ."""
    said = "Your code raised RuntimeError: sizes (2 x {}) do not fit"
    checks = [_check("error", sentence=f"Check {k}.", message=said.format(k)) for k in (1, 2, 3)]
    for shown in (panel_text(_result(*checks)), panel_html(_result(*checks))):
        assert shown.count("RuntimeError") == 1 and shown.count("And 2 more checks say the same.") == 1
    calls = [_check("error", message=f"It broke (line 3: x = y{call}).") for call in ("", ", called in line 9: f(x)")]
    assert panel_text(_result(*calls)).count("It broke") == 1
    other = _check("failed", sentence="Other.", message="something else")
    assert "something else" in panel_text(_result(*checks, other))


def test_an_older_definition_is_said_in_the_headline():
    """Where the latest code did not run, nothing above the fold says that all is right, and no edge is green."""
    result = _result(_check("passed"))
    for shown in (panel_text(result, before=True), panel_html(result, before=True)):
        assert "check passes" not in shown and "did not run" in shown and "the definition before" in shown
    assert EDGES["unknown"] in panel_html(result, before=True) and EDGES["passed"] in panel_html(result)


def test_notes_are_read_first():
    """What is to be read first stands above the checks, escaped."""
    result = _result(_check("failed", message="numbers"))
    assert panel_text(result, [NASTY]).splitlines()[1] == f" ! {NASTY}"
    page = panel_html(result, [NASTY])
    assert "script" not in _Tags(page).seen and page.index("&lt;script&gt;") < page.index("numbers")

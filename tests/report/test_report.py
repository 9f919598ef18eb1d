"""Reports: what a student, a spreadsheet and a terminal get to see, and that files are whole or old."""

import csv
import errno
import html.parser
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from autograder.checks.result import STATUSES, CheckResult, ExerciseResult
from autograder.report import Report
from autograder.report.files import read_report, write_grades, write_report, write_whole
from autograder.report.html import exercise_panel, feedback_page
from autograder.report.terminal import first_fault, grades_table, printable, shortened

NASTY = """<script>alert(1)</script>"'&<img src=x onerror=alert(2)></pre></style>{{ 7*7 }}"""


def _check(status="passed", points=1.0, public=True, **extra):
    return CheckResult("7.1d", "a", "The first rows are right.", points, status, public, **extra)


def _exercise(*checks, **extra):
    return ExerciseResult("7.1d", "Locations", sum(check.points for check in checks), list(checks), **extra)


def _report(*checks, student="alice", **extra):
    fields = {"assignment": "ps7", "title": "FCOS", "file": "fcos.ipynb", "sha256": "0", "suites": "s", "seed": 424242}
    exercises = [_exercise(*checks)] if checks else []
    return Report(**{**fields, "student": student, "max_score": 10.0, "exercises": exercises, **extra})


class _Tags(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_everything_on_the_page_is_escaped():
    """Whatever field a student's code or file name reaches, it stays text."""
    check = _check("failed", message=NASTY, diagnosis=NASTY, public=True)
    hidden = _check("failed", message=NASTY, diagnosis=NASTY, public=False)
    report = _report(check, hidden, student=NASTY, file=NASTY, title=NASTY, notes=[NASTY])
    for page in (feedback_page(report), exercise_panel(exercise=report.exercises[0])):
        seen = _Tags(page)
        assert not {"script", "img"} & set(seen.tags) and "onerror" not in seen.attributes
        assert "&lt;script&gt;" in page and "{{ 7*7 }}" in page and "49" not in page


def test_a_problem_is_escaped():
    """The reason why nothing was graded may quote the file: it stays text, too."""
    page = feedback_page(_report(outcome="unreadable", problem=NASTY))
    assert "script" not in _Tags(page).tags and "&lt;script&gt;" in page


def test_backquotes_become_code_and_stay_escaped():
    """Names between backquotes are set as code; an odd one is left alone."""
    page = feedback_page(
        _report(_check("failed", diagnosis="`a<b` is not `c`"), _check("failed", diagnosis="odd ` <i>"))
    )
    assert "<code>a&lt;b</code>" in page and "odd ` &lt;i&gt;" in page and "i" not in _Tags(page).tags


def test_staffs_own_fields_never_reach_the_page():
    """Details, what student code printed, the seed and digests are for staff alone."""
    checks = [_check(s, public=p, details="DETAILS", message="told") for s in STATUSES for p in (True, False)]
    report = _report(*checks, sha256="SHA-OF-FILE", suites="SUITES-DIGEST")
    report.exercises[0].printed = "PRINTED"
    for page in (feedback_page(report), exercise_panel(exercise=report.exercises[0])):
        assert "told" in page
        for secret in ("DETAILS", "PRINTED", "424242", "SHA-OF-FILE", "SUITES-DIGEST"):
            assert secret not in page


def test_the_page_needs_no_network():
    """The page fetches nothing and runs nothing."""
    page = feedback_page(_report(_check()))
    assert not {"script", "link", "iframe", "img"} & set(_Tags(page).tags)
    text = page.replace("http-equiv=", "")  # the policy's own attribute
    assert "http" not in text and "url(" not in text and "@import" not in text


@pytest.mark.parametrize("status", STATUSES)
def test_the_page_knows_every_status(status):
    """Each status has its words, and only "passed" gives points."""
    page = feedback_page(_report(_check(status, points=4)))
    assert ("4 / 4" in page) == (status == "passed")
    assert ("No score yet" in page) == (status == "grader_error")


@pytest.mark.parametrize(
    ("found", "status", "points"),
    [
        (["passed", "passed"], "passed", 2),
        (["passed", "missing"], "missing", 1),
        (["passed", "failed", "missing"], "failed", 1),
        (["failed", "error", "passed"], "error", 1),
        (["error", "memory"], "memory", 0),
        (["memory", "timeout"], "timeout", 0),
        (["missing", "missing"], "missing", 0),
        (["passed", "grader_error", "timeout"], "grader_error", 1),
        ([], "grader_error", 0),
    ],
)
def test_an_exercise_has_the_gravest_status_of_its_checks(found, status, points):
    """One status for the whole; no check at all is our error, never a pass."""
    exercise = _exercise(*map(_check, found))
    assert (exercise.status, exercise.points) == (status, points)


@pytest.mark.parametrize(
    ("outcome", "checks", "status", "score"),
    [
        ("graded", [_check(points=4), _check("failed")], "graded", 4),
        ("graded", [_check(points=4), _check("grader_error")], "grader_error", None),
        ("unreadable", [_check("missing")], "unreadable", 0),
        ("unreadable", [], "unreadable", 0),
        ("undecided", [], "undecided", None),
        ("grader_error", [_check()], "grader_error", None),
        ("grader_error", [], "grader_error", None),
    ],
)
def test_there_is_a_score_only_where_there_is_a_verdict(outcome, checks, status, score):
    """Where a human has to act first, the score is None: neither zero nor what was earned so far."""
    report = _report(*checks, outcome=outcome)
    assert (report.status, report.score) == (status, score)


def test_a_report_survives_the_disk(tmp_path):
    """What is written is what is read, staff's fields included."""
    report = _report(
        _check("failed", message=NASTY, details="\udce9\0", public=False), student="Zoë \ud800", notes=["n"]
    )
    report.exercises[0].printed = "\x1b[2J"
    write_report(tmp_path / "new" / "folder", report)
    assert read_report(tmp_path / "new" / "folder") == report
    written = json.loads((tmp_path / "new" / "folder" / "report.json").read_bytes())
    assert written["score"] == 0 and written["status"] == "graded" and written["exercises"][0]["status"] == "failed"


def test_a_report_of_another_format_is_refused():
    """A report of a future kit is not half understood."""
    content = {**_report().to_json(), "format": 2}
    with pytest.raises(ValueError, match="format 2"):
        Report.from_json(content)


def test_text_that_utf8_cannot_hold_costs_no_file(tmp_path):
    """Half a surrogate pair, in a student's error or file name, does not stop the page."""
    write_report(tmp_path, _report(_check("error", message="KeyError: '\ud800'"), student="\udcff"))
    assert "KeyError: &#39;?&#39;" in (tmp_path / "feedback.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("holder", "step"), [(os, "fsync"), (Path, "replace"), (Path, "chmod")])
def test_old_content_stays_when_writing_fails(tmp_path, monkeypatch, holder, step):
    """A full disk leaves the old file as it was, and no part of a new one."""

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "grades.csv"
    write_whole(path, "old")
    monkeypatch.setattr(holder, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new and longer")
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["grades.csv"]


def test_a_written_file_is_readable_and_replaces_the_old(tmp_path):
    """Text and bytes are written, in folders made for them, readable for everyone."""
    path = tmp_path / "a" / "b.txt"
    write_whole(path, "ü")
    write_whole(path, b"\xff")
    assert path.read_bytes() == b"\xff" and path.stat().st_mode & 0o777 == 0o644


def test_what_staff_alone_may_read_is_closed_to_others(tmp_path):
    """`report.json` has the seed and hidden numbers: its mode keeps them, also in a folder that is open."""
    write_report(tmp_path, _report())
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "feedback.html").stat().st_mode & 0o777 == 0o644


def test_report_json_comes_last(tmp_path, monkeypatch):
    """`report.json` means that both files are there: it is not written if the page fails."""
    monkeypatch.setattr("autograder.report.files.feedback_page", lambda report: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(tmp_path, _report())
    assert not (tmp_path / "report.json").exists()


def _grades(tmp_path, assignment, *reports):
    write_grades(tmp_path / "grades.csv", assignment, list(reports))
    return list(csv.reader((tmp_path / "grades.csv").read_text(encoding="utf-8").splitlines(keepends=True)))


def test_grades_have_a_column_per_exercise(tmp_path, assignment):
    """`student,score,max_score,status`, then one column for each exercise of the assignment."""
    ids = [exercise.id for exercise in assignment.exercises]
    head, row = _grades(tmp_path, assignment, _report(_check(points=2.5)))
    assert head == ["student", "score", "max_score", "status", *ids]
    expected = {"student": "alice", "score": "2.5", "max_score": "10", "status": "graded", **dict.fromkeys(ids, "0")}
    assert dict(zip(head, row, strict=True)) == {**expected, "7.1d": "2.5"}


@pytest.mark.parametrize("outcome", ["undecided", "grader_error"])
def test_grades_are_empty_where_there_is_no_verdict(tmp_path, assignment, outcome):
    """No score is an empty field: a zero would be taken for one."""
    _, row = _grades(tmp_path, assignment, _report(_check(), outcome=outcome))
    assert row[1] == "" and row[3] == outcome and set(row[4:]) == {""}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1"])
def test_no_name_is_a_formula(tmp_path, assignment, name):
    """A spreadsheet does not compute a student's name."""
    _, row = _grades(tmp_path, assignment, _report(student=name))
    assert row[0] == "'" + name.replace("\r", " ")


@pytest.mark.parametrize("name", ['a,"b"', "a\nb,100,100", "a;b", "Zoë", "a\rb", ""])
def test_names_stay_in_their_field(tmp_path, assignment, name):
    """A comma, quote or line end in a name makes no second field or row."""
    write_grades(tmp_path / "g.csv", assignment, [_report(student=name)])
    with (tmp_path / "g.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert len(rows) == 2 and rows[1][0] == name.replace("\r", " ") and len(rows[1]) == len(rows[0])


MOVES = ["\x1b[2J", "\r", "\b", "\x07", "\x9b31m", "\u202e", "\u200f", "\ud800", "\x7f", "\0", "\u2028", "\x85"]


@pytest.mark.parametrize("text", MOVES)
def test_printed_text_cannot_move_the_cursor(text):
    """Control and format characters are shown as question marks."""
    assert printable(f"a{text}b").startswith("a?") and printable(f"a{text}b").encode()
    assert printable("Zoë 李\n\t✓") == "Zoë 李\n\t✓" and printable("a\nb", line=True) == "a?b"
    joined = "\u0646\u06cc\u200c\u0645\u0627 \u0dc1\u0dca\u200d\u0dbb\u0dd3"  # names that need a joiner keep it
    assert printable(joined, line=True) == joined


@pytest.mark.parametrize("terminal", [False, True])
def test_the_table_cannot_be_forged(assignment, terminal):
    """A student's name and message make no row, colour or markup of their own."""
    console = Console(force_terminal=terminal, width=120, no_color=True, color_system=None)
    report = _report(_check("error", message="boom\x1b[2J\nbob 10/10"), student="eve\nbob 10/10 [red]\x1b[1A")
    with console.capture() as capture:
        console.print(grades_table(assignment, [report], console))
    text = capture.get()
    assert "\x1b[2J" not in text and "\x1b[1A" not in text and "[red]" in text
    assert not any(line.lstrip().startswith("bob") for line in text.splitlines())


def test_the_first_fault_is_one_line():
    """The first check that failed speaks: its diagnosis, message or sentence, cut and on one line."""
    assert first_fault(_report(_check())) == ""
    assert first_fault(_report(_check(), _check("failed", message="one\ntwo"))) == "7.1d: one"
    assert first_fault(_report(_check("failed", message="m", diagnosis="d"))) == "7.1d: d"
    assert first_fault(_report(_check("failed"))) == "7.1d: The first rows are right."
    assert first_fault(_report(outcome="undecided", problem="two\nfiles")) == "two?files"
    assert len(first_fault(_report(_check("failed", message="x" * 999)))) == 160


def test_staff_at_the_terminal_see_what_broke_on_our_side():
    """For a check of ours that broke, the table gives the error itself, not the words meant for students."""
    details = "Traceback (most recent call last):\n  ...\nSandboxFailed: the sandbox did not start: no namespaces\n"
    report = _report(_check("grader_error", message="The check itself broke.", details=details))
    assert "our fault: SandboxFailed: the sandbox did not start: no namespaces" in first_fault(report)


def test_the_first_fault_is_the_one_with_a_name():
    """In an exercise with several faults the named one is told; what broke on our side comes before any."""
    named, unnamed = _check("failed", diagnosis="A sigmoid."), _check("failed", message="other gradients")
    assert first_fault(_report(unnamed, named)) == "7.1d: A sigmoid."
    assert "ours" in first_fault(_report(named, _check("grader_error", details="ours")))


@pytest.mark.parametrize(
    ("text", "length", "cut"),
    [
        ("replace this line", 17, "replace this line"),
        ("replace this line", 16, "replace this…"),
        ("replace this line", 13, "replace this…"),
        ("replace, this line", 9, "replace…"),
        ("a " + "x" * 30, 20, "a " + "x" * 17 + "…"),
    ],
)
def test_texts_are_cut_after_a_word(text, length, cut):
    """What is left out is a sign, and no word is torn, but for one that is most of the line."""
    assert shortened(text, length) == cut and len(cut) <= length

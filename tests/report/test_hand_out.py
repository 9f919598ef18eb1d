"""What goes back: pages alone, by the names that platforms take back; worksheets filled; what counts after lateness."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import pytest

from autograder.course.origin import CANVAS, GITHUB, GRADESCOPE, MOODLE, Origin
from autograder.report.files import csv_text, no_formula, read_report, write_report
from autograder.report.hand_out import final_csv, page_name, pages_zip, worksheet
from autograder.report.html import feedback_page
from autograder.report.model import Report
from autograder.report.spreadsheets import canvas_csv, read_roster
from autograder.report.summary import summarise
from autograder.report.tables import read_table
from autograder.runtime.errors import KitError
from tests.support.classroom import thirty

FILE = "lovelaceada_LATE_10001_500001_fcos-1.ipynb"


def of(platform: str, user: str, name: str, handle: str, late: bool | None = None) -> Origin:
    """Where a hand-in came from."""
    return Origin(platform, user, name, handle, late=late)


@pytest.fixture(name="reports")
def _reports() -> list[Report]:
    """Five of the class of thirty, each from another place; one has no score."""
    found = {report.student: report for report in thirty()}
    chosen = [found[name] for name in ("aisha", "bao", "carla", "dmitri", "quentin")]
    chosen[0].origin = of(CANVAS, "10001", "lovelaceada", FILE, late=True)
    chosen[1].origin = of(MOODLE, "12345", "Ada Lovelace", "Ada Lovelace_12345_assignsubmission_file_")
    chosen[2].origin = of(GRADESCOPE, "3031", "Ada", "submission_11")
    chosen[4].origin = of(MOODLE, "12346", "Bo", "Bo_12346_assignsubmission_file_")
    return chosen


def test_pages_alone(reports):
    """One zip of pages, each what the report gives now; no report, no seed; nobody without a score."""
    pages = pages_zip([(f"key-{report.student}", report) for report in reports])
    with zipfile.ZipFile(io.BytesIO(pages.data)) as archive:
        held = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(held) == {
        "lovelaceada_LATE_10001_500001_feedback.html",
        "Ada Lovelace_12345_assignsubmission_file_/feedback.html",
        "key-carla.html",
        "key-dmitri.html",
    }
    assert held["key-dmitri.html"] == feedback_page(reports[3]) and set(pages.names) == {
        "aisha",
        "bao",
        "carla",
        "dmitri",
    }
    assert not any(str(report.seed) in page for report in reports for page in held.values())
    assert pages.data == pages_zip([(f"key-{report.student}", report) for report in reports]).data


def canvas_takes(name: str) -> tuple[str, str] | None:
    """The user and attachment that Canvas reads from the name of an uploaded file, as its source says."""
    parts = [part for part in name.split("_") if part != "LATE"]
    if parts[0] == "anon":
        return parts[1], parts[2]
    numbers = [part for part in parts if re.fullmatch(r"\d+", part)][:2]
    return None if len(numbers) < 2 or parts[-1].startswith("link") else (numbers[0], numbers[1])


def moodle_takes(name: str) -> tuple[str, str, str] | None:
    """The participant, plugin and file that Moodle reads from a path in an uploaded zip, as its source says."""
    parts = name.split("/")
    while parts:
        info = parts.pop(0).split("_", 4)
        if len(info) >= 4 and info[1].isdigit():
            return info[1], f"{info[2]}_{info[3]}", "/".join([*info[4:], *parts]).lstrip("/")
    return None


@pytest.mark.parametrize(
    ("handle", "user", "attachment"),
    [
        (FILE, "10001", "500001"),
        ("de_la_cruz_10001_5_my_9_9_work.ipynb", "10001", "5"),
        ("anon_AbC12_500001_fcos.ipynb", "AbC12", "500001"),
        ("LATE_anon_AbC12_500001_fcos.ipynb", "AbC12", "500001"),
        ("x_10001_777_888_fcos.ipynb", "10001", "777"),
        ("李雷_7_8_link.ipynb", "7", "8"),
    ],
)
def test_canvas_takes_the_names_back(reports, handle, user, attachment):
    """The ids that Canvas looks for are those of the download, whatever the student called the file."""
    reports[0].origin = of(CANVAS, user, "x", handle)
    name = page_name(reports[0], "key")
    assert canvas_takes(name) == (user, attachment) and name.endswith("_feedback.html") and "work" not in name


@pytest.mark.parametrize("name", ["Ada Lovelace", "Group A-Łukasz Ó", "Participant"])
def test_moodle_takes_the_names_back(reports, name):
    """Participant and plugin are found in the folder's name."""
    reports[0].origin = of(MOODLE, "12", name, f"{name}_12_assignsubmission_file_")
    assert moodle_takes(page_name(reports[0], "key")) == ("12", "assignsubmission_file", "feedback.html")


@pytest.mark.parametrize("handle", ["../../etc", "..", "", "/abs", "a/../b", "C:\\x", "\x1b[2Jx", "\u202egnp"])
def test_no_name_leads_elsewhere(reports, handle):
    """Whatever a folder was called, the page lies one folder deep in the zip, under a name that can be printed."""
    for platform in (MOODLE, GITHUB):
        reports[0].origin = of(platform, "1", "x", handle)
        name = page_name(reports[0], "key")
        assert name.count("/") == 1 and name.isprintable() and name.split("/")[0] not in ("", ".", "..")


def test_two_students_of_one_folder_have_a_page_each(reports):
    """Who handed in together has a page of their own each, under different names."""
    for report in reports[:2]:
        report.origin = of(GITHUB, "team", "team", "ps7-team")
    pages = pages_zip([(report.student, report) for report in reports[:2]])
    assert pages.names == {"aisha": "ps7-team/feedback.html", "bao": "bao.html"}


def test_what_canvas_takes_no_file_back_for(reports):
    """Typed text and links are no uploaded file: the page is in the zip under its key, and staff are told."""
    reports[0].origin = of(CANVAS, "10001", "lovelaceada", "lovelaceada_10001_text.html")
    pages = pages_zip([("key", reports[0])])
    assert pages.unnamed == ("aisha",) and pages.names == {"aisha": "key.html"}


def test_what_counts(reports):
    """Score, late days, what they cost and what is left; nothing where there is no score."""
    reports[0].late_days, reports[0].late_per_cent = 2.0, 20.0
    rows = {row["student"]: row for row in csv.DictReader(io.StringIO(final_csv(reports)))}
    score = reports[0].score
    assert float(rows["aisha"]["final"]) == pytest.approx(0.8 * score) and rows["aisha"]["user"] == "10001"
    assert rows["bao"]["final"] == rows["bao"]["score"] and rows["quentin"]["final"] == ""


def test_the_page_says_what_lateness_costs(reports, tmp_path):
    """A student reads how late it was and what counts; a report keeps it, and one from before has none."""
    report = reports[0]
    assert "Handed in late" not in feedback_page(report)
    report.late_days, report.late_per_cent = 1.5, 10.0
    assert f"costs 10% of your points: {report.final:g} of {report.max_score:g} count" in feedback_page(report)
    write_report(tmp_path, report)
    assert read_report(tmp_path) == report
    report.late_per_cent = 0.0
    assert "costs nothing" in feedback_page(report)
    content = {key: value for key, value in report.to_json().items() if not key.startswith(("late", "origin"))}
    assert Report.from_json(content).final == report.score and Report.from_json(content).origin is None
    for wrong in ({"origin": {"platform": 3}}, {"late_days": "much"}, {"origin": []}, {"late_per_cent": None}):
        with pytest.raises((ValueError, TypeError)):
            Report.from_json({**report.to_json(), **wrong})


def test_a_worksheet_of_our_own(reports):
    """Without Moodle's worksheet one is made with the headings that its importer looks for."""
    made = worksheet(reports)
    (row,) = csv.DictReader(io.StringIO(made.text))
    assert row["Identifier"] == "Participant 12345" and float(row["Grade"]) == reports[1].score
    assert row["Last modified (grade)"] == "-" and made.filled == ("bao",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "head",
    [
        ["Identifier", "Full name", "Grade", "Maximum grade", "Last modified (grade)"],
        ["ID", "Vollständiger Name", "Bewertung", "Bestwertung", "Zuletzt geändert (Bewertung)"],
        ["Id.", "Jméno", "Body", "Maximum grade", "x"],
    ],
)
def test_moodles_worksheet_is_filled(reports, tmp_path, separator, head):
    """Grades go into the rows of our students; all else stays, in any language, and a missing row is told."""
    word = "Participant" if head[0] == "Identifier" else "Teilnehmer/in"
    rows = [head, [f"{word} 12345", "Ada Lovelace", "", "100,00", "-"], [f"{word} 9", "Bo", "7", "100,00", "gestern"]]
    (tmp_path / "w.csv").write_text("\n".join(separator.join(f'"{c}"' for c in row) for row in rows))
    reports[0].origin = of(MOODLE, "77", "Gone", "Gone_77_assignsubmission_file_")
    column = "Body" if "Body" in head else None
    made = worksheet(reports, read_table(tmp_path / "w.csv"), column)
    got = list(csv.reader(io.StringIO(made.text)))
    assert got[0] == head and got[2] == rows[2] and float(got[1][2]) == reports[1].score and got[1][3] == "100,00"
    assert made.missing == ("aisha",) and made.lines == ()
    if column:
        with pytest.raises(KitError, match="no column of grades"):
            worksheet(reports, read_table(tmp_path / "w.csv"))


def test_another_maximum_is_told(reports, tmp_path):
    """Points of 100 in an activity of 10 would be refused by Moodle without a word."""
    (tmp_path / "w.csv").write_text("Identifier,Grade,Maximum grade\nParticipant 12345,,10.00\n")
    assert "maximum grade is 10" in worksheet(reports, read_table(tmp_path / "w.csv")).lines[0]


GRADEBOOK = (
    "Student;ID;SIS User ID;SIS Login ID;Section;{column};Other (7)\n"
    "    Points Possible;;;;;100;5\n\n"
    '"Lovelace, Ada";10001,0;S1;ada;A;;\n"Novák, Jan";10002;S2;jan;A;;\n'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1250", "utf-16"])
def test_a_canvas_gradebook_saved_again(reports, tmp_path, encoding):
    """Semicolons, another encoding, an id that became a number: the row of the id and the name is Canvas's own."""
    reports[1].origin = None  # else the two would come to one row
    (tmp_path / "r.csv").write_bytes(GRADEBOOK.format(column=f"{reports[0].title} (12)").encode(encoding))
    made = canvas_csv(reports, summarise(reports), read_roster(tmp_path / "r.csv"))
    got = list(csv.reader(io.StringIO(made.text)))
    assert got[0][-1] == f"{reports[0].title} (12)"
    assert got[2][:5] == ["Lovelace, Ada", "10001", "S1", "ada", "A"] and len(got) == 3
    assert "bao" in made.unknown and made.unscored == ("quentin",)


def test_the_column_by_its_name(reports, tmp_path):
    """Where Canvas calls the assignment otherwise its column is named; of a wrong name it is told which there are."""
    (tmp_path / "r.csv").write_text(GRADEBOOK.format(column="FCOS homework (12)"))
    roster, summary = read_roster(tmp_path / "r.csv"), summarise(reports)
    made = canvas_csv(reports, summary, roster)
    assert "--column" in made.lines[0] and made.text.splitlines()[0].endswith(csv_text([[reports[0].title]]).strip())
    for name in ("FCOS homework", "fcos homework (12)"):
        assert canvas_csv(reports, summary, roster, name).text.splitlines()[0].endswith("FCOS homework (12)")
    with pytest.raises(KitError, match=r"no column called 'x'.*FCOS homework \(12\), Other \(7\)"):
        canvas_csv(reports, summary, roster, "x")


def test_an_id_alone_is_not_enough(reports, tmp_path):
    """A file that names another's id by another's name has no row, and neither has who is named so twice."""
    (tmp_path / "r.csv").write_text(GRADEBOOK.format(column="x"))
    roster, summary = read_roster(tmp_path / "r.csv"), summarise(reports)
    reports[0].origin = of(CANVAS, "10001", "mallory", "mallory_10001_777_888_fcos.ipynb")
    assert "aisha" in canvas_csv(reports, summary, roster).unknown
    for report in reports[:2]:
        report.origin = of(CANVAS, "10001", "lovelaceada", FILE)
    assert {"aisha", "bao"} <= set(canvas_csv(reports, summary, roster).unknown)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x;=1+1", "x;'=1+1"),
        ("x,\t=1", "x,\t'=1"),
        ('x;"=1"', 'x;"\'=1"'),
        ("x|-1", "x|'-1"),
        (";@SUM(A1)", ";'@SUM(A1)"),
        ("=1;=2", "'=1;'=2"),
        ("a - b; c", "a - b; c"),
        ("-", "-"),
        ("Lovelace, Ada", "Lovelace, Ada"),
    ],
)
def test_no_formula_whatever_the_separator(text, kept):
    """Where a country's sign parts the text, its second half is no formula either; harmless texts stay."""
    assert no_formula(text) == kept
    assert next(csv.reader(io.StringIO(csv_text([[text, "b"]])))) == [kept, "b"]
    if set(text) & set(";\t|,"):
        assert csv_text([[text]]).startswith('"')


def test_no_control_character_is_written():
    """A name drives no terminal and turns no line round; names of any language, tabs and lines of a reason stay."""
    text = csv_text([["a\x1b[31mb\x07\u202ec\x9b\u2066", "\u0645\u06cc\u200c\u062e", "one\r\n\ttwo\r"]])
    assert text == 'a?[31mb??c??,\u0645\u06cc\u200c\u062e,"one\n\ttwo "\n'


def test_paths_are_not_written(tmp_path):
    """Making the zip writes nothing: it is bytes."""
    assert not list(Path(tmp_path).iterdir())

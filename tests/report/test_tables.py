"""Rosters and gradebooks as spreadsheets save them: whatever the country's signs are, the same rows come of it."""

from __future__ import annotations

import codecs
import unicodedata
from pathlib import Path

import pytest

from autograder.course.origin import CANVAS, GRADESCOPE, MOODLE, Origin
from autograder.report.people import People, Person, matched, plain
from autograder.report.tables import number, read_table
from autograder.runtime.errors import KitError

ROWS = [["Student", "ID", "PS 7, late (12)"], ["Dvořák, Žaneta", "1", "87"], ["Szűcs, Győző", "2", ""]]
BOMS = {
    "utf-8-sig": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "cp1250": b"",
    "utf-8": b"",
}


def saved(path: Path, separator: str, encoding: str, end: str = "\r\n", blank: bool = False) -> Path:
    """A file as a spreadsheet saves it."""
    lines = [separator.join(f'"{c}"' if separator in c or "," in c else c for c in row) for row in ROWS]
    if blank:
        lines = ["", lines[0], separator * 2, *lines[1:], separator * 2, ""]
    path.write_bytes(BOMS[encoding] + end.join([*lines, ""]).encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", list(BOMS))
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("blank", [False, True])
def test_the_same_table(tmp_path, separator, encoding, end, blank):
    """Separator, encoding, BOM, ends of lines and blank rows make no difference."""
    table = read_table(saved(tmp_path / "r.csv", separator, encoding, end, blank))
    assert [list(table.head), *map(list, table.rows)] == ROWS


def test_what_excel_says_of_its_separator(tmp_path):
    """The line `sep=;` is no heading; short rows are filled up, long ones cut."""
    (tmp_path / "r.csv").write_text("sep=;\na;b\n1\n1;2;3\n")
    assert read_table(tmp_path / "r.csv").rows == (("1", ""), ("1", "2"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "Save the sheet as CSV"),
        (b"", "no table"),
        (b"one column\n1\n", "no table"),
        (b"\xff\xfe\x00", "damaged"),
        (b"\n;;\n", "no table"),
    ],
)
def test_what_is_no_table(tmp_path, data, said):
    """It is said what it is, or what is missing."""
    (tmp_path / "r.csv").write_bytes(data)
    with pytest.raises(KitError, match=said):
        read_table(tmp_path / "r.csv")
    with pytest.raises(KitError, match=r"cannot be read|no file"):
        read_table(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("87.5", 87.5),
        ("87,5", 87.5),
        (" 1.234,5 ", 1234.5),
        ("1,234.5", 1234.5),
        ("1 234,5", 1234.5),
        ("-3,25", -3.25),
        ("100", 100),
        ("", None),
        ("A-", None),
        ("nan", None),
        ("1e999", None),
        ("1,2,3", None),
    ],
)
def test_numbers(text, value):
    """With a point or a comma, thousands parted or not; nothing else is a number."""
    assert number(text) == value


PEOPLE = [
    Person("Lovelace, Ada", "10001", ("A1", "ada@example.edu"), 0),
    Person("Núñez, José María", "10002", ("A2", "jose"), 1),
    Person("Novák, Jan", "10003", ("A3", "jan1"), 2),
    Person("Novák, Jan", "10004", ("A4", "jan2"), 3),
]


@pytest.mark.parametrize(
    ("student", "origin", "place"),
    [
        ("Ada Lovelace", None, 0),
        ("Lovelace, Ada", None, 0),
        ("ADA  LOVELACE", None, 0),
        ("ada@example.edu", None, 0),
        (unicodedata.normalize("NFD", "José María Núñez"), None, 1),
        ("Jan Novák", None, None),
        ("jan2", None, 3),
        ("x", Origin(CANVAS, "10001", "lovelaceada", ""), 0),
        ("x", Origin(CANVAS, "10002", unicodedata.normalize("NFD", "núñezjosémaría"), ""), 1),
        ("x", Origin(CANVAS, "10001", "mallory", ""), None),
        ("lovelaceada_10001", None, None),
        ("x", Origin(CANVAS, "", "anon_AbC12", ""), None),
        ("x", Origin(MOODLE, "99", "Ada Lovelace", ""), 0),
        ("x", Origin(GRADESCOPE, "A4", "Jan Novák", ""), 3),
        ("x", Origin(GRADESCOPE, "A1", "Jose", "", email="jose"), None),
    ],
)
def test_who_is_who(student, origin, place):
    """By the platform's id and name together, by what is one person's alone; never by what two share."""
    found = People(PEOPLE).find(student, origin)
    assert (found and found.place) == place


def test_two_claims_to_one_row():
    """Two hand-ins that come to one row have neither of them the grade."""
    got = matched(People(PEOPLE), [("Ada Lovelace", None), ("ada@example.edu", None), ("jan1", None)])
    assert {name: row.place for name, row in got.items()} == {"jan1": 2}


def test_a_name_that_looks_alike_is_only_suggested():
    """A slip of a letter is told to staff with the row that it may be, and fills nothing in."""
    people = People(PEOPLE)
    assert people.find("Ada Lovelase", None) is None and people.suggestion("Ada Lovelase", None) == "Lovelace, Ada"
    assert people.suggestion("Xy", None) == ""
    assert plain("van der Berg, Jan") == "jan van der berg" and plain("a, b, c") == "a, b, c"

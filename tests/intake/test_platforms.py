"""What Canvas, Moodle, Gradescope and GitHub's classrooms hand out: whose each file is, by the platform's own name."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from autograder.course.origin import Origin
from autograder.intake.gradescope import read_metadata
from autograder.intake.platforms import blackboard_label, brightspace_label, canvas_label, moodle_label
from autograder.intake.strays import find_strays
from autograder.intake.submissions import Submission, find_submissions
from tests.intake.test_zips_of_zips import packed
from tests.support.handed_in_files import CODE, tree, zipped

WEIGHTS = ("fcos_detector.safetensors", "fcos_detector.pt")


def found(*paths: Path) -> dict[str, Submission]:
    """Submissions by student; every path holds some, and nobody's file is left out."""
    submissions, lines = find_submissions(paths, "fcos", "ps7", WEIGHTS)
    assert lines == [] and find_strays(paths, submissions, "fcos", "ps7").left_out == []
    return {submission.student: submission for submission in submissions}


@pytest.mark.parametrize(
    ("name", "student", "user", "late", "attempt", "rest"),
    [
        ("lovelaceada_10001_500001_fcos.ipynb", "lovelaceada_10001", "10001", False, 1, "fcos.ipynb"),
        ("lovelaceada_LATE_10001_500001_fcos-1.ipynb", "lovelaceada_10001", "10001", True, 2, "fcos.ipynb"),
        ("lovelaceada_10001_500001_ps7-submission-12.zip", "lovelaceada_10001", "10001", False, 13, None),
        ("lovelaceada_10001_500001_hw-7.ipynb", "lovelaceada_10001", "10001", False, 1, "hw-7.ipynb"),
        ("de_la_cruzjosé_10001_5_my_work_1_2.py", "de_la_cruzjosé_10001", "10001", False, 1, "my_work_1_2.py"),
        ("李雷_7_8_fcos.ipynb", "李雷_7", "7", False, 1, "fcos.ipynb"),
        ("anon_AbC12_500001_fcos.ipynb", "anon_AbC12", "", False, 1, "fcos.ipynb"),
        ("LATE_anon_AbC12_500001_fcos.ipynb", "anon_AbC12", "", True, 1, "fcos.ipynb"),
        ("lovelaceada_LATE_10001_text.html", "lovelaceada_10001", "10001", True, 1, "text.html"),
        ("lovelaceada_10001_link.html", "lovelaceada_10001", "10001", False, 1, "link.html"),
    ],
)
def test_canvas_names(name, student, user, late, attempt, rest):
    """Name, id, attempt and lateness are read from the front; the end is the student's own."""
    label = canvas_label(name, ("fcos", "ps7-submission"))
    assert (label.student, label.origin.user, label.origin.late) == (student, user, late)
    assert label.origin.attempt == attempt and label.origin.handle == name
    assert label.rest == (rest or "ps7-submission.zip")


@pytest.mark.parametrize("name", ["alice.ipynb", "fcos_2.ipynb", "hw_7.ipynb", "_1_2_x.py", "a_1_2_", "a_b_c_d.ipynb"])
def test_names_of_no_canvas_form(name):
    """What does not begin as Canvas's names do is not taken for one."""
    assert canvas_label(name) is None


def test_a_file_name_decides_nothing(tmp_path):
    """What a student calls the file, or puts into a folder or a zip, cannot make it another student's."""
    tree(tmp_path, "eve_666_9_ada_10001_500001_fcos.ipynb", "ada_10001_500001_fcos.ipynb")
    with zipfile.ZipFile(tmp_path / "mal_667_10_ps7-submission.zip", "w") as archive:
        archive.writestr("ada_10001_500001_fcos.ipynb", CODE)
    got = found(tmp_path)
    assert {name: s.origin.user for name, s in got.items()} == {
        "ada_10001": "10001",
        "eve_666": "666",
        "mal_667": "667",
    }
    assert got["ada_10001"].path.name == "ada_10001_500001_fcos.ipynb"


def test_one_such_name_among_others_is_no_download(tmp_path):
    """In a folder of `<student>.ipynb` a name that happens to look so is a student's."""
    assert set(found(tree(tmp_path, "ann.ipynb", "bob.py", "carl.md", "hw_7_1_x.ipynb"))) == {
        "ann",
        "bob",
        "carl",
        "hw_7_1_x",
    }


@pytest.mark.parametrize("archive", [False, True])
def test_a_canvas_download(tmp_path, archive):
    """A folder, and its zip with zips in it: weights, attempts, PDFs, typed text; everybody has a row."""
    members = {
        "adalove_10001_500001_fcos.ipynb": b"one",
        "adalove_LATE_10001_500007_fcos-1.ipynb": b"two",
        "adalove_LATE_10001_500008_fcos_detector-1.pt": b"weights",
        "babbage_10002_500002_ps7-submission.zip": packed(fcos__ipynb=CODE, fcos_detector__pt=b"in zip"),
        "curie_10003_500003_report.pdf": b"%PDF-1.7",
        "curie_10003_500004_fcos.ipynb.txt": b"{}",
        "dirac_10004_text.html": b"<p>see my drive</p>",
        "euler_10005_500005_fcos.ipynb": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "fermi_10006_500006_one.ipynb": CODE,
        "fermi_10006_500009_two.ipynb": CODE,
        "gauss_10007_500010_fcos.ipynb.gdoc": b'{"doc_id": "1"}',
        "hilbert_10008_500011_fcos.ipynb": b'{"url": "https://drive.google.com/x", "doc_id": "1"}',
    }
    for name, data in members.items():
        (tmp_path / "c").mkdir(exist_ok=True)
        (tmp_path / "c" / name).write_bytes(data)
    path = tmp_path / "c"
    if archive:
        path = tmp_path / "submissions.zip"
        with zipfile.ZipFile(path, "w") as made:
            for name, data in members.items():
                made.writestr(name, data)
    got = found(path)
    ada, babbage = got["adalove_10001"], got["babbage_10002"]
    assert ada.read(1) == b"two" and ada.weights.read(1) == b"weights"
    assert (ada.origin.attempt, ada.origin.late, ada.origin.handle) == (
        2,
        True,
        "adalove_LATE_10001_500007_fcos-1.ipynb",
    )
    assert babbage.read(1) == CODE and babbage.weights.read(1) == b"in zip" and babbage.origin.late is False
    problems = {name: s.problem for name, s in got.items() if s.problem}
    assert "report.pdf is a PDF" in problems["curie_10003"] and "has to end in .ipynb" in problems["curie_10003"]
    assert "text that was typed into the form" in problems["dirac_10004"]
    assert "pointer of Git LFS" in problems["euler_10005"] and problems["fermi_10006"].startswith("2 submissions")
    assert "a shortcut of Google Drive" in problems["gauss_10007"] and "Google Drive" in problems["hilbert_10008"]
    assert len(got) == 8


def test_a_name_as_a_mac_unpacks_it(tmp_path):
    """Composed and decomposed letters are one student."""
    names = [unicodedata.normalize(form, "núñezana_10001_5_fcos.ipynb") for form in ("NFC", "NFD")]
    keys = [find_submissions([tree(tmp_path / str(n), name)], "fcos", "ps7")[0][0].key for n, name in enumerate(names)]
    assert keys[0] == keys[1] == "núñezana_10001"


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("end", ["_", ""])
def test_a_moodle_download(tmp_path, archive, end):
    """A folder each, of Moodle before 4.1 and since; typed text, a zip, an empty hand-in, group and blind marking."""
    names = [
        f"Ada Lovelace_12345_assignsubmission_file{end}/fcos.ipynb",
        f"Ada Lovelace_12345_assignsubmission_file{end}/fcos_detector.pt",
        f"Ada Lovelace_12345_assignsubmission_onlinetext{end}/onlinetext.html",
        f"Group A-Charles Babbage_12346_assignsubmission_file{end}/deep/er/work.ipynb",
        f"Participant_12347_assignsubmission_file{end}/ada_10001_500001_fcos.ipynb",
        f"Marie Curie_12348_assignsubmission_onlinetext{end}/onlinetext.html",
    ]
    if archive:
        path = zipped(tmp_path / "PS7-1234.zip", *names)
    else:
        path = tree(tmp_path / "c", *names, f"Paul Dirac_12349_assignsubmission_file{end}/")
    got = found(path)
    assert got["Ada Lovelace_12345"].origin == Origin(
        "moodle", "12345", "Ada Lovelace", "Ada Lovelace_12345_assignsubmission_file_"
    )
    assert got["Ada Lovelace_12345"].weights.name == "fcos_detector.pt"
    assert got["Group A-Charles Babbage_12346"].name == "work.ipynb" and not got["Participant_12347"].problem
    assert "typed into the form" in got["Marie Curie_12348"].problem
    assert ("Paul Dirac_12349" in got) != archive and len(got) == (4 if archive else 5)


def test_moodles_older_names(tmp_path):
    """Without folders the file's name follows, and weights lie side by side with others'."""
    start = "_assignsubmission_file_"
    names = [
        f"Ada Lovelace_1{start}fcos.ipynb",
        f"Ada Lovelace_1{start}fcos_detector.pt",
        f"Bo Babbage_2{start}a.ipynb",
    ]
    got = found(tree(tmp_path, *names))
    assert got["Ada Lovelace_1"].weights.path.name == names[1] and got["Bo Babbage_2"].weights is None
    assert moodle_label("Ada_Lovelace_1_assignsubmission_file_") is None  # a full name holds no such sign


@pytest.mark.parametrize("archive", [False, True])
def test_a_brightspace_download(tmp_path, archive):
    """A folder for each time: the newest with a notebook counts, whole; two of a name are two."""
    noon, night = "Mar 11, 2026 1205 PM", "Mar 11, 2026 1159 PM"
    names = [
        "101-7 - Ada Lovelace - Mar 9, 2026 930 AM/fcos.ipynb",
        f"101-7 - Ada Lovelace - {noon}/fcos_v2.ipynb",
        f"101-7 - Ada Lovelace - {noon}/fcos_v2.pt",
        f"101-7 - Ada Lovelace - {night}/report.pdf",
        f"102-7 - Mary-Ann Smith - Jones - {night}/101-7 - Ada Lovelace - Dec 1, 2026 100 AM.ipynb",
        f"103-7 - Bo Li - {night}/fcos.ipynb",
        "104-7 - Bo Li - Mar 12, 2026 1201 AM/fcos.ipynb",
        f"105-7 - Paul Dirac - {night}/essay.docx",
        "index.html",
    ]
    got = found(zipped(tmp_path / "PS7 Download.zip", *names) if archive else tree(tmp_path / "c", *names))
    ada = got["Ada Lovelace_101-7"]
    assert ada.name == "fcos_v2.ipynb" and ada.weights.name == "fcos_v2.pt" and not ada.problem
    assert ada.origin == Origin("brightspace", "101-7", "Ada Lovelace", f"101-7 - Ada Lovelace - {noon}")
    assert "essay.docx is a text document" in got["Paul Dirac_105-7"].problem
    assert set(got) - {"Ada Lovelace_101-7", "Paul Dirac_105-7"} == {
        "Bo Li_103-7",
        "Bo Li_104-7",
        "Mary-Ann Smith - Jones_102-7",
    }


def test_brightspaces_files_side_by_side(tmp_path):
    """Without folders the file's name follows, and decides nothing; times go from midnight to midnight."""
    start = "5-7 - Ada - Mar 10, 2026 "
    times = ["1205 AM", "100 AM", "1159 AM", "1205 PM", "100 PM", "1159 PM"]
    orders = [brightspace_label(f"{start}{time} - fcos.ipynb").order for time in times]
    days = ["Feb 28, 2026", "Mar 1, 2026", "Mar 31, 2026", "Apr 1, 2026", "Dec 31, 2026", "Jan 1, 2027"]
    later = [brightspace_label(f"5-7 - Ada - {day} 1200 PM").order for day in days]
    assert orders == sorted(set(orders)) and later == sorted(set(later))
    names = [f"{start}{time} - {name}" for time, name in zip(times[:2], ("fcos.ipynb", "x.ipynb"), strict=True)]
    got = found(
        tree(tmp_path, *names, "6-7 - Eve - Mar 10, 2026 200 PM - 5-7 - Ada - Mar 11, 2026 100 PM - fcos.ipynb")
    )
    assert got["Ada_5-7"].path.name == names[1] and set(got) == {"Ada_5-7", "Eve_6-7"}
    assert brightspace_label("5-7 - Ada - Mai 10, 2026 100 PM") is None  # of no month that is known


@pytest.mark.parametrize("archive", [False, True])
def test_a_blackboard_download(tmp_path, archive):
    """Every attempt is there, and what was typed in: the newest with a notebook counts, with the weights beside it."""
    first, second = "2026-03-09-10-00-00", "2026-03-10-23-59-00"
    names = [
        f"PS_7_ada_attempt_{first}.txt",
        f"PS_7_ada_attempt_{first}_fcos.ipynb",
        f"PS_7_ada_attempt_{second}.txt",
        f"PS_7_ada_attempt_{second}_final.ipynb",
        f"PS_7_ada_attempt_{second}_fcos_detector.pt",
        f"PS_7_ada_b_attempt_{first}_PS_7_ada_attempt_2027-01-01-00-00-00_fcos.ipynb",
        f"PS_7_carl_attempt_{first}.txt",
        f"PS_7_dora_attempt_{first}_report.pdf",
    ]
    got = found(zipped(tmp_path / "gradebook.zip", *names) if archive else tree(tmp_path / "c", *names))
    ada = got["ada"]
    assert ada.name.endswith("_final.ipynb") and ada.weights.name == "fcos_detector.pt" and not ada.problem
    assert ada.origin == Origin("blackboard", "ada", "ada", f"PS_7_ada_attempt_{second}")
    assert "text that was typed into the form" in got["carl"].problem and "is a PDF" in got["dora"].problem
    assert set(got) == {"ada", "ada_b", "carl", "dora"} and not got["ada_b"].problem


@pytest.mark.parametrize(
    ("whose", "students"),
    [
        (["PS7_ada"], {"ada"}),
        (["PS7_alan", "PS7_alice"], {"alan", "alice"}),
        (["PS7_a_x", "PS7_b_x"], {"a_x", "b_x"}),
        (["PS7_a_", "PS7_a_b"], {"a_", "a_b"}),
        (["A_1_s_ann", "A_1_s_bob"], {"ann", "bob"}),
        (["A_ann", "B_ann"], {"A_ann", "B_ann"}),
    ],
)
def test_no_two_of_blackboards_students_become_one(tmp_path, whose, students):
    """The assignment's title and a user's name may both have a `_`: what all names begin with is cut off, no more."""
    got = found(tree(tmp_path, *(f"{one}_attempt_2026-03-10-23-59-00_fcos.ipynb" for one in whose)))
    assert set(got) == students


def test_one_of_blackboards_names_among_others_is_no_download(tmp_path):
    """As with Canvas's: in a folder of `<student>.ipynb` it is a student's own."""
    odd = "PS7_ada_attempt_2026-03-10-23-59-00_fcos.ipynb"
    assert set(found(tree(tmp_path, "ann.ipynb", "bob.py", "carl.md", odd))) == {"ann", "bob", "carl", odd[:-6]}
    assert blackboard_label(odd, "PS8_") is None and blackboard_label("PS7_ada_attempt_1_fcos.ipynb") is None


METADATA = b"""
submission_11:
  :submitters:
  - :name: Ada Lovelace
    :sid: '3031'
    :email: ada@example.edu
  :created_at: 2026-03-10 21:05:00.123456789 -08:00
  :history:
  - :created_at: 2026-03-09 10:00:00.000000000 -08:00
submission_12:
  :submitters:
  - :name: Pair One
    :sid: 200
  - :name: Pair Two
    :email: two@example.edu
submission_13:
  :submitters:
  - :name: Marie Curie
    :sid: '3033'
"""


@pytest.mark.parametrize("place", ["", "assignment_7_export/"])
def test_a_gradescope_export(tmp_path, place):
    """The metadata say whose each folder is; who handed in together have a row each."""
    tree(tmp_path / "x", f"{place}submission_11/fcos.ipynb", f"{place}submission_12/b/fcos.ipynb")
    tree(tmp_path / "x", f"{place}submission_13/report.pdf")
    (tmp_path / "x" / place / "submission_metadata.yml").write_bytes(METADATA)
    got = found(tmp_path / "x")
    ada = got["Ada Lovelace_3031"].origin
    assert (ada.user, ada.attempt, ada.email, ada.handle) == ("3031", 2, "ada@example.edu", "submission_11")
    assert ada.time.startswith("2026-03-1") and not got["Pair One_200"].problem
    assert got["Pair One_200"].path == got["Pair Two_two@example.edu"].path
    assert "report.pdf is a PDF" in got["Marie Curie_3033"].problem and len(got) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"x = 1",
        b"[1, 2]",
        b"\xff\xfe\x00",
        b"a: &a [*a]",
        b"!!python/object/apply:os.system ['true']",
        b"submission_1: {':submitters': 3}",
        b"submission_1: [a]",
        b"{" * 5000,
    ],
)
def test_metadata_that_are_none(data):
    """Whatever stands in that file, it is data: nothing is made or run, and nothing is known."""
    assert read_metadata(data) == {}


@pytest.mark.parametrize(
    ("folder", "slug"),
    [("ps7-submissions", "ps7"), ("cs-f26-ps7_submissions_2026_03_10_T_10_11_12", "cs-f26-ps7")],
)
def test_clones_of_githubs_classrooms(tmp_path, folder, slug):
    """The folder's name says what comes before each login, in GitHub Classroom and Classroom 50."""
    names = [f"{slug}-octo-cat/fcos.ipynb", f"{slug}-octo-cat/.git/config", f"{slug}-hubot/src/fcos.ipynb"]
    got = found(tree(tmp_path / folder, *names, f"{slug}-idle/README.md"))
    assert set(got) == {"octo-cat", "hubot", "idle"} and got["hubot"].origin.handle == f"{slug}-hubot"


def test_a_pointer_in_place_of_weights(tmp_path):
    """A clone without Git LFS has the notebook and a pointer: the weights are named as what they are."""
    folder = tree(tmp_path / "ps7-submissions", "ps7-ann/fcos.ipynb", "ps7-bob/fcos.ipynb")
    (folder / "ps7-ann" / "fcos_detector.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    got = found(folder)
    assert "pointer of Git LFS" in got["ann"].weights.problem and not got["ann"].problem


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"%PDF-1.4", "a PDF by another name"),
        (b"PK\x03\x04", "a zip by another name"),
        (b"<!DOCTYPE html>", "a web page"),
        (b'{"cells": [], "url": "x"}', ""),
        (b"", ""),
        (b"[" * 3000, ""),
    ],
)
def test_a_notebook_that_is_something_else(tmp_path, data, said):
    """A file that is called a notebook is named as what it is; what may be one is left to whoever reads it."""
    (tmp_path / "ann.ipynb").write_bytes(data)
    (submission,), _ = find_submissions([tmp_path], "fcos", "ps7")
    assert (said in submission.problem) if said else not submission.problem

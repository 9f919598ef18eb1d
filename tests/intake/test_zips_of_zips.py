"""Whose a zip is: one student's wherever it lies; a class's only where it is named, and then with the zips in it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from autograder.intake import untrusted
from autograder.intake.submissions import find_submissions
from autograder.runtime.errors import SubmissionError
from tests.conftest import ROOT
from tests.support.handed_in_files import CODE, tree, zipped

MALLORY = ROOT.parent / "shared" / "attacks" / "mallory-zip"


def packed(**members: bytes) -> bytes:
    """A zip with members of these names, dots written as two underscores."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return stream.getvalue()


def class_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip as a platform makes it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def found(*paths: Path) -> dict[str, str]:
    """By student, the file that counts, or the problem."""
    submissions, lines = find_submissions(paths, "fcos", "ps7", ("fcos_detector.pt",))
    assert lines == []
    return {s.student: s.problem or s.name for s in submissions}


@pytest.mark.parametrize(
    "names",
    [
        ["alice.ipynb", "bob.ipynb"],
        ["alice/fcos.ipynb", "bob/fcos.ipynb"],
        ["class/alice/fcos.ipynb", "class/bob/fcos.ipynb"],
        ["submission_1/fcos.ipynb", "submission_2/fcos.ipynb"],
    ],
)
def test_a_zip_in_a_folder_takes_nobodys_grade(tmp_path, names):
    """Whatever it is that a student's zip holds, it is that student's and nobody else's."""
    tree(tmp_path, "alice.ipynb", "bob.ipynb")
    zipped(tmp_path / "mallory.zip", *names)
    got = found(tmp_path)
    assert set(got) == {"alice", "bob", "mallory"} and got["alice"] == "alice.ipynb" and got["bob"] == "bob.ipynb"


@pytest.mark.skipif(not MALLORY.is_dir(), reason="the attack's files are not on this machine")
def test_the_zip_that_took_two_grades():
    """The attack that was found: one hand-in with the names of two others."""
    submissions, _ = find_submissions([MALLORY], "fcos", "ps7")
    assert [(s.student, bool(s.problem)) for s in submissions] == [("alice", False), ("bob", False), ("mallory", True)]


def test_two_notebooks_in_a_zip_are_one_student(tmp_path):
    """`alice.zip` with two notebooks is Alice's, and a human chooses; no students "hw" and "old" come of it."""
    tree(tmp_path, "bob.ipynb")
    zipped(tmp_path / "alice.zip", "hw.ipynb", "old.ipynb")
    assert found(tmp_path) == {
        "alice": "2 submissions (alice.zip/hw.ipynb, alice.zip/old.ipynb): keep the one that counts and grade again.",
        "bob": "bob.ipynb",
    }


@pytest.mark.parametrize("honest", ["bob.ipynb", "bob.zip"])
def test_hand_ins_named_one_by_one(tmp_path, honest):
    """`grade submitted/*` names hand-ins: no zip among them is a class's."""
    one = zipped(tmp_path / "mallory.zip", "bob.ipynb", "carl.ipynb")
    other = zipped(tmp_path / honest, "fcos.ipynb")
    assert set(found(one, other)) == {"mallory", "bob"}


def test_several_classes_named(tmp_path):
    """The zips of two sections may stand on one command line."""
    one, two = zipped(tmp_path / "a.zip", "ann.py", "bob.py"), zipped(tmp_path / "b.zip", "carl.py", "dan.zip")
    assert set(found(one, two)) == {"ann", "bob", "carl", "dan"}


def test_a_class_left_in_its_folder_is_explained(tmp_path):
    """Whoever gives the folder that a class's zip lies in reads what to do."""
    zipped(tmp_path / "download.zip", *(f"s{n}.ipynb" for n in range(8)))
    (said,) = found(tmp_path).values()
    assert said.startswith("8 submissions") and "name a class's own zip on the command line" in said


def test_zips_in_a_zip_are_read(tmp_path):
    """Notebook and weights of a hand-in that a class's zip holds are read, and nothing is written to disk."""
    inner = packed(fcos__ipynb=b"mine = 1\n", fcos_detector__pt=b"weights")
    path = class_zip(tmp_path / "c.zip", {"ann.zip": inner, "bob/x.zip": inner, "carl.ipynb": CODE})
    submissions, _ = find_submissions([path], "fcos", "ps7", ("fcos_detector.pt",))
    assert {s.student: s.read(1) for s in submissions} == {"ann": b"mine = 1\n", "bob": b"mine = 1\n", "carl": CODE}
    assert [s.weights.read(1) for s in submissions if s.weights] == [b"weights"] * 2
    assert [s.name for s in submissions] == ["fcos.ipynb", "fcos.ipynb", "carl.ipynb"]
    assert [p.name for p in tmp_path.iterdir()] == ["c.zip"]


def test_a_hand_in_zipped_once_more(tmp_path):
    """A zip of one zip is still that student's."""
    path = class_zip(tmp_path / "ann.zip", {"ps7-submission.zip": packed(fcos__ipynb=CODE)})
    assert found(path) == {"ann": "fcos.ipynb"}


def test_a_hand_in_zipped_once_more_in_a_folder(tmp_path):
    """The same where it lies among others' or in its student's folder, with the weights beside the notebook."""
    inner = packed(fcos__ipynb=CODE, fcos_detector__pt=b"weights")
    class_zip(tmp_path / "ann.zip", {"mine/ps7-submission.zip": inner})
    (tmp_path / "bob").mkdir()
    class_zip(tmp_path / "bob" / "x.zip", {"ps7-submission.zip": inner})
    submissions, _ = find_submissions([tmp_path], "fcos", "ps7", ("fcos_detector.pt",))
    assert {s.student: s.read(1) for s in submissions} == {"ann": CODE, "bob": CODE}
    assert [s.weights.read(1) for s in submissions if s.weights] == [b"weights"] * 2


def test_what_is_wrong_with_the_inner_zip_is_its_student_s_row(tmp_path):
    """Damaged, empty of notebooks, or two of them: the student is not lost, and reads what to hand in."""
    class_zip(tmp_path / "ann.zip", {"a.zip": b"PK\x03\x04"})
    class_zip(tmp_path / "bob.zip", {"a.zip": packed(notes__txt=b"x")})
    class_zip(tmp_path / "eve.zip", {"a.zip": packed(fcos__ipynb=CODE), "b.zip": packed(fcos__ipynb=CODE)})
    got = found(tmp_path)
    assert "a.zip: not a zip that can be opened" in got["ann"] and got["bob"].endswith("in this zip.")
    assert "It holds 2 others (a.zip, b.zip), not opened: hand in the notebook itself" in got["eve"]
    assert found(tmp_path / "ann.zip") == {"ann": got["ann"]}


def test_no_deeper(tmp_path):
    """A zip in a zip in a zip is not opened: its student is told so, and what to hand in."""
    deep = packed(a__zip=packed(fcos__ipynb=CODE))
    got = found(class_zip(tmp_path / "c.zip", {"ann.zip": deep, "bob.ipynb": CODE}))
    assert "It holds another (a.zip), not opened" in got["ann"] and got["bob"] == "bob.ipynb"
    assert "It holds another (a.zip), not opened" in found(class_zip(tmp_path / "ann.zip", {"b.zip": deep}))["ann"]


def test_damaged_zips_in_a_zip(tmp_path):
    """One that cannot be opened is its student's problem; the others are graded."""
    got = found(class_zip(tmp_path / "c.zip", {"ann.zip": b"PK\x03\x04", "bob.ipynb": CODE, "eve.zip": b""}))
    assert "not a zip that can be opened" in got["ann"] and "not a zip" in got["eve"] and got["bob"] == "bob.ipynb"


def test_a_bomb_in_a_zip_is_refused(tmp_path, monkeypatch):
    """A zip within a zip that unpacks to more than is allowed, or to many times its size, is not unpacked."""
    flat = packed(fcos__ipynb=b" " * 3 * 2**20)
    path = class_zip(tmp_path / "c.zip", {"ann.zip": flat, "bob.zip": packed(fcos__ipynb=CODE)})
    ann = find_submissions([path], "fcos", "ps7")[0][0]
    with pytest.raises(SubmissionError, match="unpacks to"):
        ann.read(100)
    monkeypatch.setattr(untrusted, "MAX_INNER", 100)
    assert "unpacks to" in found(path)["ann"]


def test_paths_out_of_a_zip_in_a_zip(tmp_path):
    """Names that lead elsewhere are no files, one level down as well."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../fcos.ipynb", CODE)
        archive.writestr("/etc/fcos.ipynb", CODE)
    got = found(class_zip(tmp_path / "c.zip", {"ann.zip": stream.getvalue(), "bob.ipynb": CODE}))
    assert "no notebook" in got["ann"]

"""Zips as an attacker makes them: nothing is unpacked to disk, and what cannot be read is said."""

import zipfile

import pytest

from autograder.intake.submissions import find_submissions
from autograder.intake.untrusted import MAX_ENTRIES
from autograder.runtime.errors import SubmissionError

CODE = b"x = 1\n"


def _zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, data in members:
            archive.writestr(member, data)
    return path


def _find(path):
    return find_submissions([path], "fcos", "ps7")


@pytest.mark.parametrize("name", ["../evil.ipynb", "a/../../evil.ipynb", "/etc/evil.ipynb", "..\\evil.ipynb"])
def test_members_that_escape_are_left_out(tmp_path, name):
    """A member with a path out of the zip is not looked at; the others are."""
    path = _zip(tmp_path / "c.zip", [(name, CODE), ("alice.ipynb", CODE), ("bob.ipynb", CODE)])
    submissions, _ = _find(path)
    assert [s.student for s in submissions] == ["alice", "bob"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zip"]


def test_backslashes_are_separators(tmp_path):
    """A zip made on Windows has its folders, too."""
    path = _zip(tmp_path / "c.zip", [("alice\\fcos.ipynb", CODE), ("bob\\ps7\\fcos.ipynb", CODE), ("x.py", CODE)])
    submissions, _ = _find(path)
    assert {s.student: s.read(1) for s in submissions} == {"alice": CODE, "bob": CODE, "x": CODE}


def test_a_drive_letter_is_no_path(tmp_path):
    """A name with a drive letter is the file of somebody with an odd name, kept under a safe key."""
    path = _zip(tmp_path / "c.zip", [("C:\\evil.ipynb", CODE), ("alice.ipynb", CODE)])
    submissions, _ = _find(path)
    assert len(submissions) == 2
    assert all("\\" not in s.key and ":" not in s.key and "/" not in s.key for s in submissions)


def test_symbolic_links_in_a_zip_are_left_out(tmp_path):
    """A member that is a link to something on the grader's disk is no notebook."""
    link = zipfile.ZipInfo("eve.ipynb")
    link.external_attr = 0o120777 << 16
    path = _zip(tmp_path / "c.zip", [(link, b"/etc/passwd"), ("alice.ipynb", CODE), ("bob.ipynb", CODE)])
    assert [s.student for s in _find(path)[0]] == ["alice", "bob"]


def test_members_without_a_name_are_left_out(tmp_path):
    """A name that begins with NUL is read as no name at all: nobody's file, and no end to the class's run."""
    path = _zip(tmp_path / "eve.zip", [("fcos.ipynb", CODE), ("X", CODE)])
    path.write_bytes(path.read_bytes().replace(b"X", b"\0"))
    (tmp_path / "alice.py").write_bytes(CODE)
    submissions, _ = _find(tmp_path)
    assert {s.student: s.read(1) for s in submissions} == {"alice": CODE, "eve": CODE}


def test_a_bomb_is_refused(tmp_path):
    """A member that unpacks to a multiple of its size, or of the limit, is not unpacked."""
    path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", b" " * 3 * 2**20)], zipfile.ZIP_DEFLATED)
    (submission,), _ = _find(path)
    for megabytes in (2, 100):
        with pytest.raises(SubmissionError, match="unpacks to"):
            submission.read(megabytes)


def test_a_header_that_lies_about_the_size(tmp_path):
    """A member that holds more than its header says is not believed."""
    path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", b"x = 1\n" * 500)], zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace((3000).to_bytes(4, "little"), (30).to_bytes(4, "little")))
    (submission,), _ = _find(path)
    with pytest.raises(SubmissionError):
        submission.read(1)


def test_an_encrypted_member_is_said_to_be_one(tmp_path):
    """Nobody is asked for a password."""
    path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", CODE)])
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    (submission,), _ = _find(path)
    with pytest.raises(SubmissionError, match="encrypted"):
        submission.read(1)


def test_a_damaged_member_is_said_to_be_one(tmp_path):
    """Bytes that do not fit their checksum are refused."""
    path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", b"marker = 1\n")])
    path.write_bytes(path.read_bytes().replace(b"marker", b"murker"))
    (submission,), _ = _find(path)
    with pytest.raises(SubmissionError, match="damaged"):
        submission.read(1)


def test_a_zip_cut_anywhere_is_an_error_in_words(tmp_path):
    """Wherever an upload broke off, there is a line or a problem and no crash."""
    whole = _zip(tmp_path / "whole.zip", [("fcos.ipynb", CODE), ("notes.txt", b"n")]).read_bytes()
    path = tmp_path / "alice.zip"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        submissions, lines = _find(path)
        assert submissions == [] and len(lines) == 1


def test_a_zip_with_any_byte_changed_never_crashes(tmp_path):
    """Whatever byte is wrong, the notebook is read or refused."""
    whole = _zip(tmp_path / "whole.zip", [("fcos.ipynb", CODE)], zipfile.ZIP_DEFLATED).read_bytes()
    path, refused = tmp_path / "alice.zip", 0
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 0xFF]) + whole[index + 1 :])
        submissions, lines = _find(path)
        for submission in submissions:
            try:
                assert submission.read(1) == CODE
            except SubmissionError:
                refused += 1
        refused += len(lines)
    assert refused > 20


def test_too_many_entries(tmp_path):
    """A zip of more entries than any class has is not searched."""
    path = _zip(tmp_path / "c.zip", [(f"{n}.txt", b"") for n in range(MAX_ENTRIES + 1)])
    submissions, lines = _find(path)
    assert submissions == [] and "entries" in lines[0]


def test_a_zip_without_notebooks(tmp_path):
    """A zip of a report and a folder named like a notebook holds nothing to grade."""
    path = _zip(tmp_path / "alice.zip", [("report.pdf", b""), ("fcos.ipynb/", b""), (".hidden.ipynb", CODE)])
    submissions, lines = _find(path)
    assert submissions == [] and "no notebook" in lines[0]


def test_the_same_name_twice_in_a_zip_is_for_a_human(tmp_path):
    """Two members of one name are two submissions: nobody guesses which one counts."""
    with pytest.warns(UserWarning, match="Duplicate"):
        path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", CODE), ("fcos.ipynb", b"y = 2")])
    (submission,), _ = _find(path)
    assert len(submission.candidates) == 2


def test_a_member_that_is_gone_when_it_is_read(tmp_path):
    """A zip that was replaced in the meantime is refused."""
    path = _zip(tmp_path / "alice.zip", [("fcos.ipynb", CODE)])
    (submission,), _ = _find(path)
    _zip(path, [("other.ipynb", CODE)])
    with pytest.raises(SubmissionError):
        submission.read(1)

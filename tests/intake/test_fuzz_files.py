"""Fuzzing what reads zips and files with weights: any bytes and any names are files found, or a sentence."""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from autograder.intake.found import Found, found_in_zip
from autograder.intake.submissions import find_submissions, safe_key
from autograder.intake.untrusted import MAX_NAME, MAX_PARTS, read_member
from autograder.intake.weights import find_weights
from autograder.runtime.errors import KitError, SubmissionError
from tests.support.fuzz import QUICK

FILES = ("fcos_detector.safetensors", "fcos_detector.pt")
PARTS = st.sampled_from(
    ["..", ".", "", "a", "ps7", "fcos.ipynb", "b.py", "README.md", *FILES, "C:", "~", "é", "x" * 80, "\\"]
)
NAMES = st.lists(PARTS, min_size=1, max_size=6).map("/".join).filter(lambda name: name.strip("\0"))
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=6)


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of some files, by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def looked_through(data: bytes) -> list[Found]:
    """Find and read all that a zip holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ada.zip"
        path.write_bytes(data)
        submissions, _ = find_submissions([path], "fcos", "ps7", FILES)
        for submission in submissions:
            assert "/" not in submission.key and submission.key not in ("", ".", "..")
            with contextlib.suppress(SubmissionError):
                submission.read(1)
        try:
            found = found_in_zip(path)
        except KitError:
            return []
        for file in found:
            assert ".." not in file.parts and len(file.parts) <= MAX_PARTS and len(file.member) <= MAX_NAME
            with contextlib.suppress(SubmissionError):
                assert len(read_member(path, file.member, 30)) <= 30
            weights = find_weights(path, file.member, "fcos", FILES)
            with contextlib.suppress(SubmissionError):
                assert weights is None or len(weights.read(1)) <= 2**20
        assert list(Path(folder).iterdir()) == [path]
        return found


@QUICK
@given(MEMBERS)
def test_any_names(members: dict[str, bytes]) -> None:
    """Names that lead out, back, nowhere: what is found lies within, and nothing is written."""
    assert len(looked_through(zipped(members))) <= len(members)


@QUICK
@given(MEMBERS, st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_a_zip_with_some_bytes_changed(members: dict[str, bytes], place: int, other: bytes) -> None:
    """Sizes, offsets, names and checksums that lie."""
    data = bytearray(zipped(members))
    start = place % len(data)
    data[start : start + len(other)] = other
    assert len(looked_through(bytes(data))) <= len(members) + 1


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """What is no zip has nothing in it."""
    assert looked_through(data) == []


@QUICK
@given(st.text(max_size=300))
def test_any_student(name: str) -> None:
    """Whatever somebody is called, the folder of the report is one folder."""
    key = safe_key(name)
    assert key and "/" not in key and "\0" not in key and key not in (".", "..") and len(key.encode()) <= 255

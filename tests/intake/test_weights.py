"""Weights beside a notebook: which file is whose, and which are never read."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from autograder.intake.submissions import find_submissions, safe_key
from autograder.intake.untrusted import read_plain
from autograder.runtime.errors import SubmissionError

FILES = ("fcos_detector.safetensors", "fcos_detector.pt")


def tree(root: Path, *names: str) -> Path:
    """Files that each hold their own name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def packed(path: Path, *names: str) -> Path:
    """The same in a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def owned(path: Path) -> dict[str, str]:
    """For each student what the weights hold, "" if there are none."""
    found, _ = find_submissions([path], "fcos", "ps7", FILES)
    return {s.student: s.weights.read(1).decode() if s.weights else "" for s in found}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ann/ps7/fcos.ipynb", "ann/ps7/fcos_detector.pt", "bob/ps7/fcos.ipynb"], "ann/ps7/fcos_detector.pt"),
        (["ann/fcos.ipynb", "ann/fcos_detector.pt", "ann/fcos_detector.safetensors"], "ann/fcos_detector.safetensors"),
        (["ann/my work.ipynb", "ann/fcos_detector.pt", "bob/fcos.ipynb"], "ann/fcos_detector.pt"),
        (["ann/fcos.ipynb", "ann/notes.md", "ann/fcos_detector.pt", "bob/fcos.ipynb"], "ann/fcos_detector.pt"),
        (["ann.ipynb", "bob.ipynb", "ann.pt", "fcos_detector.pt"], "ann.pt"),  # side by side: by the notebook's name
        (["ann.ipynb", "bob.ipynb", "fcos_detector.pt", "bob.pt"], ""),  # nobody's, and bob's
        (["ann.ipynb", "fcos_detector.pt"], "fcos_detector.pt"),
        (["ann/fcos.ipynb", "bob/fcos.ipynb", "bob/fcos_detector.pt", "fcos_detector.pt"], ""),  # not another's
        (["ann/fcos.ipynb", "ann/other.pt", "ann/old/fcos_detector.pt", "bob/fcos.ipynb"], ""),
        (["ann/fcos.ipynb", "ann/fcos_detector.PT", "bob/fcos.ipynb"], ""),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_whose_weights(tmp_path, names, expected, kind):
    """Weights belong to the notebook whose folder they lie in, on disk as in a zip of a class."""
    path = tree(tmp_path / "in", *names) if kind == "folder" else packed(tmp_path / "ann.zip", *names)
    assert owned(path)["ann"] == expected


def test_a_notebook_given_by_itself(tmp_path):
    """A path to a notebook finds what lies beside it, but not the weights of a folder that others share."""
    tree(tmp_path, "ann/fcos.ipynb", "ann/fcos_detector.pt", "all/bob.ipynb", "all/cy.ipynb", "all/fcos_detector.pt")
    assert owned(tmp_path / "ann" / "fcos.ipynb") == {"ann": "ann/fcos_detector.pt"}
    assert owned(tmp_path / "all" / "bob.ipynb") == {"bob": ""}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["hw/fcos.ipynb", "fcos_detector.pt"], "fcos_detector.pt"),
        (["fcos.ipynb", "weights/fcos_detector.pt"], "weights/fcos_detector.pt"),
        (["hw/fcos.ipynb", "__MACOSX/hw/fcos_detector.pt"], ""),
        (["hw/fcos.ipynb", "../fcos_detector.pt", "hw/../fcos_detector.pt", "/fcos_detector.pt"], ""),
        (["a/fcos.ipynb", "b/fcos_detector.pt"], ""),
    ],
)
def test_one_students_zip(tmp_path, names, expected):
    """In a zip with one notebook weights may lie above or below it; a name that leads elsewhere is no file."""
    assert list(owned(packed(tmp_path / "ann.zip", *names)).values()) == [expected]


def test_several_in_one_zip(tmp_path):
    """Two files of the name, neither beside the notebook: the student has to say which."""
    path = packed(tmp_path / "ann.zip", "hw/fcos.ipynb", "hw/a/fcos_detector.pt", "hw/b/fcos_detector.pt")
    (submission,), _ = find_submissions([path], "fcos", "ps7", FILES)
    with pytest.raises(SubmissionError, match="2 files of this name"):
        submission.weights.read(1)


def test_a_link_is_not_followed(tmp_path):
    """Weights that are a symbolic link are refused, also where the link appears after the listing."""
    secret = tree(tmp_path, "secret")
    tree(tmp_path, "in/ann/fcos.ipynb", "in/bob/fcos.ipynb", "in/bob/fcos_detector.pt")
    (tmp_path / "in" / "ann" / "fcos_detector.pt").symlink_to(secret / "secret")
    (ann, bob), _ = find_submissions([tmp_path / "in"], "fcos", "ps7", FILES)
    bob.weights.path.unlink()
    bob.weights.path.symlink_to(secret / "secret")
    for submission in (ann, bob):
        with pytest.raises(SubmissionError, match="regular file"):
            submission.weights.read(1)


def test_a_pipe_does_not_stop_the_grader(tmp_path):
    """A named pipe is no regular file, and nobody waits for it."""
    os.mkfifo(tmp_path / "fcos_detector.pt")
    with pytest.raises(SubmissionError, match="not a regular file"):
        read_plain(tmp_path / "fcos_detector.pt", 10)


def test_the_limit_is_held(tmp_path):
    """A file of the very limit is read, one byte more is not; in a zip neither."""
    (tmp_path / "fcos_detector.pt").write_bytes(bytes(10))
    assert read_plain(tmp_path / "fcos_detector.pt", 10) == bytes(10)
    with pytest.raises(SubmissionError, match="larger than"):
        read_plain(tmp_path / "fcos_detector.pt", 9)


@pytest.mark.parametrize("size", [2 * 2**20, 900 * 2**10])
def test_a_zip_bomb_is_not_unpacked(tmp_path, size):
    """What unpacks to more than the limit, or to hundreds of times its size, is refused by its header."""
    path = packed(tmp_path / "ann.zip", "fcos.ipynb")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fcos_detector.pt", bytes(size))
    (submission,), _ = find_submissions([path], "fcos", "ps7", FILES)
    with pytest.raises(SubmissionError, match="unpacks to"):
        submission.weights.read(1)


def test_a_damaged_zip(tmp_path):
    """A member that does not unpack is refused."""
    path = packed(tmp_path / "ann.zip", "fcos.ipynb", "fcos_detector.pt")
    data = path.read_bytes()
    place = data.index(b"fcos_detector.pt") + len("fcos_detector.pt")
    path.write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
    (submission,), _ = find_submissions([path], "fcos", "ps7", FILES)
    with pytest.raises(SubmissionError, match="damaged"):
        submission.weights.read(1)


def test_an_assignment_without_weights(tmp_path):
    """Where none are asked for, none are looked for."""
    tree(tmp_path, "fcos.ipynb", "fcos_detector.pt")
    (submission,), _ = find_submissions([tmp_path], "fcos", "ps7")
    assert submission.weights is None


@pytest.mark.parametrize("name", ["map.csv", "map.seed"])
def test_no_student_is_called_like_a_file_of_the_run(name):
    """The leaderboard and its seed cannot be hidden by a student's folder."""
    assert safe_key(name) != name

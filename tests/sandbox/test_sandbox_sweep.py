"""What is removed after a worker, and above all what is not."""

import os
from pathlib import Path

import pytest

from autograder.runtime.errors import KitError
from autograder.sandbox.inside import sweep
from autograder.sandbox.inside.home import Alone, Home

ME = os.getuid()
STRANGER = 60999
as_root = pytest.mark.skipif(ME != 0, reason="only root can give files to another user")


@pytest.fixture
def scratch(tmp_path):
    """A folder to be emptied, beside one that is not."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (tmp_path / "scratch").mkdir()
    yield tmp_path / "scratch"
    assert (tmp_path / "precious" / "file").read_text() == "kept"
    assert (tmp_path / "precious").stat().st_mode & 0o777 == 0o755


def test_a_tree_goes_and_the_folder_stays(scratch):
    """Files, folders in folders, a socket's like (a pipe), odd names."""
    (scratch / "a" / "b").mkdir(parents=True)
    (scratch / "a" / "b" / "file").write_text("x")
    (scratch / "a" / "file").write_text("x")
    os.mkfifo(scratch / "pipe")
    Path(os.fsdecode(os.fsencode(scratch) + b"/\xff\n")).write_text("x")
    sweep.empty(str(scratch), ME)
    assert list(scratch.iterdir()) == []


def test_links_are_removed_and_never_followed(scratch):
    """Links to files and folders, at the top and further down, and a second name of a file outside."""
    outside = scratch.parent / "precious"
    (scratch / "inner").mkdir()
    for place in (scratch, scratch / "inner"):
        (place / "to-folder").symlink_to(outside)
        (place / "to-file").symlink_to(outside / "file")
        (place / "up").symlink_to("..")
        os.link(outside / "file", place / "same-file")
    sweep.empty(str(scratch), ME)
    assert list(scratch.iterdir()) == []


def test_a_folder_that_is_a_link_is_not_emptied(scratch):
    """The folder to empty is itself opened without following."""
    link = scratch.parent / "link"
    link.symlink_to(scratch.parent / "precious")
    sweep.empty(str(link), ME)


def test_what_belongs_to_somebody_else_stays(scratch):
    """The owner decides, and nobody owns nothing here."""
    (scratch / "a").mkdir()
    (scratch / "a" / "file").write_text("x")
    sweep.empty(str(scratch), ME + 1)
    assert (scratch / "a" / "file").read_text() == "x"


@as_root
def test_only_the_owners_in_a_mixed_folder(scratch):
    """A stranger's files go; mine stay, also inside a stranger's folder, which then stays around them."""
    for name in ("mine", "his"):
        (scratch / name).write_text("x")
        (scratch / f"{name}-folder").mkdir()
        (scratch / f"{name}-folder" / "mine").write_text("x")
        (scratch / f"{name}-folder" / "his").write_text("x")
    for path in (scratch / "his", scratch / "his-folder", scratch / "his-folder" / "his", scratch / "mine-folder/his"):
        os.chown(path, STRANGER, STRANGER)
    assert sweep.left(str(scratch), STRANGER) == ["his", "his-folder"]
    sweep.empty(str(scratch), STRANGER)
    found = sorted(str(path.relative_to(scratch)) for path in scratch.rglob("*"))
    assert found == ["his-folder", "his-folder/mine", "mine", "mine-folder", "mine-folder/his", "mine-folder/mine"]


@pytest.mark.parametrize("place", [".", "near", "near/by"])
def test_another_file_system_is_not_entered(scratch, monkeypatch, place):
    """A folder whose device is not that of the top is left alone, with all that is in it, and so is a file."""
    (scratch / "near" / "by").mkdir(parents=True)
    (scratch / place / "far-folder").mkdir()
    (scratch / place / "far-folder" / "file").write_text("x")
    (scratch / place / "far-file").write_text("x")
    look = os.stat

    def stat(path, **more):
        about = look(path, **more)
        far = str(path).startswith("far-")
        return os.stat_result((*about[:2], about.st_dev + 1, *about[3:])) if far else about

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        sweep.empty(str(scratch), ME)
    files = [path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["far-file", "file"]
    assert all(path.parent.name == "far-folder" for path in files if path.name == "file")


@pytest.mark.parametrize("name", ["inner", "inner/deep", "with space", "Zürich"])
def test_nothing_is_removed_where_something_is_mounted(scratch, name):
    """A mount inside stops it before the first file; the list is the kernel's, in the kernel's spelling."""
    (scratch / "file").write_text("x")
    place = str(scratch / name).replace(" ", "\\040")
    mounts = scratch.parent / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/a rw\n36 35 8:1 /home {place} rw - ext4 /dev/a rw\n")
    with pytest.raises(KitError, match="mounted inside"):
        sweep.empty(str(scratch), ME, mounts)
    assert (scratch / "file").exists()


def test_mounts_elsewhere_do_not_matter(scratch):
    """Neither the folder itself being one, nor a neighbour whose name begins like it."""
    (scratch / "file").write_text("x")
    mounts = scratch.parent / "mountinfo"
    mounts.write_text(f"1 0 8:1 / {scratch} rw - a b rw\n2 0 8:1 / {scratch}-too/inner rw - a b rw\n")
    sweep.empty(str(scratch), ME, mounts)
    assert list(scratch.iterdir()) == []


def test_folders_in_folders_in_folders(scratch):
    """Three thousand levels, more than Python's recursion and a path's length allow, with a file at each tenth."""
    at = os.open(scratch, os.O_RDONLY)
    for level in range(3000):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
        if level % 10 == 0:
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    sweep.empty(str(scratch), ME)
    assert list(scratch.iterdir()) == []


def test_permissions_that_were_taken_away(scratch):
    """Folders that their owner may not read, enter or change are removed all the same."""
    for mode in (0o000, 0o300, 0o500):
        inner = scratch / f"{mode:o}" / "inner"
        inner.mkdir(parents=True)
        (inner / "file").write_text("x")
        inner.chmod(mode)
        inner.parent.chmod(mode)
    sweep.empty(str(scratch), ME)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("other", ["folder", "link"])
@pytest.mark.parametrize("place", [".", "near"])
def test_a_folder_that_has_become_another_is_not_opened(scratch, monkeypatch, place, other):
    """Between the look and the opening nothing may be put in its place, and permissions stay as they are."""
    (scratch / place / "a").mkdir(parents=True)
    replacement = scratch.parent / "b"
    if other == "link":
        replacement.symlink_to(scratch.parent / "precious")
    else:
        replacement.mkdir(mode=0o755)
        (replacement / "file").write_text("kept")
    opened = os.open

    def swapping(path, flags, *more, **place_of):
        if path == "a" and replacement.is_dir():
            (scratch / place / "a").rmdir()
            replacement.rename(scratch / place / "a")
        return opened(path, flags, *more, **place_of)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", swapping)
        sweep.empty(str(scratch), ME)
    (found,) = scratch.rglob("a")
    assert found.is_symlink() == (other == "link") and (found / "file").read_text() == "kept"
    assert found.stat().st_mode & 0o777 == 0o755


def test_no_such_folder(tmp_path):
    """Nothing there is nothing to do."""
    sweep.empty(str(tmp_path / "none"), ME)
    assert sweep.left(str(tmp_path / "none"), ME) == []


def test_outside_a_sandbox_there_is_no_home_that_empties_tmp():
    """The preloader of bubblewrap's kind refuses to start anywhere else; the one for trusted code empties nothing."""
    with pytest.raises(RuntimeError, match="no sandbox"):
        Alone()
    assert Home().scratch == ()

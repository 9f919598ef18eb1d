"""Downloads of Pascal VOC 2007: from its home or Google Drive, cut short or refused, and what lies there afterwards."""

import hashlib
import re
import shutil
import sys
import tarfile
from pathlib import Path

import gdown
import pytest
import requests

from ps7_helpers import VOC2007Detection
from ps7_helpers.download import download_voc2007
from ps7_helpers.shapes import write_voc


def packed_voc(root: Path) -> tuple[str, str]:
    """A small archive in VOC's layout: its URL and its checksum."""
    write_voc(root / "source", train=2, val=1)
    archive = root / "voc.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root / "source" / "VOCdevkit", arcname="VOCdevkit")
    return archive.as_uri(), hashlib.md5(archive.read_bytes()).hexdigest()


def test_download(tmp_path):
    """A download gives images, annotations and both lists, and nothing else stays behind."""
    url, md5 = packed_voc(tmp_path)
    target = tmp_path / "data"
    download_voc2007(target, url, md5)
    assert sorted(p.name for p in target.iterdir()) == ["VOCdevkit", "voc07_train.json", "voc07_val.json"]
    for split in ("train", "val"):
        made = (target / f"voc07_{split}.json").read_bytes()
        assert made == (tmp_path / "source" / f"voc07_{split}.json").read_bytes()
    assert len(VOC2007Detection(target, "train", download=True)) == 2  # there already: nothing is fetched


def test_download_of_something_else(tmp_path):
    """An archive with another checksum is refused and deleted."""
    url, _ = packed_voc(tmp_path)
    target = tmp_path / "data"
    with pytest.raises(ValueError, match="is not the archive"):
        download_voc2007(target, url, "0" * 32)
    assert list(target.iterdir()) == []


def test_download_offline(tmp_path):
    """Without a connection the error says so, names the ways on, and nothing stays behind."""
    with pytest.raises(ConnectionError, match=r"could not be fetched.*ShapesDetection"):
        download_voc2007(tmp_path / "data", (tmp_path / "nowhere.tar").as_uri())
    assert list((tmp_path / "data").iterdir()) == []


def test_download_stays_inside(tmp_path):
    """An archive whose members point outside the folder is not unpacked."""
    archive = tmp_path / "evil.tar"
    (tmp_path / "payload").write_text("x")
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "payload", arcname="VOCdevkit/VOC2007/JPEGImages/../../../../../evil.jpg")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=r"points out of its folder"):
        download_voc2007(tmp_path / "deep" / "data", archive.as_uri(), md5)
    assert not list(tmp_path.rglob("evil.jpg"))


def fake_drive(monkeypatch, archive):
    """Let gdown answer with a file, or fail as it does when the file's quota is used up."""

    def download(*, id, output, quiet, resume):
        if archive is None:
            raise gdown.exceptions.FileURLRetrievalError("Too many users have viewed this file recently.\nLater.")
        shutil.copyfile(archive, output)

    monkeypatch.setattr(gdown, "download", download)


def test_download_from_drive(tmp_path, monkeypatch):
    """A copy on Google Drive with the right checksum is used; the home is not asked."""
    _, md5 = packed_voc(tmp_path)
    fake_drive(monkeypatch, tmp_path / "voc.tar")
    download_voc2007(tmp_path / "data", (tmp_path / "nowhere.tar").as_uri(), md5, drive_id="abc")
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.mark.parametrize("answer", ["quota", "page"])
def test_download_where_drive_fails(tmp_path, monkeypatch, capsys, answer):
    """Drive's quota, or a page in place of the file: it is said in one line, and the home is asked."""
    url, md5 = packed_voc(tmp_path)
    (tmp_path / "page.html").write_text("<html>Google Drive - Quota exceeded</html>")
    fake_drive(monkeypatch, tmp_path / "page.html" if answer == "page" else None)
    download_voc2007(tmp_path / "data", url, md5, drive_id="abc")
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2
    (said,) = capsys.readouterr().out.strip().splitlines()
    assert "Google Drive" in said and "home instead" in said


class Full(OSError):
    """The disk is full."""


def test_cut_while_unpacking(tmp_path, monkeypatch):
    """Cut off in the middle of unpacking, nothing counts as there; the next call unpacks without fetching again."""
    url, md5 = packed_voc(tmp_path)
    target, copy, copied = tmp_path / "data", shutil.copyfileobj, []

    def full(source, file, size=0):
        copied.append(file.name)
        if len(copied) > 4:
            raise Full
        copy(source, file)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        with pytest.raises(Full):
            download_voc2007(target, url, md5)
    assert [p.name for p in target.iterdir()] == [".voc2007.tar"]
    (tmp_path / "voc.tar").unlink()
    download_voc2007(target, url, md5)
    assert len(VOC2007Detection(target, "train")) == 2 and len(VOC2007Detection(target, "val")) == 1


def test_a_linked_folder(tmp_path):
    """VOCdevkit may be a link to where the data lie."""
    url, md5 = packed_voc(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "VOCdevkit").symlink_to(tmp_path / "source" / "VOCdevkit")
    download_voc2007(tmp_path / "data", url, md5)
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.fixture
def drive(server, tmp_path, monkeypatch):
    """Google Drive as gdown itself sees it, on this machine; has a small archive. Its checksum is ``md5``."""
    packed_voc(tmp_path)
    (tmp_path / "padding").write_bytes(bytes(4 * BLOCK))
    with tarfile.open(tmp_path / "voc.tar", "a") as tar:
        tar.add(tmp_path / "padding", arcname="padding")
    server.body = (tmp_path / "voc.tar").read_bytes()
    server.md5 = hashlib.md5(server.body).hexdigest()
    get = requests.Session.get
    monkeypatch.setattr(requests.Session, "get", lambda self, url, **options: get(self, server.url, **options))
    monkeypatch.setattr(sys.modules["gdown.download"], "home", str(tmp_path))  # of cookies, up to gdown 5
    monkeypatch.setattr(sys.modules["gdown.download"], "DEFAULT_COOKIES_FILE", str(tmp_path / "c"), raising=False)
    (tmp_path / ".cache" / "gdown").mkdir(parents=True)  # gdown 5 makes it when it is imported
    return server


BLOCK = 1 << 19  # what gdown reads at a time; of a block that is cut nothing is kept
NAME = {"name": "voc.tar"}
QUOTA = {
    "body": b'<p class="uc-error-subcaption">Too many users have viewed or downloaded this file</p>',
    "ranges": False,
}
QUOTA |= {"type": "text/html"}


def test_drive_goes_on_in_one_call(drive, tmp_path):
    """A download from Drive that is cut goes on where it stopped, as long as each answer brings something."""
    drive.behaviours = [NAME | {"cut": BLOCK + 9}, NAME, NAME | {"cut": 2 * BLOCK}, NAME, NAME]
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert drive.ranges == [None, None, f"bytes={BLOCK}-", None, f"bytes={3 * BLOCK}-"]  # it asks for the name first
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2
    assert not list((tmp_path / "data").glob(".*"))


def test_drive_goes_on_in_the_next_call(drive, tmp_path):
    """What came from Drive before its quota was used up is kept, once, and the next call asks for the rest."""
    drive.behaviours = [NAME | {"cut": BLOCK}, QUOTA]
    for _ in range(2):
        with pytest.raises(ConnectionError, match=r"quota for this file.* What has come is kept in .*\.part"):
            download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
        (part,) = (tmp_path / "data").iterdir()
        assert part.stat().st_size == BLOCK
    drive.behaviours, drive.ranges = [NAME], []
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert drive.ranges == [None, f"bytes={BLOCK}-"] and len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.mark.parametrize("largest", [BLOCK, None])
def test_parts_of_drive_that_lie_about(drive, tmp_path, largest):
    """Of several parts, as an older version left them, the largest is gone on from; a whole one is used as it is."""
    (tmp_path / "data").mkdir()
    for length, name in ((100, "aaaaaaaa"), (largest, "bbbbbbbb"), (3000, "cccccccc")):
        (tmp_path / "data" / f".voc2007.tar.drive{name}.part").write_bytes(drive.body[:length])
    drive.behaviours = [NAME]
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert drive.ranges[1:] == ([f"bytes={largest}-"] if largest else [])  # a whole one is asked for no more
    assert not list((tmp_path / "data").glob(".*")) and len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.mark.parametrize("page", [QUOTA["body"], b"<html><head><title>Sorry</title></head></html>"])
def test_a_page_in_place_of_the_rest(drive, tmp_path, page):
    """A web page that answers in place of the rest is not appended, though gdown 5 does: the next call goes on."""
    drive.behaviours = [NAME | {"cut": BLOCK}, NAME, {"body": b"<html>" + page, "ranges": False, "type": "text/html"}]
    with pytest.raises(ConnectionError, match=r"Google Drive: .* What has come is kept in .*\.part"):
        download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    (part,) = (tmp_path / "data").iterdir()
    assert part.read_bytes() == drive.body[:BLOCK]
    drive.behaviours = [NAME]
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2


def test_another_file_on_drive(drive, tmp_path):
    """What Drive gives and is not the archive is deleted, also where the wrong bytes were there before."""
    drive.behaviours = [NAME]
    with pytest.raises(ConnectionError, match="is not the archive"):
        download_voc2007(tmp_path / "data", "", "0" * 32, drive_id="abc")
    (tmp_path / "data" / ".voc2007.tar.driveaaaaaaaa.part").write_bytes(b"x" * BLOCK)
    with pytest.raises(ConnectionError, match="is not the archive"):
        download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert list((tmp_path / "data").iterdir()) == []
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"body": b"<html>no such file</html>", "type": "text/html"}, "Cannot retrieve the public link of the file"),
        (NAME | {"cut": 9}, "the connection failed, or was cut|Download is incomplete"),
    ],
)
def test_why_drive_failed(drive, tmp_path, capsys, answer, why):
    """The reason is said in one line, not the heading above it or the network's own words; then the home is asked."""
    drive.behaviours = [answer]
    download_voc2007(tmp_path / "data", (tmp_path / "voc.tar").as_uri(), drive.md5, drive_id="abc")
    (said,) = capsys.readouterr().out.strip().splitlines()
    assert re.search(rf"cannot be had \(({why})[^<>]*\)\. Trying the data set's home", said)
    assert "HTTP" not in said and "IncompleteRead" not in said


def test_drive_cut_then_home(drive, tmp_path):
    """Where the home has the data, nothing that Drive gave before stays behind, of the packed form neither."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".voc2007-packed.tar.driveaaaaaaaa.part").write_bytes(b"some")
    drive.behaviours = [NAME | {"cut": BLOCK}, QUOTA]
    download_voc2007(tmp_path / "data", (tmp_path / "voc.tar").as_uri(), drive.md5, drive_id="abc")
    assert not list((tmp_path / "data").glob(".*")) and len(VOC2007Detection(tmp_path / "data", "train")) == 2


@pytest.mark.parametrize("seen", [True, False])
def test_progress_of_drive(drive, tmp_path, capsys, monkeypatch, seen):
    """Where somebody watches, gdown shows how far it is; a log file stays clean."""
    monkeypatch.setattr("ps7_helpers.download.watched", lambda: seen)
    drive.behaviours = [NAME]
    download_voc2007(tmp_path / "data", "", drive.md5, drive_id="abc")
    assert ("100%" in capsys.readouterr().err) == seen

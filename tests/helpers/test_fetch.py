"""Downloads from a server that misbehaves: cut connections, wrong bytes, web pages, no ranges."""

import hashlib

import pytest

from ps7_helpers.fetch import fetch_file, is_quota

DATA = bytes(range(256)) * 4000
MD5 = hashlib.md5(DATA).hexdigest()
QUOTA_PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>Sorry</body></html>"
LOGIN_PAGE = b"\n <html><head><title>Campus\n login</title></head></html>"


@pytest.fixture
def server(server):
    """A server that has the file."""
    server.body = DATA
    return server


def left(folder):
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_whole(server, tmp_path):
    """A good answer becomes the file, and nothing else stays."""
    server.behaviours = [{}]
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA and left(tmp_path) == ["voc.tar"]
    assert server.ranges == [None]


def test_cut_connections(server, tmp_path):
    """A connection that is cut, three times, goes on where it stopped each time."""
    server.behaviours = [{"cut": 300_000}, {"cut": 1}, {"cut": 400_000}, {}]
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA
    assert server.ranges == [None, "bytes=300000-", "bytes=300001-", "bytes=700001-"]


def test_the_next_call_goes_on(server, tmp_path):
    """If the rest stays away the part is kept, never as the file; the next call asks for the rest alone."""
    server.behaviours = [{"cut": 500_000}, {"cut": 0}]
    with pytest.raises(ConnectionError, match=r"could not be fetched.*0\.5 MB are kept; the same call goes on"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5, attempts=2)
    assert left(tmp_path) == ["voc.tar.part"]
    server.behaviours, server.ranges = [{}], []
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA and left(tmp_path) == ["voc.tar"]
    assert server.ranges == ["bytes=500000-"]


def test_a_server_without_ranges(server, tmp_path):
    """A server that always begins anew is read from the beginning, not appended to what is there."""
    server.behaviours = [{"cut": 300_000, "ranges": False}, {"ranges": False}]
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA


def test_all_there_but_the_name(server, tmp_path):
    """A part that is whole already, its process killed before the end, is verified and used."""
    (tmp_path / "voc.tar.part").write_bytes(DATA)
    server.behaviours = [{}]
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA and left(tmp_path) == ["voc.tar"]


@pytest.mark.parametrize("behaviour", [{"body": DATA[:-1] + b"x"}, {"body": DATA[:-9], "no_length": True}])
def test_wrong_bytes(server, tmp_path, behaviour):
    """A file with another checksum is refused and deleted, whole or short."""
    server.behaviours = [behaviour]
    with pytest.raises(ValueError, match=r"is not the archive: its MD5 is .*Try again"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert left(tmp_path) == []


def test_a_damaged_part(server, tmp_path):
    """A part whose bytes are wrong does not spoil every later call: it is refused once, then all is fetched anew."""
    (tmp_path / "voc.tar.part").write_bytes(b"x" * 1000)
    server.behaviours = [{}]
    with pytest.raises(ValueError, match="not the archive"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5)
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA


@pytest.mark.parametrize(
    ("page", "message"),
    [(QUOTA_PAGE, r"quota for this file is used up.*24 hours"), (LOGIN_PAGE, r"web page \('Campus login'\).*login")],
)
def test_a_web_page(server, tmp_path, page, message):
    """A page in place of the file is never kept; Drive's quota is called that, another page by its title."""
    server.behaviours = [{"body": page}]
    with pytest.raises(ValueError, match=message):
        fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert left(tmp_path) == []


@pytest.mark.parametrize("page", [QUOTA_PAGE, LOGIN_PAGE])
def test_a_web_page_after_a_cut(server, tmp_path, page):
    """A page that answers in place of the rest does not destroy what has come: that is said, and gone on from."""
    server.behaviours = [{"cut": 900_000}, {"body": page, "ranges": False}]
    with pytest.raises(ValueError, match=r"(quota|web page).*0\.9 MB are kept; the same call goes on"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5)
    server.behaviours, server.ranges = [{}], []
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA and server.ranges == ["bytes=900000-"]


@pytest.mark.parametrize("have", [0, 1000])
@pytest.mark.parametrize("no_length", [True, False])
def test_an_empty_answer(server, tmp_path, have, no_length):
    """An answer without a byte is no file: it is asked for again, and destroys nothing that has come."""
    (tmp_path / "voc.tar.part").write_bytes(DATA[:have])
    server.behaviours = [{"body": b"", "ranges": False, "no_length": no_length}]
    with pytest.raises(ConnectionError, match="could not be fetched: it ended early"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5, attempts=2)
    assert len(server.ranges) == 2 and (tmp_path / "voc.tar.part").read_bytes() == DATA[:have]


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 4)])
def test_refusals(server, tmp_path, pauses, status, requests):
    """What the server refuses for good is asked for once, what it cannot do now again and later; why is named."""
    server.behaviours = [{"status": status, "body": b""}]
    with pytest.raises(ConnectionError, match=f"HTTP Error {status}"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5, attempts=4)
    assert len(server.ranges) == requests and left(tmp_path) == []
    assert pauses == [1.0, 2.0, 4.0][: requests - 1]


def test_no_pause_while_bytes_come(server, tmp_path, pauses):
    """After an outage the pauses begin anew; where an answer brought something, the next is asked for at once."""
    outage = {"status": 503, "body": b"", "ranges": False}
    server.behaviours = [outage, outage, {"cut": 300_000}, {"cut": 300_000}, outage, {}]
    fetch_file(server.url, tmp_path / "voc.tar", MD5)
    assert (tmp_path / "voc.tar").read_bytes() == DATA and pauses == [1.0, 2.0, 1.0]


def test_nobody_there(server, tmp_path):
    """Without a server the error says so."""
    server.behaviours = [{}]
    url = server.url.replace(str(server.server_port), "1")
    with pytest.raises(ConnectionError, match=r"could not be fetched: .*refused"):
        fetch_file(url, tmp_path / "voc.tar", MD5, attempts=2)
    assert left(tmp_path) == []


def test_quota_words():
    """Drive's words for it are known, others are not taken for it."""
    assert is_quota("Too many users have viewed or downloaded this file recently")
    assert is_quota("Google Drive - Quota\nexceeded") and not is_quota("Cannot retrieve the public link")

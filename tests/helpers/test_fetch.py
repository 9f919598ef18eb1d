"""Downloads from a server that misbehaves: cut connections, wrong bytes, web pages, no ranges."""

import hashlib
import http.server
import threading

import pytest

from ps7_helpers.fetch import fetch_file, is_quota

DATA = bytes(range(256)) * 4000
MD5 = hashlib.md5(DATA).hexdigest()
QUOTA_PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>Sorry</body></html>"
LOGIN_PAGE = b"\n <html><head><title>Campus\n login</title></head></html>"


class Server(http.server.ThreadingHTTPServer):
    """Answers as a list of behaviours says, one request after the other; the last one goes on for ever."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours, self.ranges = [], []
        self.url = f"http://127.0.0.1:{self.server_port}/voc.tar"


class Handler(http.server.BaseHTTPRequestHandler):
    """One answer."""

    def do_GET(self):
        """Send what the behaviour says."""
        server = self.server
        behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        body, cut = behaviour.get("body", DATA), behaviour.get("cut")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and behaviour.get("ranges", True) else 0
        if asked and start >= len(body):
            self.send_error(416)
            return
        self.send_response(behaviour.get("status", 206 if start else 200))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if not behaviour.get("no_length"):
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : start + cut] if cut is not None else body[start:])

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    """A server on this machine, for one test."""
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


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


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3)])
def test_refusals(server, tmp_path, status, requests):
    """What the server refuses for good is asked for once, what it cannot do now again; the reason is named."""
    server.behaviours = [{"status": status, "body": b""}]
    with pytest.raises(ConnectionError, match=f"HTTP Error {status}"):
        fetch_file(server.url, tmp_path / "voc.tar", MD5, attempts=3)
    assert len(server.ranges) == requests and left(tmp_path) == []


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

"""What the tests of the helpers share: quiet figures, one thread, the real data where they are."""

import http.server
import threading
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
import torch

matplotlib.use("Agg")

_SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small tensors are fastest on one thread, and the tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def same_randomness():
    """Every test starts from one seed and leaves the random state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a download would have waited between attempts: tests do not wait."""
    waited: list[float] = []
    monkeypatch.setattr("ps7_helpers.fetch.sleep", waited.append)
    return waited


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """Finds a folder of real data beside the checkout; skips the test where there is none."""

    def find(name: str) -> Path:
        path = _SHARED / name
        if not path.exists():
            pytest.skip(f"needs {name} of ../shared/data, which is not beside this checkout")
        return path

    return find


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch):
    """The figures that were shown, instead of windows."""
    import matplotlib.pyplot as plt

    shown: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: shown.append(plt.gcf()))
    yield shown
    plt.close("all")


class Server(http.server.ThreadingHTTPServer):
    """Answers as a list of behaviours says, one request after the other; the last one goes on for ever."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours, self.ranges, self.body = [], [], b""
        self.url = f"http://127.0.0.1:{self.server_port}/voc.tar"


class Handler(http.server.BaseHTTPRequestHandler):
    """One answer."""

    def do_GET(self):
        """Send what the behaviour says."""
        server = self.server
        behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        body, cut = behaviour.get("body", server.body), behaviour.get("cut")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and behaviour.get("ranges", True) else 0
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(behaviour.get("status", 206 if start else 200))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", behaviour.get("type", "application/x-tar"))
        if name := behaviour.get("name"):
            self.send_header("Content-Disposition", f'attachment; filename="{name}"')
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

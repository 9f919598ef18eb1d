"""What the tests of the helpers share: quiet figures, one thread, the real data where they are."""

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

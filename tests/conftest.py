"""What tests share: the repository, a copy of the course to change, and whether a sandbox can be had."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.course import jupyter  # noqa: F401 (before anything else imports nbformat)
from autograder.course.assignment import Assignment, load_assignment
from autograder.runs.slot_pool import SlotPool, open_slots
from autograder.runtime.errors import KitError
from autograder.sandbox import bwrap

gc.disable()  # what imports make stays: until all tests are collected there is no garbage worth looking for
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: threads of torch's own would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
pytest_plugins = ["tests.support.in_private_root"]
collect_ignore = ["second"]  # an assignment: its suites are run by `test_second.py`, as a course's are
# What takes minutes begins first, so that no worker is left with it while the others have nothing to do.
LONG = (
    "test_proof",
    "test_runtimes",
    "test_device_table",
    "test_runs",
    "test_class",
    "test_attacks",
    "test_variants_on_a_gpu",
    "test_cluster",
    "test_check_gpu",
    "test_nbgrader",
    "test_jupyterlab",
    "test_report_browser",
    "test_gradescope",
    "test_map_runs",
    "test_two_readings",
    "test_stock_nbgrader",
    "test_on_gpu",
    "test_second",
    "test_cli",
    "test_attacks_answers",
    "test_solution",
)
SHARED_DATA = ROOT.parent / "shared" / "data"  # real images, on some machines


def pytest_configure() -> None:
    """Import torchvision as slots do, before a test imports it with all of torch's compiler."""
    from autograder.runtime import torchvision_alone  # noqa: F401


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first, in the order above (`--no-loadscope-reorder` keeps it so)."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share what they prepare stay with one worker."""
    from tests.support.spread import ByParts

    return ByParts(config, log)


def pytest_collection_finish() -> None:
    """What there is now is there to the end: the collector is not to go through it again and again."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the lines that tests have for people, also where other processes ran them."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    for report in reports:
        for name, line in report.user_properties:
            if name == "line":
                terminalreporter.write_line(str(line))


def _put_back() -> Iterator[None]:
    """What is changed in the process is put back: other fixtures of the same scope begin after this one."""
    from tests.support import as_found  # it imports torch, which reads the number of threads from above when it does

    before = as_found.as_found()
    yield
    assert as_found.not_put_back(before) == []


_put_back_by_a_file = pytest.fixture(_put_back, scope="module", autouse=True)
_put_back_by_a_test = pytest.fixture(_put_back, autouse=True)


@pytest.fixture(autouse=True)
def _no_notebook(_put_back_by_a_test: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test does not run in a notebook, whatever other tests of the same process have imported.

    It asks for the guard above, since what `monkeypatch` changes is put back before that looks.
    """
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


@pytest.fixture
def assignment() -> Assignment:
    """The real assignment, not to be changed."""
    return load_assignment("ps7", ROOT)


@pytest.fixture
def course(tmp_path: Path) -> Assignment:
    """A copy of the course whose source and release may be changed."""
    return copy_course(tmp_path / "course")


def copy_course(root: Path) -> Assignment:
    """Copy source, helpers and release; suites and reference stay the kit's own."""
    for name in ("assignment", "release", "helpers"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "nbgrader_config.py", root)
    return load_assignment("ps7", root)


@pytest.fixture(scope="session")
def edit() -> Callable[[Path, str, str], None]:
    """Replace a text in a file that must hold it."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{path.name} does not hold {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace


@pytest.fixture(name="sandbox")
def _sandbox(sandbox_once: None) -> None:
    """Skip where no sandbox can be made."""


@pytest.fixture(scope="session")
def sandbox_once() -> None:
    """The same, for fixtures that live longer than a test."""
    try:
        bwrap.find_bwrap()
    except KitError as error:
        pytest.skip(f"no sandbox on this machine: {error}")


@pytest.fixture(scope="session")
def slots(sandbox_once: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlotPool]:
    """A slot of the real assignment for all tests of this process: one takes some 4 seconds of CPU to start."""
    with open_slots(load_assignment("ps7", ROOT), "auto", tmp_path_factory.mktemp("slots") / "grade.log", 1) as made:
        yield made

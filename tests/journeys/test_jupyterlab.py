"""A student's way through JupyterLab, driven in a real browser: set up, get it wrong, mend it, hand it in."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from autograder.course.assignment import load_assignment
from tests.conftest import ROOT
from tests.support.students_machine import Machine, filled_in, make_machine, make_release

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]

PATIENCE = 240_000  # milliseconds until a step that does not happen fails the test
# The page as a test can read it: every cell is there, nothing is saved but by the student.
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "docmanager-extension/plugin": '{"autosave": false}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
WRONG = ("torch.stack([grid_x, grid_y], dim=-1)", "torch.stack([grid_x.T, grid_y.T], dim=-1)")


class Lab:
    """A notebook open in JupyterLab.

    Args:
        page: Of the browser.
        shots: Folder for pictures.
    """

    def __init__(self, page: Any, shots: Path) -> None:
        self.page, self._shots = page, shots

    def cell(self, begins: str) -> Any:
        """The code cell with a line that begins so."""
        line = self.page.locator(".cm-line", has_text=re.compile(rf"^{re.escape(begins)}"))
        return self.page.locator(".jp-Notebook .jp-CodeCell").filter(has=line).first

    def run(self, begins: str) -> Any:
        """Click into a cell, press Ctrl+Enter, wait until it has run."""
        cell = self.cell(begins)
        before = cell.locator(".jp-InputPrompt").inner_text()
        cell.locator(".cm-line").first.click()
        self.page.keyboard.press("Control+Enter")
        done = cell.locator(".jp-InputPrompt", has_text=re.compile(r"^\[\d+\]:?$"))
        playwright.expect(done).not_to_have_text(before, timeout=PATIENCE)
        return cell

    def write(self, begins: str, source: str) -> None:
        """Replace what is in a cell."""
        self.cell(begins).locator(".cm-line").first.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)

    def panel(self, cell: Any, words: str) -> Any:
        """The panel below a cell, once it says something."""
        panel = cell.locator(".fcoskit-panel", has_text=words)
        panel.wait_for(timeout=PATIENCE)
        return panel

    def shoot(self, name: str, panel: Any) -> None:
        """Take a picture of the page with the panel in it."""
        panel.scroll_into_view_if_needed()
        self.page.screenshot(path=self._shots / f"{name}.png")


@pytest.fixture(name="lab")
def _lab(tmp_path) -> Iterator[tuple[Lab, Path]]:
    """The released notebook, renamed, in JupyterLab on a machine with the students' wheel alone."""
    machine = make_machine(tmp_path / "m", make_release(load_assignment("ps7", ROOT), tmp_path), colab=False)
    notebook = (machine.folder / "fcos.ipynb").rename(machine.folder / "my fcos (1).ipynb")
    for name, text in SETTINGS.items():
        path = tmp_path / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with _server(tmp_path, machine) as address, playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/lab/tree/my%20fcos%20(1).ipynb", timeout=PATIENCE)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=PATIENCE)
        page.get_by_text("Python 3 | Idle").first.wait_for(timeout=PATIENCE)  # a cell run earlier would do nothing
        yield Lab(page, tmp_path), notebook
        browser.close()


@contextlib.contextmanager
def _server(root: Path, machine: Machine) -> Iterator[str]:
    """JupyterLab on a free port of this machine; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {**os.environ, **machine.environment, "HOME": str(root)}
    environment |= {name: str(root / folder) for name, folder in own.items()}
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={machine.folder}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if "is running at" in line:
                break
        else:
            raise AssertionError(f"JupyterLab did not start: {''.join(said)[-2000:]}")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that its log never fills the pipe
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:  # a busy machine; its kernel notices that it is gone
            process.kill()
            process.wait()


def test_a_student_gets_it_wrong_mends_it_and_hands_it_in(lab):
    """Set-up, a wrong (d) that the panel names, the right one, a warning while unsaved, then the file to hand in."""
    page, path = lab
    assignment = load_assignment("ps7", ROOT)
    solution = next(
        cell.source
        for cell in filled_in(assignment, path.parents[2] / "release").cells
        if cell.source.startswith("def get_fpn_location_coords")
    )
    installed = page.run("import importlib")
    assert "Installing the course's helpers: ps7_helpers-" in installed.inner_text()
    page.run("import math")
    page.run("NUM_CLASSES = 20")

    untouched = page.run('check("7.1d")')
    page.panel(untouched, "7.1d Locations on the feature maps: not done yet")
    page.run("def get_fpn_location_coords")
    page.write("def get_fpn_location_coords", solution.replace(*WRONG))
    page.run("def get_fpn_location_coords")
    wrong = page.panel(page.run('check("7.1d")'), "4 of 8 checks pass")
    page.shoot("wrong", wrong)
    assert "The order is transposed" in wrong.inner_text()

    page.write("def get_fpn_location_coords", solution)
    page.run("def get_fpn_location_coords")
    right = page.panel(page.run('check("7.1d")'), "all 8 checks pass")
    page.shoot("right", right)

    unsaved = page.panel(page.run("make_submission()"), "save the notebook (Ctrl+S)")
    page.shoot("unsaved", unsaved)
    assert "differs from the code that ran here: 7.1 (d)." in unsaved.inner_text()
    page.page.keyboard.press("Control+s")
    page.page.locator(".jp-mod-current.jp-mod-dirty").wait_for(state="detached")
    made = page.panel(page.run("make_submission()"), "ps7-submission.zip is ready")
    playwright.expect(made.get_by_text("differs from")).to_have_count(0)
    page.shoot("made", made)
    said = " ".join(made.inner_text().split())
    assert (
        '(from "my fcos (1).ipynb")' in said
        and "passes all 8 checks" in said
        and "7.1 (f), 7.1 (i) losses" in said
        and "are as given" in said
    )

    with zipfile.ZipFile(path.parent / "ps7-submission.zip") as archive:
        assert archive.namelist() == ["fcos.ipynb"]
        cells = nbformat.reads(archive.read("fcos.ipynb").decode(), as_version=4).cells
    assert solution in [cell.source for cell in cells]

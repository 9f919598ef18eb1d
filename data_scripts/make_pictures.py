"""Make the pictures of the guides, `docs/pictures/*.png`, from the pages themselves, in headless Chromium.

The class is the made-up one of `tests/support/classroom.py`. Look at the pictures afterwards: fonts differ between
machines.

Usage: python -m data_scripts.make_pictures [--chromium /usr/bin/chromium]
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from autograder.checks.result import ExerciseResult
from autograder.notebook_kit.panel import panel_html
from autograder.report.class_page import class_page
from autograder.report.html import feedback_page
from autograder.report.model import Report
from autograder.report.summary import summarise
from tests.support.classroom import thirty

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"
EXERCISE = "7.1d"
DIAGNOSES = "section[aria-labelledby=diagnoses]"
COLOURS = 128  # enough for pages, and a third of the bytes


def transposed(reports: list[Report]) -> Report:
    """Somebody whose locations are transposed, and who has some other exercise to mend."""
    return next(
        r
        for r in reports
        if any(e.id == EXERCISE and any("transposed" in c.diagnosis for c in e.checks) for e in r.exercises)
    )


def notebook_page(result: ExerciseResult) -> str:
    """A check cell of the notebook, and what it shows; no code, for students see the guides."""
    result.checks = [check for check in result.checks if check.public]
    cell = nbformat.v4.new_code_cell(f'check("{EXERCISE}")')
    cell.outputs = [nbformat.v4.new_output("display_data", data={"text/html": panel_html(result)})]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page, _ = HTMLExporter(require_js_url="", jquery_url="", mathjax_url="").from_notebook_node(notebook)
    return str(page)


def _keep(picture: bytes, name: str) -> None:
    with Image.open(io.BytesIO(picture)) as opened:
        opened.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)
    print(f"  {name}  {(FOLDER / name).stat().st_size / 1024:.0f} kB")


def shoot(browser: Browser, page: str, name: str, size: tuple[int, int], take: Callable[[Any], bytes]) -> None:
    """Show a page in a window of some size and keep what `take` takes of it; nothing is fetched."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page, encoding="utf-8")
        tab = browser.new_page(viewport={"width": size[0], "height": size[1]})
        tab.route("http**", lambda route: route.abort())
        tab.goto(path.as_uri())
        _keep(take(tab), name)
        tab.close()


def _opened(tab: Any, selector: str, height: int) -> bytes:
    """The same with its checks unfolded, which are there to be opened."""
    tab.locator(f"{selector} details").first.evaluate("part => { part.open = true }")
    return _top(tab, selector, height)


def _top(tab: Any, selector: str, height: int) -> bytes:
    """A part of the page, cut off where it is higher."""
    box = tab.locator(selector).bounding_box()
    clip = {**box, "height": min(box["height"], height)}
    return bytes(tab.screenshot(full_page=True, clip=clip))


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser's program")
    chromium = parser.parse_args().chromium
    reports = thirty()
    report = transposed(reports)
    place = next(index for index, e in enumerate(report.exercises, start=1) if e.id == EXERCISE)
    staff = class_page(summarise(reports), {report.student: report.student for report in reports})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = feedback_page(report)
        shoot(browser, page, "feedback.png", (1000, 900), lambda tab: _opened(tab, f"#e{place}", 1000))
        shoot(browser, page, "feedback-phone.png", (360, 700), lambda tab: tab.screenshot())
        shoot(browser, staff, "class-report.png", (1100, 1160), lambda tab: tab.screenshot())
        shoot(browser, staff, "class-diagnoses.png", (1100, 900), lambda tab: _top(tab, DIAGNOSES, 400))
        result = next(e for e in report.exercises if e.id == EXERCISE)
        shoot(browser, notebook_page(result), "check.png", (900, 700), lambda tab: tab.locator("main").screenshot())
        browser.close()


if __name__ == "__main__":
    main()

"""The table of all students in a real browser: 200 of them, sorted and searched, hostile names staying text."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.report.class_page import class_page
from autograder.report.model import Report
from autograder.report.summary import summarise
from tests.support.classroom import thirty

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
NASTY = "</script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>Žofie\u202e"


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def many(count: int = 200) -> list[Report]:
    """So many students; one with a hostile name, one late."""
    made, some = [], thirty()
    for number in range(count):
        report = copy.deepcopy(some[number % 30])
        report.student = NASTY if number == 100 else f"Student {number:03d}"
        made.append(report)
    made[7].late_days, made[7].late_per_cent = 2.0, 20.0
    return made


@functools.cache
def page_of_many() -> str:
    """The page of 200; it takes seconds to make."""
    reports = many()
    return class_page(summarise(reports), {r.student: "x" for r in reports}, reports)


@pytest.fixture(name="page")
def _page(browser, tmp_path) -> Iterator[Any]:
    """The page of the class, opened."""
    path = tmp_path / "class.html"
    path.write_text(page_of_many(), "utf-8", "replace")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    yield page
    page.close()


def shown(page: Any) -> list[str]:
    """The students that the table shows, in order."""
    return page.locator("#all-students tbody tr:visible th").all_inner_texts()


def test_all_are_there_and_can_be_found(page):
    """200 rows; words in any order and without accents find those that hold them all; a status says how many."""
    assert len(shown(page)) == 200 and page.locator("#found").inner_text() == "200 of 200 shown"
    page.fill("#find", "042 student")  # also who handed in the same file: their rows name the student
    assert "Student 042" in shown(page) and 1 <= len(shown(page)) < 10
    assert page.locator("#found").inner_text() == f"{len(shown(page))} of 200 shown"
    page.fill("#find", "zofie")
    assert len(shown(page)) == 1
    page.fill("#find", "no such")
    assert shown(page) == []
    page.fill("#find", "")
    assert len(shown(page)) == 200


def test_sorted_by_what_is_asked(page):
    """By score as numbers, up and down; by urgency the urgent first; by name."""
    scores = "#all-students tbody td:nth-child(2)"
    page.get_by_role("button", name="Score").click()
    numbers = [-1.0 if text == "-" else float(text) for text in page.locator(scores).all_inner_texts()]
    assert numbers == sorted(numbers) and len(set(numbers)) > 10
    page.get_by_role("button", name="Score").click()
    assert [-1.0 if t == "-" else float(t) for t in page.locator(scores).all_inner_texts()] == sorted(numbers)[::-1]
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.get_by_role("button", name="How urgent").click()
    assert page.locator("#all-students tbody td.level").first.inner_text() == "no score"
    page.get_by_role("button", name="Student").click()
    assert shown(page)[-2:] == ["Student 198", "Student 199"]


def test_it_works_by_the_keyboard(page):
    """Headings are buttons that the Enter key presses, and the field is reached by its label."""
    page.get_by_role("button", name="Score").focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.get_by_label("Find").fill("199")
    assert shown(page) == ["Student 199"]


def test_a_hostile_name_is_text_in_the_table(page):
    """The one script is ours; a name runs nothing, and what is sorted stays what it was."""
    page.get_by_role("button", name="Student").click()
    assert page.evaluate("window.hit") is None and page.locator("script").count() == 1
    assert page.locator("#all-students img").count() == 0


def test_the_policy_lets_no_other_script_run(browser, tmp_path):
    """Were an escape ever forgotten: a script beside ours is not run, nor a handler."""
    reports = many(20)
    text = class_page(summarise(reports), None, reports)
    text = text.replace("<main>", "<main><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>")
    (tmp_path / "c.html").write_text(text, "utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "c.html").as_uri())
    assert page.evaluate("window.hit") is None and page.locator("#found").inner_text() == "20 of 20 shown"
    page.close()


@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_the_screen(page, width):
    """On a phone the table scrolls by itself and the page does not."""
    page.set_viewport_size({"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_checker_finds_no_fault(page):
    """What axe knows of accessibility holds of the page with its table."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    results = axe.Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_without_the_reports_nothing_runs():
    """The page that is shared, and one without the table, hold no script and no leave for any."""
    text = class_page(summarise(thirty()))
    assert "<script" not in text and "script-src" not in text

"""The pages in a real browser: nothing runs, nothing is fetched, they fit a phone, and a checker finds no fault."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autograder.checks.result import Code, Picture
from autograder.report.anonymous import shared_summary
from autograder.report.class_page import class_page, shared_page
from autograder.report.html import feedback_page
from autograder.report.summary import summarise, with_warnings
from tests.support.classroom import thirty

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]

HOSTILE = (
    "</title></style></code></pre></script><script>window.hit = 1</script><img src=x onerror='window.hit = 2'>"
    "<svg onload='window.hit = 3'><a href='javascript:window.hit = 4'>x</a><style>body { display: none }</style>"
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>\"'`{{ 7 * 7 }}\u202e"
)


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@functools.cache
def hostile_pages() -> dict[str, str]:
    """Pages whose every text is hostile."""
    reports = copy.deepcopy(thirty())
    for number, report in enumerate(reports):
        report.student, report.file, report.title = f"{HOSTILE}{number}", HOSTILE, HOSTILE
        report.notes, report.assignment = [HOSTILE], "a"
        for exercise in report.exercises:
            exercise.title, exercise.reason, exercise.printed = HOSTILE, HOSTILE, HOSTILE
            exercise.by_hand = 1.0 if number == 3 else None
            exercise.code = [Code(1, 1, HOSTILE * 3)]
            for check in exercise.checks:
                check.sentence, check.message, check.diagnosis = HOSTILE, HOSTILE, f"{HOSTILE}{check.name}"
                check.cell = check.line = 1
                check.picture = Picture("points", HOSTILE, [[1, 2], [3, 4]], [[2, 1]]) if check.public else None
    worst = next(r for r in reports if r.exercises and any(e.status == "failed" for e in r.exercises))
    summary = with_warnings(summarise(reports), [HOSTILE])
    links = {report.student: "../" + HOSTILE for report in reports}
    return {
        "feedback": feedback_page(worst),
        "class": class_page(summary, links),
        "shared": shared_page(shared_summary(reports)),
    }


@functools.cache
def pages() -> dict[str, str]:
    """The pages of an ordinary class: the feedback page that has most to say, staff's page, and the shared one."""
    reports = thirty()
    told = max(reports, key=lambda r: sum(c.picture is not None or c.cell > 0 for e in r.exercises for c in e.checks))
    return {
        "feedback": feedback_page(told),
        "class": class_page(summarise(reports), {report.student: report.student for report in reports}),
        "shared": shared_page(shared_summary(reports)),
    }


@pytest.mark.parametrize("name", ["feedback", "class", "shared"])
def test_hostile_text_stays_text(browser, tmp_path, name):
    """No script runs, no style applies, nothing is asked of a network, and the page stays where it is."""
    path = tmp_path / "page.html"
    path.write_text(hostile_pages()[name], encoding="utf-8")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.hit") is None
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    assert asked == [path.as_uri()] and page.url == path.as_uri()
    assert page.locator("script, img, iframe, link, a[href^='javascript']").count() == 0
    page.close()


@pytest.mark.parametrize("name", ["feedback", "class", "shared"])
def test_the_policy_would_stop_what_got_through(browser, tmp_path, name):
    """Were an escape ever forgotten: the policy lets neither scripts nor styles nor pictures in."""
    text = pages()[name].replace("<main>", "<main><script>window.hit = 1</script><style>main { color: red }</style>")
    path = tmp_path / "page.html"
    path.write_text(
        text.replace("</main>", "<img src='http://127.0.0.1:9/x.png' onerror='window.hit = 2'></main>"), "utf-8"
    )
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("window.hit") is None
    assert page.evaluate("getComputedStyle(document.querySelector('main')).color") != "rgb(255, 0, 0)"
    page.close()


@pytest.mark.parametrize("width", [320, 360, 1280])
@pytest.mark.parametrize("name", ["feedback", "class", "shared"])
def test_nothing_sticks_out_of_the_screen(browser, tmp_path, name, width):
    """On a phone the page is as wide as the screen: only what says so scrolls by itself."""
    path = tmp_path / "page.html"
    path.write_text(pages()[name], encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 700})
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_print_shows_what_is_folded_away(browser, tmp_path):
    """On paper nobody can open a fold: the code is there."""
    path = tmp_path / "page.html"
    path.write_text(pages()["feedback"], encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    code = page.locator("details pre").first
    assert code.count() and code.bounding_box()["height"] > 20
    page.emulate_media(media="screen")
    assert not code.is_visible()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["feedback", "class", "shared"])
def test_an_accessibility_checker_finds_nothing(browser, tmp_path, name, scheme):
    """axe-core, contrast in light and dark included: no violation of WCAG 2.2 A and AA, nor of its best practices."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    path = tmp_path / "page.html"
    path.write_text(pages()[name], encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page)
    assert len(found.response["passes"]) > 10
    assert found.violations_count == 0, found.generate_report()
    page.close()

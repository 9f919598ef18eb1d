"""The feedback page: the code concerned, pictures of public numbers alone, and nothing that runs."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from autograder.checks.result import CheckResult, Code, ExerciseResult, Picture
from autograder.report import Report
from autograder.report.html import feedback_page
from autograder.report.listing import excerpts, listings
from autograder.report.pictures import beyond, drawable, drawing

NASTY = """</code></pre><script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>"'&"""
POINTS = Picture("points", "The locations", [[4, 4], [12, 4], [4, 12], [12, 12]], [[4, 4], [4, 12], [12, 4], [12, 12]])
BOXES = Picture("boxes", "The boxes", [[10, 10, 40, 30]], [[10, 10, 40, 90]], 64, 48)


def check(status: str = "failed", *, public: bool = True, **extra: object) -> CheckResult:
    """A check of two points."""
    return CheckResult("7.1d", "a", "The first rows are right.", 2.0, status, public, **extra)


def report(*checks: CheckResult, code: list[Code] | None = None, **extra: object) -> Report:
    """A report of one exercise."""
    exercise = ExerciseResult("7.1d", "Locations", 10.0, list(checks), code=code or [])
    fields = {"assignment": "ps7", "title": "FCOS", "file": "f.ipynb", "sha256": "0", "suites": "s", "seed": 1}
    return Report(**{**fields, "student": "alice", "max_score": 10.0, "exercises": [exercise], **extra})


class Outline(HTMLParser):
    """Tags, attributes and headings of a page, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self.tags.append((tag, dict(attrs)))

    def named(self, *names: str) -> list[tuple[str, dict[str, str | None]]]:
        """Tags of some names."""
        return [(tag, attributes) for tag, attributes in self.tags if tag in names]


def test_the_code_concerned_is_there_with_the_line_where_it_stopped():
    """The page shows the lines, numbered as in the cell, and says at which one it stopped."""
    code = [Code(3, 10, "def f(x):\n    return 1 / x\n")]
    page = feedback_page(report(check("error", message="boom", cell=3, line=11), code=code))
    assert "Code cell 3, from line 10" in page and page.count("stopped here") == 2  # the excerpt, and the whole
    assert re.search(r"return 1 / x <span class=\"stop\">", page)


def test_a_place_is_shown_once_and_one_outside_the_code_not_at_all():
    """Many checks stop at one place: the lines are shown at the first. A forged place shows nothing."""
    same = [check("error", cell=3, line=2), check("error", cell=3, line=2), check("error", cell=9, line=999_999)]
    exercise = report(*same, code=[Code(3, 1, "a\nb\nc")]).exercises[0]
    assert list(excerpts(exercise)) == [0]
    assert [line.number for line in excerpts(exercise)[0].lines if line.here] == [2]
    assert [line.here for line in listings(exercise)[0].lines] == [False, True, False]


def test_passed_exercises_show_no_code():
    """What is right needs no listing."""
    page = feedback_page(report(check("passed"), code=[Code(1, 1, "SECRET = 1")]))
    assert "SECRET" not in page


def test_a_fault_that_many_checks_have_is_told_once():
    """What a check says that stands above, in the lines on points or in another check, is referred to."""
    page = feedback_page(report(*[check(diagnosis="x and y are swapped", message="row 0")] * 3))
    before, _, page = page.partition('<section class="exercise"')
    assert before.count("x and y are swapped") == 1, "where to begin"
    assert page.count("x and y are swapped") == 1 and page.count("row 0") == 1
    assert page.count("The same fault as above.") == 3 and page.count("The same as above.") == 2


def test_lines_where_it_stopped_stay_with_their_check_when_a_named_fault_comes_first():
    """Checks are shown in another order than they are stored in: each keeps its own lines."""
    stopped = check("error", message="boom", cell=3, line=2)
    page = feedback_page(report(check("passed"), stopped, check(diagnosis="Swapped."), code=[Code(3, 1, "a\nb\nc")]))
    page = page.partition('<section class="exercise"')[2]
    assert page.index("Swapped.") < page.index("boom") < page.index("stopped here") < page.index("(passed)")


@pytest.mark.parametrize("picture", [POINTS, BOXES], ids=["points", "boxes"])
def test_a_public_check_is_drawn_with_words_for_those_who_do_not_see(picture):
    """The drawing has a text alternative with the numbers, and a caption that tells solid from dashed."""
    page = feedback_page(report(check(picture=picture)))
    drawings = [a for _, a in Outline(page).named("svg") if a.get("role") == "img"]
    assert drawings and all(a["aria-label"] for a in drawings)
    assert "(4, 12)" in page or "(10, 10, 40, 90)" in page
    assert "dashed as your code gave" in page or "Dashed: as your code gave" in page


def test_a_hidden_check_is_never_drawn():
    """Even if a report had a picture for it: expected numbers of hidden checks stay hidden."""
    page = feedback_page(report(check(public=False, picture=POINTS)))
    assert "figure>" not in page.split("</style>")[1] and "(12, 4)" not in page


@pytest.mark.parametrize(
    "picture",
    [
        None,
        Picture("circles", "x", [[1, 1]], []),
        Picture("points", "x", [], []),
        Picture("points", "x", [[1, 2, 3]], []),
        Picture("boxes", "x", [[1, 1, 2, 2]], [[1, 1]]),
        Picture("points", "x", [[1, math.nan]], []),
    ],
)
def test_what_cannot_be_drawn_is_left_out(picture):
    """A stored report may hold anything: the page comes all the same."""
    assert not drawable(picture)
    assert "<figure>" not in feedback_page(report(check(picture=picture)))


@pytest.mark.parametrize("far", [1e6, -1e6])
@pytest.mark.parametrize("kind", ["points", "boxes"])
def test_far_numbers_stay_drawable(kind, far):
    """Numbers far out are held within what a browser draws, and the caption says that they cannot be seen."""
    columns = 2 if kind == "points" else 4
    picture = Picture(kind, "x", [[8.0 + i for i in range(columns)]] * 3, [[far] * columns] * 3)
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d", str(drawing(picture)))]
    assert max(map(abs, numbers)) <= 2000
    assert beyond(picture) == 3
    assert beyond(replace(picture, got=picture.expected, dropped=2)) == 2


def test_points_are_drawn_where_they_are():
    """A slow look at the path: each dot is its point, moved and scaled alike for both panels."""
    first, second = re.findall(r'<path class="dots" d="([^"]*)"', str(drawing(POINTS)))

    def spots(path: str) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)h0", path)]

    assert spots(second) == [spots(first)[i] for i in (0, 2, 1, 3)]
    (x0, y0), (x1, _), (_, y2) = spots(first)[:3]
    scale = (x1 - x0) / 8
    assert scale > 0 and (y2 - y0) / 8 == pytest.approx(scale, abs=0.05)


def test_a_box_turned_inside_out_has_no_negative_side():
    """SVG refuses negative sizes: the rectangle is drawn between its corners, however they lie."""
    picture = Picture("boxes", "x", [[10, 10, 40, 30]], [[40, 30, 10, 10]])
    sizes = re.findall(r'(?:width|height)="(-?[\d.]+)"', str(drawing(picture)))
    assert sizes and all(float(size) > 0 for size in sizes)
    rects = re.findall(r'<rect class="box \w+" ([^>]*)/>', str(drawing(picture)))
    assert len(rects) == 2 and rects[0] == rects[1]


def test_the_policy_allows_the_one_style_and_nothing_else():
    """The digest in the policy is that of the style; no element has a style or a handler of its own."""
    page = feedback_page(report(check("error", message=NASTY, cell=1, line=1), code=[Code(1, 1, NASTY)]))
    outline = Outline(page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    policy = next(a["content"] for _, a in outline.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not outline.named("script", "img", "iframe", "link", "object", "form", "base")
    assert not [name for _, a in outline.tags for name in a if name == "style" or name.startswith("on")]


def test_every_field_that_a_student_reaches_is_escaped():
    """Code, exception, file, name, reasons, the picture's words: none becomes markup."""
    picture = Picture("points", NASTY, [[1, 2], [3, 4]], [[2, 1]])
    made = report(
        check("failed", message=NASTY, diagnosis=NASTY, cell=1, line=1, picture=picture),
        code=[Code(1, 1, NASTY)],
        student=NASTY,
        file=NASTY,
        notes=[NASTY],
    )
    made.exercises[0].by_hand, made.exercises[0].reason = 3.0, NASTY
    outline = Outline(feedback_page(made))
    assert not outline.named("script", "img")
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]


def test_the_page_has_landmarks_and_headings_in_order():
    """One h1, then h2 and h3 without a gap; header, main and footer; every table cell has a header."""
    code = [Code(1, 1, "x = 1")]
    outline = Outline(feedback_page(report(check(), check("error", cell=1, line=1), code=code)))
    levels = [int(tag[1]) for tag, _ in outline.named("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [len(outline.named(name)) for name in ("header", "main", "footer")] == [1, 1, 1]
    headers = outline.named("th")
    assert headers and all(attributes.get("scope") for _, attributes in headers)


def test_an_old_report_without_code_places_and_pictures_is_still_a_page():
    """Reports stored before there were such fields are read, and rendered again."""
    content = report(check("error", message="boom")).to_json()
    for name in ("code", "peak_megabytes"):
        del content["exercises"][0][name]
    for name in ("cell", "line", "picture"):
        del content["exercises"][0]["checks"][0][name]
    assert "boom" in feedback_page(Report.from_json(content))

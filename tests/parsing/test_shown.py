"""What a report keeps of student code: the pieces concerned, where it stopped, what to draw; bounded, public alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
import torch

from autograder.checks.compare import CheckFailed, expect_close
from autograder.checks.drawings import MAX_ROWS, drawn_boxes, drawn_deltas, drawn_points
from autograder.checks.result import CheckResult, ExerciseResult, Picture
from autograder.checks.verdicts import judge
from autograder.intake.submissions import find_submissions
from autograder.parsing.cells import Cell, parse_cell
from autograder.parsing.excerpt import MAX_CHARACTERS, MAX_LINES, shown_code
from autograder.parsing.slicing import make_slice
from autograder.report import Report
from autograder.runs.grade import grade_submissions
from autograder.runtime.errors import Place, StudentError
from suites.detections import expect_detections


def cells(*sources: str) -> list[Cell]:
    """A notebook."""
    return [parse_cell(number, source) for number, source in enumerate(sources, start=1)]


def shown(notebook: list[Cell], wanted: str, places: set[tuple[int, int]] | None = None) -> list[tuple[int, int, str]]:
    """Cell, line and text of what is shown for one name; `g` belongs to another exercise."""
    piece = make_slice(notebook, (wanted,), frozenset())
    parts = shown_code(piece, notebook, frozenset({"g"}), places or set())
    return [(part.cell, part.line, part.source) for part in parts]


NOTEBOOK = (
    "import torch",
    "K = 3\n\ndef helper(x):\n    return x * K",
    "def g(x):\n    return x",
    "# mine\ndef f(x):\n    return helper(g(x))",
)


def test_what_was_asked_for_comes_first_then_what_it_leans_on():
    """Definitions asked for, then the student's own helpers; no imports, no other exercise's answer."""
    found = shown(cells(*NOTEBOOK), "f")
    assert found[0] == (4, 2, "def f(x):\n    return helper(g(x))")
    assert found[1:] == [(2, 1, "K = 3"), (2, 3, "def helper(x):\n    return x * K")]


def test_where_it_stopped_is_shown_even_in_another_exercise():
    """If it was there that something raised, another exercise's code is shown, too."""
    assert (3, 1, "def g(x):\n    return x") in shown(cells(*NOTEBOOK), "f", {(3, 2)})
    forged = {(3, -5), (99, 1), (3, 10**12)}
    assert shown(cells(*NOTEBOOK), "f", forged) == shown(cells(*NOTEBOOK), "f")


def test_a_cell_that_python_cannot_read_is_shown_whole():
    """Of a broken definition there is no statement: the cell itself is shown."""
    source = "x = 1\ndef f(x:\n    return x"
    assert shown(cells(source), "f") == [(1, 1, source)]


@pytest.mark.parametrize("line", [1, 1500, 2999])
def test_long_code_is_cut_around_where_it_stopped(line):
    """However long a cell, little is kept, and the line where it stopped is in it, under its own number."""
    source = "def f(x):\n" + "\n".join(f"    x = {n}" for n in range(2, 3001))
    ((cell, first, text),) = shown(cells(source), "f", {(1, line)})
    lines = text.split("\n")
    assert cell == 1 and len(lines) <= MAX_LINES + 1 and len(text) <= MAX_CHARACTERS
    assert lines[line - first] == source.split("\n")[line - 1]


@pytest.mark.parametrize(
    "source", ["def f():\n    return '" + "x" * 10**6 + "'", "def f():\n" + "    pass; " * 9 + "\n    pass" * 10**5]
)
def test_kept_code_is_bounded(source):
    """A line of a megabyte, or a hundred thousand lines: the report stays small."""
    assert 0 < sum(len(text) for _, _, text in shown(cells(source), "f")) <= MAX_CHARACTERS + 100


@pytest.mark.parametrize("room", [0, 1, 399, 400, 401, 800, 1200, 1232, 1600])
def test_what_hardly_fits_is_cut_and_comes_to_an_end(room):
    """Long lines at the end of what a page holds: as many as fit."""
    wide = "    x = '" + "y" * 380 + "'\n"
    first = "def f(x):\n" + wide * ((MAX_CHARACTERS - room) // len(wide)) + "    return BIG\n"
    pieces = shown(cells("BIG = (\n" + wide.replace("x = ", "") * 12 + ")\n" + first), "f")
    assert pieces[0][2].startswith("def f(x)")
    assert sum(len(text) + 1 for _, _, text in pieces) <= MAX_CHARACTERS


def expected() -> torch.Tensor:
    """Four points."""
    return torch.tensor([[4.0, 4.0], [12.0, 4.0], [4.0, 12.0], [12.0, 12.0]])


def failure(call: Callable[[], object]) -> CheckFailed:
    """What a check raised."""
    with pytest.raises(CheckFailed) as caught:
        call()
    return caught.value


def test_wrong_values_come_with_a_picture_and_right_ones_with_nothing():
    """`expect_close` draws what it refuses, if the check says how."""
    got = expected().flip(1)
    picture = failure(
        lambda: expect_close(got, expected(), "The rows", draw=drawn_points("The rows", expected()))
    ).picture
    assert picture == Picture("points", "The rows", expected().tolist(), got.tolist())
    assert failure(lambda: expect_close(got, expected(), "The rows")).picture is None
    expect_close(expected(), expected(), "The rows", draw=drawn_points("The rows", expected()))


def test_pictures_are_bounded_and_finite():
    """Thousands of rows, NaN, infinities, huge numbers, gradients and integers: a small picture of finite numbers."""
    many = torch.rand(5000, 2, requires_grad=True)
    assert len(drawn_points("x", many)(many).got) == len(drawn_points("x", many)(many).expected) == MAX_ROWS
    odd = torch.tensor([[1e300, 1.0], [float("nan"), 1.0], [1.0, float("-inf")], [1.0, 1.0]], dtype=torch.float64)
    picture = drawn_points("x", expected())(odd)
    assert picture.got == [[1e6, 1.0], [1.0, 1.0]] and picture.dropped == 2
    assert drawn_points("x", expected())(expected().long()).got == expected().tolist()
    json.dumps(dataclasses.asdict(picture), allow_nan=False)


def test_deltas_are_drawn_as_their_boxes():
    """Left, top, right, bottom over the stride, from the location: by hand."""
    boxes, locations = torch.tensor([[10.0, 15, 100, 115]]), torch.tensor([[30.0, 40.0]])
    picture = drawn_deltas("x", boxes, locations, 8)(torch.tensor([[2.5, 3.125, 8.75, 0.0]]))
    assert picture.got == [[30 - 20, 40 - 25, 30 + 70, 40 + 0]] and picture.expected == boxes.tolist()


def test_detections_draw_no_more_than_the_message_says():
    """The first detection that differs, expected and got: the message has both."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 30]])
    classes, scores = torch.tensor([1, 2]), torch.tensor([0.9, 0.8])
    wrong = boxes.clone()
    wrong[1, 3] = 90
    right = [(boxes, classes, scores)]
    picture = failure(lambda: expect_detections((wrong, classes, scores), right, size=(48, 64))).picture
    assert picture == Picture("boxes", picture.what, [[20, 20, 40, 30]], [[20, 20, 40, 90]], 64, 48)
    assert failure(lambda: expect_detections((wrong, classes, scores), right)).picture is None
    assert (
        failure(lambda: expect_detections((boxes[:1], classes[:1], scores[:1]), right, size=(48, 64))).picture is None
    )


def judged(error: Exception, *, public: bool = True, guarded: bool = False) -> CheckResult:
    """What the plugin makes of an exception."""
    outcome = CheckResult("7.1d", "a", "S.", 1.0, "", public)
    judge(outcome, error, guarded)
    return outcome


def test_only_public_checks_get_a_picture():
    """A hidden check's numbers stay out of the report's picture, whatever the check raised."""
    one, two = drawn_boxes("x", torch.ones(1, 4))(torch.ones(1, 4)), drawn_points("x", expected())(expected())
    for picture in (one, two):
        assert judged(CheckFailed("m", picture=picture)).picture == picture
        assert judged(CheckFailed("m", picture=picture), public=False).picture is None


def test_guarded_code_draws_nothing():
    """Where solution code is in reach, numbers could carry it out: a picture of one row is one row too many."""
    one, two = drawn_boxes("x", torch.ones(1, 4))(torch.ones(1, 4)), drawn_points("x", expected())(expected())
    assert judged(CheckFailed("m", picture=one), guarded=True).picture is None
    assert judged(CheckFailed("m", picture=two), guarded=True).picture is None


@pytest.mark.parametrize("public", [True, False])
def test_the_place_where_code_stopped_is_kept(public):
    """Cell and line, which hidden checks tell as well; never the line's text, which may be forged."""
    found = judged(StudentError("error", "boom", place=Place(3, 7, "FORGED")), public=public)
    assert (found.cell, found.line) == (3, 7) and "FORGED" not in json.dumps(dataclasses.asdict(found))
    for place in (None, Place(0, 7, ""), Place(-1, 7, ""), Place(3, -7, "")):
        assert (judged(StudentError("error", "boom", place=place)).cell) == 0


def test_pictures_and_code_survive_the_disk():
    """A report with all of it is read as it was written."""
    check = CheckResult("q", "a", "S.", 1.0, "failed", True, cell=1, line=2)
    check.picture = drawn_points("x", expected())(expected().flip(1))
    piece = cells("def f():\n    return 1")
    code = shown_code(make_slice(piece, ("f",), frozenset()), piece, frozenset(), set())
    exercise = ExerciseResult("q", "Q", 1.0, [check], code=code, peak_megabytes=1.5)
    report = Report("a", "A", "s", "f.py", "0", "d", 1, 1.0, [exercise])
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report and code


@pytest.mark.slow
def test_a_graded_report_holds_them(tmp_path, assignment, slots):
    """Graded in a sandbox: peak memory, the code of what did not pass, where it stopped; a folder for its owner."""
    source = "import torch\n# %%\ndef get_fpn_location_coords(shapes, strides, dtype=None, device=None):\n    {}[1]\n"
    (tmp_path / "ann.py").write_text("# %%\n" + source, encoding="utf-8")
    found, _ = find_submissions([tmp_path / "ann.py"], "fcos", "ps7")
    skip = tuple(exercise.id for exercise in assignment.exercises if exercise.id != "7.1d")
    run = grade_submissions(assignment, [dataclasses.replace(found[0], skip=skip)], tmp_path / "out", slots=slots)
    (exercise,) = run.reports["ann"].exercises
    assert 50 < exercise.peak_megabytes < assignment.limits.memory_megabytes
    assert [(part.cell, part.line) for part in exercise.code] == [(2, 1)]
    assert {(check.cell, check.line) for check in exercise.checks} == {(2, 2)}
    page = (tmp_path / "out" / "ann" / "feedback.html").read_text(encoding="utf-8")
    assert "stopped here" in page
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700

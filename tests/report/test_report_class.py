"""The class report: every number against a slow, obvious oracle, and the classes that break averages."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import random
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from autograder.checks.result import FIGURE_STATUSES, STATUSES, CheckResult, ExerciseResult, Figure
from autograder.commands.class_report import CANVAS as CANVAS_FILE
from autograder.commands.class_report import CHECKS, KEY, PAGE, SHARED, report_class
from autograder.intake.submissions import safe_key
from autograder.report import Report
from autograder.report.attention import KNOWN, LOOK, URGENT, who_needs_a_human
from autograder.report.class_page import class_page
from autograder.report.files import read_class, read_reports
from autograder.report.items import FEWEST, analyse
from autograder.report.spreadsheets import CANVAS, canvas_csv, checks_csv, read_roster
from autograder.report.summary import BINS, diagnoses, distribution, summarise
from autograder.runs.by_hand import FILE as BY_HAND
from autograder.runtime.errors import KitError
from tests.support.classroom import STORED, thirty, write

NASTY = """<script>alert(1)</script>"'&<img src=x onerror=alert(2)>{{ 7*7 }}"""


@pytest.fixture(name="reports", scope="module")
def _reports() -> list[Report]:
    """Thirty reports; not to be changed."""
    return thirty()


def small(student: str, statuses: str, *, points: float = 1.0, **extra: object) -> Report:
    """A report with a check for each letter: p passed, f failed, g grader_error, m missing, t timeout."""
    names = {"p": "passed", "f": "failed", "g": "grader_error", "m": "missing", "t": "timeout"}
    checks = [
        CheckResult("q1", f"c{i}", f"Sentence {i}.", points * (i + 1), names[letter], True, seconds=0.5)
        for i, letter in enumerate(statuses)
    ]
    most = sum(check.points for check in checks)
    fields = {"assignment": "a", "title": "Small", "file": "f.py", "sha256": student, "suites": "s", "seed": 1}
    exercise = ExerciseResult("q1", "First", most, checks)
    return Report(**{**fields, "student": student, "max_score": most, "exercises": [exercise], **extra})


def console() -> Console:
    """One that keeps what it prints."""
    return Console(file=io.StringIO(), width=200)


def said(console: Console) -> str:
    """What was printed."""
    return console.file.getvalue()


def oracle_correlation(pairs: list[tuple[int, float]]) -> float | None:
    """The point-biserial as textbooks write it: (M1 - M0) / s * sqrt(p q), s over all n."""
    ones, zeros = [x for b, x in pairs if b], [x for b, x in pairs if not b]
    everyone = [x for _, x in pairs]
    mean = sum(everyone) / len(everyone)
    spread = math.sqrt(sum((x - mean) ** 2 for x in everyone) / len(everyone))
    if not ones or not zeros or spread < 1e-9:
        return None
    p = len(ones) / len(pairs)
    return (sum(ones) / len(ones) - sum(zeros) / len(zeros)) / spread * math.sqrt(p * (1 - p))


def test_counts_difficulty_and_discrimination(reports):
    """Each check's numbers are those of a plain loop over the reports."""
    items = analyse(reports)
    assert len(items) == len({(item.exercise, item.name, item.public) for item in items}) > 40
    for item in items:
        counts, pairs = dict.fromkeys(STATUSES, 0), []
        for report in reports:
            if report.outcome != "graded":
                continue
            everything = [check for exercise in report.exercises for check in exercise.checks]
            for check in everything:
                if (check.exercise, check.name, check.public) == (item.exercise, item.name, item.public):
                    counts[check.status] += 1
                    if all(other.status != "grader_error" for other in everything):
                        rest = sum(
                            other.points for other in everything if other is not check and other.status == "passed"
                        )
                        pairs.append((int(check.status == "passed"), rest))
        verdicts = sum(counts.values()) - counts["grader_error"]
        assert {status: item.counts.get(status, 0) for status in STATUSES} == counts
        assert item.verdicts == verdicts
        assert item.difficulty == (pytest.approx(counts["passed"] / verdicts) if item.points else None)
        expected = oracle_correlation(pairs) if item.points else None
        assert (item.discrimination is None) == (expected is None)
        assert expected is None or item.discrimination == pytest.approx(expected, abs=1e-9)


def test_a_check_that_explains_has_counts_and_no_rate():
    """It is asked of those alone who lost points: it has no rate and no correlation beside those of the others."""
    made = [small(str(n), "pfp" if n % 3 else "ffp") for n in range(7)]
    for number, report in enumerate(made):
        (exercise,) = report.exercises
        exercise.checks[1].points = 0.0
        exercise.checks = exercise.checks if number % 3 == 0 else [exercise.checks[0], exercise.checks[2]]
    item = next(item for item in analyse(made) if not item.points)
    assert (item.verdicts, item.passed, item.difficulty, item.discrimination) == (3, 0, None, None)
    page = class_page(summarise(made))
    assert '<td>0 of 3</td><td class="n">-</td><td class="n">-</td>' in page


def test_discrimination_of_random_classes():
    """The same against the textbook formula, over classes drawn at random."""
    rng = random.Random(1)
    for _ in range(50):
        size, checks = rng.randint(FEWEST, 12), rng.randint(2, 5)
        made = [small(str(n), "".join(rng.choice("pf") for _ in range(checks))) for n in range(size)]
        items = analyse(made)
        assert len(items) == checks
        for number, item in enumerate(items):
            pairs = []
            for report in made:
                all_checks = report.exercises[0].checks
                rest = sum(check.earned for i, check in enumerate(all_checks) if i != number)
                pairs.append((int(all_checks[number].status == "passed"), rest))
            expected = oracle_correlation(pairs)
            assert (item.discrimination is None) == (expected is None), pairs
            assert expected is None or item.discrimination == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "statuses",
    [["pp"] * 6, ["ff"] * 6, ["pf"] * 6, ["pf", "fp"] * (FEWEST // 2), ["pp"], ["gp"] * 6],
    ids=["all full", "all zero", "all the same", "too few", "one student", "ours broke"],
)
def test_no_discrimination_where_there_is_none(statuses):
    """All or none passed, all others the same, too few students, a check of ours broken: "-", not a number."""
    made = [small(str(number), letters) for number, letters in enumerate(statuses)]
    assert [item.discrimination for item in analyse(made)] == [None, None]
    page = class_page(summarise(made))
    assert not re.search(r">\s*-?(nan|inf)", page)
    assert '<td class="n">-</td>' in page


def test_sums_of_floats_are_no_spread():
    """Shares that differ in the last bit alone are the same: no correlation is made of them."""
    made = [small(str(n), "pfp" if n % 2 else "ffp", points=0.1) for n in range(6)]
    assert analyse(made)[0].discrimination is None


def test_broken_checks_of_ours_count_for_nobody():
    """A `grader_error` is no verdict: neither passed nor failed."""
    item = analyse([small("a", "p"), small("b", "g"), small("c", "f")])[0]
    assert (item.verdicts, item.passed, item.difficulty) == (2, 1, 0.5)
    assert analyse([small("a", "g")])[0].difficulty is None


def test_distribution(reports):
    """Mean, median, deviation and bins are those of plain arithmetic."""
    found = distribution(reports)
    scores = sorted(r.score for r in reports if r.score is not None)
    mean = sum(scores) / len(scores)
    middle = len(scores) // 2
    median = scores[middle] if len(scores) % 2 else (scores[middle - 1] + scores[middle]) / 2
    assert (found.count, found.without) == (len(scores), sum(r.score is None for r in reports))
    assert found.mean == pytest.approx(mean) and found.median == pytest.approx(median)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores) / (len(scores) - 1))
    assert found.deviation == pytest.approx(deviation)
    assert (found.low, found.high) == (scores[0], scores[-1])
    last = found.bins[-1]
    for one in found.bins:
        inside = [s for s in scores if one.low <= s < one.high or (one is last and s == one.high)]
        assert one.count == len(inside)
    assert sum(one.count for one in found.bins) == len(scores)


@pytest.mark.parametrize(("score", "place"), [(0, 0), (9.99, 0), (10, 1), (70, 7), (89.9, 8), (90, 9), (100, 9)])
def test_edges_of_the_bins(score, place):
    """A score on an edge belongs to the bin above it, full marks to the last."""
    report = small("a", "p", points=100)
    report.exercises[0].by_hand = score
    assert [one.count for one in distribution([report]).bins] == [int(n == place) for n in range(BINS)]


def test_exercises_count_points_as_the_grades_do(reports):
    """All, some, none and mean of each exercise: points by hand count, unreadable files are zeros."""
    exercises = summarise(reports).exercises
    assert {exercise.id for exercise in exercises} == {one.id for report in reports for one in report.exercises}
    for exercise in exercises:
        points = []
        for report in reports:
            for one in report.exercises:
                broken = one.by_hand is None and any(check.status == "grader_error" for check in one.checks)
                if one.id == exercise.id and not broken:
                    points.append(one.points)
        assert exercise.count == len(points) and exercise.mean == pytest.approx(sum(points) / len(points))
        assert exercise.full == sum(p == exercise.points for p in points)
        assert exercise.none == sum(p == 0 for p in points)
        assert exercise.part == sum(0 < p < exercise.points for p in points)


def test_diagnoses_count_students(reports):
    """A student counts once for a fault, or for a diagnosis that none is charged for; cell and line are left out."""
    expected: dict[tuple[str, str], set[str]] = {}
    for report in reports:
        if report.outcome == "graded":
            for exercise in report.exercises:
                for charge in exercise.charges:
                    expected.setdefault((exercise.id, charge.says), set()).add(report.student)
                for check in exercise.checks:
                    charged = check.faults and exercise.charges
                    if check.status == "failed" and check.diagnosis and not charged:
                        text = re.sub(r" in code cell \d+, line \d+", "", check.diagnosis)
                        expected.setdefault((exercise.id, text), set()).add(report.student)
    found = {(d.exercise, d.text): d.count for d in diagnoses(reports)}
    assert expected and expected.keys() <= found.keys()
    assert all(found[key] == len(students) for key, students in expected.items())
    counts = [d.count for d in diagnoses(reports) if not d.blank]
    assert counts == sorted(counts, reverse=True)


def test_diagnoses_of_the_same_fault_in_other_cells_are_one():
    """Where a fault stands differs from student to student; the fault does not."""
    made = [small(str(n), "f") for n in range(3)]
    for number, report in enumerate(made):
        report.exercises[0].checks[0].diagnosis = f"It would stop in code cell {number}, line {9 - number}: a reason."
    assert [(d.text, d.count, d.named) for d in diagnoses(made)] == [("It would stop: a reason.", 3, True)]


def test_what_was_left_as_given_comes_last_and_is_one_line():
    """Nothing was wrong with it: faults come first, however few had them, and the page has one line for the rest."""
    made = [small(str(n), "mm") for n in range(3)] + [small("d", "pf")]
    made[3].exercises[0].checks[1].diagnosis = "Swapped."
    found = diagnoses(made)
    assert [(d.text.partition(",")[0], d.count, d.blank) for d in found] == [
        ("Swapped.", 1, False),
        ("left as given", 3, True),
    ]
    page = class_page(summarise(made))
    assert page.count("eft as given") == 1 and "by exercise and students: q1 3.</p>" in page


def test_a_cell_that_python_cannot_read_is_told_by_name():
    """A syntax error is no "error" without a name, and the words of it, which differ, are left out."""
    made = [small(str(n), "ff") for n in range(2)]
    for number, report in enumerate(made):
        for check in report.exercises[0].checks:
            check.status, check.message = "error", f"Python cannot read the cell that defines this: {number} (cell 3)."
    assert [(d.text, d.count) for d in diagnoses(made)] == [("Python cannot read the cell that defines it", 2)]


def test_exercises_stand_in_the_order_of_the_notebook():
    """Training before inference, as the notebook has it, though the alphabet has it the other way round."""
    made = [small("a", "f"), small("b", "f")]
    for report in made:
        report.exercises[0].id, report.exercises[0].checks[0].exercise = "i-losses", "i-losses"
        later = copy.deepcopy(report.exercises[0])
        later.id, later.checks[0].exercise, later.checks[0].diagnosis = "i-inference", "i-inference", "Swapped."
        report.exercises.append(later)
    assert [d.exercise for d in diagnoses(made)] == ["i-losses", "i-inference"]
    page = class_page(summarise(made))
    assert re.findall(r'scope="rowgroup"[^>]*>([^<]*)<', page) == ["i-losses", "i-inference"]


def test_a_sentence_for_several_cases_is_said_once_in_the_table_and_whole_in_the_file():
    """People read the table from top to bottom; a program reads one row of class.csv."""
    made = [small("a", "pp")]
    for check, name in zip(made[0].exercises[0].checks, ("cls", "box"), strict=True):
        check.sentence = f"Each loss is right (`{name}`)."
    assert class_page(summarise(made)).count("Each loss is right") == 1
    assert checks_csv(summarise(made)).count("Each loss is right") == 2


def test_who_needs_a_human(reports):
    """Each of those made to need one is there, with the reason, the urgent ones first."""
    found = {one.student: one for one in who_needs_a_human(reports)}
    expected = {
        "oskar": (URGENT, "of ours broke"),
        "quentin": (URGENT, "a human has to choose"),
        "viktor": (LOOK, "cannot be read, 0 points"),
        "kofi": (LOOK, "needed too much memory"),
        "wanda": (LOOK, "byte for byte, as ximena"),
        "uma": (LOOK, "1 cell that Python cannot read"),
    }
    for student, (level, words) in expected.items():
        assert found[student].level == level and any(words in reason for reason in found[student].reasons), student
    assert any("points set by hand" in reason for reason in found["mateo"].reasons)
    levels = [one.level for one in who_needs_a_human(reports)]
    assert levels == sorted(levels, key=[URGENT, LOOK, KNOWN].index)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("message", "During a call your code's process ended by itself (exit 0). Advice.", "ended by itself (exit 0)"),
        ("message", "Your code raised OSError: [Errno 101] Network is unreachable.", "tried the network"),
        (
            "message",
            "Your code raised FileNotFoundError: [Errno 2] No such file or directory: 'test_1.py' (code cell 3).",
            "looked for a file that is not there ('test_1.py')",
        ),
        (
            "message",
            "Your code raised ModuleNotFoundError: No module named 'cv2' (code cell 1).",
            "(No module named 'cv2')",
        ),
        ("details", "OSError: [Errno 30] Read-only file system: '/usr/x'", "the sandbox stopped it"),
        ("message", "your code's process was ended by signal 11: it crashed.", "crashed (signal 11)"),
        ("message", "During a call your code's process answered with nonsense.", "an answer that ours never gives"),
    ],
)
def test_code_that_does_what_answers_do_not_do(field, text, words):
    """Exits, the network, forbidden files, crashes and forged answers are worth a look."""
    report = small("eve", "f")
    report.exercises[0].checks[0].status = "error"
    setattr(report.exercises[0].checks[0], field, text)
    found = who_needs_a_human([report])
    assert found[0].level == LOOK and words in found[0].reasons[0]


@pytest.mark.parametrize("status", FIGURE_STATUSES)
def test_weights_without_a_figure_are_worth_a_look(status):
    """Whoever handed in weights and got no figure, whosever fault it is; not those who handed in none."""
    figure = Figure("l", "mAP", status, 0.5 if status == "measured" else None, "Why.", file="w.pt")
    found = who_needs_a_human([small("a", "p", figures=[figure])])
    assert [one.level for one in found] == ([] if status in ("measured", "absent", "passed") else [LOOK])
    assert not found or found[0].reasons[0].startswith("l: ")


def test_a_notebook_without_verdict_has_its_own_reason_and_no_second_one_for_its_weights():
    """Weights whose notebook cannot be read wait for the notebook."""
    figure = Figure("l", "mAP", "missing", None, "Why.", file="w.pt")
    (one,) = who_needs_a_human([small("a", "m", figures=[figure], outcome="unreadable", problem="no JSON")])
    assert one.reasons == ("the file cannot be read, 0 points: no JSON",)


@pytest.mark.parametrize("printed", ["x" * 16_000, "\x1b[2J"])
def test_odd_output_is_worth_a_look(printed):
    """So are floods of output and control characters; a tab, a line end and a bar's return are not."""
    loud, plain = small("eve", "p"), small("bob", "p")
    loud.exercises[0].printed, plain.exercises[0].printed = printed, "ok\t1\r\n"
    assert [one.student for one in who_needs_a_human([loud, plain])] == ["eve"]


def test_a_notebook_left_as_given_is_worth_a_look_and_a_solved_one_is_not():
    """Everything missing may be the wrong file; two untouched notebooks are no copying."""
    found = who_needs_a_human([small("a", "mm", sha256="1"), small("b", "mm", sha256="1"), small("c", "pp")])
    assert [(one.student, one.reasons) for one in found] == [
        (name, ("every exercise is as given: is it the right file?",)) for name in "ab"
    ]


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        self.tags.append((tag, dict(attrs)))


def test_the_page_is_inert_and_fetches_nothing(reports):
    """Hostile names, reasons and diagnoses stay text; no style, handler or address gets in beside ours."""
    made = copy.deepcopy(reports)
    made[0].student = made[0].title = NASTY
    made[1].exercises[0].by_hand, made[1].exercises[0].reason = 1.0, NASTY
    for report in made[2:9]:
        report.exercises[0].checks[0].status, report.exercises[0].checks[0].diagnosis = "failed", NASTY
        report.exercises[0].checks[0].sentence = NASTY
    page = class_page(summarise(made), {NASTY: "../../etc/" + NASTY})
    tags = Tags(page).tags
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in tags}
    assert not [name for _, attributes in tags for name in attributes if name == "style" or name.startswith("on")]
    assert "{{ 7*7 }}" in page
    targets = [value for _, a in tags for name, value in a.items() if name in ("href", "src") and value]
    assert targets and all(re.fullmatch(r"#[\w.-]+|[\w%./@+ -]+/feedback\.html", target) for target in targets)
    assert "http" not in re.sub(r"http-equiv=", "", page)


def test_every_id_is_there_once_and_every_reference_leads_to_one(reports):
    """Several plots share a page: their ids must not meet."""
    tags = Tags(class_page(summarise(reports))).tags
    ids = [a["id"] for _, a in tags if a.get("id")]
    assert len(ids) == len(set(ids))
    used = {match for _, a in tags for value in a.values() for match in re.findall(r"url\(#([^)]*)\)", value or "")}
    used |= {a["href"][1:] for _, a in tags if (a.get("href") or "").startswith("#")}
    used |= {a["aria-labelledby"] for _, a in tags if a.get("aria-labelledby")}
    assert used and used <= set(ids)


def test_plots_say_what_they_show_and_know_no_colours_of_their_own(reports):
    """Each plot has a text; colours are classes of the style sheet, so that it can be dark or printed."""
    page = class_page(summarise(reports))
    plots = [a["aria-label"] for tag, a in Tags(page).tags if tag == "svg" and a.get("role") == "img"]
    assert len(plots) == 4 and all(len(text) > 40 for text in plots)
    assert not re.search(r'(?:fill|stroke)="#', page)


@pytest.mark.parametrize("made", [[small("a", "pp")], [small("a", "gg")], [small("a", "", outcome="undecided")]])
def test_a_class_of_one(made):
    """One student, with a score, without one, or with nothing graded: a page, no crash."""
    made[0].max_score = 3.0
    page = class_page(summarise(made))
    assert "1 student" in page and "no score yet" in page


def rows(text: str) -> list[list[str]]:
    """Rows of a CSV."""
    return list(csv.reader(io.StringIO(text)))


def test_checks_csv(reports):
    """A row a check; counts, difficulty and discrimination are those of the item analysis."""
    summary = summarise(reports)
    head, *body = rows(checks_csv(summary))
    assert len(body) == len(summary.items)
    for row, item in zip(body, summary.items, strict=True):
        cells = dict(zip(head, row, strict=True))
        assert (cells["exercise"], cells["check"]) == (item.exercise, item.name)
        assert [int(cells[s]) for s in STATUSES] == [item.counts.get(s, 0) for s in STATUSES]
        shown = cells["difficulty"]
        assert (shown == "") == (not item.points)
        assert not shown or float(shown) == pytest.approx(item.difficulty, abs=1e-4)
        shown = cells["discrimination"]
        assert (shown == "") == (item.discrimination is None)
        assert not shown or float(shown) == pytest.approx(item.discrimination, abs=1e-4)


def test_canvas_csv_is_what_canvas_imports(reports):
    """Five columns and the assignment's, a row of points possible, then a row for each student with a score."""
    head, possible, *body = rows(canvas_csv(reports, summarise(reports), None).text)
    assert head == [*CANVAS, reports[0].title] and possible == ["    Points Possible", "", "", "", "", "100"]
    expected = {r.student: r.score for r in reports if r.score is not None}
    assert {row[0]: float(row[5]) for row in body} == expected and all(row[3] == row[0] for row in body)


ROSTER = """\
Student,ID,SIS User ID,SIS Login ID,Section,Homework (11),Small (42),Final Score
Points Possible,,,,,10,3,(read only)
"Ames, Ann",101,S-1,ann,"Sec 1, Mon",9,,
"Bell, Bob",102,S-2,bob,Sec 2,9,,
"Cole, Eve",103,S-3,eve,Sec 2,9,,
"Cole, Eve",104,S-4,eve2,Sec 2,9,,
"Student, Test",,,,,,,
"""


def test_a_roster_gives_names_numbers_and_the_column(tmp_path):
    """With Canvas' own export the rows are Canvas' own; who has none, or shares a name, is said and left out."""
    (tmp_path / "roster.csv").write_text("\ufeff" + ROSTER, encoding="utf-8")
    roster = read_roster(tmp_path / "roster.csv")
    made = [small("ANN", "pf"), small("S-2", "pp"), small("Cole, Eve", "pp"), small("eve2", "fp"), small("zed", "ff")]
    file = canvas_csv([*made, small("bob", "gg")], summarise(made), roster)
    assert rows(file.text) == [
        [*CANVAS, "Small (42)"],
        ["    Points Possible", "", "", "", "", "3"],
        ["Ames, Ann", "101", "S-1", "ann", "Sec 1, Mon", "1"],
        ["Bell, Bob", "102", "S-2", "bob", "Sec 2", "3"],
        ["Cole, Eve", "104", "S-4", "eve2", "Sec 2", "2"],
    ]
    assert file.unknown == ("Cole, Eve", "zed") and file.unscored == ("bob",)
    twice = canvas_csv([small("ann", "pf"), small("101", "pp")], summarise(made), roster)
    assert len(rows(twice.text)) == 2 and twice.unknown == ("101", "ann"), "two submissions of one student: which?"


@pytest.mark.parametrize("content", [b"", b"name,grade\na,1\n", b"\xff\xfe\x00", None])
def test_a_roster_that_is_none(tmp_path, content):
    """A missing, empty or foreign file is refused by name."""
    path = tmp_path / "roster.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KitError, match=r"roster\.csv"):
        read_roster(path)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "＝", "\r="])
def test_no_cell_is_a_formula(start, tmp_path):
    """Names, sentences, a roster's cells: whatever begins like a formula gets a quote; negative numbers stay."""
    made = [small(f"{start}cmd|' /C calc'!A0{n}", "pf" if n < 4 else "fp") for n in range(8)]
    for report in made:
        report.exercises[0].checks[0].sentence = report.title = f"{start}1+1"
    summary = summarise(made)
    (tmp_path / "roster.csv").write_text('Student,ID\n"=x",=1\n', encoding="utf-8")
    roster = read_roster(tmp_path / "roster.csv")
    texts = [checks_csv(summary), canvas_csv(made, summary, None).text]
    texts.append(canvas_csv([small("=x", "p")], summary, roster).text)
    for text in texts:
        for row in rows(text):
            for cell in row:
                dangerous = cell.strip()[:1] in tuple("=+-@＝") and cell.strip()
                assert not dangerous or re.fullmatch(r"-[\d.]+(e-?\d+)?", cell), cell
    assert any(cell.startswith("-") for row in rows(texts[0]) for cell in row)


def test_the_command_writes_the_files_for_staff_alone(tmp_path, reports):
    """Three files, readable for their owner; what needs a human is printed; links lead to feedback pages."""
    write(tmp_path / "run", reports)
    out = console()
    assert report_class(tmp_path / "run", out) == 0
    for name in ("class.html", "class.csv", "canvas.csv"):
        assert (tmp_path / "run" / name).stat().st_mode & 0o777 == 0o600
    assert "no score: quentin" in said(out) and "Not in canvas.csv, no score yet: oskar, quentin" in said(out)
    page = (tmp_path / "run" / "class.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]*feedback\.html)"', page)
    assert links and all((tmp_path / "run" / link).is_file() for link in links)
    assert report_class(tmp_path / "run", console(), out=tmp_path / "elsewhere") == 0
    assert "feedback.html" not in (tmp_path / "elsewhere" / "class.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1}',
        '{"format": 2}',
        "[" * 100_000,
        "\x00",
        {"max_score": "ten"},
        {"exercises": [1]},
        {"exercises": 5},
        {"outcome": "fine"},
        {"student": None},
        {"more": 1},
    ],
)
def test_a_broken_report_is_named_and_the_others_are_reported(tmp_path, content):
    """A report that cannot be read costs itself alone: it is named, and the exit code says so."""
    write(tmp_path, [small(name, "pf") for name in "abc"])
    if isinstance(content, dict):
        content = json.dumps(small("b", "pf").to_json() | content)
    (tmp_path / "b" / "report.json").write_text(content, encoding="utf-8")
    out = console()
    assert report_class(tmp_path, out) == 1
    assert "b/report.json cannot be read and is left out" in said(out)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "b/report.json cannot be read" in page and "2 students" in page
    assert [report.student for report in read_reports(tmp_path)] == ["a", "c"]


def test_a_report_without_a_number_is_broken(tmp_path):
    """Points that are no number, or not finite, are refused when read, not when added up."""
    for value in ("1", None, math.nan, math.inf, [1]):
        content = small("a", "pf").to_json()
        content["exercises"][0]["checks"][0]["points"] = value
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / "report.json").write_text(json.dumps(content), encoding="utf-8")
        assert [name for name, _ in read_class(tmp_path)[1]] == ["a"]


def test_no_reports_at_all(tmp_path):
    """An empty folder, a missing one, and one whose only report is broken: said, and nothing written."""
    for folder, why in ((tmp_path, "holds no reports"), (tmp_path / "nowhere", "there is no such folder")):
        with pytest.raises(KitError, match=why):
            report_class(folder, console())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(KitError, match=r"1 cannot be read: a/report\.json"):
        report_class(tmp_path, console())
    assert not (tmp_path / "class.html").exists()


def test_mixed_suites_and_assignments_are_said(tmp_path):
    """Other digests are named with their counts; reports of another assignment are left out."""
    made = [small(name, "pf") for name in "abc"] + [small("d", "pfp", suites="t"), small("e", "p", assignment="z")]
    write(tmp_path, made)
    out = console()
    assert report_class(tmp_path, out) == 0
    assert "3 by s, 1 by t" in said(out) and "left out: z (1)" in said(out)
    page = (tmp_path / "class.html").read_text(encoding="utf-8")
    assert "4 students" in page and "3 by s, 1 by t" in page
    assert [item.verdicts for item in summarise(made[:4]).items] == [4, 4, 1]


def test_points_by_hand_that_no_report_has_yet_are_said(tmp_path, reports):
    """by-hand.csv newer than the reports: say so, since the numbers would differ after the next grading."""
    write(tmp_path, reports)
    out = console()
    report_class(tmp_path, out)
    assert "has changed since grading" not in said(out)
    with (tmp_path / "by-hand.csv").open("a", encoding="utf-8") as stream:
        stream.write("aisha,7.1d,1,why\n")
    report_class(tmp_path, out)
    assert "has changed since grading (aisha)" in said(out)
    (tmp_path / "by-hand.csv").write_text("nonsense", encoding="utf-8")
    report_class(tmp_path, out)
    assert "by-hand.csv was not looked at" in said(out)


def test_a_folder_that_cannot_be_written(tmp_path):
    """Something in the way of the files: one error that names it."""
    write(tmp_path, [small("a", "p")])
    (tmp_path / "class.csv").mkdir()
    with pytest.raises(KitError, match="cannot be written"):
        report_class(tmp_path, console())


@pytest.mark.parametrize("name", [PAGE, CHECKS, CANVAS_FILE, SHARED, KEY, BY_HAND])
def test_no_student_has_a_folder_of_that_name(name):
    """A student may be called like one of the run's files: the folder is called otherwise."""
    assert safe_key(name) != name


def test_the_class_is_as_recorded():
    """The thirty are the same each time, and varied enough to test with."""
    one, two = thirty(), thirty()
    assert one == two and len({report.student for report in one}) == 30
    statuses = {check.status for r in one for e in r.exercises for check in e.checks}
    assert statuses == set(STATUSES)
    assert STORED.stat().st_size < 250_000

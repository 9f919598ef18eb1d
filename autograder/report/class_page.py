"""The page of a class: one HTML file for staff, or, with nobody's name in it, for sharing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from autograder.checks.result import STATUSES, shown_sentences
from autograder.report.anonymous import K, in_words
from autograder.report.html import MARKS, page
from autograder.report.items import FEWEST, Item
from autograder.report.model import Report
from autograder.report.plots import cost_plot, exercise_plot, item_plot, score_plot
from autograder.report.student_rows import StudentRow, student_rows
from autograder.report.summary import ClassSummary

_NOTHING = "-"
SHOWN_DIAGNOSES = 15


@dataclass(frozen=True)
class CheckRow:
    """A check as the page's table shows it.

    Attributes:
        item: The check.
        sentence: What is checked; in short where the check above says the rest.
        passed: "12 of 30".
        rate: "40%", or "-".
        discrimination: "0.35", or "-".
        bar: Width of the bar, 0 to 100; None for none.
        others: "3 failed, 1 took too long".
        odd: Whether those who do well elsewhere fail it.
    """

    item: Item
    sentence: str
    passed: str
    rate: str
    discrimination: str
    bar: float | None
    others: str
    odd: bool


def class_page(
    summary: ClassSummary, folders: Mapping[str, str] | None = None, reports: list[Report] | None = None
) -> str:
    """Staff's page.

    Args:
        summary: The class.
        folders: By student, the folder beside the page that holds the feedback page; for links.
        reports: Of the class, for a table of all students that can be sorted and searched: by a script of ours, the
            one that the page may run. Without them the page runs nothing.
    """
    links = {student: f"{quote(folder)}/feedback.html" for student, folder in (folders or {}).items()}
    return _page(summary, links, student_rows(reports or [], summary.attention, links), anonymous=False)


def shared_page(summary: ClassSummary) -> str:
    """The page to share, of an `anonymous.shared_summary`."""
    return _page(summary, {}, (), anonymous=True)


def _page(summary: ClassSummary, links: Mapping[str, str], students: tuple[StudentRow, ...], *, anonymous: bool) -> str:
    order = list(dict.fromkeys([*(e.id for e in summary.exercises), *(item.exercise for item in summary.items)]))
    return page(
        "class.html.j2",
        "class.css.j2",
        script="class.js.j2" if students else "",
        students=students,
        late=any(row.lost for row in students),
        summary=summary,
        scores=summary.scores,
        links=links,
        anonymous=anonymous,
        k=K,
        fewest=FEWEST,
        noise=f"{2 / max(summary.students - 1, 1) ** 0.5:.2f}",
        shown=SHOWN_DIAGNOSES,
        faults=[fault for fault in summary.diagnoses if not fault.blank],
        blanks=sorted((d for d in summary.diagnoses if d.blank), key=lambda d: order.index(d.exercise)),
        checks={name: _check_rows(summary, name, anonymous=anonymous) for name in order},
        costs=[] if anonymous else _costs(summary),
        plots={
            "scores": score_plot(summary),
            "exercises": None if anonymous else exercise_plot(summary),
            "items": item_plot(summary),
            "cost": None if anonymous else cost_plot(summary),
        },
    )


def _check_rows(summary: ClassSummary, exercise: str, *, anonymous: bool) -> list[CheckRow]:
    """The checks of one exercise, those that students have first."""
    items = [item for item in summary.items if item.exercise == exercise]
    sentences = shown_sentences([item.sentence for item in items])
    return [_check_row(item, said, anonymous=anonymous) for item, said in zip(items, sentences, strict=True)]


def _check_row(item: Item, sentence: str, *, anonymous: bool) -> CheckRow:
    passed = in_words(item.passed, item.verdicts) if anonymous else str(item.passed)
    others = [
        f"{item.counts[status]} {MARKS[status][1]}"
        for status in STATUSES
        if status != "passed" and item.counts.get(status) and not anonymous
    ]
    return CheckRow(
        item=item,
        sentence=sentence,
        passed=f"{passed} of {item.verdicts}",
        rate=_NOTHING if item.difficulty is None else f"{100 * item.difficulty:.0f}%",
        discrimination=_NOTHING if item.discrimination is None else f"{item.discrimination:.2f}",
        bar=None if item.difficulty is None else round(100 * item.difficulty, 1),
        others=", ".join(others),
        odd=item.discrimination is not None and item.discrimination < 0,
    )


def _costs(summary: ClassSummary) -> list[tuple[str, str, str, str, str]]:
    """For each exercise: median and longest seconds, median and largest peak memory."""
    rows = []
    for exercise in summary.exercises:
        seconds, memory = exercise.seconds, exercise.megabytes
        rows.append(
            (
                exercise.id,
                f"{statistics.median(seconds):.2f}" if seconds else _NOTHING,
                f"{max(seconds):.2f}" if seconds else _NOTHING,
                f"{statistics.median(memory):.0f}" if memory else _NOTHING,
                f"{max(memory):.0f}" if memory else _NOTHING,
            )
        )
    return rows

"""What a person at a terminal sees: a table with colour, or plain lines where output is piped."""

from __future__ import annotations

import os
import unicodedata

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.checks.result import ExerciseResult, Figure
from autograder.course.assignment import Assignment
from autograder.report.model import Report

STYLES = {"passed": "green", "missing": "yellow", "grader_error": "bold magenta"}
_JOINERS = "\u200c\u200d"  # names in Persian and Sinhala, say, are written with them; they move nothing


def grades_table(assignment: Assignment, reports: list[Report], console: Console) -> Table:
    """A row a student: score, points by exercise, and the first thing that went wrong."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII2, expand=False, pad_edge=False)
    table.add_column("student", overflow="fold", max_width=28)
    table.add_column("score", justify="right", no_wrap=True)
    shared = os.path.commonprefix([exercise.id for exercise in assignment.scored])  # noqa: RUF071 (characters are meant)
    for exercise in assignment.scored:
        table.add_column(exercise.id.removeprefix(shared) or exercise.id, justify="right", no_wrap=True)
    figures = list({f.name for report in reports for f in report.figures if f.status != "absent"})
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what went wrong first", overflow="fold")
    for report in reports:
        by_id = {exercise.id: exercise for exercise in report.exercises}
        cells = [_points(by_id.get(exercise.id), report) for exercise in assignment.scored]
        cells += [Text(_figure(report, name)) for name in figures]
        score = "-" if report.score is None else f"{report.score:g}/{report.max_score:g}"
        table.add_row(Text(printable(report.student, line=True)), score, *cells, Text(first_fault(report)))
    return table


def shown_figure(figure: Figure) -> str:
    """A figure in a word: its value, or why there is none."""
    if figure.value is not None:
        return f"{figure.value:.2%}"
    return {"absent": "-", "grader_error": "our fault"}.get(figure.status, figure.status)


def _figure(report: Report, name: str) -> str:
    return next((shown_figure(figure) for figure in report.figures if figure.name == name), "-")


def first_fault(report: Report, length: int = 160) -> str:
    """One line: the problem of the whole, or of the first exercise that has one: ours, what has a name, any other."""
    if report.trouble:
        return shortened(printable(report.trouble, line=True), length)
    for exercise in report.exercises:
        ours_first = sorted(exercise.to_mend_first, key=lambda check: check.status != "grader_error")
        for check in ours_first:
            if check.status != "passed":
                charged = exercise.charges[0].says if exercise.charges else ""
                said = charged or check.diagnosis or check.message or check.sentence
                if check.status == "grader_error" and check.details.strip():
                    said = "our fault: " + check.details.strip().splitlines()[-1]
                return shortened(f"{exercise.id}: {printable(said.splitlines()[0])}", length)
    return ""


def counted(count: int, thing: str) -> str:
    """So many of a thing, in words that fit the number."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def shortened(text: str, length: int) -> str:
    """A text of at most `length` characters, cut after a word, with "…" where something is left out."""
    if len(text) <= length:
        return text
    head = text[: length - 1]
    whole_words = head if text[length - 1].isspace() else head.rpartition(" ")[0]
    kept = whole_words if 2 * len(whole_words) > length else head  # a word as long as that is cut within
    return kept.rstrip(" ,;:(") + "…"


def printable(text: str, *, line: bool = False) -> str:
    """A text that cannot move the cursor or change colours: student code has a say in it.

    Args:
        text: Whatever it is.
        line: Keep it on one line, too.
    """
    spared = "" if line else "\n\t"
    kept = (c if c in spared or not _moves(c) else "?" for c in text)
    return "".join(kept).encode("utf-8", "replace").decode()


def _moves(character: str) -> bool:
    if character in _JOINERS:
        return False
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")  # control, format, unassigned; breaks of lines


def _points(exercise: ExerciseResult | None, report: Report) -> Text:
    if exercise is None or report.score is None:
        return Text("-")
    style = STYLES.get(exercise.status, "red")
    return Text(f"{exercise.points:g}", style=style)

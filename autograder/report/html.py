"""The student's page: one HTML file, no network, nothing of the hidden checks but their sentence and hint."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import replace
from typing import Any

import jinja2
import markupsafe

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.report.bill import bill, without
from autograder.report.listing import excerpts, listings
from autograder.report.model import Report
from autograder.report.next_steps import begin, what_next
from autograder.report.pictures import beyond, drawable, drawing
from autograder.report.readings import how_read, unloaded
from autograder.report.terminal import printable, shortened

MAX_PAGE = 2**20  # bytes; a page of this assignment has some tens of thousands
_SHORT = 300  # characters of a message on a page that would be too long
_FEW = 8  # notes on it
_LEFT_OUT = (
    "This page would have been too long: your code and the pictures are left out here, and long messages are cut."
)
MARKS = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "not right yet"),
    "error": ("✗", "your code stopped with an error"),
    "timeout": ("⏱", "took too long"),
    "memory": ("✗", "needed too much memory"),
    "missing": ("–", "not done yet"),
    "grader_error": ("!", "our fault: staff will look"),
}
FIGURE_MARKS = {**MARKS, "measured": ("✓", "measured"), "absent": ("–", "not handed in")}
FIGURE_MARKS |= {"refused": ("✗", "the weights cannot be used"), "missing": ("–", "not possible")}


@functools.cache
def environment() -> jinja2.Environment:
    """Templates, which escape whatever they are given."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("autograder.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_plain,
    )
    made.filters |= {"points": lambda value: f"{value:g}", "code": _code}
    made.filters |= {"drawing": drawing, "beyond": beyond, "listings": listings, "excerpts": excerpts}
    made.filters |= {"how_read": how_read, "bill": bill}
    made.globals["without"] = without
    made.tests["drawable"] = drawable
    return made


def page(template: str, style: str, *, script: str = "", **values: Any) -> str:
    """A page that fetches nothing and runs nothing but `script`; browsers are told to hold it to that.

    Args:
        template: Its name; it has a place for `style` and `policy`.
        style: Name of the style sheet's template: the one style that the page may have.
        script: Name of the script's template, a fixed text of ours; "" for a page that runs nothing.
        **values: For the template.
    """
    sheet = environment().get_template(style).render()
    policy = f"default-src 'none'; style-src '{_digest(sheet)}'; base-uri 'none'; form-action 'none'"
    if script:
        code = environment().get_template(script).render()
        policy += f"; script-src '{_digest(code)}'"
        values["script"] = markupsafe.Markup(code)  # noqa: S704 (ours)
    return environment().get_template(template).render(style=markupsafe.Markup(sheet), policy=policy, **values)  # noqa: S704 (ours)


def _digest(text: str) -> str:
    """A text as a policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def feedback_page(report: Report) -> str:
    """The page of one student, as HTML of at most `MAX_PAGE` bytes: where it would be longer, code is left out."""
    made = _feedback_page(report)
    return made if _fits(made) else _feedback_page(_shorter(report))


def _fits(page: str) -> bool:
    return len(page) <= MAX_PAGE and len(page.encode("utf-8", "replace")) <= MAX_PAGE


def _shorter(report: Report) -> Report:
    """A report without what makes a page long, and a note that says so."""
    notes = [_LEFT_OUT, *(shortened(note, _SHORT) for note in report.notes[:_FEW])]
    return replace(
        report,
        student=shortened(report.student, _SHORT),
        file=shortened(report.file, _SHORT),
        problem=shortened(report.problem, _SHORT),
        notes=notes,
        exercises=[_shorter_exercise(exercise) for exercise in report.exercises],
        figures=[replace(figure, message=shortened(figure.message, _SHORT)) for figure in report.figures],
    )


def _shorter_exercise(exercise: ExerciseResult) -> ExerciseResult:
    checks = [_shorter_check(check) for check in exercise.checks]
    return replace(exercise, code=[], unloaded=[], reason=shortened(exercise.reason, _SHORT), checks=checks)


def _shorter_check(check: CheckResult) -> CheckResult:
    message, diagnosis = shortened(check.message, _SHORT), shortened(check.diagnosis, _SHORT)
    return replace(check, message=message, diagnosis=diagnosis, picture=None)


def _feedback_page(report: Report) -> str:
    part = 100 * (report.score or 0) / report.max_score if report.max_score else 0
    share = f"{min(max(part, 0), 100):.1f}"
    return page(
        "feedback.html.j2",
        "feedback.css.j2",
        report=report,
        marks=MARKS,
        figure_marks=FIGURE_MARKS,
        share=share,
        begin=begin(report),
        steps=what_next(report),
        unloaded=unloaded(report),
        scored={exercise.id for exercise in report.exercises if exercise.max_points},
    )


def exercise_panel(exercise: ExerciseResult) -> str:
    """The panel of one exercise, as nbgrader's feedback shows it; bounded like a page."""
    template = environment().get_template("exercise.html.j2")
    made = template.render(marks=MARKS, full=False, exercise=exercise)
    return made if _fits(made) else template.render(marks=MARKS, full=False, exercise=_shorter_exercise(exercise))


def _plain(value: Any) -> Any:
    """Texts without characters that act on what stands around them: escapes, zeros, changes of direction."""
    if not isinstance(value, str):
        return value
    kept = printable(value)
    return type(value)(kept) if kept != value else value  # a text that is escaped already stays so


def _code(text: str) -> markupsafe.Markup:
    """Escape a text and set what stands between backquotes as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markupsafe.escape(text)
    pieces = [
        markupsafe.Markup("<code>{}</code>").format(part) if index % 2 else markupsafe.escape(part)
        for index, part in enumerate(parts)
    ]
    return markupsafe.Markup("").join(pieces)

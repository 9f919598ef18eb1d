"""The student's page: one HTML file, no network, nothing of the hidden checks but their sentence and hint."""

from __future__ import annotations

import functools
from typing import Any

import jinja2

from autograder.report.model import Report

MARKS = {
    "passed": ("✓", "passed"),
    "failed": ("✗", "not right yet"),
    "error": ("✗", "your code stopped with an error"),
    "timeout": ("⏱", "took too long"),
    "memory": ("✗", "needed too much memory"),
    "missing": ("–", "not done yet"),
    "grader_error": ("!", "our fault: staff will look"),
}


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("autograder.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["points"] = lambda value: f"{value:g}"
    environment.filters["code"] = _code
    return environment


def feedback_page(report: Report) -> str:
    """The page of one student, as HTML."""
    return _environment().get_template("feedback.html.j2").render(report=report, marks=MARKS)


def exercise_panel(**values: Any) -> str:
    """The panel of one exercise, as nbgrader's feedback shows it."""
    return _environment().get_template("exercise.html.j2").render(marks=MARKS, **values)


def _code(text: str) -> Any:
    """Escape a text and set what stands between backquotes as code."""
    import markupsafe

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markupsafe.escape(text)
    pieces = [
        markupsafe.Markup("<code>{}</code>").format(part) if index % 2 else markupsafe.escape(part)
        for index, part in enumerate(parts)
    ]
    return markupsafe.Markup("").join(pieces)

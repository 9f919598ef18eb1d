"""What `make_submission()` shows: a panel like that of `check()`, an exercise a row; plain lines outside a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from autograder.notebook_kit.panel import MARKS, STYLE, edge, in_notebook

AS_GIVEN = "as given"


@dataclass(frozen=True)
class Row:
    """One exercise.

    Attributes:
        exercise: "7.1 (d)".
        title: A few words.
        status: One of `result.STATUSES`, or "unknown" where it was not checked.
        said: How it stands, in a few words.
    """

    exercise: str
    title: str
    status: str
    said: str

    def __str__(self) -> str:
        return f"{self.exercise}{' ' if self.exercise.endswith(')') else ': '}{self.title}"

    @property
    def mark(self) -> str:
        """A sign for its status, beside the words."""
        return MARKS.get(self.status, "✗")


@dataclass(frozen=True)
class File:
    """A file in the zip.

    Attributes:
        name: As it is called there.
        size: Its bytes.
        source: What it is called outside, where that differs.
    """

    name: str
    size: int
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name}, {shown_size(self.size)}" + (f' (from "{self.source}")' if self.source else "")


@dataclass(frozen=True)
class Summary:
    """A submission that was made.

    Attributes:
        name: The zip's file name.
        path: The whole path.
        size: Its bytes.
        notebook: The student's notebook.
        seconds: How long ago that was saved; None where it comes from the open page.
        rows: The exercises.
        files: What the zip holds.
        notes: What the student should know besides.
        stale: Exercises whose code ran here in another form than the zip holds.
    """

    name: str
    path: str
    size: int
    notebook: str
    seconds: float | None
    rows: list[Row]
    files: list[File]
    notes: list[str]
    stale: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """How the whole stands, in a line."""
        if self.stale:
            return f"{self.name} is made, but not of the code that ran here: read this first"
        return f"{self.name} is ready to hand in ({shown_size(self.size)})"

    @property
    def source(self) -> str:
        """What the notebook in it is, and how old."""
        if self.seconds is None:
            return f"The notebook in it: {self.notebook}, as it is on this page now."
        return f"The notebook in it: {self.notebook}, as it was saved {shown_age(self.seconds)} ago."

    @property
    def remarks(self) -> list[str]:
        """What the student should know, the gravest first, a sentence or two each."""
        given = [row.exercise for row in self.rows if row.status == "missing" and row.said == AS_GIVEN]
        others = [f"{row.exercise} is {row.said}." for row in self.rows if row.status == "missing"]
        missing = [f"{listed(given)} {'is' if len(given) == 1 else 'are'} {AS_GIVEN}."] if given else []
        missing += [line for line in others if not line.endswith(f"{AS_GIVEN}.")]
        ask = "run those cells again" if self.seconds is None else "run those cells, save the notebook (Ctrl+S)"
        stale = [
            f"The notebook as it was saved differs from the code that ran here: {listed(self.stale)}. What is saved is "
            f"what is graded: {ask}, and run this cell again."
        ]
        return [*(stale if self.stale else []), *([" ".join(missing)] if missing else []), *self.notes]


class Panel:
    """The output of one cell: a line while it works, then the panel in its place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def working(self, line: str) -> None:
        """Say what is being done."""
        if in_notebook():
            self._show(_box("unknown", line, ""))

    def failed(self, message: str) -> None:
        """Say why there is no zip."""
        headline = "No submission was made"
        body = f'<div class="item"><div class="body">{html.escape(message)}</div></div>'
        self._show(_box("failed", headline, body), f"{headline}: {message}")

    def done(self, summary: Summary) -> None:
        """Show the submission."""
        self._show(summary_html(summary), summary_text(summary))

    def _show(self, page: str, text: str = "") -> None:
        if not in_notebook():
            print(text)
            return
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(page), display_id=True)
        else:
            self._handle.update(HTML(page))


def summary_html(summary: Summary) -> str:
    """The panel as HTML, everything in it escaped."""
    rows = "".join(
        f'<tr><td class="mark" style="color: {edge(row.status)}" aria-hidden="true">{row.mark}'
        f'</td><th scope="row">{_text(str(row))}</th><td>{_text(row.said)}</td></tr>'
        for row in summary.rows
    )
    body = "".join(f'<div class="item note"><div class="body">{_text(note)}</div></div>' for note in summary.remarks)
    body += (
        '<div class="item"><table><thead><tr><td></td><th scope="col">exercise</th><th scope="col">your code</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
    files = "".join(f"<li>{_text(str(file))}</li>" for file in summary.files)
    body += f'<div class="item"><div class="body">{_text(summary.source)}<ul>{files}</ul></div></div>'
    body += f'<div class="foot">{_text(_foot(summary))}</div>'
    whole = all(row.status == "passed" for row in summary.rows) and not summary.notes
    return _box("failed" if summary.stale else "passed" if whole else "missing", summary.headline, body)


def summary_text(summary: Summary) -> str:
    """The panel as plain text."""
    width = max(len(str(row)) for row in summary.rows)
    lines = [summary.headline, *(f" ! {note}" for note in summary.remarks)]
    lines += [f" {row.mark} {row!s:{width}}  {row.said}" for row in summary.rows]
    return "\n".join([*lines, summary.source, *(f"   {file}" for file in summary.files), _foot(summary)])


def shown_size(size: int) -> str:
    """Bytes, for people."""
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{max(1, round(size / 1024))} kB"


def shown_age(seconds: float) -> str:
    """A time that has passed, for people."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''}"
    return "a moment"


def listed(words: list[str]) -> str:
    """Words as a sentence lists them, "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _foot(summary: Summary) -> str:
    what = "The file" if summary.stale else "Hand in this one file"
    return f"{what}: {summary.path}. More checks of the same kind run when it is graded."


def _box(status: str, headline: str, body: str) -> str:
    return (
        f'{STYLE}<div class="fcoskit-panel" role="region" aria-label="Your submission" style="--edge: {edge(status)}">'
        f'<div class="top">{_text(headline)}</div>{body}</div>'
    )


def _text(text: str) -> str:
    return html.escape(text)

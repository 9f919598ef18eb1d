"""What `check()` shows: an HTML panel in a notebook, plain lines elsewhere. Needs no extension."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Sequence

from autograder.checks.result import CheckResult, ExerciseResult, shown_sentences

MARKS = {"passed": "✓", "missing": "–", "unknown": "?", "grader_error": "!"}
_WORDS = {
    "passed": "passed",
    "failed": "not right yet",
    "error": "your code stopped with an error",
    "timeout": "took too long",
    "memory": "needed too much memory",
    "missing": "not done yet",
    "grader_error": "our fault, not yours",
}
# Sizes of tensors and kernels, and who called the function: an error on other inputs or from there is the same error.
_SIZES = re.compile(r"\d+|, called in (code cell|line) .*", re.DOTALL)
# Every colour is set beside its background, so that the panel reads the same in a light and a dark notebook.
# The classic notebook has rules of its own for `.mark` and `thead`.
STYLE = """
<style>
.fcoskit-panel { border: 1px solid #c9d0d9; border-left: 6px solid var(--edge); border-radius: 6px; background: #fff;
  color: #1c2430; font: 14px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; max-width: 52rem; margin: .4rem 0; }
.fcoskit-panel .top { padding: .5rem .8rem; font-weight: 650; }
.fcoskit-panel .item { display: flex; gap: .6rem; padding: .35rem .8rem; border-top: 1px solid #e4e8ed; }
.fcoskit-panel .mark { flex: none; width: 1rem; font-weight: 700; background: none; padding: 0; }
.fcoskit-panel .body { flex: 1; min-width: 0; }
.fcoskit-panel .state { color: #5a6472; }
.fcoskit-panel .why { font-weight: 600; margin-top: .15rem; }
.fcoskit-panel .body pre { background: #f5f7fa; color: #1c2430; border-radius: 4px; padding: .4rem .6rem;
  margin: .3rem 0 .1rem; white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal;
  font: 12.5px/1.45 ui-monospace, Consolas, monospace; }
.fcoskit-panel .note { background: #fff6dc; }
.fcoskit-panel .item table { border-collapse: collapse; table-layout: auto; width: 100%; margin: 0;
  font: inherit; color: inherit; }
.fcoskit-panel .item tbody tr:nth-child(n), .fcoskit-panel .item tbody tr:hover { background: none; }
.fcoskit-panel .item table tr :is(th, td) { text-align: left; vertical-align: top; padding: .15rem .6rem .15rem 0;
  border: none; font-weight: 400; white-space: normal; max-width: none; }
.fcoskit-panel .item thead { border: none; }
.fcoskit-panel .item thead tr th { color: #5a6472; }
.fcoskit-panel .item table tr td.mark { width: 1rem; font-weight: 700; }
.fcoskit-panel .body ul { margin: .2rem 0 0; padding-left: 1.2rem; }
.fcoskit-panel .foot { border-top: 1px solid #e4e8ed; color: #5a6472; padding: .4rem .8rem;
  overflow-wrap: anywhere; }
</style>
"""
EDGES = {
    "passed": "#1a7f45",
    "failed": "#b3261e",
    "missing": "#8a6400",
    "unknown": "#5a6472",
    "grader_error": "#7a4fb5",
}


def edge(status: str) -> str:
    """The colour that goes with a status."""
    return EDGES.get(status, EDGES["failed"])


def in_notebook() -> bool:
    """Whether what is shown goes to a notebook's page."""
    return "ipykernel" in sys.modules or "google.colab" in sys.modules


def show_panel(result: ExerciseResult, notes: Sequence[str] = (), *, before: bool = False) -> None:
    """Show an exercise's public checks where the student is: in the notebook, or on standard output.

    Args:
        result: Of the checks.
        notes: What is to be read first.
        before: Whether the code that was checked is older than what stands in the notebook: a cell could not be read.
    """
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(panel_html(result, notes, before=before)))
    else:
        print(panel_text(result, notes, before=before))


def panel_html(result: ExerciseResult, notes: Sequence[str] = (), *, before: bool = False) -> str:
    """The panel as HTML, everything in it escaped."""
    items = "".join(f'<div class="item note">{_code(note)}</div>' for note in notes)
    items += "".join(_item(check, sentence, more) for check, sentence, more in _told_once(result))
    colour = edge("unknown" if before else result.status)
    return (
        f'{STYLE}<div class="fcoskit-panel" role="region" aria-label="Checks of {html.escape(result.id)}" '
        f'style="--edge: {colour}"><div class="top">{html.escape(_headline(result, before))}</div>{items}'
        f'<div class="foot">{html.escape(_footer(result))}</div></div>'
    )


def panel_text(result: ExerciseResult, notes: Sequence[str] = (), *, before: bool = False) -> str:
    """The panel as plain text."""
    lines = [_headline(result, before), *(f" ! {note}" for note in notes)]
    for check, sentence, more in _told_once(result):
        lines.append(f" {MARKS.get(check.status, '✗')} {sentence} [{_WORDS[check.status]}]")
        for text in (check.diagnosis, check.message, _folded(more)):
            lines += [f"     {line}" for line in text.splitlines()]
    return "\n".join([*lines, _footer(result)])


def _told_once(result: ExerciseResult) -> list[tuple[CheckResult, str, int]]:
    """The checks with their sentences, without those that say what one above has said: it counts how many do."""
    shown: dict[object, CheckResult] = {}
    more: dict[object, int] = {}
    for number, check in enumerate(result.to_mend_first):
        stopped = check.status in ("error", "missing")
        said = (check.diagnosis, _SIZES.sub("", check.message).rstrip(").") if stopped else check.message)
        key = said if check.status != "passed" and any(said) else number
        more[key] = more.get(key, -1) + 1
        shown.setdefault(key, check)
    sentences = shown_sentences([check.sentence for check in shown.values()])
    return [(check, sentence, more[key]) for (key, check), sentence in zip(shown.items(), sentences, strict=True)]


def _folded(more: int) -> str:
    """How many checks say the same, in words; "" if none does."""
    return f"And {more} more {'check says' if more == 1 else 'checks say'} the same." if more else ""


def _item(check: CheckResult, sentence: str, more: int) -> str:
    why = f'<div class="why">{_code(check.diagnosis)}</div>' if check.diagnosis else ""
    said = f"<pre>{_code(check.message)}</pre>" if check.message else ""
    mark = MARKS.get(check.status, "✗")
    said += f'<div class="state">{_folded(more)}</div>' if more else ""
    return (
        f'<div class="item"><span class="mark" style="color: {EDGES.get(check.status, EDGES["failed"])}" '
        f'aria-hidden="true">{mark}</span><div class="body">{_code(sentence)} '
        f'<span class="state">({_WORDS[check.status]})</span>{why}{said}</div></div>'
    )


def _code(text: str) -> str:
    """A text escaped, what stands between backquotes set as code."""
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:
        return "`".join(parts)
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def _headline(result: ExerciseResult, before: bool = False) -> str:
    if before:
        return (
            f"{result.id} {result.title}: your latest code did not run. Below are the checks of the definition before."
        )
    passed = sum(check.status == "passed" for check in result.checks)
    name = f"{result.id} {result.title}"
    if result.status == "passed":
        return f"{name}: {'its one check passes' if passed == 1 else f'all {passed} checks pass'}"
    if result.status == "missing":
        return f"{name}: not done yet"
    return f"{name}: {passed} of {len(result.checks)} checks pass"


def _footer(result: ExerciseResult) -> str:
    here = sum(check.points for check in result.checks)
    later = result.max_points - here
    if later <= 0:
        return f"These checks are worth all {result.max_points:g} points."
    return (
        f"These checks are worth {here:g} of {result.max_points:g} points. The other {later:g} are for the same, asked "
        "again with other inputs when graded."
    )

"""What students write beside their code acts nowhere: staff read it at Jupyter's own origin."""

from __future__ import annotations

import re

import pytest
from nbconvert import HTMLExporter

from autograder.nbgrader.rebuilt import rebuilt_notebook, release_cells

ACTS = {
    "a script": "<script>alert(1)</script>",
    "an event": '<img src=x onerror="alert(1)">',
    "an event without quotes": "<svg/onload=alert(1)>",
    "an entity that hides a tag": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "an entity in an entity": "&amp;lt;script&amp;gt;alert(1)&amp;lt;/script&amp;gt;",
    "a link": "[here](javascript:alert(1))",
    "a link with an entity": "[here](&#106;avascript:alert(1))",
    "a link with a named entity": "[here](javascript&colon;alert(1))",
    "a link with a gap": "[here](java\tscript:alert(1))",
    "a link in capitals": "[here](JaVaScRiPt:alert(1))",
    "a link elsewhere": "[here][x]\n\n[x]: javascript:alert(1)",
    "a link in a tag": '<a href="javascript:alert(1)">here</a>',
    "a link to data": "[here](data:text/html,<script>alert(1)</script>)",
    "a link by itself": "<javascript:alert(1)>",
    "a frame": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "a style": "<style>@import 'x'</style><p style=\"background:url(x)\">",
    "a form": '<form action="/x"><button formaction="javascript:alert(1)">go</button></form>',
    "in a table": "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "in code": "```html\n<script>alert(1)</script>\n```\n\n<script>alert(1)</script>",
}


def page(assignment, kind: str, source: str) -> str:
    """What staff's browser gets of one cell."""
    notebook = rebuilt_notebook(assignment, [(kind, "BEGINS"), (kind, source), (kind, "ENDS")])
    html, _ = HTMLExporter().from_notebook_node(notebook)
    return html[html.index("BEGINS") : html.index("ENDS")]


@pytest.mark.parametrize("kind", ["markdown", "raw"])
@pytest.mark.parametrize("how", ACTS)
def test_nothing_acts(assignment, kind, how):
    """No tag that runs, no handler, no address that is a script, in what the page holds of the cell."""
    shown = page(assignment, kind, ACTS[how])
    tags = re.findall(r"<[a-zA-Z][^>]*>", shown)
    assert [tag for tag in tags if re.match(r"<(script|svg|iframe|img|style|form|object|embed)", tag, re.I)] == []
    assert [tag for tag in tags if re.search(r"\son\w+\s*=|srcdoc|formaction", tag, re.I)] == []
    assert [
        tag for tag in tags if re.search(r"(href|src)\s*=\s*[\"']?\s*(javascript|data|vbscript)\s*:", tag, re.I)
    ] == []


def test_what_is_only_written_stays(assignment):
    """Headings, links, formulas and lists are shown; the release's own cells are as they were, pictures too."""
    shown = page(assignment, "markdown", "# My notes\n\n* [paper](https://example.org/a)\n* **bold**, $x^2$")
    assert "My notes</h1>" in shown.replace("\n", "") or "My notes<a" in shown
    assert 'href="https://example.org/a"' in shown and "<strong>bold</strong>" in shown and "$x^2$" in shown
    given = [cell.source for cell in release_cells(assignment) if cell.cell_type == "markdown"]
    rebuilt = rebuilt_notebook(assignment, [("markdown", source) for source in given])
    assert [cell.source for cell in rebuilt.cells if cell.cell_type == "markdown"] == given


@pytest.mark.parametrize("unread", ["def {name}(a, b:\n    return a", "!pip list\ndef {name}(a):\n    return a"])
def test_a_cell_that_python_cannot_read_takes_comments(assignment, unread):
    """A bracket is missing, or a line is for the shell: it is the cell to fill in all the same, its check behind it."""
    cells = [("code", "import torch"), ("code", unread.format(name="get_fpn_location_coords")), ("markdown", "Done.")]
    rebuilt = rebuilt_notebook(assignment, cells)
    _, answer, check, _ = rebuilt.cells[:4]
    assert (answer.metadata.nbgrader.grade_id, answer.metadata.nbgrader.solution) == ("d-solution", True)
    assert (answer.source, check.metadata.nbgrader.grade_id) == (cells[1][1], "7-1d")

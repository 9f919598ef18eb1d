"""A notebook that was exported as a script by nbconvert or by jupytext's light format: its cells.

nbconvert writes `# In[3]:` above each code cell, and what only IPython understands as calls,
`get_ipython().run_cell_magic('time', '', 'x = f()')`; here they become the notebook's own lines again.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_PROMPT = re.compile(r"^# In ?\[[\d* ]*\]:?[ \t]*$", re.MULTILINE)
_LIGHT = re.compile(r"^#\s+format_name: light\s*$|^# \+( .*)?$|^# -$", re.MULTILINE)
_DASHES = re.compile(r"# ?---\s*$")
_REFERRING = re.compile(r"[&*!]")  # YAML's anchors, what refers to them, and tags
_HEAD = 4096  # characters
_CALL = re.compile(
    r"^(?P<blank>[ \t]*)(?P<to>\w+ = )?get_ipython\(\)\.(?P<rest>\w+\(.*\))[ \t]*;?[ \t]*$", re.MULTILINE
)


def is_exported(text: str) -> bool:
    """Whether nbconvert wrote this script."""
    return _PROMPT.search(text) is not None


def is_light(text: str) -> bool:
    """Whether a script is in jupytext's light format and not in the percent format."""
    return _LIGHT.search(text) is not None and re.search(r"^# %%( |$)", text, re.MULTILINE) is None


def without_odd_head(text: str) -> str:
    """A script without the YAML at its top, where that is long or holds what jupytext never writes.

    A few lines of YAML that refer to one another stand for gigabytes; nothing in a head says anything about code.
    """
    lines = text.splitlines()  # as jupytext does, which takes other characters than "\n" for the end of one, too
    above = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    dashes = [index for index in range(above) if _DASHES.match(lines[index])][:2]
    if len(dashes) < 2:
        return text
    head = "\n".join(lines[dashes[0] : dashes[1]])
    if len(head) <= _HEAD and not _REFERRING.search(head):
        return text
    return "\n".join([*lines[: dashes[0]], "", *lines[dashes[1] + 1 :]])


def exported_sources(text: str) -> Iterator[str]:
    """The code of each cell; what stands above the first one is a cell, too, if there is any code in it."""
    for piece in _PROMPT.split(text):
        yield restored(piece.strip("\n"))


def restored(text: str) -> str:
    """A cell with IPython's calls as the lines that they were made from."""
    if "get_ipython()" not in text:
        return text
    return _CALL.sub(_line_of, text)


def _line_of(found: re.Match[str]) -> str:
    """`%%time` and the body below it, `%cd ..` or `!ls`; the text as it is where it is none of them."""
    try:
        call = ast.parse(found["rest"], mode="eval").body
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords
        texts = [ast.literal_eval(argument) for argument in call.args]
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        return str(found[0])
    if not all(isinstance(text, str) for text in texts):
        return str(found[0])
    before, whole = str(found["blank"] + (found["to"] or "")), str(found[0])
    if call.func.id == "run_cell_magic" and len(texts) == 3:
        name, line, body = texts
        return f"%%{name} {line}".rstrip() + "\n" + str(body).rstrip("\n")
    if call.func.id == "run_line_magic" and len(texts) == 2:
        return f"{before}%{texts[0]} {texts[1]}".rstrip()
    if call.func.id in ("system", "getoutput") and len(texts) == 1 and "\n" not in texts[0]:
        return f"{before}!{texts[0]}"
    return whole

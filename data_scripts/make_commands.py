"""Write the reference of the command line, `docs/commands.md`, from the commands themselves.

Usage: python data_scripts/make_commands.py [--check]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from autograder.commands.cli import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
HEAD = """\
# Commands

<!-- Written by data_scripts/make_commands.py from autograder/commands/cli.py. Do not edit. -->

{about}

| command | what it does |
|---|---|
{rows}
"""


def page() -> str:
    """The whole page."""
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="fcoskit")
    sections = get_docs_for_click(obj=group, ctx=context, name="fcoskit")
    commands = sections[sections.index("## `fcoskit") :]  # what comes before cuts every sentence short
    rows = [
        f"| [`fcoskit {name}`](#fcoskit-{name}) | {_first_line(command.help)} |"
        for name, command in group.commands.items()  # type: ignore[attr-defined]
    ]
    text = HEAD.format(about=_first_line(group.help), rows="\n".join(rows)) + "\n"
    return text + _tidied(commands)


def _tidied(text: str) -> str:
    """What typer writes, with the braces of required arguments gone and nothing that is taken for HTML."""
    text = re.sub(r"\{(\w+)\}", r"\1", text.replace("{PATH...}...", "PATH...")).replace("<list[Path]>", "<path>")
    return "\n".join(map(_escaped, text.replace("&#x27;", "'").splitlines())).rstrip() + "\n"


def _escaped(line: str) -> str:
    """A line of help whose "<id>.txt" is not taken for HTML; what stands in backticks is code already."""
    parts = line.split("`")
    return "`".join(part.replace("<", "&lt;") if index % 2 == 0 else part for index, part in enumerate(parts))


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def main() -> int:
    """Write the page, or with `--check` say whether it is up to date."""
    made = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == made:
        return 0
    print(f"{PAGE} is not what the commands say. Run `python data_scripts/make_commands.py`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

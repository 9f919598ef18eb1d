"""What shell lines of a notebook do to files, done without a shell: a folder made, a module copied or written.

Notebooks put modules of their own into folders (`!mkdir -p lib`, `%%bash` with `cat > lib/grids.py <<EOF`) and import
them. Everything else that shells do has no place where code is graded.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

_HEREDOC = re.compile(r"\s*cat\b(?P<rest>.*)<<-?\s*(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)(?P<more>.*)")
_INTO = re.compile(r"\s*(?P<how>>>?)\s*(?P<path>[^\s<>|&;]+)\s*")


def run_shell(text: str) -> list[str]:
    """Do what a shell's text does to files; gives the lines that did nothing.

    Args:
        text: One line, or the body of a `%%bash` cell.
    """
    lines, left = text.splitlines(), []
    while lines:
        line = lines.pop(0)
        if heredoc := _HEREDOC.fullmatch(line):
            body = _until(heredoc["end"], lines)
            into = _INTO.fullmatch(heredoc["rest"] + heredoc["more"])
            done = into is not None and _written(into["path"].strip("'\""), body, append=into["how"] == ">>")
        else:
            done = not line.strip() or line.lstrip().startswith("#") or _line(line)
        if not done:
            left.append(line)
    return left


def _until(end: str, lines: list[str]) -> str:
    body: list[str] = []
    while lines and (line := lines.pop(0)).strip() != end:
        body.append(line)
    return "\n".join([*body, ""])


def _written(path: str, body: str, *, append: bool) -> bool:
    try:
        with Path(path).expanduser().open("a" if append else "w", encoding="utf-8") as file:
            file.write(body)
    except OSError:
        return False
    return True


def _line(line: str) -> bool:
    """Whether a line holds nothing but commands that are known here, and all were done."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return False
    commands: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", ";"):
            commands.append([])
        elif set(word) & set(";&|<>"):
            return False
        else:
            commands[-1].append(word)
    wanted = [command for command in commands if command]
    return bool(wanted) and all(_command(command[0], command[1:]) for command in wanted)


def _command(name: str, words: list[str]) -> bool:
    does = _KNOWN.get(name)
    paths = [Path(word).expanduser() for word in words if not word.startswith("-")]
    if does is None or len(paths) < (2 if does in (_copy, _move) else 1):
        return False
    try:
        does(paths)
    except (OSError, ValueError, shutil.Error):
        return False
    return True


def _make_folders(paths: list[Path]) -> None:
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)


def _touch(paths: list[Path]) -> None:
    for path in paths:
        path.touch()


def _copy(paths: list[Path]) -> None:
    *sources, target = paths
    for source in sources:
        if source.is_dir():
            shutil.copytree(source, target / source.name if target.is_dir() else target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)


def _move(paths: list[Path]) -> None:
    *sources, target = paths
    for source in sources:
        shutil.move(source, target)


_KNOWN: dict[str, Callable[[list[Path]], None]] = {
    "mkdir": _make_folders,
    "touch": _touch,
    "cp": _copy,
    "mv": _move,
}

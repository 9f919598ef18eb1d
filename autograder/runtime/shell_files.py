"""What shell lines of a notebook do to files, done without a shell: a folder made, a module copied or written.

Notebooks put modules of their own into folders (`!mkdir -p lib`, `%%bash` with `cat > lib/grids.py <<EOF`,
`!echo "HALF = 0.5" > grids.py`) and import them, or read what such a line prints (`lines = !cat grids.txt`). Everything
else that shells do has no place where code is graded.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_HEREDOC = re.compile(r"\s*cat\b(?P<rest>.*)<<-?\s*(?P<quote>['\"]?)(?P<end>\w+)(?P=quote)(?P<more>.*)")
_QUOTED = re.compile(r"'[^']*'")
_NOT_PLAIN = re.compile(r"[$`]|(?<!\S)\d>")  # a variable, another command's output, a stream by its number
_INTO = re.compile(r"\s*(?P<how>>>?)\s*(?P<path>[^\s<>|&;]+)\s*")
KEPT_UNDER = re.compile(r"--(?:out|err|proc)[ =]+([^\W\d]\w*)")  # of `%%bash --out name`


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
    return _said(line) is not None


def shell_output(line: str) -> list[str] | None:
    """The lines that a shell line prints, done as by `run_shell`; None where that is not known here."""
    said = _said(line)
    return None if said is None else said.splitlines()


def _said(line: str) -> str | None:
    """Do a line's commands one after the other; gives what they print, None where one is not known or failed."""
    if _NOT_PLAIN.search(_QUOTED.sub("", line)):
        return None
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return None
    printed, wanted = "", list(_commands(words))
    for command, into in wanted:
        said = _command(command[0], command[1:])
        if said is None:
            return None
        for how, path in into:
            if not _written(path, said, append=how in (">>", "tee -a")):
                return None
        printed += "" if any(how.startswith(">") for how, _ in into) else said
    return printed if wanted else None


def _commands(words: list[str]) -> Iterator[tuple[list[str], list[tuple[str, str]]]]:
    """Each command with the files that its output goes into; one that is not understood is called "?"."""
    command: list[str] = []
    into: list[tuple[str, str]] = []
    rest = [*words, ";"]
    while rest:
        word = rest.pop(0)
        if word in ("&&", ";"):
            if command:
                yield command, into
            command, into = [], []
        elif word in (">", ">>") and rest:
            into.append((word, rest.pop(0)))
        elif word == "|" and rest[:1] == ["tee"] and len(rest) > 2:
            del rest[0]
            how = f"tee {rest.pop(0)}" if rest[0] == "-a" else "tee"
            into.append((how, rest.pop(0)))
        elif set(word) <= set(";&|<>"):
            command, into = ["?"], []
            rest = [";"]
        else:
            command.append(word)


def _command(name: str, words: list[str]) -> str | None:
    """Do one command; gives what it prints, None where it is not known or failed."""
    paths = [Path(word).expanduser() for word in words if not word.startswith("-")]
    try:
        if name in _PRINTS:
            return _PRINTS[name](words)
        does = _KNOWN.get(name)
        if does is None or len(paths) < (2 if does in (_copy, _move) else 1):
            return None
        does(paths)
    except (OSError, ValueError, shutil.Error, re.error, subprocess.SubprocessError):
        return None
    return ""


def _echo(words: list[str]) -> str:
    flags = list(itertools.takewhile(lambda word: word in ("-n", "-e", "-ne", "-en"), words))
    said = " ".join(words[len(flags) :])
    if any("e" in flag for flag in flags):
        said = _unescaped(said)
    return said + ("" if any("n" in flag for flag in flags) else "\n")


def _printf(words: list[str]) -> str | None:
    form, *given = words
    form = _unescaped(form)
    holes = len(re.findall(r"%[sd]", form))
    if "%" in re.sub(r"%[sd%]", "", form) or (holes and len(given) % holes) or (given and not holes):
        return None
    rounds = [given[n : n + holes] for n in range(0, len(given), holes)] if holes else [[]]
    return "".join(re.sub("%d", "%s", form) % tuple(part) for part in rounds)


def _unescaped(text: str) -> str:
    kinds = {"n": "\n", "t": "\t", "\\": "\\", "r": "\r", '"': '"'}
    return re.sub(r"\\(.)", lambda found: kinds.get(found[1], found[0]), text)


def _cat(words: list[str]) -> str | None:
    if not words or any(word.startswith("-") for word in words):
        return None
    return "".join(Path(word).expanduser().read_text(encoding="utf-8") for word in words)


def _ls(words: list[str]) -> str | None:
    place = Path(*words[:1]).expanduser()
    if len(words) > 1 or not place.is_dir():
        return None
    return "".join(f"{path.name}\n" for path in sorted(place.glob("[!.]*")))


def _sed(words: list[str]) -> str | None:
    """`sed -i s/one/other/g file`: that alone."""
    if len(words) < 3 or words[0] != "-i" or words[1][:1] != "s" or len(parts := words[1][1:].split(words[1][1])) != 4:
        return None
    _, old, new, flags = parts
    if set(flags) - {"g", "i", "I"}:
        return None
    # What a backslash makes an operator there is one without it here, and the other way round.
    old = re.sub(r"\\?[+?(){}|]", lambda found: found[0][1:] if len(found[0]) > 1 else f"\\{found[0]}", old)
    new = re.sub(r"(?<!\\)&", r"\\g<0>", new)
    for name in words[2:]:
        path = Path(name).expanduser()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        wanted = re.compile(old, re.IGNORECASE if "i" in flags.lower() else 0)
        path.write_text("".join(wanted.sub(new, line, 0 if "g" in flags else 1) for line in lines), encoding="utf-8")
    return ""


def _python(words: list[str]) -> str | None:
    """A script of the notebook's own, in a process of its own as there."""
    if not words or (words[0] != "-c" and not Path(words[0]).expanduser().is_file()):
        return None
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


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
_PRINTS: dict[str, Callable[[list[str]], str | None]] = {
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "ls": _ls,
    "pwd": lambda _: f"{Path.cwd()}\n",
    "sed": _sed,
    "python": _python,
    "python3": _python,
}

"""Why Python could not read a cell, for whoever typed it: characters that look like others, blanks mixed with tabs."""

from __future__ import annotations

import re
import unicodedata

_LOOKS_LIKE_A_BLANK = "it looks like a blank, and Python does not read it. Delete it and type a blank"
_NOTHING_TO_SEE = (
    "nobody can see it, and Python does not read it. Delete it: the cursor stops there once more than it should"
)
_QUOTES = set("“”„‟«»‘’‚‛´′″")
_SIGNS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "‐": "-",
    "‑": "-",
    "×": "*",
    "÷": "/",
    "·": "*",
    "∗": "*",
    "⋅": "*",
    "…": "...",
}
_SIGNS |= {"≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "⟶": "->", "‖": "||", "∼": "~", "²": "**2", "³": "**3"}
_NAMES = {
    "\u00a0": "a no-break space",
    "\u200b": "a zero-width space",
    "\u200c": "a zero-width non-joiner",
    "\u200d": "a zero-width joiner",
    "\ufeff": "a byte order mark",
    "\u00ad": "a soft hyphen",
    "\u3000": "an ideographic space",
}
_WORD = re.compile(r"\w+|\S")


def why_unreadable(source: str, error: SyntaxError) -> str:
    """What is wrong with a cell, in words for a student: Python's own, or the character that it stumbled over.

    Args:
        source: The cell as it stands in the notebook.
        error: What Python said of it.
    """
    why = (error.msg or "invalid syntax").removesuffix(" (<unknown>, line 1)")
    if isinstance(error, TabError) or "inconsistent use of tabs" in why:
        return (
            "this line is indented with tabs and others with blanks, which Python does not mix: use blanks everywhere"
        )
    lines = source.split("\n")
    number = min(max(error.lineno or 1, 1), len(lines))
    line = lines[number - 1]
    if isinstance(error, IndentationError) and (mixed := _mixed(lines, number)):
        return f"{why}; {mixed}"
    found = _stranger(line, error) or (_stranger(lines[number - 2], None) if number > 1 and not line.strip() else "")
    return found or why


def _mixed(lines: list[str], number: int) -> str:
    """What is said of an indentation in which tabs stand in some lines and blanks in others."""
    heads = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines[:number] if line.strip()]
    if any("\t" in head for head in heads) and any(" " in head for head in heads):
        return "some lines above it are indented with tabs and some with blanks: use blanks everywhere"
    return ""


def _stranger(line: str, error: SyntaxError | None) -> str:
    """A sentence about the character in a line that Python does not take; "" where there is none."""
    strange = [place for place, character in enumerate(line) if _sentence(character, "")]
    if not strange:
        return ""
    outside = [place for place in strange if place not in _inside(line)]
    named = error is not None and re.search(r"\(U\+([0-9A-Fa-f]{4,6})\)", error.msg or "")
    at = [place for place in strange if named and ord(line[place]) == int(named[1], 16)]
    if not outside and not at:
        return ""
    place = min(at or outside, key=lambda where: abs(where - ((error.offset or 1) - 1 if error else 0)))
    return _sentence(line[place], _beside(line, place))


def _inside(line: str) -> set[int]:
    """Places within plain strings and comments, where any character may stand."""
    text = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|#.*"
    return {place for found in re.finditer(text, line) for place in range(*found.span())}


def _beside(line: str, place: int) -> str:
    """Where a character stands: "in front of `x`", "behind `)`"."""
    after, before = _WORD.search(line[place + 1 :].lstrip()), _WORD.findall(line[:place])
    if after and not _sentence(after[0], ""):
        return f" in front of `{after[0]}`"
    return f" behind `{before[-1]}`" if before else ""


def _sentence(character: str, where: str) -> str:
    """What a character is and what to type in its place; "" for one that Python reads."""
    if character.isascii():
        return ""
    code = f"U+{ord(character):04X},"
    if character in _QUOTES:
        return f"there is a curly quote {character}, {code}{where}: Python knows straight ones only. Type one of those"
    if character in _SIGNS:
        return f"there is the character {character}, {code}{where}: Python does not know it. Type {_SIGNS[character]}"
    if (name := _NAMES.get(character)) or unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cf"):
        is_blank = unicodedata.category(character) == "Zs"
        name = name or f"the invisible character {unicodedata.name(character, 'without a name')}"
        return f"there is {name}, {code}{where}: {_LOOKS_LIKE_A_BLANK if is_blank else _NOTHING_TO_SEE}"
    if 0xFF01 <= ord(character) <= 0xFF5E and not character.isalnum():
        plain = chr(ord(character) - 0xFEE0)
        return f"there is a full-width {character}, {code}{where}: Python knows the narrow one. Type {plain}"
    if character in "、。":
        plain = ",."["、。".index(character)]
        return f"there is a full-width {character}, {code}{where}: Python knows the narrow one. Type {plain}"
    return ""

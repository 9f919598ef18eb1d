"""docs/security.md names tests and attacks: each of them is there, and no attack is left unnamed by its group."""

import re
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line.split("|") for line in PAGE.splitlines() if line.startswith("|")]


def known_tests():
    """Names of test functions by file."""
    pattern = re.compile(r"^def (test_\w+)", re.MULTILINE)
    return {path.name: set(pattern.findall(path.read_text(encoding="utf-8"))) for path in TESTS.rglob("test_*.py")}


def test_the_tests_it_names_are_there():
    """`file::test` and bare names of tests/sandbox/test_sandbox.py."""
    known = known_tests()
    named = re.findall(r"`(?:(\w+)::)?(test_\w+)`(?: in `tests/\w+/(\w+\.py)`)?", PAGE)
    assert len(named) > 20
    missing = []
    for short, name, file in named:
        place = file or (f"test_sandbox_{short}.py" if short else "test_sandbox.py")
        if name not in known.get(place, set()):
            missing.append(f"{place}::{name}")
    assert missing == []


def test_the_files_it_names_are_there():
    """Paths below tests/."""
    if not (TESTS / "attacks").is_dir():
        pytest.skip("the attacks are not in this copy")
    named = set(re.findall(r"`(tests/[\w/]+(?:\.py)?)`", PAGE))
    assert named and [path for path in named if not (TESTS.parent / path).exists()] == []


def test_what_the_uid_kind_does_not_defend_is_what_the_attacks_expect():
    """Attacks named below "By the uid kind alone" are those of `tests/attacks/uid.toml` that are not defended."""
    path = TESTS / "attacks" / "uid.toml"
    if not path.exists():
        pytest.skip("the attacks are not in this copy")
    part = PAGE.partition("**By the uid kind alone.**")[2].partition("\n## ")[0]
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    listed = {name for name, entry in table.items() if not entry.get("defended", True)}
    assert set(re.findall(r"Attack: ([a-z-]+)", part)) == listed and all(table[name]["why"] for name in listed)


def test_the_attacks_it_names_are_there():
    """Every word with hyphens in the last column of a table of claims, and in the lists below, is an attack."""
    files = sorted((TESTS / "attacks").glob("*.toml"))
    if not files:
        pytest.skip("the attacks are not in this copy")
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in files]
    attacks = {attack["name"] for table in tables for attack in table.get("attack", [])}
    cells = " ".join(row[3] for row in ROWS if len(row) == 5 and ";" in row[3]).replace("`", " ")
    named = {word for cell in re.split(r"[;,]", cells) for word in re.findall(r"^\s*([a-z]+(?:-[a-z]+)+)\s*$", cell)}
    assert len(named) > 40 and named - attacks == set()

"""docs/security.md names files, tests and attacks: each of them is there. Nothing that it names can go unseen."""

import re
import shlex
import tomllib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
CLAIMS = "tests and attacks"  # the last heading of each table of claims
ATTACK = r"[a-z]+(?:-[a-z]+)*"
OURS = re.compile("(?:all of|the same)?$")  # what is left of a cell beside names


def known_tests():
    """Names of test functions by file."""
    pattern = re.compile(r"^def (test_\w+)", re.MULTILINE)
    return {path.name: set(pattern.findall(path.read_text(encoding="utf-8"))) for path in TESTS.rglob("test_*.py")}


def attacks():
    """Names of all attacks."""
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (TESTS / "attacks").glob("*.toml")]
    found = {attack["name"] for table in tables for attack in table.get("attack", [])}
    assert len(found) > 100
    return found


def claims():
    """The rows of the tables of claims: what is said, by what, where it is tested."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")]
    heads = [number for number, row in enumerate(rows) if row[-1] == CLAIMS]
    assert len(heads) == len(re.findall(r"(?m)^### ", PAGE)) - 1  # the last part, on readers, has no table
    found = []
    for head in heads:
        for row in rows[head + 2 :]:
            if row[-1] == CLAIMS or len(row) != 3:
                break
            found.append(row)
    assert len(found) > 20
    return found


def files(text):
    """What a text names below tests/, `*` and all."""
    return re.findall(r"\btests/[\w./*-]*[\w*]", text)


def sections(title):
    """A part of the page, which has to be there."""
    assert PAGE.count(title) == 1, f"the page has no part {title!r}, or several"
    return re.split(r"\n#+ |\n\*\*", PAGE.partition(title)[2])[0]


def test_the_tests_it_names_are_there():
    """`file::test`, `file::` alone, and bare names of tests/sandbox/test_sandbox.py."""
    known = known_tests()
    named = re.findall(r"`(?:(\w+)::)?(test_\w+|(?<=::))`(?: in `tests/\w+/(\w+\.py)`)?", PAGE)
    assert len(named) == len(re.findall(r"`\w+::|`test_", PAGE)) > 40
    missing = []
    for short, name, file in named:
        place = file or (f"test_sandbox_{short}.py" if short else "test_sandbox.py")
        if name not in known.get(place, set()) and not (name == "" and known.get(place)):
            missing.append(f"{place}::{name}")
    assert missing == []


def test_the_files_it_names_are_there():
    """Every path below tests/, in a sentence or in a command; a pattern finds something."""
    named = set(files(PAGE))
    assert len(named) > 10 and {path for path in named if not list(TESTS.parent.glob(path))} == set()


def test_the_commands_it_names_find_something():
    """Each command of pytest runs files, and `-k` the name of a test or an attack in them."""
    known = known_tests()
    lines = re.findall(
        r"`(pytest [^`]*)`|^ {4}[^#\n]*-m (pytest .*)$|`FCOSKIT_LONG=\d+ \S+ -m (pytest [^`]*)`", PAGE, re.M
    )
    commands = [" ".join(filter(None, line)) for line in lines]
    assert len(commands) == PAGE.count("pytest tests/") + PAGE.count("pytest -s")
    for command in commands:
        words = shlex.split(command)
        paths = [Path(word) for word in words if word.startswith("tests/")]
        assert paths and all((TESTS.parent / path).is_file() for path in paths), command
        names = set().union(*(known[path.name] for path in paths)) | attacks()
        if "-k" in words:
            assert any(words[words.index("-k") + 1] in name for name in names), command


def test_what_the_uid_kind_does_not_defend_is_what_the_attacks_expect():
    """Attacks named below "By the uid kind alone" are those of `tests/attacks/uid.toml` that are not defended."""
    table = tomllib.loads((TESTS / "attacks" / "uid.toml").read_text(encoding="utf-8"))
    listed = {name for name, entry in table.items() if not entry.get("defended", True)}
    named = set(re.findall(rf"Attack: ({ATTACK})", sections("**By the uid kind alone.**")))
    assert listed and named == listed and all(table[name]["why"] for name in listed)


def test_every_claim_names_what_holds_it():
    """A row has a test, a file of tests or an attack; and every word in its last cell is one of these."""
    there = attacks()
    for claim, _, cell in claims():
        rest = [part.strip() for part in re.split(r"[;,]", re.sub(r"`[^`]+`", "", cell))]
        words = [part for part in rest if not OURS.match(part)]
        assert "`" in cell or words, f"nothing holds: {claim}"
        assert set(words) <= there, f"no such attacks: {set(words) - there}"


def test_the_attacks_in_its_sentences_are_there():
    """Those in brackets, and the list of what readers are kept from."""
    readers = re.search(r"wrote: ([^`]*), and `", sections("### Readers"))
    brackets = re.findall(rf"\(({ATTACK}-[a-z]+(?:,\s+{ATTACK}-[a-z]+)+)\)", PAGE)
    assert readers and brackets
    for part in (readers[1], *brackets):
        named = set(re.split(r",\s+", part))
        assert len(named) >= 5 and named - attacks() == set()

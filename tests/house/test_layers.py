"""The arrows of the design run one way: who imports whom, by room, read from the sources without running them."""

import ast
import re
from pathlib import Path

import pytest

from autograder import PACKAGE as KIT
from autograder.course.assignment import load_assignment
from autograder.course.digests import DECIDING
from autograder.release.wheel import SHIPS
from autograder.sandbox.launch import SEEN
from tests.conftest import ROOT

HELPERS = ROOT / "helpers" / "ps7_helpers"
SUITES = load_assignment("ps7", ROOT).suites

# Each room and the rooms that it may import, from the ground up: a room names none that comes after it.
BELOW_GRADING = {"runtime", "checks", "course", "report", "parsing", "intake", "sandbox"}
BELOW_RUNS = BELOW_GRADING | {"grading"}
MAY_IMPORT = {
    "runtime": set(),
    "checks": {"runtime"},
    "course": {"runtime"},
    "parsing": {"runtime", "checks"},
    "notebook_kit": {"runtime", "checks", "parsing", "course"},  # the last on staff's machines alone, see below
    "report": {"runtime", "checks", "course"},
    "intake": {"runtime", "course", "parsing"},
    "sandbox/inside": {"runtime"},
    "sandbox": {"runtime", "checks", "course", "parsing", "sandbox/inside"},
    "grading": BELOW_GRADING,
    "runs": BELOW_RUNS | {"runs/cluster"},
    "runs/cluster": BELOW_RUNS | {"runs"},  # one floor: `grade.py` hands over to it, and it uses slots
    "nbgrader": {*BELOW_RUNS, "runs"},
    "gradescope": {*BELOW_RUNS, "runs"},
    "release": {*BELOW_RUNS, "runs", "notebook_kit", "nbgrader"},
    "commands": {*BELOW_RUNS, "runs", "notebook_kit", "nbgrader", "gradescope", "release"},
    "check.py": {"notebook_kit"},
}
SAME_FLOOR = {("runs", "runs/cluster")}
FRONT_ENDS = ("nbgrader", "gradescope", "release", "commands")
# What `fcoskit --help` says the kit is for: a sentence for people, nothing that the code acts on.
SAID_TO_PEOPLE = {"commands/cli.py": "Release and grade the FCOS assignment."}


def _sources(folder: Path) -> dict[str, ast.Module]:
    return {p.relative_to(folder).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in folder.rglob("*.py")}


SOURCES = _sources(KIT)
SUITE_SOURCES = _sources(SUITES)
GROUND = {"__init__.py", "sandbox/__init__.py"}  # a package's first file, which says what it is and imports nothing


def room_of(name: str) -> str:
    """The folder of a file; a file at the top is a room of its own."""
    folder, _, file = name.rpartition("/")
    return folder or file


def _nodes(tree, *, nested):
    """Nodes of a module; those that run on import alone unless `nested`."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        if nested or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))


def _modules(tree, *, nested=True):
    """Dotted names that a module imports; `from a import b` gives both `a` and `a.b`."""
    for node in _nodes(tree, nested=nested):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not followed here"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def kit_files(tree, *, nested=True):
    """The kit's files that a module imports, without those of `GROUND`."""
    files = set()
    for module in _modules(tree, nested=nested):
        first, *parts = module.split(".")
        if first == "autograder":
            base = "/".join(parts)
            files |= {name for name in (f"{base}.py", f"{base}/__init__.py") if name in SOURCES}
    return files - GROUND


def rooms_of(tree, *, nested=True):
    """The rooms that a module imports from."""
    return {room_of(file) for file in kit_files(tree, nested=nested)}


def arrows():
    """Every pair of rooms, one importing the other."""
    pairs = {(room_of(name), room) for name, tree in SOURCES.items() for room in rooms_of(tree)}
    return {(one, other) for one, other in pairs if one != other}


def test_imports_are_found():
    """The reading of imports below sees nested ones, submodules and packages."""
    tree = ast.parse("import autograder.runtime.errors\ndef f():\n    from autograder.report import Report, terminal\n")
    assert kit_files(tree) == {"runtime/errors.py", "report/__init__.py", "report/terminal.py"}
    assert kit_files(tree, nested=False) == {"runtime/errors.py"}
    assert len(SOURCES) > 80 and len(SUITE_SOURCES) > 12 and len(arrows()) > 50


def test_the_rooms_are_those_of_the_plan():
    """Every room that the plan names is a folder with files, and every folder with files is in the plan."""
    there = {room_of(name) for name in SOURCES if name not in GROUND} - {"__init__.py"}
    assert there == set(MAY_IMPORT)
    assert {room for allowed in MAY_IMPORT.values() for room in allowed} <= there
    assert {*FRONT_ENDS, *DECIDING} <= there


def test_the_plan_runs_one_way():
    """A room may import rooms that come before it alone; two that share a floor are named."""
    order = list(MAY_IMPORT)
    wrong = [
        (one, other) for one, rooms in MAY_IMPORT.items() for other in rooms if order.index(other) > order.index(one)
    ]
    assert set(wrong) == SAME_FLOOR


def test_every_arrow_is_in_the_plan():
    """No room imports from one that the plan does not give it."""
    assert sorted(pair for pair in arrows() if pair[1] not in MAY_IMPORT[pair[0]]) == []


@pytest.mark.parametrize("room", sorted({name.rpartition("/")[0] for name in SOURCES} - {""}))
def test_a_room_says_what_it_is_for(room):
    """The first file of each room has two paragraphs: what it is for, and who may import it."""
    text = ast.get_docstring(SOURCES[f"{room}/__init__.py"])
    assert text and text.count("\n\n") >= 1


def test_no_import_goes_in_a_circle():
    """Imports of files have an order, those within functions, too."""
    left = {name: kit_files(tree) - {name} for name, tree in SOURCES.items()}
    left = {name: {file for file in files if not file.endswith("__init__.py")} for name, files in left.items()}
    while ready := {name for name, files in left.items() if not files & set(left)}:
        left = {name: files for name, files in left.items() if name not in ready}
    assert left == {}


@pytest.mark.parametrize("path", sorted(HELPERS.rglob("*.py")), ids=lambda path: path.name)
def test_helpers_know_nothing_of_the_autograder(path):
    """Students get the helpers; they import nothing of the kit."""
    modules = set(_modules(ast.parse(path.read_text(encoding="utf-8"))))
    assert not {module for module in modules if module.split(".")[0] == "autograder"}


@pytest.mark.parametrize("name", SUITE_SOURCES)
def test_suites_know_the_student_and_the_helpers(name):
    """A suite reaches student code through `checks` alone: no sandbox, notebook or engine."""
    assert rooms_of(SUITE_SOURCES[name]) <= {"runtime", "checks"}


@pytest.mark.parametrize("name", [name for name in SUITE_SOURCES if not name.startswith("hidden/")])
def test_what_students_get_leads_to_nothing_hidden(name):
    """Public suites, and what lies beside them, import no hidden file and ask for no solution."""
    assert not [module for module in _modules(SUITE_SOURCES[name]) if module.startswith("suites.hidden")]
    assert not any(isinstance(node, ast.Name) and node.id == "solution" for node in ast.walk(SUITE_SOURCES[name]))


def within(names, listed):
    """The files that a list of files and folders stands for."""
    return {name for name in names if any(name == entry or name.startswith(f"{entry}/") for entry in listed)}


@pytest.mark.parametrize("entry", [*SHIPS, *SEEN])
def test_what_is_shipped_or_seen_is_there(entry):
    """Every room and file of the two lists exists."""
    assert within(SOURCES, [entry]), f"{entry} is no file and no room"


@pytest.mark.parametrize("name", sorted(within(SOURCES, SHIPS)))
def test_the_students_wheel_is_complete(name):
    """Every file that a shipped file imports as it is imported is shipped, too."""
    assert kit_files(SOURCES[name], nested=False) <= within(SOURCES, SHIPS)


def test_the_students_wheel_holds_nothing_of_staff():
    """Only the rooms that are meant for students are shipped, none that reads the course, grades or confines."""
    assert {entry for entry in SHIPS if not entry.endswith(".py")} == {"runtime", "checks", "parsing", "notebook_kit"}
    staff = {"course", "intake", "sandbox", "sandbox/inside", "grading", "runs", "release"}
    found = {(name, room) for name in within(SOURCES, SHIPS) for room in rooms_of(SOURCES[name]) & staff}
    assert found == {("notebook_kit/handout.py", "course")}  # within a function that a wheel never comes to


@pytest.mark.parametrize("name", sorted(within(SOURCES, SEEN)))
def test_the_worker_imports_only_what_it_can_see(name):
    """In the sandbox there are the worker's rooms and no others: neither suites nor expected values."""
    assert kit_files(SOURCES[name]) <= within(SOURCES, SEEN)


def test_the_worker_sees_nothing_worth_taking():
    """Of the kit's rooms the sandbox shows these two."""
    assert {room_of(name) for name in within(SOURCES, SEEN) - GROUND} == {"runtime", "sandbox/inside"}


@pytest.mark.parametrize("room", FRONT_ENDS)
def test_front_ends_are_imported_by_front_ends_alone(room):
    """Nothing that grades or shows leans on a front end."""
    assert {one for one, other in arrows() if other == room} <= set(FRONT_ENDS)


def _knowledge(name, tree):
    """Identifiers and strings of a module that name this course's assignment; docstrings and comments may."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = [node.value.replace(SAID_TO_PEOPLE.get(name, "\0"), "")]
        else:
            words = [str(getattr(node, field, "")) for field in ("id", "attr", "name", "arg", "module")]
        for word in words:
            plain = re.sub("fcos_?kit", "", word, flags=re.IGNORECASE)
            if re.search(r"fcos|\bps7|7[.-]1", plain, re.IGNORECASE):
                yield word


@pytest.mark.parametrize("name", SOURCES)
def test_the_engine_does_not_know_the_assignment(name):
    """A second assignment is a folder: no code of the kit names this one or its exercises."""
    assert list(_knowledge(name, SOURCES[name])) == []


@pytest.mark.parametrize("name", SAID_TO_PEOPLE)
def test_what_is_said_to_people_is_said(name):
    """The one sentence that may name the assignment still stands where the rule above lets it."""
    assert SAID_TO_PEOPLE[name] in (KIT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(KIT.rglob("*.j2")), ids=lambda path: path.name)
def test_templates_do_not_know_the_assignment(path):
    """Nor do the pages."""
    assert not re.search(r"fcos(?!kit)|7\.1", path.read_text(encoding="utf-8"), re.IGNORECASE)


def test_knowledge_is_found():
    """The search finds code and spares docstrings and the kit's own name."""
    tree = ast.parse('"""FCOS 7.1d"""\nfcoskit = "fcoskit"\ndef fcos(x):\n    """FCOS."""\n    return x["7.1d"]')
    assert list(_knowledge("x.py", tree)) == ["fcos", "7.1d"]


def _leads_to_tests(tree):
    """Whether a module imports from `tests`, or puts together a path that leads there."""
    for node in ast.walk(tree):
        parts = [node.right] if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) else []
        parts += [node] if isinstance(node, ast.Constant) and str(node.value).startswith("tests/") else []
        if any(isinstance(part, ast.Constant) and str(part.value).split("/")[0] == "tests" for part in parts):
            return True
    return any(module.split(".")[0] == "tests" for module in _modules(tree))


@pytest.mark.parametrize("path", [*KIT.rglob("*.py"), *SUITES.rglob("*.py")], ids=lambda path: path.name)
def test_nothing_in_production_reads_the_tests(path):
    """Cases of the proof lie with the assignment: no path or import of the kit leads into `tests/`."""
    assert not _leads_to_tests(ast.parse(path.read_text(encoding="utf-8")))


def test_what_leads_to_tests_is_found():
    """An import, a path of parts, and a path in one piece."""
    for line in ("import tests.conftest", 'x = root / "tests" / "mutants"', 'x = root / "tests/mutants"'):
        assert _leads_to_tests(ast.parse(line))
    assert not _leads_to_tests(ast.parse('x = {"tests": 1}'))

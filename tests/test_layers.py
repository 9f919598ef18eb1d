"""The arrows of the design run one way: who imports whom, read from the sources without running them."""

import ast
import re
from pathlib import Path

import pytest

from autograder.sandbox.launch import WORKER_FILES
from autograder.wheel import PUBLIC_FILES

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "autograder"
HELPERS = ROOT / "helpers" / "ps7_helpers"
FRONT_ENDS = {f"{name}.py" for name in ("check", "cli", "demo", "front", "gradebook", "nbgrader", "release", "samples")}
FRONT_ENDS |= {"class_report.py", "proof.py", "proof_record.py", "rebuilt.py", "regrade.py", "validate.py"}
FRONT_ENDS |= {"gradescope/__init__.py", "gradescope/bundle.py", "gradescope/run.py"}
# What `fcoskit --help` says the kit is for: a sentence for people, nothing that the code acts on.
SAID_TO_PEOPLE = {"cli.py": "Release and grade the FCOS assignment."}


def _name(path):
    return path.relative_to(KIT).as_posix()


SOURCES = {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(KIT.rglob("*.py"))}
SUITES = [name for name in SOURCES if name.startswith("suites/")]
PUBLIC_SUITES = [name for name in SUITES if name.startswith("suites/public/")]


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


def _kit_files(tree, *, nested=True):
    """The kit's files that a module imports, the packages they lie in included."""
    files = set()
    for module in _modules(tree, nested=nested):
        first, *parts = module.split(".")
        if first != "autograder":
            continue
        for end in range(len(parts) + 1):
            base = "/".join(parts[:end])
            files |= {name for name in (f"{base}.py", f"{base}/__init__.py".lstrip("/")) if name in SOURCES}
    return files


def test_imports_are_found():
    """The reading of imports below sees nested ones, submodules and packages."""
    tree = ast.parse("import autograder.errors\ndef f():\n    from autograder.sandbox import wire\n")
    assert _kit_files(tree) == {"__init__.py", "errors.py", "sandbox/__init__.py", "sandbox/wire.py"}
    assert _kit_files(tree, nested=False) == {"__init__.py", "errors.py"}
    assert len(SOURCES) > 30 and len(PUBLIC_SUITES) > 2


@pytest.mark.parametrize("path", sorted(HELPERS.rglob("*.py")), ids=lambda path: path.name)
def test_helpers_know_nothing_of_the_autograder(path):
    """Students get the helpers; they import nothing of the kit."""
    modules = set(_modules(ast.parse(path.read_text(encoding="utf-8"))))
    assert not {module for module in modules if module.split(".")[0] == "autograder"}


@pytest.mark.parametrize("name", SUITES)
def test_suites_know_the_student_and_the_helpers(name):
    """A suite reaches student code through `student.py` alone: no sandbox, notebook or engine."""
    allowed = {"__init__.py", "student.py", "errors.py", "result.py", "shallow.py"}  # the last: what `shallow` makes
    assert {file for file in _kit_files(SOURCES[name]) if not file.startswith("suites/")} <= allowed


@pytest.mark.parametrize("name", [*PUBLIC_SUITES, "suites/compare.py", "suites/hypotheses.py"])
def test_what_students_get_leads_to_nothing_hidden(name):
    """Public suites lean on public files and the helpers alone."""
    assert _kit_files(SOURCES[name]) <= {*PUBLIC_FILES, *PUBLIC_SUITES}
    assert not any(isinstance(n, ast.Name) and n.id == "solution" for n in ast.walk(SOURCES[name]))


@pytest.mark.parametrize("name", [name for name in PUBLIC_FILES if name.endswith(".py")])
def test_the_students_wheel_is_complete(name):
    """Every file that a shipped file imports as it is imported is shipped, too."""
    assert _kit_files(SOURCES[name], nested=False) <= set(PUBLIC_FILES)


def test_the_students_wheel_holds_nothing_of_staff():
    """No engine, sandbox, hidden suite or solution is shipped, and every name in the list exists."""
    assert all((KIT / name).is_file() for name in PUBLIC_FILES)
    private = re.compile(r"hidden|sandbox|reference|engine|slicing|grade|leaks|release|source|follow")
    assert not [name for name in PUBLIC_FILES if private.search(name)]


@pytest.mark.parametrize("name", [name for name in WORKER_FILES if name.endswith(".py")])
def test_the_worker_imports_only_what_it_can_see(name):
    """In the sandbox there are the worker's files and no others: neither suites nor expected values."""
    assert _kit_files(SOURCES[name]) <= set(WORKER_FILES)


def test_the_worker_sees_nothing_worth_taking():
    """The list of the worker's files names no suite, reference or grading code."""
    assert not [name for name in WORKER_FILES if re.search(r"suites|reference|grade|engine|result|report", name)]


@pytest.mark.parametrize("name", sorted(set(SOURCES) - FRONT_ENDS))
def test_front_ends_are_leaves(name):
    """Nothing but a front end imports a front end."""
    assert not _kit_files(SOURCES[name]) & FRONT_ENDS


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("report/")])
def test_reports_only_show(name):
    """A report knows results and the assignment; it neither grades nor reads notebooks."""
    allowed = {"__init__.py", "assignment.py", "errors.py", "result.py"}
    assert {file for file in _kit_files(SOURCES[name]) if not file.startswith("report/")} <= allowed


def test_no_import_goes_in_a_circle():
    """Imports have an order, those within functions, too."""
    left = {name: _kit_files(tree) - {name} for name, tree in SOURCES.items()}
    left = {name: {file for file in files if not file.endswith("__init__.py")} for name, files in left.items()}
    while ready := {name for name, files in left.items() if not files & set(left)}:
        left = {name: files for name, files in left.items() if name not in ready}
    assert left == {}


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


@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith(("suites/", "reference/"))])
def test_the_engine_does_not_know_the_assignment(name):
    """A second assignment is a folder and a suite: no other code names this one or its exercises."""
    assert list(_knowledge(name, SOURCES[name])) == []


@pytest.mark.parametrize("path", sorted(KIT.rglob("*.j2")), ids=lambda path: path.name)
def test_templates_do_not_know_the_assignment(path):
    """Nor do the pages."""
    assert not re.search(r"fcos(?!kit)|7\.1", path.read_text(encoding="utf-8"), re.IGNORECASE)


def test_knowledge_is_found():
    """The search finds code and spares docstrings and the kit's own name."""
    tree = ast.parse('"""FCOS 7.1d"""\nfcoskit = "fcoskit"\ndef fcos(x):\n    """FCOS."""\n    return x["7.1d"]')
    assert list(_knowledge("x.py", tree)) == ["fcos", "7.1d"]
